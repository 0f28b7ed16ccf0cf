"""Living conditions: a set of conditions in which one, usually `Ready`, follows from the others.

Upstream: knative/pkg `apis/condition_set.go`. The transition time moves only when a condition's
status, reason, message or severity does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from kfs.manager.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

TRUE = "True"
FALSE = "False"
UNKNOWN = "Unknown"
READY = "Ready"
INFO = "Info"


class Condition(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One condition, as it stands in `status.conditions`."""

    type: str
    status: str
    severity: str = ""
    last_transition_time: str = ""
    reason: str = ""
    message: str = ""


Conditions = tuple[Condition, ...]


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether the condition is there and True."""
    found = find(conditions, type_)
    return found is not None and found.status == TRUE


@dataclass(frozen=True)
class ConditionSet:
    """Which conditions decide about `happy`. All others carry severity `Info` and decide nothing."""

    dependents: Sequence[str]
    happy: str = READY

    def mark(
        self,
        conditions: Conditions,
        type_: str,
        status: str,
        now: datetime,
        *,
        reason: str = "",
        message: str = "",
    ) -> Conditions:
        """`conditions` with one of them set and `happy` derived again; sorted by type.

        A False dependent makes `happy` False; else an Unknown or missing one makes it Unknown, each
        with that dependent's reason and message. Among several the one that changed last speaks.
        """
        marked = self._set(conditions, Condition(type_, status, reason=reason, message=message), now)
        if type_ not in self.dependents:
            return marked
        if status == FALSE:
            culprit: Condition | None = find(marked, type_)
        else:
            culprit = self._unhappy(marked)
        happy = Condition(self.happy, TRUE)
        if culprit is not None:
            happy = Condition(self.happy, culprit.status, reason=culprit.reason, message=culprit.message)
        return self._set(marked, happy, now)

    def _set(self, conditions: Conditions, wanted: Condition, now: datetime) -> Conditions:
        terminal = wanted.type == self.happy or wanted.type in self.dependents
        wanted = msgspec.structs.replace(wanted, severity="" if terminal else INFO)
        before = find(conditions, wanted.type)
        if before is not None:
            wanted = msgspec.structs.replace(wanted, last_transition_time=before.last_transition_time)
        if wanted == before:
            return conditions
        wanted = msgspec.structs.replace(wanted, last_transition_time=timestamp(now))
        others = [c for c in conditions if c.type != wanted.type]
        return tuple(sorted([*others, wanted], key=lambda c: c.type))

    def _unhappy(self, conditions: Conditions) -> Condition | None:
        known = [c for c in conditions if c.type in self.dependents]
        known.sort(key=lambda c: c.last_transition_time, reverse=True)
        for status in (FALSE, UNKNOWN):
            for condition in known:
                if condition.status == status:
                    return condition
        if len(known) < len(self.dependents):
            return Condition("", UNKNOWN)
        return None
