"""Deleting an InferenceService: whose models go with it, and what holds it while they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfs.api.constants import INFERENCE_SERVICE, TRAINED_MODEL
from kfs.manager.errors import ServerError
from kfs.manager.objects.kinds import ObjectKey
from kfs.manager.testing.fake_api import FakeApi
from tests.controllers.reconciling import put_config, put_services, running

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

pytestmark = pytest.mark.looptime

M = ObjectKey("ns", "m")


def model(name: str, namespace: str = "ns", parent: str = "m") -> Obj:
    metadata = {"name": name, "namespace": namespace, "labels": {"inferenceservice": parent}}
    return {"metadata": metadata, "spec": {"inferenceService": parent}}


def server(*models: Obj) -> FakeApi:
    api = FakeApi()
    put_config(api)
    put_services(api, "m")
    for obj in models:
        api.put(TRAINED_MODEL, obj)
    return api


async def test_only_its_own_namespace_s_models_go() -> None:
    api = server(model("a"), model("b", parent="other"), model("a", "elsewhere"))
    async with running(api) as world:
        await world.settle()
        await world.manager.live.delete(INFERENCE_SERVICE, M)
        await world.until(lambda: api.get(INFERENCE_SERVICE, *M) is None)
    assert api.get(TRAINED_MODEL, "ns", "a") is None
    assert api.get(TRAINED_MODEL, "ns", "b") is not None
    assert api.get(TRAINED_MODEL, "elsewhere", "a") is not None


async def test_a_model_that_cannot_be_deleted_holds_it_until_it_can() -> None:
    api = server(model("a"))
    async with running(api) as world:
        await world.settle()
        api.fail_next("DELETE", "trainedmodels/a", ServerError("etcd is down", code=500), times=3)
        await world.manager.live.delete(INFERENCE_SERVICE, M)
        await world.until(lambda: api.get(INFERENCE_SERVICE, *M) is None)
    assert api.get(TRAINED_MODEL, "ns", "a") is None
    deletes = [write for write in api.writes() if write.endswith("trainedmodels/a")]
    assert len(deletes) == 4
