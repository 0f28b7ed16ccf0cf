"""Objects that the tests of the KFServing parts start from; each call gives a fresh tree."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kfs.api.config import Config, parse_config

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "gs://models/m"

_SIDECAR = {"cpuRequest": "100m", "cpuLimit": "1", "memoryRequest": "100Mi", "memoryLimit": "1024Mi"}
_CONFIG: dict[str, Any] = {
    "predictors": {
        "sklearn": {
            "v1": {"image": "sklearnserver", "defaultImageVersion": "0.5", "multiModelServer": False},
            "v2": {"image": "mlserver", "defaultImageVersion": "0.2.1", "multiModelServer": True},
        },
        "xgboost": {
            "v1": {"image": "xgbserver", "defaultImageVersion": "0.6"},
            "v2": {"image": "mlserver", "defaultImageVersion": "0.2.1"},
        },
        "tensorflow": {
            "image": "tfserving",
            "defaultImageVersion": "1.14",
            "defaultGpuImageVersion": "1.14-gpu",
            "defaultTimeout": "60",
        },
        "pytorch": {
            "v1": {"image": "torch1", "defaultImageVersion": "1", "defaultGpuImageVersion": "1-gpu"},
            "v2": {"image": "torchserve", "defaultImageVersion": "0.3", "defaultGpuImageVersion": "0.3-gpu"},
        },
        "triton": {"image": "triton", "defaultImageVersion": "20.08", "multiModelServer": True},
        "onnx": {"image": "onnxruntime", "defaultImageVersion": "v1"},
        "pmml": {"image": "pmmlserver", "defaultImageVersion": "2"},
        "lightgbm": {"image": "lgbserver", "defaultImageVersion": "3"},
    },
    "explainers": {
        "alibi": {"image": "alibi", "defaultImageVersion": "0.5"},
        "aix": {"image": "aix", "defaultImageVersion": "0.1"},
        "art": {"image": "art", "defaultImageVersion": "0.2"},
    },
    "storageInitializer": {"image": "storage-initializer:1", **_SIDECAR},
    "ingress": {
        "ingressGateway": "knative-serving/gateway",
        "ingressService": "gateway.istio-system.svc.cluster.local",
        "localGateway": "knative-serving/local",
        "localGatewayService": "local.istio-system.svc.cluster.local",
    },
    "logger": {"image": "agent:1", "defaultUrl": "http://sink", **_SIDECAR},
    "batcher": {"image": "agent:1", **_SIDECAR},
    "agent": {"image": "agent:1", **_SIDECAR},
}


def config_data(**sections: Any) -> dict[str, str]:
    """The ConfigMap's `data`; a section given as None is left out, a string stands as it is."""
    merged = {**_CONFIG, **sections}
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in merged.items() if v is not None}


def config(**sections: Any) -> Config:
    """The configuration, with some sections replaced."""
    return parse_config(config_data(**sections))


def isvc(server: Any = None, *, spec: Any = None, status: Any = None, **metadata: Any) -> Obj:
    """An InferenceService `ns/m`: a defaulted sklearn predictor, or the `server` or `spec` given."""
    server = {**defaulted(), "storageUri": MODEL} if server is None else server
    found = {
        "apiVersion": "serving.kubeflow.org/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "m", "namespace": "ns", "uid": "u-1", "generation": 1, **metadata},
        "spec": {"predictor": {"sklearn": server}} if spec is None else spec,
    }
    return found if status is None else {**found, "status": status}


def defaulted() -> Obj:
    """What the defaulter puts into an empty sklearn predictor."""
    resources = {"cpu": "1", "memory": "2Gi"}
    return {
        "name": "kfserving-container",
        "protocolVersion": "v1",
        "runtimeVersion": "0.5",
        "resources": {"limits": dict(resources), "requests": dict(resources)},
    }


def knative_status(
    ready: str = "True",
    *,
    domain: str = "example.com",
    revision: int = 1,
    reason: str = "",
    message: str = "",
) -> Obj:
    """The status that Knative gives to `m-predictor-default`."""
    name = f"m-predictor-default-{revision:05d}"
    said = {"status": ready, "reason": reason, "message": message}
    status: Obj = {
        "conditions": [{"type": t, **said} for t in ("ConfigurationsReady", "Ready", "RoutesReady")],
        "latestCreatedRevisionName": name,
        "url": f"http://m-predictor-default.ns.{domain}",
        "address": {"url": "http://m-predictor-default.ns.svc.cluster.local"},
        "traffic": [{"latestRevision": True, "percent": 100, "revisionName": name}],
    }
    if ready == "True":
        status["latestReadyRevisionName"] = name
    return status


def pod(*, uri: str | None = MODEL, annotations: Any = None, **spec: Any) -> Obj:
    """A pod of an InferenceService, which asks for a model unless `uri` is None."""
    asked = {} if uri is None else {"internal.serving.kubeflow.org/storage-initializer-sourceuri": uri}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "labels": {"serving.kubeflow.org/inferenceservice": "m"},
            "annotations": {**asked, **(annotations or {})},
        },
        "spec": {"containers": [{"name": "kfserving-container", "image": "s:1"}], **spec},
    }
