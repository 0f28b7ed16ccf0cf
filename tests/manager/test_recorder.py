"""Events: what the API server gets to see of what controllers record."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.client import LiveClient
from kfs.manager.correlator import COMBINED, bounded
from kfs.manager.errors import KfsError, ServerError, TransportError, api_error
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import EVENT, NAMESPACE, POD
from kfs.manager.recorder import NORMAL, WARNING, EventBroadcaster, Recorder
from kfs.manager.testing.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kfs.manager.client.calls import Call
    from kfs.manager.client.transport import Reply
    from kfs.manager.objects.tree import Obj

pytestmark = pytest.mark.looptime

PATH = "/api/v1/namespaces/ns/events"


class LoopClock:
    """Wall time that goes with the loop's."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


class LossyApi(FakeApi):
    """A server whose next answers get lost on the way, after it has acted; or that never answers."""

    lost = 0
    silent = False

    async def send(self, call: Call) -> Reply:
        if self.silent:
            await asyncio.Event().wait()
        reply = await super().send(call)
        if self.lost:
            self.lost -= 1
            raise TransportError("connection reset")
        return reply


class World:
    """A server, and a broadcaster in front of it."""

    def __init__(self) -> None:
        self.api = LossyApi()
        self.metrics = Metrics()
        self.broadcaster = EventBroadcaster(LiveClient(self.api), LoopClock(), self.metrics)
        self.recorder: Recorder = self.broadcaster.recorder("tester")

    def record(self, message: str = "It happened", *, name: str = "p", times: int = 1) -> None:
        for _ in range(times):
            self.recorder.event(pod(name), POD, NORMAL, "Happened", message)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        started = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.broadcaster.run(started.set))
            await started.wait()
            yield
            task.cancel()

    async def send_all(self) -> list[Obj]:
        """Send what was recorded; the Events that the server has then, in the order of their creation."""
        async with self.running():
            await asyncio.sleep(0.1)
        return self.stored()

    def stored(self) -> list[Obj]:
        created = [json.loads(call.body or b"") for call in self.api.calls if call.method == "POST"]
        found = [self.api.get(EVENT, e["metadata"]["namespace"], e["metadata"]["name"]) for e in created]
        return [event for event in found if event is not None]

    def outcomes(self) -> dict[str, float]:
        return {
            s.labels["outcome"]: s.value
            for family in self.metrics.registry.collect()
            for s in family.samples
            if s.name == "kfs_events_total"
        }


def pod(name: str = "p") -> Obj:
    return {"metadata": {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": "7"}}


def refusal(code: int, reason: str, cause: str = "") -> KfsError:
    details = {"causes": [{"reason": cause}]} if cause else {}
    return api_error(code, {"reason": reason, "message": reason, "details": details})


async def test_an_event_says_what_happened_to_which_object() -> None:
    world = World()
    world.recorder.event(pod(), POD, WARNING, "Failed", "No luck", annotations={"a": "b"})
    (event,) = await world.send_all()
    prefix, _, suffix = event["metadata"].pop("name").partition(".")
    assert prefix == "p"
    assert int(suffix, 16) // 10**9 == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert event["metadata"]["namespace"] == "ns"
    assert event["metadata"]["annotations"] == {"a": "b"}
    assert {k: v for k, v in event.items() if k != "metadata"} == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "ns",
            "name": "p",
            "uid": "uid-p",
            "resourceVersion": "7",
        },
        "type": "Warning",
        "reason": "Failed",
        "message": "No luck",
        "source": {"component": "tester"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        "reportingComponent": "tester",
        "reportingInstance": "",
    }
    assert world.outcomes() == {"created": 1}


async def test_events_of_cluster_scoped_objects_are_in_the_default_namespace() -> None:
    world = World()
    world.recorder.event({"metadata": {"name": "n"}}, NAMESPACE, NORMAL, "Happened", "It happened")
    (event,) = await world.send_all()
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


@pytest.mark.parametrize("name", ["system:admin", "UPPER", "a" * 250])
async def test_objects_with_names_that_events_may_not_have_get_events_too(name: str) -> None:
    world = World()
    world.record(name=name)
    (event,) = await world.send_all()
    assert len(event["metadata"]["name"]) == 36
    assert event["involvedObject"]["name"] == name


async def test_a_repeated_event_is_counted_in_one_object() -> None:
    world = World()
    world.record()
    async with world.running():
        await asyncio.sleep(60)
        world.record(times=2)
        await asyncio.sleep(1)
    (event,) = world.stored()
    assert event["count"] == 3
    assert (event["firstTimestamp"], event["lastTimestamp"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:01:00Z",
    )
    assert world.outcomes() == {"created": 1, "updated": 2}


async def test_events_of_different_objects_sources_types_or_reasons_stay_apart() -> None:
    world = World()
    other = world.broadcaster.recorder("other")
    world.record()
    world.record(name="q")
    other.event(pod(), POD, NORMAL, "Happened", "It happened")
    other.event(pod(), POD, WARNING, "Happened", "It happened")
    other.event(pod(), POD, NORMAL, "HappenedToo", "It happened")
    events = await world.send_all()
    assert [event["count"] for event in events] == [1] * 5
    assert len({event["metadata"]["name"] for event in events}) == 5


async def test_from_the_tenth_message_on_similar_events_are_combined() -> None:
    world = World()
    for n in range(12):
        world.record(f"Message {n}")
    world.record("Message 3")
    *single, combined = await world.send_all()
    assert [event["message"] for event in single] == [f"Message {n}" for n in range(9)]
    assert [event["count"] for event in single] == [1, 1, 1, 2, 1, 1, 1, 1, 1]
    assert (combined["message"], combined["count"]) == (COMBINED + "Message 11", 3)


async def test_ten_quiet_minutes_end_the_combining() -> None:
    world = World()
    for n in range(11):
        world.record(f"Message {n}")
    async with world.running():
        await asyncio.sleep(601)
        world.record("Late")
        await asyncio.sleep(1)
    assert world.stored()[-1]["message"] == "Late"


async def test_a_source_may_send_25_events_about_an_object_and_then_one_in_five_minutes() -> None:
    world = World()
    world.record(times=30)
    world.record(name="q")
    async with world.running():
        await asyncio.sleep(301)
        assert world.outcomes() == {"created": 2, "updated": 24, "filtered": 5}
        world.record(times=2)
        await asyncio.sleep(1)
    assert world.outcomes() == {"created": 2, "updated": 25, "filtered": 6}
    assert [event["count"] for event in world.stored()] == [31, 1]


async def test_a_full_queue_drops_events_and_disturbs_nobody() -> None:
    world = World()
    for n in range(1002):
        world.record(name=f"p{n}")
    assert world.outcomes() == {"dropped": 2}
    assert len(await world.send_all()) == 1000


async def test_an_event_that_the_server_has_forgotten_is_created_again_with_its_count() -> None:
    world = World()
    world.record()
    async with world.running():
        await asyncio.sleep(1)
        (event,) = world.stored()
        world.api.remove(EVENT, "ns", event["metadata"]["name"])
        world.record()
        await asyncio.sleep(1)
    assert world.outcomes() == {"created": 2}
    assert {event["count"] for event in world.stored()} == {2}


@pytest.mark.parametrize("error", [TransportError("connection refused"), ServerError("etcd", code=500)])
async def test_outages_are_waited_out(error: KfsError) -> None:
    world = World()
    world.api.fail_next("POST", PATH, error, times=5)
    world.record()
    async with world.running():
        await asyncio.sleep(60)
    assert world.outcomes() == {"created": 1}


async def test_an_event_is_given_up_after_twelve_tries_and_the_next_is_sent() -> None:
    world = World()
    world.api.fail_next("POST", PATH, TransportError("connection refused"), times=12)
    world.record()
    world.record(name="q")
    async with world.running():
        await asyncio.sleep(600)
    assert world.outcomes() == {"failed": 1, "created": 1}
    assert [event["involvedObject"]["name"] for event in world.stored()] == ["q"]


async def test_a_lost_answer_makes_no_second_event() -> None:
    world = World()
    world.api.lost = 1
    world.record()
    async with world.running():
        await asyncio.sleep(60)
    assert [event["count"] for event in {e["metadata"]["name"]: e for e in world.stored()}.values()] == [1]
    assert world.outcomes() == {"created": 1}


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (refusal(403, "Forbidden"), "WARNING"),
        (refusal(422, "Invalid"), "WARNING"),
        (refusal(403, "Forbidden", cause="NamespaceTerminating"), "DEBUG"),
        (refusal(404, "NotFound"), "DEBUG"),
    ],
)
async def test_what_the_server_refuses_is_not_tried_again(
    error: KfsError, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.api.fail_next("POST", PATH, error)
    world.record()
    world.record(name="q")
    caplog.set_level("DEBUG")
    assert len(await world.send_all()) == 1
    assert world.outcomes() == {"rejected": 1, "created": 1}
    assert [r.levelname for r in caplog.records if "refused" in r.message] == [level]


async def test_stopping_sends_what_is_queued() -> None:
    world = World()
    async with world.running():
        world.record()
        world.record(name="q")
    assert world.outcomes() == {"created": 2}


async def test_stopping_waits_three_seconds_at_most() -> None:
    world = World()
    world.api.silent = True
    world.record()
    world.record(name="q")
    began = asyncio.get_running_loop().time()
    async with world.running():
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() - began == pytest.approx(4)
    assert world.outcomes() == {"dropped": 2}


async def test_an_event_whose_sending_was_interrupted_is_sent_when_stopping() -> None:
    world = World()
    world.api.fail_next("POST", PATH, TransportError("connection refused"))
    world.record()
    async with world.running():
        await asyncio.sleep(0.1)
    assert world.outcomes() == {"created": 1}


texts = st.text(st.characters(exclude_categories=()), max_size=2000)


@given(texts | st.integers(1000, 1100).map("ä".__mul__))
def test_messages_are_cut_to_1024_bytes_of_valid_utf_8(message: str) -> None:
    cut = bounded(message)
    assert len(cut.encode()) <= 1024
    if cut != message and cut.endswith("..."):
        assert len(cut.encode()) > 1015
