"""Knative's or Istio's CRDs are missing: who needs them says so, and goes on when they appear.

Every test here fails on the original, which ends or loops (difference 18).
"""

from __future__ import annotations

import pytest

from kfs.api.constants import KNATIVE_SERVICE, VIRTUAL_SERVICE
from kfs.manager.testing.fake_api import FakeApi
from tests.controllers.reconciling import knative_says, put_config, put_services, running

pytestmark = pytest.mark.looptime


async def test_without_knative() -> None:
    api = FakeApi()
    api.hide(KNATIVE_SERVICE)
    put_config(api)
    put_services(api, "m")
    async with running(api) as world:
        await world.until(lambda: world.events("CRDMissing"))
        says = "The server has no kind services.serving.knative.dev: install its CRD, or what brings it"
        assert world.condition("PredictorReady") == ("False", "CRDMissing", says)
        assert world.condition("Ready")[0] == "False"
        assert world.events("CRDMissing") == [says]
        assert "services.serving.knative.dev" in world.manager.cache.problems()

        api.show(KNATIVE_SERVICE)
        await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", "m-predictor-default"))
        knative_says(api, "m")
        await world.until(lambda: world.condition("Ready")[0] == "True")
        assert world.manager.cache.problems() == {}


async def test_without_istio() -> None:
    api = FakeApi()
    api.hide(VIRTUAL_SERVICE)
    put_config(api)
    put_services(api, "m")
    async with running(api) as world:
        await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", "m-predictor-default"))
        knative_says(api, "m")
        await world.until(lambda: world.events("CRDMissing"))
        status, reason, message = world.condition("IngressReady")
        assert (status, reason) == ("False", "CRDMissing")
        assert "virtualservices.networking.istio.io" in message
        assert world.condition("PredictorReady")[0] == "True"

        api.show(VIRTUAL_SERVICE)
        await world.until(lambda: world.condition("Ready")[0] == "True")
        assert api.get(VIRTUAL_SERVICE, "ns", "m") is not None


async def test_knative_vanishes_and_comes_back() -> None:
    api = FakeApi()
    put_config(api)
    put_services(api, "m")
    async with running(api) as world:
        await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", "m-predictor-default"))
        knative_says(api, "m")
        await world.until(lambda: world.condition("Ready")[0] == "True")
        api.hide(KNATIVE_SERVICE)
        api.cut_watches()
        await world.until(lambda: world.condition("PredictorReady")[1] == "CRDMissing")
        assert world.condition("Ready")[0] == "False"
        api.show(KNATIVE_SERVICE)
        await world.until(lambda: world.condition("Ready")[0] == "True")


async def test_nothing_is_asked_again_and_again() -> None:
    api = FakeApi()
    api.hide(KNATIVE_SERVICE)
    put_config(api)
    put_services(api, "m")
    async with running(api) as world:
        await world.until(lambda: world.events("CRDMissing"))
        writes = len(api.writes())
        await world.until(lambda: sum(c.path.endswith("/services") for c in api.calls) > 10)
        assert len(api.writes()) == writes
