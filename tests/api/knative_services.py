"""Knative Services as kfs sends them, by name: what `hack/record-knative-defaults` has Knative's defaulting look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kfs.api.knative_defaults import revision_defaults, with_filled_in
from kfs.manager.objects.tree import clone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfs.manager.objects.tree import Frozen, Obj

_SERVER: Final[Mapping[str, Any]] = {"name": "kfserving-container", "image": "server:1"}
_HTTP: Final = {"httpGet": {"path": "/ready", "port": 8080}}
_RESOURCES: Final = {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "0.5", "memory": "2048Mi"}}


def _one(**container: Any) -> Obj:
    return {"containers": [{**_SERVER, **container}]}


REVISIONS: Final[Mapping[str, Obj]] = {
    "plain": _one(),
    "resources": _one(resources=_RESOURCES),
    "ephemeral-storage": _one(resources={"requests": {"ephemeral-storage": "1G"}}),
    "arguments": _one(args=["--model_name=m"], command=["serve"], env=[{"name": "A", "value": "1"}]),
    "timeout": {**_one(), "timeoutSeconds": 7, "containerConcurrency": 3},
    "zero-timeout": {**_one(), "timeoutSeconds": 0, "containerConcurrency": 0},
    "port": _one(ports=[{"containerPort": 9000}]),
    "named-port": _one(ports=[{"containerPort": 9000, "name": "h2c", "protocol": "TCP"}]),
    "low-port": _one(ports=[{"containerPort": 80}]),
    "http-probe": _one(readinessProbe=_HTTP, livenessProbe=_HTTP),
    "bare-probe": _one(readinessProbe={"initialDelaySeconds": 5}),
    "timed-probe": _one(readinessProbe={**_HTTP, "periodSeconds": 5}, livenessProbe={**_HTTP, "periodSeconds": 5}),
    "odd-probe": _one(readinessProbe={"exec": {"command": ["x"]}, "periodSeconds": 5, "failureThreshold": 9}),
    "startup-probe": _one(startupProbe={**_HTTP, "periodSeconds": 1}),
    "grpc-probe": _one(readinessProbe={"grpc": {"port": 9000}}),
    "mounts": {
        **_one(volumeMounts=[{"name": v, "mountPath": f"/{v}"} for v in ("secret", "scratch", "claim")]),
        "volumes": [
            {"name": "secret", "secret": {"secretName": "s"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
        ],
    },
    "sidecar": {
        "containers": [
            {**_SERVER, "ports": [{"containerPort": 8080}]},
            {"name": "side", "image": "side:1", "readinessProbe": _HTTP},
            {"name": "quiet", "image": "quiet:1"},
        ]
    },
    "init": {**_one(), "initContainers": [{"name": "first", "image": "first:1"}]},
    "pod-fields": {
        **_one(),
        "serviceAccountName": "sa",
        "imagePullSecrets": [{"name": "p"}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "enableServiceLinks": True,
    },
    "no-service-links": {**_one(), "enableServiceLinks": False},
    "security": _one(securityContext={"runAsUser": 1000, "capabilities": {"drop": ["NET_RAW"]}}),
    "pod-security": {**_one(), "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}}},
}
TRAFFIC: Final[Mapping[str, list[Obj]]] = {
    "canary": [
        {"latestRevision": True, "percent": 20},
        {"latestRevision": False, "percent": 80, "revisionName": "m-00001", "tag": "prev"},
    ],
    "none-yet": [
        {"latestRevision": True, "percent": 0},
        {"latestRevision": False, "percent": 100, "revisionName": "m-00001", "tag": "prev"},
    ],
}
# What an operator of Knative may switch on: data of its ConfigMaps `config-defaults` and `config-features`.
OPERATORS: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "as-installed": {},
    "timeouts": {
        "defaults": {
            "revision-idle-timeout-seconds": "60",
            "revision-response-start-timeout-seconds": "200",
        }
    },
    "secure-pods": {"features": {"secure-pod-defaults": "enabled"}},
}


def services() -> dict[str, Obj]:
    """Each Service, by name."""
    found = {name: _service(revision) for name, revision in REVISIONS.items()}
    return found | {name: _service(_one(), traffic) for name, traffic in TRAFFIC.items()}


def edited(service: Frozen) -> Obj:
    """The Service after its owner asked for another image."""
    found = clone(service)
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "server:2"
    return found


def merged(stored: Frozen, service: Frozen) -> Obj:
    """`stored` with the template and the traffic of `service`: what kfs would send, were they to differ."""
    found = clone(stored)
    found["spec"] |= with_filled_in(service["spec"], stored["spec"])
    return found


def _service(revision: Frozen, traffic: list[Obj] | None = None) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "m", "namespace": "ns", "labels": {"component": "predictor"}},
        "spec": {
            "template": {
                "metadata": {"labels": {"component": "predictor"}, "annotations": {"a": "b"}},
                "spec": revision_defaults(revision),
            },
            "traffic": traffic or [{"latestRevision": True, "percent": 100}],
        },
    }
