"""The manager from the outside: order of start and stop, failures, leadership."""

from __future__ import annotations

import asyncio

import pytest

from kfs.manager.client import LiveClient
from kfs.manager.clock import SystemClock
from kfs.manager.errors import KfsError, TransportError
from kfs.manager.leader import LeaderElector, LeadershipLost
from kfs.manager.manager import Manager
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import CONFIG_MAP, LEASE, ObjectKey
from kfs.manager.runnables import Phase, Started
from kfs.manager.testing.fake_api import FakeApi

pytestmark = pytest.mark.looptime


class Part:
    """A runnable that notes when it starts and stops, and fails when told to."""

    def __init__(self, name: str, log: list[str], start_s: float = 0.0) -> None:
        self.name = name
        self.fail = asyncio.Event()
        self._log = log
        self._start_s = start_s

    async def run(self, started: Started) -> None:
        await asyncio.sleep(self._start_s)
        self._log.append(f"+{self.name}")
        started()
        try:
            await self.fail.wait()
            raise KfsError(f"{self.name} failed")
        finally:
            self._log.append(f"-{self.name}")


def parts(manager: Manager, log: list[str]) -> dict[Phase, Part]:
    found = {phase: Part(phase.name, log, start_s=9 - phase) for phase in Phase}
    # Added in reverse: only the phase decides about the order.
    for phase in reversed(Phase):
        manager.add(found[phase], phase)
    return found


ORDER = [phase.name for phase in Phase]
STARTED = [f"+{name}" for name in ORDER]
STOPPED = [f"-{name}" for name in reversed(ORDER)]


async def test_starts_phase_by_phase_and_stops_in_reverse() -> None:
    log: list[str] = []
    manager = Manager(FakeApi())
    parts(manager, log)
    task = asyncio.ensure_future(manager.run())
    await asyncio.sleep(100)
    assert log == STARTED
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == STARTED + STOPPED


@pytest.mark.parametrize("phase", Phase, ids=lambda p: p.name)
async def test_a_part_that_fails_stops_everything_with_its_error(phase: Phase) -> None:
    log: list[str] = []
    manager = Manager(FakeApi())
    found = parts(manager, log)
    task = asyncio.ensure_future(manager.run())
    await asyncio.sleep(100)
    found[phase].fail.set()
    with pytest.raises(KfsError, match=f"{phase.name} failed"):
        await task
    assert sorted(log[5:]) == sorted(STOPPED)
    survivors = [line for line in log[5:] if line != f"-{phase.name}"]
    assert survivors == [line for line in STOPPED if line != f"-{phase.name}"]


async def test_a_part_added_later_runs_at_once() -> None:
    log: list[str] = []
    manager = Manager(FakeApi())
    task = asyncio.ensure_future(manager.run())
    await asyncio.sleep(1)
    manager.add(Part("late", log), Phase.OTHERS)
    await asyncio.sleep(1)
    assert log == ["+late"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["+late", "-late"]


async def test_a_part_that_is_done_does_not_hold_up_the_next_phase() -> None:
    class Once:
        async def run(self, started: Started) -> None:
            return

    log: list[str] = []
    manager = Manager(FakeApi())
    manager.add(Once(), Phase.HTTP)
    manager.add(Part("next", log), Phase.LEADER)
    task = asyncio.ensure_future(manager.run())
    await asyncio.sleep(1)
    assert log == ["+next"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class LastWrite:
    """A controller in the middle of its work: told to stop, it still writes what it was about to."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def run(self, started: Started) -> None:
        started()
        try:
            await asyncio.Event().wait()
        finally:
            await self._manager.client.create(CONFIG_MAP, {"metadata": {"name": "last", "namespace": "ns"}})


def leading(api: FakeApi) -> Manager:
    elector = LeaderElector(LiveClient(api), ObjectKey("ns", "lease"), "me", SystemClock(), Metrics())
    manager = Manager(api, elector=elector)
    manager.add(LastWrite(manager), Phase.LEADER)
    return manager


async def test_what_is_under_way_is_written_before_leadership_is_given_up() -> None:
    api = FakeApi()
    task = asyncio.ensure_future(leading(api).run())
    await asyncio.sleep(30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert api.writes()[-2:] == [f"POST {CONFIG_MAP.path('ns')}", f"PUT {LEASE.path('ns', 'lease')}"]


async def test_nothing_is_written_after_leadership_was_lost() -> None:
    api = FakeApi()
    task = asyncio.ensure_future(leading(api).run())
    await asyncio.sleep(30)
    api.fail_next("PUT", "leases", TransportError("down"), times=1000)
    with pytest.raises(LeadershipLost):
        await task
    assert api.get(CONFIG_MAP, "ns", "last") is None
