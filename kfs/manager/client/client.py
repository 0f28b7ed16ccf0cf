"""Verbs on objects. `Reader` and `Writer` are what controllers ask for; `LiveClient` goes to the server.

Upstream: kubernetes-sigs/controller-runtime `pkg/client/interfaces.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kfs.manager.client import calls
from kfs.manager.client.calls import Call, PatchType
from kfs.manager.errors import NotFound
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfs.manager.client.transport import Transport
    from kfs.manager.objects.kinds import Kind, ObjectKey

__all__ = ["Client", "LiveClient", "PatchType", "Reader", "Writer"]

LIST_PAGE = 500


class Reader(Protocol):
    """Reads objects; from a cache or from the server."""

    async def get(self, kind: Kind, key: ObjectKey) -> Frozen | None:
        """The object, or None when there is none of that name (or none of that kind)."""
        ...

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | str = "", fields: str = ""
    ) -> list[Frozen]:
        """All objects of a namespace, or of all namespaces, that the selectors match."""
        ...


class Writer(Protocol):
    """Writes objects; always to the server. Every verb raises `ApiError` or `TransportError`."""

    async def create(self, kind: Kind, obj: Frozen, *, dry_run: bool = False) -> Obj:
        """Create the object in the namespace that its metadata names; the stored object."""
        ...

    async def update(self, kind: Kind, obj: Frozen, *, subresource: str = "", dry_run: bool = False) -> Obj:
        """Replace the object or its subresource; raises `Conflict` when it is not the newest."""
        ...

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
        """Change parts of the object; APPLY creates it when it is not there."""
        ...

    async def delete(
        self, kind: Kind, key: ObjectKey, *, uid: str = "", resource_version: str = "", propagation: str = ""
    ) -> None:
        """Delete the object, or raise `NotFound`; `Conflict` when a precondition does not hold."""
        ...


class Client(Reader, Writer, Protocol):
    """Reads and writes."""


class LiveClient:
    """Every verb is a request to the server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, kind: Kind, key: ObjectKey) -> Frozen | None:
        try:
            return await self._object(calls.get(kind, key))
        except NotFound:
            return None

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | str = "", fields: str = ""
    ) -> list[Frozen]:
        items: list[Frozen] = []
        continue_ = ""
        while True:
            page = await self._object(
                calls.list_page(
                    kind,
                    namespace,
                    labels=calls.selector(labels),
                    fields=fields,
                    limit=LIST_PAGE,
                    continue_=continue_,
                )
            )
            items += list_items(kind, page)
            continue_ = str((page.get("metadata") or {}).get("continue") or "")
            if not continue_:
                return items

    async def create(self, kind: Kind, obj: Frozen, *, dry_run: bool = False) -> Obj:
        return await self._object(calls.create(kind, obj, dry_run=dry_run))

    async def update(self, kind: Kind, obj: Frozen, *, subresource: str = "", dry_run: bool = False) -> Obj:
        return await self._object(calls.update(kind, obj, subresource, dry_run=dry_run))

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
        return await self._object(
            calls.patch(
                kind,
                key,
                patch,
                type,
                subresource=subresource,
                field_manager=field_manager,
                force=force,
                dry_run=dry_run,
            )
        )

    async def delete(
        self, kind: Kind, key: ObjectKey, *, uid: str = "", resource_version: str = "", propagation: str = ""
    ) -> None:
        await self._object(calls.delete(kind, key, uid=uid, resource_version=resource_version, propagation=propagation))

    async def _object(self, call: Call) -> Obj:
        return codec.loads_object((await self._transport.send(call)).body)


def list_items(kind: Kind, page: Frozen) -> list[Obj]:
    """The objects of a list; the server leaves out their apiVersion and kind, here they are set."""
    items = [item for item in sequence(page, "items") if isinstance(item, dict)]
    for item in items:
        item.setdefault("apiVersion", kind.api_version)
        item.setdefault("kind", kind.kind)
    return items
