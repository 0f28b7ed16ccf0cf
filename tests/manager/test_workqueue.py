"""The work queue's promises, under virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import looptime
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kfs.manager.controller.ratelimit import ExponentialBackoff
from kfs.manager.controller.workqueue import LOW_PRIORITY, Item, QueueShutDown, WorkQueue
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import ObjectKey

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C = (ObjectKey("ns", name) for name in "abc")
LABELS = {"name": "test", "controller": "test"}


def work_queue(metrics: Metrics | None = None) -> WorkQueue[ObjectKey]:
    return WorkQueue("test", ExponentialBackoff(base_s=1.0), metrics or Metrics())


def sample(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name, LABELS)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.looptime
class TestTiming:
    async def test_a_delayed_key_is_ready_after_its_delay(self) -> None:
        queue = work_queue()
        began = now()
        queue.add_after(A, 30, reason="requeue")
        assert len(queue) == 0
        assert queue.delayed() == {A: pytest.approx(30)}
        assert await queue.get() == Item(A, "requeue", 0)
        assert now() - began == pytest.approx(30)

    async def test_the_earliest_of_several_delays_wins(self) -> None:
        queue = work_queue()
        began = now()
        for delay_s in (20, 10, 30):
            queue.add_after(A, delay_s, reason=str(delay_s))
        assert await queue.get() == Item(A, "10", 0)
        assert now() - began == pytest.approx(10)
        queue.done(A)
        await asyncio.sleep(3600)
        assert len(queue) == 0

    async def test_adding_a_delayed_key_at_once_replaces_the_delay(self) -> None:
        queue = work_queue()
        queue.add_after(A, 10, reason="requeue")
        queue.add(A, reason="updated")
        assert await queue.get() == Item(A, "updated", 0)
        queue.done(A)
        await asyncio.sleep(3600)
        assert len(queue) == 0

    async def test_a_delay_asked_for_during_the_work_outlives_it(self) -> None:
        queue = work_queue()
        queue.add(A)
        await queue.get()
        queue.add_after(A, 10)
        queue.done(A)
        assert len(queue) == 0
        assert (await queue.get()).key == A

    async def test_a_delay_that_ends_during_the_work_waits_for_its_end(self) -> None:
        queue = work_queue()
        queue.add(A)
        await queue.get()
        queue.add_after(A, 10)
        await asyncio.sleep(20)
        assert len(queue) == 0
        queue.done(A)
        assert queue.ready() == [A]

    async def test_no_delay_is_now(self) -> None:
        queue = work_queue()
        queue.add_after(A, 0)
        assert queue.ready() == [A]

    async def test_failures_come_back_ever_later_until_forgotten(self) -> None:
        queue = work_queue()
        waits = []
        for _ in range(4):
            began = now()
            queue.add_rate_limited(A)
            await queue.get()
            queue.done(A)
            waits.append(now() - began)
        assert waits == pytest.approx([1, 2, 4, 8])
        assert queue.retries(A) == 4
        queue.forget(A)
        assert queue.retries(A) == 0

    async def test_shutting_down_drops_delays(self) -> None:
        queue = work_queue()
        queue.add_after(A, 10)
        queue.shut_down()
        await asyncio.sleep(20)
        assert len(queue) == 0

    async def test_metrics_have_the_names_and_the_meaning_of_client_go(self) -> None:
        metrics = Metrics()
        queue = work_queue(metrics)
        for key in (A, B, A):
            queue.add(key)
        queue.add_rate_limited(C)
        assert sample(metrics, "workqueue_depth") == 2
        assert sample(metrics, "workqueue_adds_total") == 2
        assert sample(metrics, "workqueue_retries_total") == 1
        await asyncio.sleep(0.5)
        await queue.get()
        assert sample(metrics, "workqueue_queue_duration_seconds_sum") == pytest.approx(0.5)
        await asyncio.sleep(3)
        await queue.get()
        await asyncio.sleep(2)
        assert sample(metrics, "workqueue_depth") == 1
        assert sample(metrics, "workqueue_unfinished_work_seconds") == pytest.approx(7)
        assert sample(metrics, "workqueue_longest_running_processor_seconds") == pytest.approx(5)
        queue.done(A)
        assert sample(metrics, "workqueue_work_duration_seconds_sum") == pytest.approx(5)
        assert sample(metrics, "workqueue_longest_running_processor_seconds") == pytest.approx(2)


async def test_a_key_that_waits_is_not_added_twice_and_keeps_its_first_reason() -> None:
    queue = work_queue()
    queue.add(A, reason="created")
    queue.add(A, reason="updated", priority=3)
    assert len(queue) == 1
    assert await queue.get() == Item(A, "created", 3)


async def test_a_key_added_during_its_work_runs_again_afterwards() -> None:
    queue = work_queue()
    queue.add(A)
    await queue.get()
    queue.add(A, reason="updated")
    assert (len(queue), queue.processing()) == (0, [A])
    queue.done(A)
    assert await queue.get() == Item(A, "updated", 0)


async def test_keys_of_the_first_list_wait_behind_changes() -> None:
    queue = work_queue()
    queue.add(A, priority=LOW_PRIORITY)
    queue.add(B, priority=LOW_PRIORITY)
    queue.add(C)
    queue.add(B)
    assert [(await queue.get()).key for _ in range(3)] == [C, B, A]


async def test_workers_that_wait_are_woken_one_for_each_key() -> None:
    queue = work_queue()
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        for key in (A, B, C):
            queue.add(key)
    assert {worker.result().key for worker in workers} == {A, B, C}


async def test_a_cancelled_worker_loses_no_key() -> None:
    queue = work_queue()
    async with asyncio.TaskGroup() as group:
        cancelled, patient = group.create_task(queue.get()), group.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add(A)
        cancelled.cancel()
    assert patient.result().key == A


async def test_shutting_down_wakes_all_workers_and_takes_no_more_keys() -> None:
    queue = work_queue()
    queue.add(A)
    await queue.get()

    async def work() -> bool:
        with pytest.raises(QueueShutDown):
            await queue.get()
        return True

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.shut_down()
        queue.shut_down()
    assert all(worker.result() for worker in workers)
    queue.add(B)
    queue.add_after(B, 1)
    queue.add_rate_limited(B)
    queue.done(A)
    assert (len(queue), queue.processing(), queue.retries(B)) == (0, [], 0)
    assert await work()


async def test_done_without_get_is_an_error() -> None:
    with pytest.raises(KeyError):
        work_queue().done(A)


@dataclass
class Run:
    """What the model expects of one pending run: when, why, how urgent."""

    due: float
    reason: str
    priority: int


class QueueMachine(RuleBasedStateMachine):
    """Any sequence of calls, against a model: at most one pending run a key, the earliest asked for.

    Time goes in whole seconds and delays end on half ones, so that nothing falls due at the moment of a call.
    """

    keys = st.builds(ObjectKey, st.sampled_from("xy"), st.sampled_from("123"))
    delays = st.integers(0, 8).map(lambda seconds: seconds + 0.5)
    priorities = st.sampled_from([LOW_PRIORITY, 0, 5])

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(start=0)
        self.metrics = Metrics()
        self.queue = work_queue(self.metrics)
        self.now = 0.0
        self.calls = 0
        self.pending: dict[ObjectKey, Run] = {}
        self.working: set[ObjectKey] = set()
        self.passed_over: dict[ObjectKey, int] = {}

    def teardown(self) -> None:
        self.call(self.queue.shut_down)
        self.loop.close()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            return function(*args, **kwargs)

        return self.loop.run_until_complete(run())

    def expect(self, key: ObjectKey, delay_s: float, reason: str, priority: int) -> None:
        due = self.now + delay_s
        run = self.pending.get(key)
        if run is None:
            self.pending[key] = Run(due, reason, priority)
            return
        run.priority = max(run.priority, priority)
        if max(due, self.now) < run.due:
            run.due, run.reason = due, reason

    def ready(self) -> set[ObjectKey]:
        return {key for key, run in self.pending.items() if run.due <= self.now} - self.working

    @rule(key=keys, priority=priorities)
    def add(self, key: ObjectKey, priority: int) -> None:
        self.calls += 1
        self.call(self.queue.add, key, reason=str(self.calls), priority=priority)
        self.expect(key, 0, str(self.calls), priority)

    @rule(key=keys, delay_s=delays, priority=priorities)
    def add_after(self, key: ObjectKey, delay_s: float, priority: int) -> None:
        self.calls += 1
        self.call(self.queue.add_after, key, delay_s, reason=str(self.calls), priority=priority)
        self.expect(key, delay_s, str(self.calls), priority)

    @precondition(lambda self: self.ready())
    @rule()
    def get(self) -> None:
        ready = self.ready()
        item = self.loop.run_until_complete(self.queue.get())
        assert item.key in ready
        run = self.pending.pop(item.key)
        assert (item.reason, item.priority) == (run.reason, run.priority)
        self.working.add(item.key)
        self.passed_over.pop(item.key, None)
        for key in ready - {item.key}:
            self.passed_over[key] = self.passed_over.get(key, 0) + 1
            # The widest gap between priorities, for each of the keys that may be ahead in its band.
            assert self.passed_over[key] <= (5 - LOW_PRIORITY + 3) * 6

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.call(self.queue.done, key)
        self.working.remove(key)

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.loop.run_until_complete(asyncio.sleep(self.now - self.loop.time()))

    @invariant()
    def the_queue_agrees_with_the_model(self) -> None:
        assert set(self.queue.ready()) == self.ready()
        assert len(self.queue) == len(self.ready())
        assert set(self.queue.processing()) == self.working
        delayed = {key: run.due - self.now for key, run in self.pending.items() if run.due > self.now}
        assert self.call(self.queue.delayed) == pytest.approx(delayed)
        assert sample(self.metrics, "workqueue_depth") == len(self.ready())


TestQueueMachine = QueueMachine.TestCase
