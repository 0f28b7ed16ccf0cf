"""One InferenceService, from a user's create to its deletion, on a real API server."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client.exceptions import ApiException

from kfs.api.constants import KNATIVE_SERVICE, VIRTUAL_SERVICE
from tests.e2e.user import User, eventually, sklearn

if TYPE_CHECKING:
    from tests.e2e.stack import ManagerProcess

pytestmark = pytest.mark.usefixtures("manager", "dataplane")


def test_becomes_ready_and_says_so(user: User) -> None:
    user.create(sklearn())
    user.wait_ready("iris")
    isvc = user.get("iris")
    assert isvc is not None
    assert isvc["status"]["url"] == f"http://iris.{user.namespace}.example.com"
    assert isvc["metadata"]["finalizers"] == ["inferenceservice.finalizers"]
    assert isvc["spec"]["predictor"]["sklearn"]["runtimeVersion"] == "latest"
    eventually(
        lambda: "Normal InferenceServiceReady: InferenceService [iris] is Ready" in user.events("iris"),
        "the Ready event",
    )


def test_children_belong_to_it(user: User) -> None:
    created = user.create(sklearn())
    user.wait_ready("iris")
    service = user.service("iris")
    assert service["spec"]["type"] == "ExternalName"
    owners = [
        (user.get("iris-predictor-default", KNATIVE_SERVICE) or {})["metadata"]["ownerReferences"],
        (user.get("iris", VIRTUAL_SERVICE) or {})["metadata"]["ownerReferences"],
    ]
    assert all(refs[0]["uid"] == created["metadata"]["uid"] and refs[0]["controller"] for refs in owners)
    assert service["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]


def test_a_deletion_ends(user: User) -> None:
    user.create(sklearn())
    user.wait_ready("iris")
    user.delete("iris")
    eventually(lambda: user.get("iris") is None, "iris is gone")


def test_an_edit_reaches_the_knative_service(user: User) -> None:
    user.create(sklearn())
    user.wait_ready("iris")
    user.patch("iris", {"spec": {"predictor": {"minReplicas": 0, "maxReplicas": 3}}})

    def scales() -> bool:
        template = (user.get("iris-predictor-default", KNATIVE_SERVICE) or {})["spec"]["template"]
        annotations = template["metadata"]["annotations"]
        return (
            annotations["autoscaling.knative.dev/minScale"],
            annotations.get("autoscaling.knative.dev/maxScale"),
        ) == ("0", "3")

    eventually(scales, "the new scale bounds")


def test_children_that_are_deleted_or_edited_come_back(user: User) -> None:
    user.create(sklearn())
    user.wait_ready("iris")
    before = user.specs("iris")
    user.delete("iris", VIRTUAL_SERVICE)
    user.core.delete_namespaced_service("iris", user.namespace)
    user.patch(
        "iris-predictor-default",
        {"spec": {"template": {"spec": {"containerConcurrency": 77}}}},
        KNATIVE_SERVICE,
    )
    eventually(lambda: user.specs("iris") == before, "the specs before")


REFUSED = {
    "name": ({"metadata": {"name": "my.model"}}, 'The InferenceService "my.model" is invalid'),
    "uri": (
        {"spec": {"predictor": {"sklearn": {"storageUri": "ftp://x/y"}}}},
        "StorageUri [ftp://x/y] is not supported",
    ),
    "replicas": (
        {"spec": {"predictor": {"sklearn": {}, "minReplicas": -1}}},
        "MinReplicas cannot be less than 0",
    ),
    "canary": ({"spec": {"predictor": {"sklearn": {}, "canaryTrafficPercent": 120}}}, "canaryTrafficPercent"),
    "nothing": ({"spec": {}}, "Exactly one of"),
    "type": ({"spec": {"predictor": {"sklearn": {}, "minReplicas": "two"}}}, "minReplicas"),
}


@pytest.mark.parametrize(("edit", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_with_a_reason(user: User, edit: dict[str, dict[str, str]], says: str) -> None:
    with pytest.raises(ApiException) as refusal:
        user.create({**sklearn(), **edit})
    assert says in json.loads(refusal.value.body or "{}")["message"]


def test_a_pod_gets_its_model_by_an_init_container(user: User) -> None:
    pod: Any = {
        "metadata": {
            "name": "p",
            "labels": {"serving.kubeflow.org/inferenceservice": "iris"},
            "annotations": {"internal.serving.kubeflow.org/storage-initializer-sourceuri": "gs://models/iris"},
        },
        "spec": {"containers": [{"name": "kfserving-container", "image": "server"}]},
    }
    created = user.api.sanitize_for_serialization(user.core.create_namespaced_pod(user.namespace, pod))
    [init] = created["spec"]["initContainers"]
    assert (init["name"], init["args"]) == ("storage-initializer", ["gs://models/iris", "/mnt/models"])


def test_settled_objects_cost_nothing(user: User, manager: ManagerProcess) -> None:
    for i in range(3):
        user.create(sklearn(f"iris-{i}"))
    for i in range(3):
        user.wait_ready(f"iris-{i}")
    eventually(lambda: all(user.events(f"iris-{i}") for i in range(3)), "the events")
    manager.stop()
    manager.start()

    def reconciled() -> bool:
        done = manager.metrics("controller_runtime_reconcile_total")
        return done.get('controller="inferenceservice",result="success"', 0) >= 3

    eventually(reconciled, "all were looked at")
    assert manager.writes() == 0
    errors = manager.metrics("controller_runtime_reconcile_errors_total")
    assert sum(errors.values()) == 0


def test_it_answers_probes_and_shows_metrics(manager: ManagerProcess) -> None:
    assert "readyz check passed" in manager.probe("/readyz?verbose")
    assert manager.probe("/healthz")
    assert manager.metrics("process_resident_memory_bytes")
    assert manager.metrics("controller_runtime_max_concurrent_reconciles")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_ends_it_cleanly(manager: ManagerProcess, number: signal.Signals) -> None:
    manager.signal(number)
    assert manager.wait(30) == 0
    assert manager.tail().rstrip().endswith("stopped")
    manager.start()
