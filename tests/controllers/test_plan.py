"""One pass over an InferenceService, replayed as the original was recorded to do it."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.api.constants import KNATIVE_SERVICE, VIRTUAL_SERVICE
from kfs.manager.objects.kinds import SERVICE
from tests.controllers.world import ALIAS, PREDICTOR_SERVICE, ROUTES, World, ready_world
from tests.samples import MODEL, config, defaulted, isvc

V2 = {**defaulted(), "protocolVersion": "v2", "runtimeVersion": "0.2.1"}


def test_first_the_knative_service_alone_and_no_word_of_readiness() -> None:
    world = World(isvc())
    planned, written = world.one_pass()
    assert [child.kind for child in planned.children] == [KNATIVE_SERVICE]
    assert world.isvc["status"] == {"observedGeneration": 1}
    assert written == ["services.serving.knative.dev", "status"]


def test_one_pass_after_knatives_word_everything_is_there() -> None:
    world = World(isvc())
    world.one_pass()
    world.play()
    planned, written = world.one_pass()
    assert [child.kind for child in planned.children] == [KNATIVE_SERVICE, SERVICE, VIRTUAL_SERVICE]
    assert written == ["services", "virtualservices.networking.istio.io", "status"]
    assert world.isvc["status"]["url"] == "http://m.ns.example.com"
    assert world.isvc["status"]["address"] == {"url": "http://m.ns.svc.cluster.local/v1/models/m:predict"}
    assert world.conditions() == {
        "IngressReady": ("True", ""),
        "PredictorConfigurationReady": ("True", ""),
        "PredictorReady": ("True", ""),
        "PredictorRouteReady": ("True", ""),
        "Ready": ("True", ""),
    }
    assert world.children[ROUTES]["spec"]["hosts"] == ["m.ns.svc.cluster.local", "m.ns.example.com"]


@pytest.mark.parametrize(
    "said",
    [None, {"ready": "Unknown"}, {"ready": "False", "reason": "R"}, {}, {"domain": "svc.cluster.local"}],
)
@pytest.mark.parametrize("was_ready", [False, True])
def test_the_second_of_two_passes_writes_nothing(said: Any, was_ready: bool) -> None:
    world = ready_world() if was_ready else World(isvc())
    world.one_pass()
    if said is not None:
        world.play(**said)
    world.one_pass()
    _, written = world.one_pass()
    assert written == []


def test_while_knative_deploys_or_fails_ready_says_why() -> None:
    world = World(isvc())
    world.one_pass()
    for ready, reason in (("Unknown", "Deploying"), ("False", "RevisionMissing")):
        world.play(ready=ready, reason=reason)
        planned, _ = world.one_pass()
        assert [child.kind for child in planned.children] == [KNATIVE_SERVICE]
        assert world.conditions() == {
            "PredictorConfigurationReady": (ready, reason),
            "PredictorReady": (ready, reason),
            "PredictorRouteReady": (ready, reason),
            "Ready": (ready, reason),
        }


def test_a_predictor_that_fails_later_closes_the_ingress_and_keeps_the_routes() -> None:
    world = ready_world()
    world.play(ready="False", reason="RevisionFailed", message="oom")
    planned, written = world.one_pass()
    assert [child.kind for child in planned.children] == [KNATIVE_SERVICE]
    assert written == ["status"]
    assert world.conditions()["IngressReady"] == ("False", "Predictor ingress not created")
    assert world.conditions()["Ready"] == ("False", "Predictor ingress not created")
    assert world.conditions()["PredictorReady"] == ("False", "RevisionFailed")
    assert world.isvc["status"]["url"] == "http://m.ns.example.com"
    world.play()
    world.one_pass()
    assert world.conditions()["Ready"] == ("True", "")


def test_a_knative_service_that_was_deleted_comes_back_and_ready_stays() -> None:
    world = ready_world()
    del world.children[PREDICTOR_SERVICE]
    _, written = world.one_pass()
    assert written == ["services.serving.knative.dev", "status"]
    assert world.conditions()["Ready"] == ("True", "")
    assert world.isvc["status"]["components"]["predictor"] == {
        "latestRolledoutRevision": "m-predictor-default-00001",
        "url": "http://m-predictor-default.ns.example.com",
        "address": {"url": "http://m-predictor-default.ns.svc.cluster.local"},
    }


@pytest.mark.parametrize("key", [ALIAS, ROUTES])
def test_routes_that_were_deleted_or_edited_come_back(key: Any) -> None:
    world = ready_world()
    wanted = world.children.pop(key)
    assert world.one_pass()[1] == [key[0].resource]
    assert world.children[key] == wanted
    world.children[key] = {**wanted, "spec": {"edited": True}}
    assert world.one_pass()[1] == [key[0].resource]
    assert world.children[key] == wanted


def test_a_change_of_labels_reaches_every_child_and_then_rests() -> None:
    world = ready_world(isvc(labels={"a": "1", "gone": "1"}, annotations={"x": "1"}))
    world.children[ROUTES]["metadata"]["labels"]["theirs"] = "1"
    world.isvc["metadata"] |= {"labels": {"a": "2"}, "annotations": {"y": "1"}, "generation": 1}
    assert world.one_pass()[1] == ["services.serving.knative.dev", "virtualservices.networking.istio.io"]
    assert world.children[ROUTES]["metadata"]["labels"] == {"a": "2", "theirs": "1"}
    assert world.children[ROUTES]["metadata"]["annotations"] == {"y": "1"}
    assert "gone" not in world.children[PREDICTOR_SERVICE]["metadata"]["labels"]
    assert world.one_pass()[1] == []


@pytest.mark.parametrize(
    ("server", "path"),
    [({**V2, "storageUri": MODEL}, "/v2/models/m/infer"), (V2, ""), (defaulted(), "/v1/models/m:predict")],
)
def test_the_address_has_the_path_of_the_protocol(server: Any, path: str) -> None:
    world = ready_world(isvc(server))
    assert world.isvc["status"]["address"] == {"url": f"http://m.ns.svc.cluster.local{path}"}


def test_a_new_domain_moves_the_routes() -> None:
    world = ready_world()
    world.play(domain="models.corp")
    assert world.one_pass()[1] == ["virtualservices.networking.istio.io", "status"]
    assert world.isvc["status"]["url"] == "http://m.ns.models.corp"


def test_an_inference_service_that_was_never_defaulted_runs_all_the_same() -> None:
    planned, _ = World(isvc({"storageUri": MODEL})).one_pass()
    (container,) = planned.children[0].desired["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("kfserving-container", "sklearnserver:0.5")


@pytest.mark.parametrize(
    ("tree", "settings", "reason", "message"),
    [
        (isvc(spec={}), {}, "InvalidSpec", "Exactly one of"),
        (isvc(spec={"predictor": []}), {}, "InvalidSpec", "spec.predictor: must be an object"),
        (isvc({}), {"predictors": "{"}, "ConfigError", 'key "predictors" of inferenceservice-config is bad'),
        (isvc({}), {"predictors": {}}, "ConfigError", "set image of sklearn.v1"),
    ],
)
def test_what_cannot_be_planned_says_why(tree: Any, settings: Any, reason: str, message: str) -> None:
    """Fails on the original, which writes no status then (difference 8)."""
    world = World(tree, config(**settings))
    planned, written = world.one_pass()
    assert message in str(planned.failure)
    assert world.conditions()["PredictorReady"] == ("False", reason)
    assert world.conditions()["Ready"] == ("False", reason)
    assert written == ["status"]
    assert world.one_pass()[1] == []


def test_bad_ingress_settings_are_told_by_its_condition() -> None:
    """Fails on the original, which leaves neither event nor status (difference 8)."""
    world = ready_world()
    world.config = config(ingress=None)
    planned, written = world.one_pass()
    assert 'key "ingress" of inferenceservice-config is missing' in str(planned.failure)
    assert world.conditions()["IngressReady"] == ("False", "ConfigError")
    assert world.conditions()["Ready"] == ("False", "ConfigError")
    assert written == ["status"]
    world.config = config()
    world.one_pass()
    assert world.conditions()["Ready"] == ("True", "")
