"""Living conditions: Ready follows from its dependents, and times move only when something else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.objects.conditions import FALSE, INFO, TRUE, UNKNOWN, Conditions, ConditionSet, find

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SET = ConditionSet(("PredictorReady", "IngressReady"))


def marks(*steps: tuple[str, str, str]) -> Conditions:
    conditions: Conditions = ()
    for i, (type_, status, reason) in enumerate(steps):
        conditions = SET.mark(conditions, type_, status, NOW + timedelta(seconds=i), reason=reason)
    return conditions


def ready(conditions: Conditions) -> tuple[str, str]:
    found = find(conditions, "Ready")
    assert found is not None
    return found.status, found.reason


CASES: dict[str, tuple[list[tuple[str, str, str]], tuple[str, str]]] = {
    "a missing dependent leaves it unknown": ([("PredictorReady", TRUE, "")], (UNKNOWN, "")),
    "all true": ([("PredictorReady", TRUE, ""), ("IngressReady", TRUE, "")], (TRUE, "")),
    "one false": ([("PredictorReady", FALSE, "oom"), ("IngressReady", TRUE, "")], (FALSE, "oom")),
    "one unknown": ([("PredictorReady", UNKNOWN, "Deploying")], (UNKNOWN, "Deploying")),
    "false beats unknown": (
        [("PredictorReady", FALSE, "oom"), ("IngressReady", UNKNOWN, "wait")],
        (FALSE, "oom"),
    ),
    "the last false speaks": (
        [("PredictorReady", FALSE, "oom"), ("IngressReady", FALSE, "gone")],
        (FALSE, "gone"),
    ),
    "recovers": (
        [("PredictorReady", FALSE, "oom"), ("IngressReady", TRUE, ""), ("PredictorReady", TRUE, "")],
        (TRUE, ""),
    ),
}


@pytest.mark.parametrize(("steps", "expected"), CASES.values(), ids=CASES)
def test_ready_follows(steps: list[tuple[str, str, str]], expected: tuple[str, str]) -> None:
    assert ready(marks(*steps)) == expected


def test_a_condition_that_is_no_dependent_decides_nothing_and_is_informational() -> None:
    conditions = marks(("PredictorReady", TRUE, ""), ("IngressReady", TRUE, ""), ("PredictorRouteReady", FALSE, "x"))
    assert ready(conditions) == (TRUE, "")
    found = find(conditions, "PredictorRouteReady")
    assert found is not None
    assert found.severity == INFO


def test_times_move_only_with_content() -> None:
    first = marks(("PredictorReady", FALSE, "oom"))
    later = NOW + timedelta(hours=1)
    assert SET.mark(first, "PredictorReady", FALSE, later, reason="oom") == first
    changed = find(SET.mark(first, "PredictorReady", FALSE, later, reason="other"), "PredictorReady")
    assert changed is not None
    assert changed.last_transition_time == "2026-01-01T01:00:00Z"


steps = st.lists(
    st.tuples(
        st.sampled_from(["PredictorReady", "IngressReady", "PredictorRouteReady"]),
        st.sampled_from([TRUE, FALSE, UNKNOWN]),
        st.sampled_from(["", "a", "b"]),
    ),
    min_size=1,
    max_size=8,
)


@given(steps)
def test_ready_is_true_exactly_when_all_dependents_are(sequence: list[tuple[str, str, str]]) -> None:
    conditions = marks(*sequence)
    found = find(conditions, "Ready")
    if found is None:
        assert all(type_ == "PredictorRouteReady" for type_, _, _ in sequence)
        return
    states = [c.status if (c := find(conditions, t)) is not None else UNKNOWN for t in SET.dependents]
    assert found.status == (FALSE if FALSE in states else UNKNOWN if UNKNOWN in states else TRUE)
    assert [c.type for c in conditions] == sorted(c.type for c in conditions)
