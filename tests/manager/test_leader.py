"""Leader election: one leader at a time, whatever happens to processes and connections."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.client import LiveClient
from kfs.manager.errors import ConfigError, TransportError
from kfs.manager.leader import LeaderElector, LeadershipLost, Timing, Verdict, claimed, decide, new_identity
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import LEASE, ObjectKey
from kfs.manager.testing.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kfs.manager.client.calls import Call
    from kfs.manager.client.transport import Reply
    from kfs.manager.objects.tree import Obj

KEY = ObjectKey("ns", "controller")
PATH = LEASE.path(*KEY)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class SkewedClock:
    """Wall time that goes with the loop's, and is wrong."""

    skew: timedelta = timedelta()

    def now(self) -> datetime:
        return T0 + self.skew + timedelta(seconds=now())


@dataclass
class Outage:
    """For `length_s` calls are refused, or hang, or get through while their answers are lost."""

    start_s: float
    length_s: float
    mode: Literal["refused", "silent", "lost"]


@dataclass
class Line:
    """One process's connection to the server, with outages."""

    api: FakeApi
    outages: list[Outage] = field(default_factory=list)

    async def send(self, call: Call) -> Reply:
        modes = {o.mode for o in self.outages if o.start_s <= now() < o.start_s + o.length_s}
        if "silent" in modes:
            await asyncio.Event().wait()
        if "refused" in modes:
            raise TransportError("connection refused")
        reply = await self.api.send(call)
        if "lost" in modes:
            raise TransportError("connection reset")
        return reply

    def stream(self, call: Call) -> Any:
        return self.api.stream(call)


class World:
    """A server with a lease, and the electors of one or more processes."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.metrics = Metrics()

    def elector(self, identity: str = "me", outages: list[Outage] | None = None, skew_s: float = 0) -> LeaderElector:
        client = LiveClient(Line(self.api, outages or []))
        clock = SkewedClock(timedelta(seconds=skew_s))
        return LeaderElector(client, KEY, identity, clock, self.metrics)

    def lease(self) -> Obj:
        found = self.api.get(LEASE, *KEY)
        assert found is not None
        return found

    def holder(self) -> str:
        return str(self.lease()["spec"]["holderIdentity"])

    def put(self, **spec: Any) -> None:
        metadata = {"namespace": KEY.namespace, "name": KEY.name, "labels": {"kept": "yes"}}
        self.api.put(LEASE, {"metadata": metadata, "spec": spec})

    def status(self) -> float | None:
        labels = {"name": KEY.name}
        return self.metrics.registry.get_sample_value("leader_election_master_status", labels)

    @asynccontextmanager
    async def holding(self, elector: LeaderElector) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(elector.hold())
            yield
            task.cancel()


def lease(holder: str | None, **spec: Any) -> Obj:
    return {"metadata": {}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, **spec}}


@pytest.mark.parametrize(
    ("found", "unchanged_s", "verdict"),
    [
        (None, 0, Verdict.CREATE),
        (lease("me"), 0, Verdict.RENEW),
        (lease("me"), 99, Verdict.RENEW),
        (lease("other"), 14.9, Verdict.WAIT),
        (lease("other"), 15, Verdict.TAKE),
        (lease(""), 0, Verdict.TAKE),
        (lease(None), 0, Verdict.TAKE),
        ({"metadata": {}}, 0, Verdict.TAKE),
        (lease("other", leaseDurationSeconds=60), 59, Verdict.WAIT),
        (lease("other", leaseDurationSeconds=None), 19, Verdict.WAIT),
        (lease("other", leaseDurationSeconds=None), 20, Verdict.TAKE),
        (lease("other", renewTime="1999-01-01T00:00:00.000000Z"), 1, Verdict.WAIT),
    ],
)
def test_decisions(found: Obj | None, unchanged_s: float, verdict: Verdict) -> None:
    assert decide(found, identity="me", unchanged_s=unchanged_s, default_duration_s=20) is verdict


def test_a_claim_counts_transitions_and_keeps_what_it_does_not_own() -> None:
    before = lease("other", leaseTransitions=4, acquireTime="before", strategy="OldestEmulationVersion")
    taken = claimed(before, identity="me", now=T0, duration_s=15)
    assert taken["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 5,
        "strategy": "OldestEmulationVersion",
    }
    renewed = claimed(taken, identity="me", now=T0 + timedelta(seconds=2), duration_s=15)
    assert renewed["spec"] == {**taken["spec"], "renewTime": "2026-01-01T00:00:02.000000Z"}
    assert before["spec"]["holderIdentity"] == "other"


def test_identities_are_unique_and_name_the_host() -> None:
    assert re.fullmatch(r".+_[0-9a-f-]{36}", new_identity())
    assert new_identity() != new_identity()


@pytest.mark.parametrize("timing", [(10, 10.0, 2.0), (15, 2.4, 2.0), (15, 10.0, 0.0), (0, -1.0, -2.0)])
def test_timings_that_leave_no_room_are_refused(timing: tuple[int, float, float]) -> None:
    with pytest.raises(ConfigError, match="must be longer than"):
        Timing(*timing)


@pytest.mark.looptime
class TestElection:
    async def test_a_missing_lease_is_created(self) -> None:
        world = World()
        elector = world.elector()
        assert (world.status(), elector.leading_until) == (0, None)
        await elector.acquire()
        assert world.lease()["spec"] == {
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }
        assert (world.status(), elector.leading_until) == (1, 10)

    async def test_a_leader_renews_every_two_seconds_with_one_request(self) -> None:
        world = World()
        elector = world.elector()
        await elector.acquire()
        world.api.calls.clear()
        async with world.holding(elector):
            await asyncio.sleep(61)
        assert world.api.writes() == [f"PUT {PATH}"] * 30
        assert len(world.api.calls) == 30
        assert world.lease()["spec"]["renewTime"] == "2026-01-01T00:01:00.000000Z"
        assert world.lease()["spec"]["acquireTime"] == "2026-01-01T00:00:00.000000Z"

    @pytest.mark.parametrize("skew_s", [-86400, 0, 86400])
    async def test_a_dead_leader_is_replaced_15_s_after_the_first_look_at_its_lease(self, skew_s: float) -> None:
        world = World()
        world.put(holderIdentity="dead", leaseDurationSeconds=15, renewTime="2020-01-01T00:00:00.000000Z")
        elector = world.elector(skew_s=skew_s)
        await elector.acquire()
        assert 15 <= now() <= 15 + 2 * 2.2
        assert world.holder() == "me"
        assert world.lease()["spec"]["leaseTransitions"] == 1
        assert world.lease()["metadata"]["labels"] == {"kept": "yes"}

    async def test_a_living_leader_is_not_replaced(self) -> None:
        world = World()
        first, second = world.elector("first"), world.elector("second", skew_s=3600)
        await first.acquire()
        async with world.holding(first):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(300):
                    await second.acquire()
        assert world.holder() == "first"

    async def test_touching_the_lease_is_no_renewal(self) -> None:
        world = World()
        world.put(holderIdentity="dead", leaseDurationSeconds=15)
        async with asyncio.TaskGroup() as group:
            group.create_task(world.elector().acquire())
            for n in range(10):
                await asyncio.sleep(1)
                touched = world.lease()
                touched["metadata"]["labels"] = {"n": str(n)}
                world.api.put(LEASE, touched)
        assert 15 <= now() <= 15 + 2 * 2.2

    async def test_a_released_lease_is_taken_at_the_next_look(self) -> None:
        world = World()
        first, second = world.elector("first"), world.elector("second")
        await first.acquire()
        async with asyncio.TaskGroup() as group:
            group.create_task(second.acquire())
            await asyncio.sleep(1)
            async with world.holding(first):
                await asyncio.sleep(4)
            await first.release()
            assert (world.holder(), world.status(), first.leading_until) == ("", 0, None)
            released = now()
        assert now() - released <= 2 * 2.2
        assert world.holder() == "second"
        assert world.lease()["spec"]["leaseTransitions"] == 1

    async def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_lead(self) -> None:
        world = World()
        elector = world.elector(outages=[Outage(20.5, 100, "refused")])
        await elector.acquire()
        with pytest.raises(LeadershipLost, match=r"ns/controller was not renewed within 10\.0 s"):
            await elector.hold()
        assert now() == pytest.approx(30)
        assert (world.status(), elector.leading_until) == (0, None)

    async def test_a_server_that_does_not_answer_counts_as_an_outage(self) -> None:
        world = World()
        elector = world.elector(outages=[Outage(1, 100, "silent")])
        await elector.acquire()
        with pytest.raises(LeadershipLost):
            await elector.hold()
        assert now() == pytest.approx(10)

    async def test_a_leader_that_finds_another_holder_stops_at_once(self) -> None:
        world = World()
        elector = world.elector()
        await elector.acquire()
        world.put(holderIdentity="thief", leaseDurationSeconds=15)
        with pytest.raises(LeadershipLost, match="no longer ours; its holder is 'thief'"):
            await elector.hold()
        assert now() <= 4
        assert world.status() == 0
        world.api.calls.clear()
        await elector.release()
        assert world.api.calls == []

    @pytest.mark.parametrize("mode", ["refused", "silent", "lost"])
    async def test_short_outages_are_survived(self, mode: Literal["refused", "silent", "lost"]) -> None:
        world = World()
        elector = world.elector(outages=[Outage(1, 6, mode)])
        await elector.acquire()
        async with world.holding(elector):
            await asyncio.sleep(60)
        assert world.lease()["spec"]["leaseTransitions"] == 0

    async def test_a_deleted_lease_is_created_again(self) -> None:
        world = World()
        elector = world.elector()
        await elector.acquire()
        async with world.holding(elector):
            await asyncio.sleep(1)
            world.api.remove(LEASE, *KEY)
            await asyncio.sleep(5)
        assert world.holder() == "me"

    async def test_candidates_wait_out_an_outage(self) -> None:
        world = World()
        await world.elector(outages=[Outage(0, 60, "refused"), Outage(60, 60, "silent")]).acquire()
        assert 120 <= now() <= 135
        assert world.holder() == "me"

    async def test_releasing_never_raises_and_takes_ten_seconds_at_most(self) -> None:
        world = World()
        for mode in ("refused", "silent"):
            began = now()
            elector = world.elector(outages=[Outage(began + 1, 100, mode)])
            await elector.acquire()
            await asyncio.sleep(2)
            await elector.release()
            assert now() - began <= 12
            assert (elector.leading_until, world.status()) == (None, 0)

    async def test_releasing_without_leading_does_nothing(self) -> None:
        world = World()
        await world.elector().release()
        assert world.api.calls == []

    async def test_holding_without_leading_is_an_error(self) -> None:
        with pytest.raises(LeadershipLost, match="was not acquired"):
            await World().elector().hold()


modes = st.sampled_from(["refused", "silent", "lost"])
outages = st.lists(st.builds(Outage, st.floats(0, 90), st.floats(0, 30), modes), max_size=4)


@given(st.lists(outages, min_size=2, max_size=3), st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
def test_two_processes_never_lead_at_once(plans: list[list[Outage]], skews_s: list[float]) -> None:
    async def scenario() -> list[str]:
        world = World()
        leading: set[str] = set()
        terms: list[str] = []

        async def process(name: str, elector: LeaderElector) -> None:
            while True:
                await elector.acquire()
                assert not leading, f"{name} leads beside {leading}"
                leading.add(name)
                terms.append(name)
                try:
                    async with asyncio.timeout(25):
                        await elector.hold()
                except LeadershipLost:
                    leading.discard(name)
                except TimeoutError:
                    leading.discard(name)
                    await elector.release()

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(process(f"p{n}", world.elector(f"p{n}", plan, skews_s[n])))
                for n, plan in enumerate(plans)
            ]
            await asyncio.sleep(170)
            for task in tasks:
                task.cancel()
        return terms

    loop = looptime.new_event_loop(start=0)
    try:
        # All outages are over after 120 s, and a term ends after 25 s.
        assert len(loop.run_until_complete(scenario())) >= 2
    finally:
        loop.close()
