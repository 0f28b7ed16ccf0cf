"""The one way to write a child object: read, compare, and write only what differs.

Upstream: kubernetes-sigs/controller-runtime `pkg/controller/controllerutil/controllerutil.go`;
kserve/kserve (main) `pkg/controller/v1alpha2/llmisvc/lifecycle_crud.go`.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from kfs.manager.client.client import Client, PatchType, Reader, Writer
from kfs.manager.errors import AlreadyExists, Conflict, NotOwnedError
from kfs.manager.objects.equality import differences
from kfs.manager.objects.kinds import Kind, ObjectKey
from kfs.manager.objects.tree import (
    Frozen,
    controller_of,
    finalizers,
    key_of,
    name,
    namespace,
    resource_version,
    uid,
)

if TYPE_CHECKING:
    from kfs.manager.objects.child import Child

log = logging.getLogger(__name__)


class Applied(Enum):
    """What became of a child."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


async def apply(client: Client, live: Reader, child: Child, owner: Frozen, owner_kind: Kind) -> tuple[Applied, Frozen]:
    """Make `child` exist and be controlled by `owner`; what was done, and the object as it is now.

    `client` may read from a cache; `live` reads from the server. A conflict is read again and computed again
    once, then raised.

    Raises:
        NotOwnedError: an object of that name is controlled by somebody else, or by nobody; it is left untouched.
        ApiError, TransportError: from the server.
    """
    kind, key = child.kind, key_of(child.desired)
    observed = await client.get(kind, key)
    if observed is None:
        try:
            return Applied.CREATED, await client.create(kind, child.desired)
        except AlreadyExists:
            observed = await live.get(kind, key)
            if observed is None:
                raise
    try:
        return await _update(client, live, child, observed, owner, owner_kind)
    except Conflict:
        observed = await live.get(kind, key)
        if observed is None:
            raise
        return await _update(client, live, child, observed, owner, owner_kind)


async def _update(
    client: Writer, live: Reader, child: Child, observed: Frozen, owner: Frozen, owner_kind: Kind
) -> tuple[Applied, Frozen]:
    adopted = await _is_orphan_of(live, observed, owner, owner_kind)
    merged = child.merge(observed)
    if adopted:
        merged["metadata"]["ownerReferences"] = child.desired["metadata"]["ownerReferences"]
    changed = differences(merged, observed)
    if not changed:
        return Applied.UNCHANGED, observed
    log.info("updating a child", extra={"object": f"{child.kind} {key_of(observed)}", "fields": changed})
    return Applied.UPDATED, await client.update(child.kind, merged)


async def _is_orphan_of(live: Reader, observed: Frozen, owner: Frozen, owner_kind: Kind) -> bool:
    """Whether the object's controller was an earlier owner of the same name, which is gone; False when it is ours.

    The apiVersion in the reference is not compared: an owner is the same object in all its versions.
    """
    ref = controller_of(observed)
    if ref is not None and ref.get("uid") == uid(owner):
        return False
    whose = "nobody" if ref is None else f"{ref.get('kind')} {ref.get('name')}"
    refusal = NotOwnedError(
        f"{observed.get('kind')} {name(observed)} exists and is controlled by {whose}; "
        f"delete or rename it, so that {owner_kind.kind} {name(owner)} can create its own"
    )
    if ref is None or ref.get("kind") != owner_kind.kind or ref.get("name") != name(owner):
        raise refusal
    # Same kind and name with another uid: an earlier owner, if the one on the server is ours.
    current = await live.get(owner_kind, ObjectKey(namespace(owner), name(owner)))
    if current is None or uid(current) != uid(owner):
        raise refusal
    return True


async def patch_finalizer(client: Writer, kind: Kind, obj: Frozen, finalizer: str, *, present: bool) -> Frozen:
    """Add or remove one finalizer, if need be; the object as it is then.

    The patch carries the resourceVersion: finalizers that others add at the same time are never lost, the
    server answers `Conflict` instead.
    """
    held = list(finalizers(obj))
    if (finalizer in held) == present:
        return obj
    wanted = [*held, finalizer] if present else [f for f in held if f != finalizer]
    patch = {"metadata": {"finalizers": wanted or None, "resourceVersion": resource_version(obj)}}
    return await client.patch(kind, key_of(obj), patch, type=PatchType.MERGE)
