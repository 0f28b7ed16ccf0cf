"""Which changes are worth a reconciliation. A predicate is a function; combine them with these three.

Upstream: kubernetes-sigs/controller-runtime `pkg/predicate/predicate.go`.
"""

from collections.abc import Callable

from kfs.manager.cache.changes import Change
from kfs.manager.objects.tree import annotations, finalizers, generation, is_deleting, labels

Predicate = Callable[[Change], bool]


def all_of(*predicates: Predicate) -> Predicate:
    """Passes what every predicate passes."""
    return lambda change: all(p(change) for p in predicates)


def any_of(*predicates: Predicate) -> Predicate:
    """Passes what at least one predicate passes."""
    return lambda change: any(p(change) for p in predicates)


def not_(predicate: Predicate) -> Predicate:
    """Passes what the predicate does not."""
    return lambda change: not predicate(change)


def version_changed(change: Change) -> bool:
    """Drops what a new list repeats; the default of every source."""
    return not change.is_resync


def spec_changed(change: Change) -> bool:
    """Passes everything but updates that leave spec, labels, annotations, finalizers and deletion as they were.

    What is left out are writes of status alone: a controller need not run after its own.
    """
    old, new = change.old, change.new
    if old is None or new is None or not generation(new):
        return True
    return (
        generation(old) != generation(new)
        or labels(old) != labels(new)
        or annotations(old) != annotations(new)
        or finalizers(old) != finalizers(new)
        or is_deleting(old) != is_deleting(new)
    )
