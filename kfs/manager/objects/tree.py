"""Accessors for JSON object trees.

`Obj` is a tree that we build and may edit; `Frozen` is one that we read (from the cache, from a
request) and must not edit: `clone` it first. The type checker refuses item assignment on a
`Frozen`; the cache's tests catch what it cannot see.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from kfs.manager.objects import codec
from kfs.manager.objects.kinds import Kind, ObjectKey

Obj = dict[str, Any]
Frozen = Mapping[str, Any]


def clone(value: Frozen) -> Obj:
    """A deep copy of a JSON tree, at the price of a few microseconds."""
    return cast("Obj", codec.copied(value))


def metadata(obj: Frozen) -> Frozen:
    """`metadata`, or an empty mapping when it is missing or no mapping."""
    return mapping(obj, "metadata")


def mapping(obj: Frozen, *path: str) -> Frozen:
    """The mapping at `path`; empty when anything on the way is missing or of another type."""
    found: Any = obj
    for key in path:
        if not isinstance(found, Mapping):
            return {}
        found = found.get(key)
    return found if isinstance(found, Mapping) else {}


def sequence(obj: Frozen, *path: str) -> Sequence[Any]:
    """The list at `path`; empty when anything on the way is missing or of another type."""
    *parents, last = path
    found = mapping(obj, *parents).get(last)
    return found if isinstance(found, list) else ()


def name(obj: Frozen) -> str:
    """`metadata.name`, or an empty string."""
    return str(metadata(obj).get("name") or "")


def namespace(obj: Frozen) -> str:
    """`metadata.namespace`, or an empty string."""
    return str(metadata(obj).get("namespace") or "")


def uid(obj: Frozen) -> str:
    """`metadata.uid`, or an empty string."""
    return str(metadata(obj).get("uid") or "")


def generation(obj: Frozen) -> int:
    """`metadata.generation`; 0 when the server keeps none for this kind."""
    return int(metadata(obj).get("generation") or 0)


def resource_version(obj: Frozen) -> str:
    """`metadata.resourceVersion`, or an empty string."""
    return str(metadata(obj).get("resourceVersion") or "")


def labels(obj: Frozen) -> Mapping[str, str]:
    """`metadata.labels`, never None."""
    return mapping(obj, "metadata", "labels")


def annotations(obj: Frozen) -> Mapping[str, str]:
    """`metadata.annotations`, never None."""
    return mapping(obj, "metadata", "annotations")


def finalizers(obj: Frozen) -> Sequence[str]:
    """`metadata.finalizers`, never None."""
    return sequence(obj, "metadata", "finalizers")


def is_deleting(obj: Frozen) -> bool:
    """Whether a delete was asked for and finalizers still hold the object."""
    return bool(metadata(obj).get("deletionTimestamp"))


def key_of(obj: Frozen) -> ObjectKey:
    """The object's namespace and name."""
    meta = metadata(obj)
    return ObjectKey(meta.get("namespace") or "", meta.get("name") or "")


def controller_of(obj: Frozen) -> Frozen | None:
    """The owner reference with `controller: true`, or None."""
    for ref in sequence(obj, "metadata", "ownerReferences"):
        if ref.get("controller"):
            return cast("Frozen", ref)
    return None


def owner_reference(owner: Frozen, kind: Kind) -> Obj:
    """A controller reference to `owner`, which blocks the owner's foreground deletion."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def reference(obj: Frozen, kind: Kind) -> Obj:
    """An `ObjectReference` to `obj`, as Events carry it."""
    ref = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "namespace": namespace(obj),
        "name": name(obj),
        "uid": uid(obj),
        "resourceVersion": resource_version(obj),
    }
    return {k: v for k, v in ref.items() if v}
