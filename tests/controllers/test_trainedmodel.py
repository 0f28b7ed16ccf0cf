"""The TrainedModel controller against a scripted API server: writes, batches, orphans, namespaces."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.constants import INFERENCE_SERVICE, TRAINED_MODEL
from kfs.controllers.trainedmodel import TrainedModels, add_trained_models
from kfs.lookups import ConfigSource
from kfs.manager.errors import Conflict, TransportError
from kfs.manager.manager import Manager
from kfs.manager.objects.kinds import CONFIG_MAP, ObjectKey
from kfs.manager.testing.fake_api import FakeApi
from tests.samples import config_data, defaulted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kfs.manager.objects.tree import Obj

pytestmark = pytest.mark.looptime

READY = {"conditions": [{"type": "Ready", "status": "True"}], "url": "http://m.ns.example.com"}


def server(namespace: str = "ns", *, ready: bool = True, uri: str = "") -> Obj:
    sklearn = {**defaulted(), "protocolVersion": "v2", **({"storageUri": uri} if uri else {})}
    found = {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"name": "m", "namespace": namespace},
        "spec": {"predictor": {"sklearn": sklearn}},
    }
    return {**found, "status": READY} if ready else found


def model(name: str = "a", namespace: str = "ns", **metadata: Any) -> Obj:
    spec = {"storageUri": f"gs://b/{name}", "framework": "sklearn", "memory": "1Mi"}
    return {
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"inferenceService": "m", "model": spec},
    }


@asynccontextmanager
async def running(api: FakeApi) -> AsyncIterator[Manager]:
    api.put(CONFIG_MAP, {"metadata": {"name": "inferenceservice-config", "namespace": "sys"}, "data": config_data()})
    manager = Manager(api)
    reconciler = TrainedModels(
        client=manager.client,
        live=manager.live,
        models=manager.cache.informer(TRAINED_MODEL),
        configs=ConfigSource(manager.cache, "sys"),
        recorder=manager.events.recorder("test"),
        clock=manager.clock,
    )
    add_trained_models(manager, reconciler, workers=2)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(manager.run())
        # Virtual time: all that follows from the objects put so far has happened by then.
        await asyncio.sleep(10)
        yield manager
        task.cancel()


def loaded(api: FakeApi, namespace: str = "ns") -> list[str]:
    config = api.get(CONFIG_MAP, namespace, "modelconfig-m-0")
    assert config is not None
    return [entry["modelName"] for entry in json.loads(config["data"]["models.json"])]


def status(api: FakeApi, name: str = "a") -> dict[str, str]:
    found = api.get(TRAINED_MODEL, "ns", name) or {}
    return {c["type"]: c["status"] for c in (found.get("status") or {}).get("conditions", [])}


async def test_a_thousand_models_at_once_cost_few_writes_of_their_config_map() -> None:
    api = FakeApi()
    api.put(INFERENCE_SERVICE, server())
    async with running(api):
        for i in range(1000):
            api.put(TRAINED_MODEL, model(f"m{i:04d}"))
        await asyncio.sleep(10)
        assert len(loaded(api)) == 1000
        assert all(status(api, f"m{i:04d}")["Ready"] == "True" for i in range(1000))
        assert sum("configmaps" in write for write in api.writes()) <= 3
        assert sum("trainedmodels" in write for write in api.writes()) == 2000
        settled = len(api.writes())
        await asyncio.sleep(1000)
        assert len(api.writes()) == settled


async def test_readiness_follows_the_parent_both_ways() -> None:
    api = FakeApi()
    api.put(INFERENCE_SERVICE, server(ready=False))
    api.put(TRAINED_MODEL, model())
    async with running(api):
        assert status(api)["Ready"] == "False"
        api.put(INFERENCE_SERVICE, server())
        await asyncio.sleep(0.5)
        assert status(api)["Ready"] == "True"
        api.put(INFERENCE_SERVICE, server(ready=False))
        await asyncio.sleep(0.5)
        assert status(api)["Ready"] == "False"
        assert loaded(api) == ["a"]


async def test_a_deleted_model_is_unloaded_before_it_goes() -> None:
    api = FakeApi()
    api.put(INFERENCE_SERVICE, server())
    api.put(TRAINED_MODEL, model("a"))
    api.put(TRAINED_MODEL, model("b"))
    async with running(api) as manager:
        await manager.live.delete(TRAINED_MODEL, ObjectKey("ns", "a"))
        await asyncio.sleep(1)
        assert api.get(TRAINED_MODEL, "ns", "a") is None
        assert loaded(api) == ["b"]
        unload = max(i for i, w in enumerate(api.writes()) if "configmaps/modelconfig" in w)
        release = max(i for i, w in enumerate(api.writes()) if w.startswith("PATCH") and w.endswith("trainedmodels/a"))
        assert unload < release


async def test_models_of_a_parent_that_is_gone_go_too_finalizer_or_not() -> None:
    api = FakeApi()
    api.put(TRAINED_MODEL, model("a", finalizers=["trainedmodel.finalizer"]))
    api.put(TRAINED_MODEL, model("b"))
    async with running(api):
        assert api.get(TRAINED_MODEL, "ns", "a") is None
        assert api.get(TRAINED_MODEL, "ns", "b") is None


async def test_a_parent_that_only_the_cache_lacks_is_asked_for_on_the_server() -> None:
    api = FakeApi()
    async with running(api):
        # The watch of InferenceServices is down for a while: the cache does not learn of the parent.
        api.fail_next("GET", "/v1beta1/inferenceservices", TransportError("down"), times=8)
        api.cut_watches()
        api.put(INFERENCE_SERVICE, server())
        api.put(TRAINED_MODEL, model("a"))
        await asyncio.sleep(5)
        assert any(c.path.endswith("/inferenceservices/m") for c in api.calls)
        assert not any(w.startswith("DELETE") for w in api.writes())
        assert status(api)["Ready"] == "True"


async def test_same_names_in_two_namespaces_are_strangers() -> None:
    api = FakeApi()
    for namespace in ("ns", "other"):
        api.put(INFERENCE_SERVICE, server(namespace))
        api.put(TRAINED_MODEL, model("a", namespace))
    async with running(api):
        api.remove(INFERENCE_SERVICE, "other", "m")
        await asyncio.sleep(5)
        assert api.get(TRAINED_MODEL, "other", "a") is None
        assert api.get(TRAINED_MODEL, "ns", "a") is not None
        assert loaded(api) == ["a"]


async def test_a_server_with_a_model_of_its_own_takes_none() -> None:
    api = FakeApi()
    api.put(INFERENCE_SERVICE, server(uri="gs://b/own"))
    api.put(TRAINED_MODEL, model())
    async with running(api):
        assert status(api) == {"InferenceServiceReady": "True", "IsMMSPredictor": "False", "Ready": "False"}
        assert api.get(CONFIG_MAP, "ns", "modelconfig-m-0") is None
        assert "url" not in (api.get(TRAINED_MODEL, "ns", "a") or {})["status"]


async def test_a_conflict_over_one_model_does_not_keep_the_others() -> None:
    api = FakeApi()
    api.put(INFERENCE_SERVICE, server())
    for name in "abc":
        api.put(TRAINED_MODEL, model(name))
    api.fail_next("PUT", "trainedmodels/b/status", Conflict("changed", code=409))
    async with running(api):
        assert [status(api, n)["Ready"] for n in "abc"] == ["True"] * 3
