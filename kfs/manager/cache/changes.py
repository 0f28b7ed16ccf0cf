"""What subscribers of a cache see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.manager.objects.tree import Frozen, key_of, resource_version

if TYPE_CHECKING:
    from kfs.manager.objects.kinds import ObjectKey


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after; `old` is None when it appeared, `new` is None when it vanished.

    `initial`: it was there before anyone looked (start-up, or a list after an outage).
    `unseen`: its deletion was not observed, the last list just did not hold it any more; `old` may be outdated.
    """

    old: Frozen | None
    new: Frozen | None
    initial: bool = False
    unseen: bool = False

    @property
    def object(self) -> Frozen:
        """The object as it is, or as it was last."""
        found = self.new if self.new is not None else self.old
        return found if found is not None else {}

    @property
    def key(self) -> ObjectKey:
        """Which object."""
        return key_of(self.object)

    @property
    def verb(self) -> str:
        """`created`, `updated` or `deleted`; for logs, never for decisions."""
        if self.new is None:
            return "deleted"
        return "created" if self.old is None else "updated"

    @property
    def is_resync(self) -> bool:
        """Whether nothing changed: a list showed again what was known."""
        if self.old is None or self.new is None:
            return False
        return resource_version(self.old) == resource_version(self.new)


ChangeHandler = Callable[[Change], None]
"""Called after the store was updated, in the same task, without an await in between: it must return at once."""
