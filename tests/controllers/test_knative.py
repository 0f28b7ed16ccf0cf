"""The Knative Service of a component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.component import parse_component
from kfs.controllers.knative import knative_service, merge_knative_service
from kfs.manager.errors import ValidationError
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.tree import clone
from tests.samples import MODEL, config, defaulted, isvc, knative_status

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

SERVER = {**defaulted(), "storageUri": MODEL}


def build(tree: Frozen) -> Obj:
    component = parse_component(tree, "predictor")
    assert component is not None
    return knative_service(tree, component, config())


def predictor(**fields: Any) -> Obj:
    return isvc(spec={"predictor": {"sklearn": SERVER, **fields}})


def test_the_whole_service() -> None:
    labels = {"serving.kubeflow.org/inferenceservice": "m", "component": "predictor"}
    assert build(isvc()) == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": "m-predictor-default",
            "namespace": "ns",
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "serving.kubeflow.org/v1beta1",
                    "kind": "InferenceService",
                    "name": "m",
                    "uid": "u-1",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
                        "autoscaling.knative.dev/minScale": "1",
                        "internal.serving.kubeflow.org/storage-initializer-sourceuri": MODEL,
                    },
                },
                "spec": {
                    "containerConcurrency": 0,
                    "timeoutSeconds": 300,
                    "containers": [
                        {
                            "name": "kfserving-container",
                            "image": "sklearnserver:0.5",
                            "args": ["--model_name=m", "--model_dir=/mnt/models", "--http_port=8080"],
                            "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
                            "resources": defaulted()["resources"],
                        }
                    ],
                },
            },
            "traffic": [{"latestRevision": True, "percent": 100}],
        },
    }


@pytest.mark.parametrize(
    ("fields", "annotations"),
    [
        ({"minReplicas": 0}, {"autoscaling.knative.dev/minScale": "0"}),
        (
            {"minReplicas": 2, "maxReplicas": 5},
            {"autoscaling.knative.dev/minScale": "2", "autoscaling.knative.dev/maxScale": "5"},
        ),
        (
            {"logger": {"mode": "all", "url": "http://s"}},
            {
                "internal.serving.kubeflow.org/logger": "true",
                "internal.serving.kubeflow.org/logger-mode": "all",
                "internal.serving.kubeflow.org/logger-sink-url": "http://s",
            },
        ),
        (
            {"batcher": {"maxBatchSize": 3, "maxLatency": 40, "timeout": 5}},
            {
                "internal.serving.kubeflow.org/batcher": "true",
                "internal.serving.kubeflow.org/batcher-max-batchsize": "3",
                "internal.serving.kubeflow.org/batcher-max-latency": "40",
                "internal.serving.kubeflow.org/batcher-timeout": "5",
            },
        ),
    ],
)
def test_extension_fields_become_annotations(fields: Any, annotations: dict[str, str]) -> None:
    plain = build(isvc())["spec"]["template"]["metadata"]["annotations"]
    assert build(predictor(**fields))["spec"]["template"]["metadata"]["annotations"] == {
        **plain,
        **annotations,
    }


def test_logged_requests_pass_the_agent() -> None:
    (container,) = build(predictor(logger={"mode": "all"}))["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 9081}]


def test_pod_fields_concurrency_and_timeout_go_into_the_revision() -> None:
    revision = build(predictor(containerConcurrency=4, timeout=7, serviceAccountName="sa", volumes=[{"name": "v"}]))
    spec = revision["spec"]["template"]["spec"]
    assert (spec["containerConcurrency"], spec["timeoutSeconds"]) == (4, 7)
    assert (spec["serviceAccountName"], spec["volumes"]) == ("sa", [{"name": "v"}])
    assert "sklearn" not in spec


@pytest.mark.parametrize(
    ("probe", "filled"),
    [
        (
            {"httpGet": {"path": "/r", "port": 8080}},
            {"httpGet": {"path": "/r", "port": 8080}, "successThreshold": 1},
        ),
        (
            {"exec": {"command": ["x"]}, "successThreshold": 3},
            {"exec": {"command": ["x"]}, "successThreshold": 3},
        ),
        ({"periodSeconds": 9}, {"periodSeconds": 9, "successThreshold": 1, "tcpSocket": {"port": 0}}),
    ],
)
def test_knatives_own_defaults_are_filled_in(probe: Any, filled: Any) -> None:
    mounts = [{"name": "v", "mountPath": "/v"}]
    tree = isvc({**SERVER, "readinessProbe": probe, "volumeMounts": mounts})
    (container,) = build(tree)["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"] == filled
    assert container["volumeMounts"] == [{"name": "v", "mountPath": "/v", "readOnly": True}]


def test_labels_and_annotations_are_passed_down_or_held_back() -> None:
    service = build(
        isvc(
            labels={"team": "a", "serving.knative.dev/visibility": "cluster-local"},
            annotations={
                "mine": "x",
                "autoscaling.knative.dev/class": "hpa",
                "autoscaling.knative.dev/minScale": "9",
                "autoscaling.knative.dev/maxScale": "9",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "serving.kubeflow.org/reconciler": "v1beta1",
                "internal.serving.kubeflow.org/conversion-data": "{}",
            },
        )
    )
    template = service["spec"]["template"]["metadata"]
    assert (
        service["metadata"]["labels"].items()
        >= {"team": "a", "serving.knative.dev/visibility": "cluster-local"}.items()
    )
    assert template["labels"] == {
        "team": "a",
        "serving.kubeflow.org/inferenceservice": "m",
        "component": "predictor",
    }
    assert template["annotations"] == {
        "mine": "x",
        "autoscaling.knative.dev/class": "hpa",
        "autoscaling.knative.dev/minScale": "1",
        "internal.serving.kubeflow.org/storage-initializer-sourceuri": MODEL,
    }


def test_building_does_not_touch_the_inference_service() -> None:
    tree = isvc({**SERVER, "volumeMounts": [{"name": "v", "mountPath": "/v"}], "args": ["--x"]})
    before = clone(tree)
    build(tree)
    assert tree == before


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(ValidationError, match="Exactly one of"):
        build(isvc(spec={}))


def stored(desired: Frozen) -> Obj:
    """`desired` as a server gives it back, with what others added."""
    found = clone(desired)
    found["metadata"] |= {"resourceVersion": "7", "annotations": {"serving.knative.dev/creator": "kfs"}}
    found["metadata"]["labels"]["extra"] = "1"
    found["spec"]["template"]["metadata"]["creationTimestamp"] = None
    return {**found, "status": knative_status()}


def test_merging_what_is_as_wanted_changes_nothing() -> None:
    desired = build(isvc(labels={"team": "a"}))
    observed = stored(desired)
    assert semantic_equal(merge_knative_service(observed, desired), observed)


def test_merging_repairs_ours_and_leaves_the_rest() -> None:
    """Fails on the original, which removes other people's labels (difference 24)."""
    observed = stored(build(isvc(labels={"team": "a", "old": "1", "serving.knative.dev/visibility": "cluster-local"})))
    observed["spec"]["template"]["spec"]["containerConcurrency"] = 77
    before = clone(observed)
    desired = build(isvc(labels={"team": "b"}))
    merged = merge_knative_service(observed, desired)
    assert observed == before
    assert merged["metadata"]["labels"] == {**desired["metadata"]["labels"], "extra": "1"}
    assert merged["metadata"]["annotations"] == {"serving.knative.dev/creator": "kfs"}
    assert merged["metadata"]["resourceVersion"] == "7"
    assert merged["spec"] == desired["spec"]
    assert merged["status"] == knative_status()
