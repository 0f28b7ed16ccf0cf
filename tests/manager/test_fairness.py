"""The order of ready keys: priorities that age, and turns between groups."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.controller.fairness import FairQueue
from kfs.manager.objects.kinds import ObjectKey

keys = st.builds(ObjectKey, st.sampled_from("abc"), st.integers(0, 20).map(str))


def fair_queue() -> FairQueue[ObjectKey]:
    return FairQueue(lambda key: key.namespace)


def take_all(queue: FairQueue[ObjectKey]) -> list[ObjectKey]:
    return [queue.pop() for _ in range(len(queue))]


def test_one_namespace_with_many_keys_delays_others_by_one_key_a_turn() -> None:
    queue = fair_queue()
    for n in range(1000):
        queue.push(ObjectKey("big", str(n)), 0)
    for n in range(3):
        queue.push(ObjectKey("small", str(n)), 0)
    turns = [str(queue.pop()) for _ in range(6)]
    assert turns == ["big/0", "small/0", "big/1", "small/1", "big/2", "small/2"]


def test_higher_priorities_go_first() -> None:
    queue = fair_queue()
    for priority in (-10, 0, 5):
        queue.push(ObjectKey("ns", str(priority)), priority)
    assert [key.name for key in take_all(queue)] == ["5", "0", "-10"]


def test_pushing_again_raises_the_priority_and_never_lowers_it() -> None:
    queue = fair_queue()
    for name in "abc":
        queue.push(ObjectKey("ns", name), 0)
    queue.push(ObjectKey("ns", "c"), 1)
    queue.push(ObjectKey("ns", "a"), -1)
    assert [key.name for key in take_all(queue)] == ["c", "a", "b"]


def test_popping_an_empty_queue_is_an_error() -> None:
    queue = fair_queue()
    queue.push(ObjectKey("ns", "a"), 0)
    queue.clear()
    with pytest.raises(IndexError):
        queue.pop()


@given(st.integers(1, 50))
def test_a_low_priority_gets_its_share_however_busy_higher_ones_are(points: int) -> None:
    queue = fair_queue()
    low = [ObjectKey("low", str(n)) for n in range(3)]
    for key in low:
        queue.push(key, -points)
    taken = []
    for n in range(3 * (points + 1)):
        queue.push(ObjectKey("busy", str(n)), 0)
        taken.append(queue.pop())
    assert [n for n, key in enumerate(taken, 1) if key in low] == [(n + 1) * (points + 1) for n in range(3)]


@given(st.lists(st.tuples(keys, st.integers(-3, 3))))
def test_each_key_comes_out_once_and_first_come_first_served_within_its_group(
    pushes: list[tuple[ObjectKey, int]],
) -> None:
    queue = fair_queue()
    pushed: dict[ObjectKey, int] = {}
    for key, priority in pushes:
        if priority > pushed.get(key, -99):
            # A raise is a new arrival in the higher band.
            pushed.pop(key, None)
            pushed[key] = priority
        queue.push(key, priority)
        assert key in queue
    assert len(queue) == len(pushed)
    assert set(queue) == set(pushed)
    taken = take_all(queue)
    assert sorted(taken) == sorted(pushed)
    arrivals, departures = defaultdict(list), defaultdict(list)
    for key in pushed:
        arrivals[key.namespace, pushed[key]].append(key)
    for key in taken:
        departures[key.namespace, pushed[key]].append(key)
    assert departures == arrivals


@given(st.lists(keys, unique=True))
def test_groups_take_turns(pushes: list[ObjectKey]) -> None:
    queue = fair_queue()
    for key in pushes:
        queue.push(key, 0)
    left = {namespace: [k for k in pushes if k.namespace == namespace] for namespace in "abc"}
    while len(queue):
        waiting = {namespace for namespace, its in left.items() if its}
        turn = [queue.pop() for _ in waiting]
        assert {key.namespace for key in turn} == waiting
        for key in turn:
            left[key.namespace].remove(key)
