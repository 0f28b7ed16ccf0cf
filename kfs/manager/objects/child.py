"""A child object that should exist, as a value that a pure planner can return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfs.manager.objects.kinds import Kind
    from kfs.manager.objects.tree import Frozen, Obj


@dataclass(frozen=True)
class Child:
    """An object that should exist, and how to bring an existing one to that state.

    `desired` names its owner by a controller reference. `merge(observed)` gives the observed object with the parts
    replaced that are ours; what it leaves alone belongs to others. Nothing is written when that changes nothing.
    """

    kind: Kind
    desired: Obj
    merge: Callable[[Frozen], Obj]
