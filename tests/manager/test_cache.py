"""The cache's promises, against a scripted API server and under virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from kfs.manager.cache import Cache, Change, DelegatingClient, Scope
from kfs.manager.client import LiveClient
from kfs.manager.clock import SystemClock
from kfs.manager.errors import Gone, KindMissing, ServerError, TransportError, api_error
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import CONFIG_MAP, SECRET, SERVICE, ObjectKey
from kfs.manager.testing.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kfs.manager.client.calls import Call
    from kfs.manager.client.transport import Reply
    from kfs.manager.objects.tree import Obj

pytestmark = pytest.mark.looptime

A = ObjectKey("ns", "a")


def config_map(name: str = "a", namespace: str = "ns", **data: str) -> Obj:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


@dataclass
class World:
    """A fake server, a running cache over it, and what a subscriber of ConfigMaps has seen."""

    api: FakeApi
    cache: Cache
    client: DelegatingClient
    changes: list[Change] = field(default_factory=list)

    @property
    def seen(self) -> list[str]:
        return [f"{c.verb} {c.key.name}" for c in self.changes]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let virtual time pass until the condition holds; a test that waits for ever times out."""
        while not condition():  # noqa: ASYNC110 - the time that passes here is virtual
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(api: FakeApi, scope: Scope | None = None) -> AsyncIterator[World]:
    cache = Cache(api, SystemClock(), Metrics(), scope)
    world = World(api, cache, DelegatingClient(cache, LiveClient(api), frozenset({SECRET})))
    cache.informer(CONFIG_MAP).subscribe(world.changes.append)
    async with asyncio.TaskGroup() as tasks:
        running_cache = tasks.create_task(cache.run(lambda: None))
        yield world
        running_cache.cancel()


async def test_lists_then_follows() -> None:
    api = FakeApi()
    api.put(CONFIG_MAP, config_map("a"))
    async with running(api) as world:
        assert await world.client.get(CONFIG_MAP, A) is not None
        api.put(CONFIG_MAP, config_map("a", x="1"))
        api.put(CONFIG_MAP, config_map("b"))
        api.remove(CONFIG_MAP, "ns", "a")
        await world.until(lambda: len(world.changes) == 4)
        assert world.seen == ["created a", "updated a", "created b", "deleted a"]
        assert [c.initial for c in world.changes] == [True, False, False, False]
        assert await world.client.get(CONFIG_MAP, A) is None


async def test_resumes_after_a_broken_connection_without_listing_again() -> None:
    api = FakeApi()
    async with running(api) as world:
        await world.client.list(CONFIG_MAP)
        lists = sum("watch" not in c.query for c in api.calls)
        api.cut_watches()
        api.put(CONFIG_MAP, config_map("a"))
        await world.until(lambda: world.seen == ["created a"])
        assert sum("watch" not in c.query for c in api.calls) == lists


async def test_an_expired_version_is_listed_again_and_vanished_objects_are_reported() -> None:
    api = FakeApi()
    api.put(CONFIG_MAP, config_map("a"))
    api.put(CONFIG_MAP, config_map("b"))
    async with running(api) as world:
        await world.until(lambda: len(world.changes) == 2)
        # Nobody is told: the deletion happens while the watch is down, and history is compacted.
        api.fail_next("GET", "configmaps", TransportError("down"))
        api.cut_watches()
        await world.until(lambda: any("watch" in c.query for c in api.calls[2:]))
        api.remove(CONFIG_MAP, "ns", "a")
        api.put(CONFIG_MAP, config_map("c"))
        api.forget_history()
        api.cut_watches()
        await world.until(lambda: "created c" in world.seen and "deleted a" in world.seen)
        assert next(c for c in world.changes if c.verb == "deleted").key == A
        assert await world.client.get(CONFIG_MAP, A) is None


@pytest.mark.parametrize(
    "error",
    [
        TransportError("refused"),
        ServerError("etcd is down", code=500),
        api_error(429, {"message": "slow down"}, retry_after_s=3.0),
        Gone("too old", code=410),
    ],
    ids=["transport", "5xx", "429", "410"],
)
async def test_failures_are_retried_until_they_pass(error: Exception) -> None:
    api = FakeApi()
    api.put(CONFIG_MAP, config_map("a"))
    for _ in range(5):
        api.fail_next("GET", "configmaps", error)  # type: ignore[arg-type]
    async with running(api) as world:
        assert await world.client.get(CONFIG_MAP, A) is not None


async def test_a_missing_kind_is_named_and_picked_up_when_it_appears() -> None:
    api = FakeApi()
    api.hide(CONFIG_MAP)
    async with running(api) as world:
        for read in (world.client.get(CONFIG_MAP, A), world.client.list(CONFIG_MAP)):
            with pytest.raises(KindMissing, match="no kind configmaps: install its CRD"):
                await read
        assert "CRD" in world.cache.problems()["configmaps"]
        api.show(CONFIG_MAP)
        api.put(CONFIG_MAP, config_map("a"))
        await world.until(lambda: world.seen == ["created a"])
        assert world.cache.problems() == {}
        assert await world.client.get(CONFIG_MAP, A) is not None


async def test_a_kind_that_vanishes_is_missing_until_it_is_back() -> None:
    api = FakeApi()
    api.put(CONFIG_MAP, config_map("a"))
    async with running(api) as world:
        assert await world.client.get(CONFIG_MAP, A) is not None
        api.hide(CONFIG_MAP)
        api.cut_watches()
        informer = world.cache.informer(CONFIG_MAP)
        turns: list[bool] = []
        informer.on_presence(lambda: turns.append(informer.missing))
        await world.until(lambda: turns == [True])
        with pytest.raises(KindMissing):
            await world.client.get(CONFIG_MAP, A)
        api.show(CONFIG_MAP)
        await world.until(lambda: turns == [True, False])
        assert await world.client.get(CONFIG_MAP, A) is not None


async def test_reads_its_own_writes_before_the_watch_shows_them() -> None:
    api = FakeApi()
    async with running(api) as world:
        await world.client.list(CONFIG_MAP)
        created = await world.client.create(CONFIG_MAP, config_map(x="1"))
        assert (await world.client.get(CONFIG_MAP, A) or {})["data"] == {"x": "1"}
        assert len(await world.client.list(CONFIG_MAP, "ns")) == 1
        await world.client.patch(CONFIG_MAP, A, {"data": {"x": "2"}})
        assert (await world.client.get(CONFIG_MAP, A) or {})["data"] == {"x": "2"}
        await world.until(lambda: len(world.changes) == 2)
        await world.client.delete(CONFIG_MAP, A, uid=created["metadata"]["uid"])
        assert await world.client.get(CONFIG_MAP, A) is None
        assert await world.client.list(CONFIG_MAP) == []


async def test_a_newer_state_from_the_watch_wins_over_an_own_write() -> None:
    api = FakeApi()
    async with running(api) as world:
        await world.client.list(CONFIG_MAP)
        await world.client.create(CONFIG_MAP, config_map(x="ours"))
        api.put(CONFIG_MAP, config_map(x="theirs"))
        await world.until(lambda: len(world.changes) == 2)
        assert (await world.client.get(CONFIG_MAP, A) or {})["data"] == {"x": "theirs"}


async def test_an_object_deleted_and_created_again_is_not_hidden() -> None:
    api = FakeApi()
    async with running(api) as world:
        await world.client.list(CONFIG_MAP)
        old = await world.client.create(CONFIG_MAP, config_map(x="1"))
        await world.until(lambda: len(world.changes) == 1)
        await world.client.delete(CONFIG_MAP, A, uid=old["metadata"]["uid"])
        api.put(CONFIG_MAP, config_map(x="2"))
        await world.until(lambda: world.seen[-1] == "created a" and len(world.changes) == 3)
        assert (await world.client.get(CONFIG_MAP, A) or {})["data"] == {"x": "2"}


class LateAnswers(FakeApi):
    """A server whose answers to writes arrive when the test says so; the watch is faster."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: dict[str, asyncio.Event] = {}

    async def send(self, call: Call) -> Reply:
        reply = await super().send(call)
        if call.method in self.arrived:
            await self.arrived[call.method].wait()
        return reply


async def test_an_answer_that_comes_after_the_objects_deletion_was_seen_does_not_bring_it_back() -> None:
    api = LateAnswers()
    api.put(CONFIG_MAP, config_map())
    api.put(CONFIG_MAP, config_map(namespace="other"))
    arrived = api.arrived["PATCH"] = asyncio.Event()
    async with running(api) as world, asyncio.TaskGroup() as tasks:
        await world.client.list(CONFIG_MAP)
        tasks.create_task(world.client.patch(CONFIG_MAP, A, {"data": {"x": "1"}}))
        await world.until(lambda: len(world.changes) == 3)
        api.remove(CONFIG_MAP, "ns", "a")
        await world.until(lambda: world.seen[-1] == "deleted a")
        arrived.set()
        await asyncio.sleep(1)
        assert await world.client.get(CONFIG_MAP, A) is None
        assert len(await world.client.list(CONFIG_MAP)) == 1


async def test_answers_that_come_in_another_order_than_the_writes_leave_the_newest() -> None:
    api = LateAnswers()
    api.put(CONFIG_MAP, config_map())
    first, second = asyncio.Event(), asyncio.Event()
    async with running(api) as world, asyncio.TaskGroup() as tasks:
        await world.client.list(CONFIG_MAP)
        # The watch is down and stays behind both answers.
        api.fail_next("GET", "configmaps", TransportError("down"), times=3)
        api.cut_watches()
        await asyncio.sleep(0.01)
        api.arrived["PATCH"] = first
        tasks.create_task(world.client.patch(CONFIG_MAP, A, {"data": {"x": "1"}}))
        await asyncio.sleep(0.01)
        api.arrived["PATCH"] = second
        tasks.create_task(world.client.patch(CONFIG_MAP, A, {"data": {"x": "2"}}))
        await asyncio.sleep(0.01)
        second.set()
        await asyncio.sleep(0.01)
        first.set()
        await asyncio.sleep(0.01)
        assert (await world.client.get(CONFIG_MAP, A) or {})["data"] == {"x": "2"}


async def test_an_object_that_a_finalizer_holds_is_not_hidden_by_its_deletion() -> None:
    api = LateAnswers()
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    uid = api.put(CONFIG_MAP, held)["metadata"]["uid"]
    arrived = api.arrived["DELETE"] = asyncio.Event()
    async with running(api) as world, asyncio.TaskGroup() as tasks:
        await world.client.list(CONFIG_MAP)
        tasks.create_task(world.client.delete(CONFIG_MAP, A, uid=uid))
        await world.until(lambda: len(world.changes) == 2)
        arrived.set()
        await asyncio.sleep(1)
        assert "deletionTimestamp" in (await world.client.get(CONFIG_MAP, A) or {})["metadata"]


async def test_deleting_what_nobody_watches_starts_no_watch() -> None:
    api = FakeApi()
    uid = api.put(SERVICE, {"metadata": {"name": "a", "namespace": "ns"}})["metadata"]["uid"]
    async with running(api) as world:
        await world.client.delete(SERVICE, A, uid=uid)
        await asyncio.sleep(1)
        assert [c.method for c in api.calls if "services" in c.path] == ["DELETE"]


async def test_a_server_that_forgets_at_once_is_not_asked_without_pause() -> None:
    api = FakeApi()
    api.fail_next("GET", "configmaps", Gone("too old", code=410), times=1000)
    async with running(api):
        await asyncio.sleep(60)
        assert len(api.calls) < 20


async def test_what_the_cache_returns_is_apart_from_what_the_caller_wrote() -> None:
    api = FakeApi()
    async with running(api) as world:
        await world.client.list(CONFIG_MAP)
        answer = await world.client.create(CONFIG_MAP, config_map(x="1"))
        answer["data"]["x"] = "edited by the caller"
        assert (await world.client.get(CONFIG_MAP, A) or {})["data"] == {"x": "1"}


async def test_watches_only_the_namespaces_of_its_scope() -> None:
    api = FakeApi()
    for namespace in ("one", "two", "three"):
        api.put(CONFIG_MAP, config_map("a", namespace))
    async with running(api, Scope(namespaces=("one", "three"))) as world:
        found = await world.client.list(CONFIG_MAP)
        assert sorted(o["metadata"]["namespace"] for o in found) == ["one", "three"]
        api.remove(CONFIG_MAP, "one", "a")
        api.forget_history()
        api.cut_watches()
        await world.until(lambda: "deleted a" in world.seen)
        assert [o["metadata"]["namespace"] for o in await world.client.list(CONFIG_MAP)] == ["three"]


async def test_secrets_are_read_live() -> None:
    api = FakeApi()
    api.put(SECRET, {"metadata": {"name": "s", "namespace": "ns"}})
    async with running(api) as world:
        assert await world.client.get(SECRET, ObjectKey("ns", "s")) is not None
        assert not any("watch" in c.query and "secrets" in c.path for c in api.calls)


async def test_an_index_finds_objects_and_own_writes() -> None:
    api = FakeApi()
    api.put(CONFIG_MAP, config_map("a", owner="x"))
    async with running(api) as world:
        store = world.cache.informer(CONFIG_MAP).store
        await world.client.list(CONFIG_MAP)
        store.add_index("owner", lambda obj: [obj["data"]["owner"]])
        await world.client.create(CONFIG_MAP, config_map("b", owner="x"))
        assert len(store.by_index("owner", "x")) == 2
        await world.client.patch(CONFIG_MAP, A, {"data": {"owner": "y"}})
        assert [o["metadata"]["name"] for o in store.by_index("owner", "x")] == ["b"]
        await world.until(lambda: len(world.changes) == 3)
        assert [o["metadata"]["name"] for o in store.by_index("owner", "y")] == ["a"]


async def test_managed_fields_are_not_kept() -> None:
    api = FakeApi()
    obj = config_map()
    obj["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    api.put(CONFIG_MAP, obj)
    async with running(api) as world:
        assert "managedFields" not in (await world.client.get(CONFIG_MAP, A) or {})["metadata"]


async def test_a_cached_list_refuses_what_only_a_server_can_select() -> None:
    async with running(FakeApi()) as world:
        with pytest.raises(ValueError, match="read live"):
            await world.client.list(CONFIG_MAP, labels="a in (b, c)")
