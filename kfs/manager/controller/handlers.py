"""From a change to the keys that must be reconciled because of it.

Upstream: kubernetes-sigs/controller-runtime `pkg/handler`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kfs.manager.cache.changes import Change
from kfs.manager.objects.kinds import Kind, ObjectKey
from kfs.manager.objects.tree import Frozen, controller_of, namespace

KeysOf = Callable[[Change], Iterable[ObjectKey]]


def itself(change: Change) -> Iterable[ObjectKey]:
    """The changed object."""
    return (change.key,)


def controller_of_kind(kind: Kind) -> KeysOf:
    """The object of `kind` that controls the changed one, before and after; in any of the kind's versions."""

    def keys(change: Change) -> Iterable[ObjectKey]:
        return {
            ObjectKey(namespace(obj) if kind.namespaced else "", ref["name"])
            for obj in (change.old, change.new)
            if obj is not None and (ref := controller_of(obj)) is not None and _refers_to(ref, kind)
        }

    return keys


def mapped(function: Callable[[Frozen], Iterable[ObjectKey]]) -> KeysOf:
    """What `function` says of the object before and after the change."""

    def keys(change: Change) -> Iterable[ObjectKey]:
        return {key for obj in (change.old, change.new) if obj is not None for key in function(obj)}

    return keys


def _refers_to(ref: Frozen, kind: Kind) -> bool:
    group = str(ref.get("apiVersion", "")).rpartition("/")[0]
    return ref.get("kind") == kind.kind and group == kind.group
