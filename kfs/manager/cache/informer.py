"""One kind, watched: keeps a store up to date and tells subscribers what changed.

What a reader may rely on: per object, subscribers see a subsequence of its true states, in order, each
after the store holds it; there is no order across objects.
Upstream: kubernetes/client-go `tools/cache/shared_informer.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.manager.cache.changes import Change, ChangeHandler
from kfs.manager.cache.store import Store
from kfs.manager.cache.watcher import Failed, Listed, Removed, Selection, Step, Upserted, follow
from kfs.manager.objects.tree import Frozen, Obj, clone, key_of

if TYPE_CHECKING:
    from kfs.manager.client.transport import Transport
    from kfs.manager.clock import Clock
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.kinds import Kind, ObjectKey

log = logging.getLogger(__name__)

Transform = Callable[[Obj], Obj]


@dataclass(frozen=True)
class Scope:
    """Which part of a kind is watched. No namespaces: all of them; selectors are the server's syntax."""

    namespaces: tuple[str, ...] = ()
    labels: str = ""
    fields: str = ""

    def selections(self) -> list[Selection]:
        """One watch each."""
        return [Selection(namespace, self.labels, self.fields) for namespace in self.namespaces or ("",)]


def strip_managed_fields(obj: Obj) -> Obj:
    """The default transform: managedFields are up to half of an object, and no controller reads them."""
    obj["metadata"].pop("managedFields", None)
    return obj


class Informer:
    """Watches one kind within a scope."""

    def __init__(
        self,
        kind: Kind,
        scope: Scope,
        transport: Transport,
        clock: Clock,
        metrics: Metrics,
        transform: Transform = strip_managed_fields,
    ) -> None:
        self.kind = kind
        self.scope = scope
        self.store = Store(scope.namespaces or ("",))
        self._transport = transport
        self._clock = clock
        self._metrics = metrics
        self._transform = transform
        self._handlers: list[ChangeHandler] = []
        self._presence_handlers: list[Callable[[], None]] = []
        self._unlisted = dict.fromkeys(scope.selections(), "not listed yet")
        self._synced = asyncio.Event()
        self._answered = asyncio.Event()
        self._missing = False

    @property
    def has_synced(self) -> bool:
        """Whether every part of the scope was listed once."""
        return self._synced.is_set()

    async def synced(self) -> None:
        """Wait until the store holds what was there at the start."""
        await self._synced.wait()

    @property
    def missing(self) -> bool:
        """Whether the server says that there is no such kind: its CRD was never installed, or is gone."""
        return self._missing

    async def answered(self) -> None:
        """Wait until the store holds what was there at the start, or the kind is known to be missing."""
        await self._answered.wait()

    def problem(self) -> str | None:
        """Why the store does not show what is there, or None."""
        if self._missing:
            return "no such kind; is its CRD installed?"
        return next(iter(self._unlisted.values()), None)

    def wrote(self, obj: Frozen) -> None:
        """Show readers a write of ours before the watch does, if it lies within the scope."""
        if self._may_hold(key_of(obj)):
            self.store.wrote(self._transform(clone(obj)))

    def deleted(self, key: ObjectKey, uid: str, version: str) -> None:
        """Hide an object that we deleted before the watch does."""
        self.store.deleted(key, uid, version)

    def _may_hold(self, key: ObjectKey) -> bool:
        if self.scope.namespaces and key.namespace not in self.scope.namespaces:
            return False
        # Whether a selector matches only the server can tell; what it has shown once is ours to follow.
        return not (self.scope.labels or self.scope.fields) or self.store.get(key) is not None

    def subscribe(self, handler: ChangeHandler) -> None:
        """Have `handler` called for each change, and at once for every object already known."""
        self._handlers.append(handler)
        for obj in self.store.list():
            handler(Change(None, obj, initial=True))

    def on_presence(self, handler: Callable[[], None]) -> None:
        """Have `handler` called when the kind turns out to be missing, and when it appears; like a change handler."""
        self._presence_handlers.append(handler)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as watches:
            for selection in self.scope.selections():
                watches.create_task(self._follow(selection))

    async def _follow(self, selection: Selection) -> None:
        heard = self._metrics.watch_age.labels(self.kind.resource, selection.namespace)
        async with aclosing(follow(self._transport, self.kind, selection)) as steps:
            async for step in steps:
                if not isinstance(step, Failed):
                    heard.set(self._clock.now().timestamp())
                self._take(step, selection)

    def _take(self, step: Step, selection: Selection) -> None:
        match step:
            case Listed(items, version):
                changes = self.store.replace(map(self._transform, items), version, selection.namespace)
                self._unlisted.pop(selection, None)
                self._tell(changes)
                if not self._unlisted:
                    self._synced.set()
                    self._answered.set()
                    self._is_missing(False)
            case Upserted(obj):
                self._tell([self.store.upsert(self._transform(obj))])
            case Removed(obj):
                change = self.store.remove(self._transform(obj))
                self._tell([change] if change is not None else [])
            case Failed(error, retry_s, missing):
                if missing:
                    self._is_missing(True)
                elif selection in self._unlisted:
                    self._unlisted[selection] = str(error)
                log.log(
                    logging.INFO if missing else logging.WARNING,
                    "watch failed, trying again",
                    extra={"resource": self.kind.resource, "error": str(error), "retry_s": round(retry_s, 1)},
                )

    def _is_missing(self, missing: bool) -> None:
        # What the store holds of a kind that vanished stays: watches tell of deletions, and a server that starts may
        # deny a kind that it will know in a moment.
        if missing:
            self._answered.set()
        if missing != self._missing:
            self._missing = missing
            for handler in self._presence_handlers:
                handler()

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            for handler in self._handlers:
                handler(change)
