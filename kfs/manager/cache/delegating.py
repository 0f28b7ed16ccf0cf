"""The client that controllers get: reads from the cache, writes to the server, and reads its own writes.

Upstream: kubernetes-sigs/controller-runtime `pkg/client/client.go` (the delegating client).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.manager.client.client import Client, PatchType
from kfs.manager.objects.tree import Frozen, Obj
from kfs.manager.objects.tree import resource_version as version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kfs.manager.cache.cache import Cache
    from kfs.manager.objects.kinds import Kind, ObjectKey


class DelegatingClient:
    """A `Client` over a cache and a live client. Kinds in `uncached` are always read from the server.

    `may_write` is called before each write and raises what the write shall raise instead of being sent.
    """

    def __init__(
        self,
        cache: Cache,
        live: Client,
        uncached: frozenset[Kind] = frozenset(),
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._cache = cache
        self._live = live
        self._uncached = uncached
        self._may_write = may_write

    async def get(self, kind: Kind, key: ObjectKey) -> Frozen | None:
        reader = self._live if kind in self._uncached else self._cache
        return await reader.get(kind, key)

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | str = "", fields: str = ""
    ) -> list[Frozen]:
        reader = self._live if kind in self._uncached else self._cache
        return await reader.list(kind, namespace, labels=labels, fields=fields)

    async def create(self, kind: Kind, obj: Frozen, *, dry_run: bool = False) -> Obj:
        self._may_write()
        return self._seen(kind, await self._live.create(kind, obj, dry_run=dry_run), dry_run)

    async def update(self, kind: Kind, obj: Frozen, *, subresource: str = "", dry_run: bool = False) -> Obj:
        self._may_write()
        stored = await self._live.update(kind, obj, subresource=subresource, dry_run=dry_run)
        return self._seen(kind, stored, dry_run)

    async def patch(
        self,
        kind: Kind,
        key: ObjectKey,
        patch: Any,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> Obj:
        self._may_write()
        stored = await self._live.patch(
            kind,
            key,
            patch,
            type=type,
            subresource=subresource,
            field_manager=field_manager,
            force=force,
            dry_run=dry_run,
        )
        return self._seen(kind, stored, dry_run)

    async def delete(
        self, kind: Kind, key: ObjectKey, *, uid: str = "", resource_version: str = "", propagation: str = ""
    ) -> None:
        self._may_write()
        # Read before the answer: by then the watch may have shown the deletion already.
        known = self._cache.known(kind, key) if uid else None
        await self._live.delete(kind, key, uid=uid, resource_version=resource_version, propagation=propagation)
        if known is not None:
            self._cache.deleted(kind, key, uid, version_of(known))

    def _seen(self, kind: Kind, stored: Obj, dry_run: bool) -> Obj:
        if not dry_run:
            self._cache.wrote(kind, stored)
        return stored
