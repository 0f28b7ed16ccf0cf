"""What happens to InferenceServices when `inferenceservice-config` changes, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.constants import INFERENCE_SERVICE, KNATIVE_SERVICE, VIRTUAL_SERVICE
from kfs.manager.objects.kinds import CONFIG_MAP, EVENT
from kfs.manager.testing.fake_api import FakeApi
from tests.controllers.reconciling import CONFIG_NAMESPACE, World, knative_says, put_config, put_services, running
from tests.samples import MODEL, config_data, defaulted, isvc

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

pytestmark = pytest.mark.looptime

NAMES = tuple(f"m{i}" for i in range(6))
PASSES = 'controller_runtime_reconcile_total{controller="inferenceservice",result="success"}'
CHANGED = "inferenceservice-config changed (predictors): a new revision rolls out"


def predictors(image: str, **others: Any) -> Obj:
    runtime = {"image": image, "defaultImageVersion": "0.5"}
    return {"sklearn": {"v1": runtime}, "xgboost": {"v1": {"image": "xgb", "defaultImageVersion": "1"}}, **others}


def server(*names: str) -> FakeApi:
    api = FakeApi()
    put_config(api, predictors=predictors("old"))
    put_services(api, *names)
    return api


def knative(api: FakeApi, name: str) -> Obj:
    return api.get(KNATIVE_SERVICE, "ns", f"{name}-predictor-default") or {}


def container(api: FakeApi, name: str) -> Obj:
    found = knative(api, name)["spec"]["template"]["spec"]["containers"][0]
    assert isinstance(found, dict)
    return found


def running_image(api: FakeApi, image: str) -> set[str]:
    """The InferenceServices whose Knative Service asks for that image."""
    return {name for name in NAMES if knative(api, name) and container(api, name)["image"] == f"{image}:0.5"}


def edit(api: FakeApi, name: str, **predictor: Any) -> None:
    """Change an InferenceService's predictor, as its user does."""
    found = api.get(INFERENCE_SERVICE, "ns", name) or {}
    found["spec"]["predictor"] |= predictor
    api.put(INFERENCE_SERVICE, found)


async def all_ready(world: World, *names: str) -> None:
    await world.until(lambda: all(knative(world.api, name) for name in names))
    for name in names:
        knative_says(world.api, name)
    await world.until(lambda: all(world.condition("Ready", name)[0] == "True" for name in names))


async def test_only_those_are_looked_at_to_whom_a_change_means_anything() -> None:
    api = server("m0")
    other = isvc(spec={"predictor": {"xgboost": {**defaulted(), "storageUri": MODEL}}}, name="m1")
    api.put(INFERENCE_SERVICE, other)
    async with running(api) as world:
        await all_ready(world, "m0", "m1")
        await world.settle()
        passes, writes = world.metric(PASSES), len(api.writes())
        put_config(
            api, predictors=predictors("old", onnx={"image": "x"}), credentials={"gcs": {"gcsCredentialFileName": "f"}}
        )
        await world.settle()
        assert (world.metric(PASSES), len(api.writes())) == (passes, writes)
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: running_image(api, "new") == {"m0"})
        await world.settle()
        assert container(api, "m1")["image"] == "xgb:0.5"
        assert len(world.events("ConfigurationChanged")) == 1


async def test_new_routes_wait_for_nobody() -> None:
    api = server(*NAMES)
    async with running(api, parallelism=1) as world:
        await all_ready(world, *NAMES)
        ingress = {"ingressGateway": "other/gateway", "ingressService": "other.svc"}
        put_config(api, predictors=predictors("old"), ingress=ingress)

        def moved() -> bool:
            routes = [api.get(VIRTUAL_SERVICE, "ns", name) or {} for name in NAMES]
            return all("other/gateway" in route["spec"]["gateways"] for route in routes)

        await world.until(moved)
        assert world.events("ConfigurationChanged") == []


async def test_a_wave_is_paced_and_says_why() -> None:
    """Fails on the original, which rolls out everything that it happens to look at."""
    api = server(*NAMES)
    async with running(api, parallelism=2) as world:
        await all_ready(world, *NAMES)
        put_config(api, predictors=predictors("new"))
        done: list[str] = []
        for _ in NAMES:
            await world.settle()
            under_way = sorted(running_image(api, "new") - {*done})
            assert len(under_way) == min(2, len(NAMES) - len(done))
            knative_says(api, under_way[0])
            done.append(under_way[0])
        await world.settle()
        assert world.events("ConfigurationChanged") == [CHANGED] * len(NAMES)


async def test_a_configuration_with_which_nothing_becomes_ready_stops_early_and_is_mended_at_once() -> None:
    api = server(*NAMES)
    async with running(api, parallelism=2) as world:
        await all_ready(world, *NAMES)
        put_config(api, predictors=predictors("broken"))
        await world.until(lambda: len(running_image(api, "broken")) == 2)
        broken = running_image(api, "broken")
        for name in broken:
            knative_says(api, name, "False")
        await world.settle()
        assert running_image(api, "broken") == broken
        put_config(api, predictors=predictors("old"))
        await world.until(lambda: running_image(api, "broken") == set())
        for name in broken:
            knative_says(api, name)
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: len(running_image(api, "new")) == 2)
        await world.settle()
        assert len(running_image(api, "new")) == 2


async def test_what_was_not_ready_has_nothing_to_lose() -> None:
    api = server(*NAMES)
    async with running(api, parallelism=1) as world:
        await all_ready(world, *NAMES)
        for name in NAMES[:3]:
            knative_says(api, name, "False")
        await world.settle()
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: len(running_image(api, "new")) == 4)
        await world.settle()
        assert len(running_image(api, "new")) == 4
        assert running_image(api, "new") > set(NAMES[:3])


@pytest.mark.parametrize("how", ["spec", "annotation"])
async def test_what_a_user_edits_goes_at_once_with_the_new_configuration(how: str) -> None:
    api = server(*NAMES)
    async with running(api, parallelism=1) as world:
        await all_ready(world, *NAMES)
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: len(running_image(api, "new")) == 1)
        await world.settle()
        waiting = sorted(set(NAMES) - running_image(api, "new"))[-1]
        if how == "spec":
            edit(api, waiting, minReplicas=3)
        else:
            found = api.get(INFERENCE_SERVICE, "ns", waiting) or {}
            found["metadata"]["annotations"] = {"team": "a"}
            api.put(INFERENCE_SERVICE, found)
        await world.until(lambda: waiting in running_image(api, "new"))
        await world.settle()
        assert len(running_image(api, "new")) == 2
        assert len(world.events("ConfigurationChanged")) == 1


async def test_what_others_edit_is_repaired_at_once() -> None:
    api = server("m0")
    async with running(api) as world:
        await all_ready(world, "m0")
        spoilt = knative(api, "m0")
        spoilt["spec"]["template"]["spec"]["containerConcurrency"] = 77
        api.put(KNATIVE_SERVICE, spoilt)
        await world.until(lambda: knative(api, "m0")["spec"]["template"]["spec"]["containerConcurrency"] == 0)
        await world.settle()
        assert world.events("ConfigurationChanged") == []


async def test_a_service_that_is_created_or_deleted_meanwhile_waits_for_nobody() -> None:
    api = server(*NAMES[:4])
    async with running(api, parallelism=1) as world:
        await all_ready(world, *NAMES[:4])
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: len(running_image(api, "new")) == 1)
        put_services(api, "m4")
        await world.until(lambda: "m4" in running_image(api, "new"))
        (gone,) = running_image(api, "new") - {"m4"}
        api.remove(KNATIVE_SERVICE, "ns", f"{gone}-predictor-default")
        api.remove(INFERENCE_SERVICE, "ns", gone)
        await world.until(lambda: len(running_image(api, "new") - {"m4", gone}) == 1)


async def test_a_change_that_is_taken_back_ends_the_wave() -> None:
    api = server(*NAMES)
    async with running(api, parallelism=1) as world:
        await all_ready(world, *NAMES)
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: len(running_image(api, "new")) == 1)
        put_config(api, predictors=predictors("old"))
        await world.until(lambda: not running_image(api, "new"))
        await world.settle()
        assert sum(e["count"] for e in api.all(EVENT) if e["reason"] == "ConfigurationChanged") == 2


async def test_a_manager_that_is_started_in_the_middle_of_a_wave_goes_on_with_it() -> None:
    api = server(*NAMES)
    async with running(api, parallelism=2) as world:
        await all_ready(world, *NAMES)
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: len(running_image(api, "new")) == 2)
        await world.settle()
    under_way = running_image(api, "new")
    async with running(api, parallelism=2) as world:
        await world.settle()
        assert running_image(api, "new") == under_way
        for name in under_way:
            knative_says(api, name)
        await world.until(lambda: len(running_image(api, "new")) == 4)
        await world.settle()
        assert len(running_image(api, "new")) == 4
        assert "changed while kfs did not run" in world.events("ConfigurationChanged")[-1]


async def test_a_change_while_nobody_looked_is_paced_too() -> None:
    api = server(*NAMES)
    async with running(api) as world:
        await all_ready(world, *NAMES)
        await world.settle()
    put_config(api, predictors=predictors("new"))
    async with running(api, parallelism=2) as world:
        await world.until(lambda: len(running_image(api, "new")) == 2)
        await world.settle()
        assert len(running_image(api, "new")) == 2


async def test_a_bad_configuration_changes_nothing_says_so_and_is_recovered_from() -> None:
    """Fails on the original, which panics, and whose reconciler loops without a word (difference 7)."""
    api = server(*NAMES)
    metric = 'kfs_config_problems{key="predictors"}'
    async with running(api) as world:
        await all_ready(world, *NAMES)
        await world.settle()
        writes = len(api.writes())
        put_config(api, predictors="{")
        await world.until(lambda: world.events("ConfigurationBad"))
        await world.settle()
        (message,) = world.events("ConfigurationBad")
        assert message.startswith('Keeping what was good: key "predictors" of inferenceservice-config is bad')
        assert world.metric(metric) == 1
        events = [w for w in api.writes()[writes:] if "/events" not in w]
        assert events == []
        put_services(api, "late")
        await world.until(lambda: knative(api, "late"))
        assert container(api, "late")["image"] == "old:0.5"

        put_config(api, predictors=predictors("new"))
        await world.until(lambda: running_image(api, "new") == set(NAMES))
        await world.until(lambda: world.events("ConfigurationGood"))
        assert world.metric(metric) == 0


@pytest.mark.parametrize("data", [None, {**config_data(), "predictors": "{"}], ids=["missing", "bad"])
async def test_without_any_good_configuration_status_says_so_until_there_is_one(data: Any) -> None:
    api = FakeApi()
    put_services(api, "m")
    name = {"name": "inferenceservice-config", "namespace": CONFIG_NAMESPACE}
    if data is not None:
        api.put(CONFIG_MAP, {"metadata": name, "data": data})
    async with running(api) as world:
        await world.until(lambda: world.condition("PredictorReady")[1] == "ConfigError")
        assert "inferenceservice-config" in world.condition("PredictorReady")[2]
        assert world.events("InternalError")
        put_config(api, predictors=predictors("new"))
        await world.until(lambda: knative(api, "m"))
        assert container(api, "m")["image"] == "new:0.5"
