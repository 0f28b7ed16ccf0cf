"""How requests reach an InferenceService: a Service with its name, and an Istio VirtualService.

Upstream: kserve/kserve v0.5.1
`pkg/controller/v1beta1/inferenceservice/reconcilers/ingress/ingress_reconciler.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kfs.api.constants import (
    CLUSTER_LOCAL,
    EXPLAINER,
    INFERENCE_SERVICE,
    PREDICTOR,
    TRANSFORMER,
    VIRTUAL_SERVICE,
    VISIBILITY_LABEL,
    ComponentType,
)
from kfs.api.names import EXPLAIN_PATTERN, default_service_name, host_pattern, public, service_host
from kfs.controllers.metadata import overlaid, passed_down
from kfs.manager.objects.kinds import SERVICE
from kfs.manager.objects.tree import clone, labels, mapping, name, namespace, owner_reference

if TYPE_CHECKING:
    from collections.abc import Collection

    from kfs.api.config import Ingress
    from kfs.api.v1beta1 import InferenceServiceStatus
    from kfs.manager.objects.tree import Frozen, Obj

_HTTP_PORT = 80


def entry_of(components: Collection[ComponentType]) -> ComponentType:
    """The component that answers for an InferenceService: its transformer if it has one, else its predictor."""
    return TRANSFORMER if TRANSFORMER in components else PREDICTOR


def entry_url(status: InferenceServiceStatus, components: Collection[ComponentType]) -> str:
    """The public URL of an InferenceService; empty while the component that answers for it has none."""
    entry = entry_of(components)
    component = status.components.get(entry)
    return public(component.url, entry) if component is not None else ""


def external_service(isvc: Frozen, ingress: Ingress) -> Obj:
    """The Service with the InferenceService's name; an alias of the cluster-local gateway."""
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": name(isvc),
            "namespace": namespace(isvc),
            "ownerReferences": [owner_reference(isvc, INFERENCE_SERVICE)],
        },
        "spec": {
            "type": "ExternalName",
            "externalName": ingress.local_gateway_service,
            "sessionAffinity": "None",
        },
    }


def merge_external_service(observed: Frozen, desired: Frozen) -> Obj:
    """`observed` with `desired`'s spec; its labels and annotations are not ours."""
    return {**clone(observed), "spec": clone(mapping(desired, "spec"))}


def virtual_service(isvc: Frozen, url: str, ingress: Ingress, components: Collection[ComponentType]) -> Obj:
    """The routes of an InferenceService: explanations to its explainer, the rest to the component that answers.

    `url` is the InferenceService's public URL. One that is cluster-local, by label or by its URL, is
    not reachable from outside.
    """
    internal_host = service_host(name(isvc), namespace(isvc))
    host = urlsplit(url).netloc
    internal = labels(isvc).get(VISIBILITY_LABEL) == CLUSTER_LOCAL or host == internal_host
    ways = [(internal_host, ingress.local_gateway)]
    if not internal:
        ways.append((host, ingress.ingress_gateway))
    metadata: dict[str, Any] = {
        "name": name(isvc),
        "namespace": namespace(isvc),
        "labels": dict(labels(isvc)),
        "annotations": passed_down(isvc),
        "ownerReferences": [owner_reference(isvc, INFERENCE_SERVICE)],
    }
    return {
        "apiVersion": VIRTUAL_SERVICE.api_version,
        "kind": VIRTUAL_SERVICE.kind,
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": {
            "hosts": [way for way, _ in ways],
            "gateways": [gateway for _, gateway in ways],
            "http": [
                *([_route(isvc, ways, ingress, EXPLAINER, EXPLAIN_PATTERN)] if EXPLAINER in components else []),
                _route(isvc, ways, ingress, entry_of(components)),
            ],
        },
    }


def merge_virtual_service(observed: Frozen, desired: Frozen, formerly: Frozen) -> Obj:
    """`observed` with `desired`'s spec, labels and annotations.

    `formerly` holds the labels and annotations that we gave it last time, so that those which are
    wanted no more can go.
    """
    metadata = overlaid(mapping(observed, "metadata"), mapping(desired, "metadata"), formerly)
    return {**clone(observed), "metadata": metadata, "spec": clone(mapping(desired, "spec"))}


def _route(isvc: Frozen, ways: list[tuple[str, str]], ingress: Ingress, to: ComponentType, path: str = "") -> Obj:
    """Requests to any of `ways`, whose path matches if one is given, go to a component."""
    only = {"uri": {"regex": path}} if path else {}
    backend = service_host(default_service_name(name(isvc), to), namespace(isvc))
    return {
        "match": [
            {**only, "authority": {"regex": host_pattern(host)}, "gateways": [gateway]} for host, gateway in ways
        ],
        "route": [
            {
                "destination": {"host": ingress.local_gateway_service, "port": {"number": _HTTP_PORT}},
                # The gateway finds the Knative Service by host.
                "headers": {"request": {"set": {"Host": backend}}},
                "weight": 100,
            }
        ],
    }
