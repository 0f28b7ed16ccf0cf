"""A controller from the outside: what it reconciles, when, and what it does with errors."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from kfs.manager.controller.builder import ControllerBuilder, controller_for
from kfs.manager.controller.handlers import mapped
from kfs.manager.controller.predicates import all_of, any_of, not_, spec_changed, version_changed
from kfs.manager.controller.reconcile import Result
from kfs.manager.errors import Conflict, ServerError, TerminalError
from kfs.manager.manager import Manager
from kfs.manager.objects.kinds import CONFIG_MAP, SERVICE, Kind, ObjectKey
from kfs.manager.objects.tree import Obj, owner_reference
from kfs.manager.testing.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.looptime

CACHE = Kind("example.com", "v1", "Cache", "caches")


def named(name: str, namespace: str = "ns", **fields: object) -> Obj:
    return {"metadata": {"name": name, "namespace": namespace}, **fields}


class Recorder:
    """A reconciler that notes its keys and then does as it is told."""

    def __init__(self, act: Callable[[int], Result | None] = lambda n: None) -> None:
        self.keys: list[str] = []
        self._act = act
        self._called = asyncio.Condition()

    async def __call__(self, key: ObjectKey) -> Result | None:
        async with self._called:
            self.keys.append(str(key))
            self._called.notify_all()
        return self._act(len(self.keys))

    async def reached(self, n: int) -> None:
        async with self._called:
            await self._called.wait_for(lambda: len(self.keys) >= n)

    async def saw(self, key: str) -> None:
        async with self._called:
            await self._called.wait_for(lambda: key in self.keys)


@asynccontextmanager
async def running(api: FakeApi, build: Callable[[Manager], object]) -> AsyncIterator[Manager]:
    manager = Manager(api)
    build(manager)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(manager.run())
        yield manager
        task.cancel()


def metric(manager: Manager, line: str) -> float:
    return next(
        (float(t.rpartition(" ")[2]) for t in manager.metrics.text().decode().splitlines() if t.startswith(line)),
        0,
    )


async def test_reconciles_what_is_there_and_what_comes() -> None:
    api, recorder = FakeApi(), Recorder()
    api.put(CACHE, named("a"))
    async with running(api, lambda m: controller_for(m, CACHE).complete(recorder)):
        await recorder.reached(1)
        api.put(CACHE, named("b"))
        await recorder.reached(2)
        api.remove(CACHE, "ns", "a")
        await recorder.reached(3)
    assert recorder.keys == ["ns/a", "ns/b", "ns/a"]


async def test_a_child_reconciles_its_controller_in_whatever_version_it_is_named() -> None:
    api, recorder = FakeApi(), Recorder()
    owner = api.put(CACHE, named("a"))
    async with running(api, lambda m: controller_for(m, CACHE).owns(SERVICE).complete(recorder)):
        await recorder.reached(1)
        child = named("other-name")
        child["metadata"]["ownerReferences"] = [{**owner_reference(owner, CACHE), "apiVersion": "example.com/v2"}]
        api.put(SERVICE, child)
        await recorder.reached(2)
        api.put(SERVICE, named("of-nobody"))
        api.remove(SERVICE, "ns", "other-name")
        await recorder.reached(3)
    assert recorder.keys == ["ns/a"] * 3


async def test_a_mapped_watch() -> None:
    api, recorder = FakeApi(), Recorder()
    to_all = mapped(lambda obj: [ObjectKey("ns", name) for name in obj.get("data", {})])
    async with running(
        api, lambda m: controller_for(m, CACHE).watches(CONFIG_MAP, to_all).complete(recorder, workers=1)
    ):
        api.put(CONFIG_MAP, named("config", data={"x": "", "y": ""}))
        await recorder.reached(2)
    assert sorted(recorder.keys) == ["ns/x", "ns/y"]


async def test_nothing_is_reconciled_before_all_sources_have_been_listed() -> None:
    api, recorder = FakeApi(), Recorder()
    api.put(CACHE, named("a"))
    api.fail_next("GET", "services", ServerError("not yet", code=503), times=8)
    async with running(api, lambda m: controller_for(m, CACHE).owns(SERVICE).complete(recorder)) as manager:
        await manager.cache.informer(CACHE).synced()
        await asyncio.sleep(20)
        assert recorder.keys == []
        await recorder.reached(1)


async def test_a_missing_kind_holds_up_nothing_and_all_is_looked_at_again_when_it_appears_and_vanishes() -> None:
    """Fails on the original, which ends when Knative's CRDs are missing (difference 18)."""
    api, recorder = FakeApi(), Recorder()
    api.put(CACHE, named("a"))
    api.hide(SERVICE)
    async with running(api, lambda m: controller_for(m, CACHE).owns(SERVICE).complete(recorder)):
        await recorder.reached(1)
        api.show(SERVICE)
        await recorder.reached(2)
        await asyncio.sleep(60)
        assert len(recorder.keys) == 2
        api.hide(SERVICE)
        api.cut_watches()
        await recorder.reached(3)
        assert recorder.keys == ["ns/a"] * 3


@pytest.mark.parametrize(
    "error", [ServerError("down", code=500), Conflict("changed", code=409), ZeroDivisionError()], ids=repr
)
async def test_errors_are_retried_with_back_off(error: Exception) -> None:
    api = FakeApi()
    api.put(CACHE, named("a"))

    def fail_three_times(n: int) -> None:
        if n <= 3:
            raise error

    recorder = Recorder(fail_three_times)
    async with running(api, lambda m: controller_for(m, CACHE).complete(recorder)) as manager:
        await recorder.reached(4)
        await asyncio.sleep(5000)
        assert len(recorder.keys) == 4
        assert metric(manager, 'controller_runtime_reconcile_total{controller="cache",result="success"}') == 1
        assert metric(manager, 'controller_runtime_reconcile_errors_total{controller="cache"}') == 3
        panics = 3 if isinstance(error, ZeroDivisionError) else 0
        assert metric(manager, 'controller_runtime_reconcile_panics_total{controller="cache"}') == panics


async def test_a_terminal_error_waits_for_a_change() -> None:
    api = FakeApi()
    api.put(CACHE, named("a"))

    def refuse(n: int) -> None:
        raise TerminalError("nothing can be done")

    recorder = Recorder(refuse)
    async with running(api, lambda m: controller_for(m, CACHE).complete(recorder)):
        await asyncio.sleep(5000)
        assert len(recorder.keys) == 1
        api.put(CACHE, named("a", spec={"x": 1}))
        await recorder.reached(2)


async def test_requeue_after() -> None:
    api = FakeApi()
    api.put(CACHE, named("a"))
    recorder = Recorder(lambda n: Result(requeue_after_s=30) if n < 3 else None)
    loop = asyncio.get_running_loop()
    async with running(api, lambda m: controller_for(m, CACHE).complete(recorder)):
        await recorder.reached(1)
        start = loop.time()
        await recorder.reached(3)
        assert round(loop.time() - start) == 60


async def test_a_reconciliation_that_takes_too_long_is_cancelled_and_tried_again() -> None:
    api = FakeApi()
    api.put(CACHE, named("a"))
    calls = 0
    again = asyncio.Event()

    async def hang_once(key: ObjectKey) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            again.set()
        await again.wait()

    async with running(api, lambda m: controller_for(m, CACHE).complete(hang_once, timeout_s=10)):
        await again.wait()
    assert calls == 2


async def test_a_reconciliation_under_way_is_finished_when_the_manager_stops() -> None:
    api = FakeApi()
    api.put(CACHE, named("a"))
    begun, done = asyncio.Event(), []

    async def slow(key: ObjectKey) -> None:
        begun.set()
        await asyncio.sleep(5)
        done.append(key)

    async with running(api, lambda m: controller_for(m, CACHE).complete(slow)):
        await begun.wait()
    assert done


async def test_one_key_is_never_reconciled_twice_at_once_while_others_are() -> None:
    api = FakeApi()
    at_work: set[ObjectKey] = set()
    most = 0

    async def work(key: ObjectKey) -> None:
        nonlocal most
        assert key not in at_work
        at_work.add(key)
        most = max(most, len(at_work))
        await asyncio.sleep(1)
        at_work.discard(key)

    async with running(api, lambda m: controller_for(m, CACHE).complete(work, workers=3)):
        for i in range(5):
            for name in "abcd":
                api.put(CACHE, named(name, spec={"i": i}))
            await asyncio.sleep(0.5)
        await asyncio.sleep(10)
    assert most == 3


PREDICATES = {
    "status alone": ({"status": {"x": 1}}, False),
    "spec": ({"spec": {"x": 1}}, True),
    "labels": ({"metadata": {"labels": {"x": "1"}}}, True),
    "annotations": ({"metadata": {"annotations": {"x": "1"}}}, True),
    "finalizers": ({"metadata": {"finalizers": ["x"]}}, True),
}


@pytest.mark.parametrize(("edit", "passes"), PREDICATES.values(), ids=PREDICATES)
async def test_spec_changed(edit: Obj, passes: bool) -> None:
    api, recorder = FakeApi(), Recorder()
    api.put(CACHE, named("a", spec={}))

    def build(manager: Manager) -> None:
        ControllerBuilder(manager, CACHE, "cache", spec_changed).complete(recorder)

    async with running(api, build):
        await recorder.reached(1)
        edited = named("a", spec=edit.get("spec", {}), **({"status": edit["status"]} if "status" in edit else {}))
        edited["metadata"] |= edit.get("metadata", {})
        api.put(CACHE, edited)
        api.put(CACHE, named("last"))
        await recorder.saw("ns/last")
    assert (recorder.keys.count("ns/a") == 2) == passes


async def test_predicates_combine() -> None:
    api, recorder = FakeApi(), Recorder()
    mine = all_of(version_changed, not_(any_of(lambda c: c.key.name == "skip", lambda c: c.key.namespace == "other")))

    def build(manager: Manager) -> None:
        controller_for(manager, CACHE, predicate=mine).complete(recorder)

    async with running(api, build):
        for obj in (named("skip"), named("a", "other"), named("a")):
            api.put(CACHE, obj)
        await recorder.reached(1)
    assert recorder.keys == ["ns/a"]
