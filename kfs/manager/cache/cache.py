"""All informers of a manager, shared by everyone who reads.

Upstream: kubernetes-sigs/controller-runtime `pkg/cache/cache.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kfs.manager.cache.informer import Informer, Scope
from kfs.manager.errors import KindMissing

if TYPE_CHECKING:
    from kfs.manager.client.transport import Transport
    from kfs.manager.clock import Clock
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.kinds import Kind, ObjectKey
    from kfs.manager.objects.tree import Frozen
    from kfs.manager.runnables import Started


class Cache:
    """Informers by kind and scope, started together or as they are asked for.

    `scope` is what a kind is watched in unless somebody asks otherwise (the manager's namespaces).
    """

    def __init__(self, transport: Transport, clock: Clock, metrics: Metrics, scope: Scope | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._metrics = metrics
        self._scope = scope or Scope()
        self._informers: dict[tuple[Kind, Scope], Informer] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def informer(self, kind: Kind, scope: Scope | None = None) -> Informer:
        """The informer of a kind, made on first use and shared from then on; running if the cache is."""
        if scope is None:
            scope = self._scope if kind.namespaced else Scope()
        found = self._informers.get((kind, scope))
        if found is None:
            found = Informer(kind, scope, self._transport, self._clock, self._metrics)
            self._informers[kind, scope] = found
            if self._tasks is not None:
                self._tasks.create_task(found.run())
        return found

    async def get(self, kind: Kind, key: ObjectKey) -> Frozen | None:
        """The object as cached, our own writes included; waits for the kind's first list.

        Raises:
            KindMissing: the server has no such kind.
        """
        informer = await self._answered(kind)
        return informer.store.get(key)

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | str = "", fields: str = ""
    ) -> list[Frozen]:
        """The cached objects of a namespace, or of all, that carry all of `labels`.

        Raises:
            KindMissing: the server has no such kind.
            ValueError: a selector that only a server can evaluate (text, or fields): read live, or watch a scope.
        """
        if (isinstance(labels, str) and labels) or fields:
            raise ValueError("a cached list takes labels as a mapping and no field selector; read live for others")
        informer = await self._answered(kind)
        return [*informer.store.list(namespace, labels if isinstance(labels, Mapping) else None)]

    def known(self, kind: Kind, key: ObjectKey) -> Frozen | None:
        """The object if a running informer has it; starts none and waits for none."""
        found = (informer.store.get(key) for informer in self._of(kind))
        return next((obj for obj in found if obj is not None), None)

    def wrote(self, kind: Kind, obj: Frozen) -> None:
        """Show readers a write of ours before the watch does."""
        for informer in self._of(kind):
            informer.wrote(obj)

    def deleted(self, kind: Kind, key: ObjectKey, uid: str, version: str) -> None:
        """Hide an object that we deleted before the watch does."""
        for informer in self._of(kind):
            informer.deleted(key, uid, version)

    def problems(self) -> dict[str, str]:
        """What has not synced or is missing, by resource, and why."""
        return {
            informer.kind.resource: reason
            for informer in self._informers.values()
            if (reason := informer.problem()) is not None
        }

    async def run(self, started: Started) -> None:
        """Run all informers, and those asked for later, until cancelled.

        Started at once, without waiting for the first lists: the conversion webhook, which lists of old objects need,
        comes up beside them. Whoever needs a kind waits for that kind.
        """
        async with asyncio.TaskGroup() as self._tasks:
            for informer in self._informers.values():
                self._tasks.create_task(informer.run())
            started()
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    async def _answered(self, kind: Kind) -> Informer:
        informer = self.informer(kind)
        await informer.answered()
        if informer.missing:
            raise KindMissing(f"The server has no kind {kind.resource}: install its CRD, or what brings it")
        return informer

    def _of(self, kind: Kind) -> Sequence[Informer]:
        return [informer for (other, _), informer in self._informers.items() if other == kind]
