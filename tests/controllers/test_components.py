"""InferenceServices with transformers and explainers: added, failing, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.constants import KNATIVE_SERVICE
from kfs.manager.objects.tree import clone
from tests.controllers.world import PREDICTOR_SERVICE, ROUTES, World, knative_key, ready_world
from tests.samples import MODEL, defaulted, isvc

if TYPE_CHECKING:
    from kfs.api.constants import ComponentType
    from kfs.manager.objects.tree import Obj

PREDICTOR = {"sklearn": {**defaulted(), "storageUri": MODEL}}
TRANSFORMER = {"containers": [{"image": "t"}]}
EXPLAINER = {"alibi": {"type": "AnchorText"}}
EXTRA: list[ComponentType] = ["transformer", "explainer"]
TRANSFORMER_TYPES = {"TransformerReady", "TransformerRouteReady", "TransformerConfigurationeReady"}
EXPLAINER_TYPES = {"ExplainerReady", "ExplainerRoutesReady", "ExplainerConfigurationReady"}


def whole(**fields: Any) -> Obj:
    spec = {"predictor": PREDICTOR, "transformer": TRANSFORMER, "explainer": EXPLAINER}
    return isvc(spec={k: v for k, v in {**clone(spec), **fields}.items() if v is not None})


def test_all_three_become_ready_and_are_routed_to() -> None:
    world = ready_world(whole())
    assert world.backends() == ["explainer", "transformer"]
    assert world.isvc["status"]["url"] == "http://m.ns.example.com"
    assert set(world.isvc["status"]["components"]) == {"predictor", "transformer", "explainer"}
    assert world.conditions()["Ready"] == ("True", "")
    assert world.one_pass()[1] == []


def test_routes_wait_for_every_component_and_say_for_which() -> None:
    world = World(whole())
    world.one_pass()
    world.play("transformer")
    world.one_pass()
    assert world.conditions()["IngressReady"] == ("False", "Predictor ingress not created")
    world.play("predictor")
    world.play("transformer", ready="False", reason="Oom")
    world.one_pass()
    assert world.conditions()["IngressReady"] == ("False", "Transformer ingress not created")
    world.play("transformer")
    world.one_pass()
    assert world.conditions()["IngressReady"] == ("False", "Explainer ingress not created")
    assert ROUTES not in world.children
    world.play("explainer")
    world.one_pass()
    assert ROUTES in world.children


@pytest.mark.parametrize(
    ("removed", "types", "backends"),
    [("transformer", TRANSFORMER_TYPES, ["explainer", "predictor"]), ("explainer", EXPLAINER_TYPES, ["transformer"])],
)
def test_a_removed_component_goes_once_the_routes_have_moved(removed: Any, types: set[str], backends: Any) -> None:
    """Fails on the original, which leaves Knative Service and conditions behind (difference 4)."""
    world = ready_world(whole())
    assert types <= world.conditions().keys()
    del world.isvc["spec"][removed]
    planned, written = world.one_pass()
    assert written == ["virtualservices.networking.istio.io", "status", f"-m-{removed}-default"]
    assert [service["metadata"]["name"] for service in planned.removals] == [f"m-{removed}-default"]
    assert world.backends() == backends
    assert not types & world.conditions().keys()
    assert removed not in world.isvc["status"]["components"]
    assert world.conditions()["Ready"] == ("True", "")
    assert world.one_pass()[1] == []


def test_it_stays_while_the_routes_still_point_to_it() -> None:
    world = ready_world(whole())
    world.play("predictor", ready="False", reason="Oom")
    del world.isvc["spec"]["transformer"]
    planned, written = world.one_pass()
    assert planned.removals == ()
    assert written == ["status"]
    assert world.backends() == ["explainer", "transformer"]
    assert world.conditions().keys() >= TRANSFORMER_TYPES
    assert world.one_pass()[1] == []
    world.play("predictor")
    assert world.one_pass()[1] == ["virtualservices.networking.istio.io", "status", "-m-transformer-default"]
    assert not TRANSFORMER_TYPES & world.conditions().keys()


def test_it_goes_at_once_when_there_never_were_routes() -> None:
    world = World(whole())
    world.one_pass()
    del world.isvc["spec"]["explainer"]
    assert world.one_pass()[1] == ["-m-explainer-default"]


@pytest.mark.parametrize("change", [{"ownerReferences": []}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_what_is_not_ours_or_is_going_is_not_deleted(change: Any) -> None:
    world = ready_world(whole())
    del world.isvc["spec"]["transformer"]
    world.children[knative_key("transformer")]["metadata"] |= change
    planned, _ = world.one_pass()
    assert planned.removals == ()
    assert not TRANSFORMER_TYPES & world.conditions().keys()
    assert world.one_pass()[1] == []


def test_the_word_of_somebody_elses_service_does_not_count() -> None:
    world = World(isvc())
    world.one_pass()
    world.children[PREDICTOR_SERVICE]["metadata"]["ownerReferences"][0]["uid"] = "u-2"
    world.play()
    world.one_pass()
    assert "conditions" not in world.isvc["status"]


def test_one_component_that_cannot_be_planned_does_not_hold_up_the_others() -> None:
    """Fails on the original, which stops and writes no status (difference 8)."""
    world = World(whole(explainer={"alibi": {}, "aix": {}}))
    planned, _ = world.one_pass()
    assert [child.desired["metadata"]["name"] for child in planned.children] == [
        "m-predictor-default",
        "m-transformer-default",
    ]
    world.play("predictor")
    world.play("transformer")
    world.one_pass()
    assert world.conditions()["ExplainerReady"] == ("False", "InvalidSpec")
    assert world.conditions()["Ready"] == ("False", "Explainer ingress not created")
    assert world.one_pass()[1] == []


def test_pod_fields_and_further_containers_run_beside_a_custom_container() -> None:
    spec = {"containers": [{"image": "a"}, {"name": "b", "image": "b"}], "serviceAccountName": "s", "volumes": [{}]}
    planned, _ = World(isvc(spec={"predictor": spec})).one_pass()
    pod = planned.children[0].desired["spec"]["template"]["spec"]
    assert [c["image"] for c in pod["containers"]] == ["a", "b"]
    assert (pod["serviceAccountName"], pod["volumes"]) == ("s", [{}])


def test_as_in_the_original_an_explainer_beside_its_server_has_no_pod_fields() -> None:
    planned, _ = World(whole(explainer={**EXPLAINER, "serviceAccountName": "s"})).one_pass()
    (explainer,) = [c.desired for c in planned.children if c.desired["metadata"]["name"] == "m-explainer-default"]
    assert "serviceAccountName" not in explainer["spec"]["template"]["spec"]
    planned, _ = World(whole(explainer={"containers": [{"image": "e"}], "serviceAccountName": "s"})).one_pass()
    explainer = planned.children[2].desired
    assert explainer["spec"]["template"]["spec"]["serviceAccountName"] == "s"


@pytest.mark.parametrize("component", EXTRA)
def test_only_predictors_log_and_batch(component: str) -> None:
    tree = whole(**{component: {"containers": [{"image": "i"}], "logger": {"mode": "all"}, "batcher": {}}})
    planned, _ = World(tree).one_pass()
    for child in planned.children:
        assert child.kind == KNATIVE_SERVICE
        annotations = child.desired["spec"]["template"]["metadata"]["annotations"]
        assert not any("logger" in key or "batcher" in key for key in annotations)


def test_a_server_of_many_models_gets_an_agent() -> None:
    planned, _ = World(isvc({**defaulted(), "protocolVersion": "v2"})).one_pass()
    (service,) = [child.desired for child in planned.children if child.kind == KNATIVE_SERVICE]
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    found = {key.removeprefix("internal.serving.kubeflow.org/"): value for key, value in annotations.items()}
    assert (
        found
        | {
            "agent": "true",
            "configVolumeName": "modelconfig-m-0",
            "configMountPath": "/mnt/configs",
            "modelDir": "/mnt/models",
        }
        == found
    )
