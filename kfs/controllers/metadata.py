"""Labels and annotations that an InferenceService shares with its children.

Differs: what others put on a child stays, and changes reach every child (difference 24).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfs.api.constants import HELD_BACK_ANNOTATIONS
from kfs.manager.objects.tree import clone, mapping

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj


def passed_down(isvc: Frozen) -> dict[str, str]:
    """The annotations of an InferenceService that its children carry too."""
    return {
        key: value
        for key, value in mapping(isvc, "metadata", "annotations").items()
        if key not in HELD_BACK_ANNOTATIONS
    }


def overlaid(observed: Frozen, desired: Frozen, formerly: Frozen) -> Obj:
    """`observed`'s metadata with `desired`'s labels and annotations laid over it.

    `formerly` has the labels and annotations that we wrote last time: those that are wanted no more
    and still have the value that we gave them go. All others belong to somebody else and stay.
    """
    metadata = clone(observed)
    for part in ("labels", "annotations"):
        wanted, ours = mapping(desired, part), mapping(formerly, part)
        kept = {k: v for k, v in mapping(observed, part).items() if k in wanted or ours.get(k) != v}
        if merged := {**kept, **wanted}:
            metadata[part] = merged
        else:
            metadata.pop(part, None)
    return metadata
