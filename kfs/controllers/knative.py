"""The Knative Service behind one component.

Upstream: kserve/kserve v0.5.1
`pkg/controller/v1beta1/inferenceservice/{components/*.go,reconcilers/knative/ksvc_reconciler.go}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.api.component import CONTAINERS
from kfs.api.constants import (
    AGENT_ANNOTATION,
    AGENT_PORT,
    BATCHER_ANNOTATION,
    BATCHER_MAX_LATENCY_ANNOTATION,
    BATCHER_MAX_SIZE_ANNOTATION,
    BATCHER_TIMEOUT_ANNOTATION,
    COMPONENT_LABEL,
    DEFAULT_MIN_REPLICAS,
    DEFAULT_SCALING_CLASS,
    EXPLAINER,
    HELD_BACK_TEMPLATE_LABELS,
    INFERENCE_SERVICE,
    INFERENCE_SERVICE_LABEL,
    KNATIVE_SERVICE,
    LOGGER_ANNOTATION,
    LOGGER_MODE_ANNOTATION,
    LOGGER_URL_ANNOTATION,
    MAX_SCALE_ANNOTATION,
    MIN_SCALE_ANNOTATION,
    MODEL_CONFIG_NAME_ANNOTATION,
    MODEL_CONFIG_PATH,
    MODEL_CONFIG_PATH_ANNOTATION,
    MODEL_DIR_ANNOTATION,
    MODEL_MOUNT_PATH,
    PREDICTOR,
    SCALING_CLASS_ANNOTATION,
    STORAGE_URI_ANNOTATION,
)
from kfs.api.knative_defaults import revision_defaults, with_filled_in
from kfs.api.names import default_service_name, model_config_name
from kfs.api.servers import server_of
from kfs.controllers.canary import NO_CANARY, Rollout, all_to_latest
from kfs.controllers.metadata import overlaid, passed_down
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.tree import clone, labels, mapping, name, namespace, owner_reference, sequence

if TYPE_CHECKING:
    from kfs.api.component import Component
    from kfs.api.config import Config
    from kfs.api.servers import ModelServer
    from kfs.manager.objects.tree import Frozen, Obj


def knative_service(isvc: Frozen, component: Component, config: Config) -> Obj:
    """The Knative Service that runs a component, with Knative's own defaults filled in.

    Raises:
        ValidationError: the component has not exactly one implementation.
        ConfigError: the configuration does not say how to run it.
    """
    own = {INFERENCE_SERVICE_LABEL: name(isvc), COMPONENT_LABEL: component.type}
    all_labels = {**labels(isvc), **own}
    extension, server = component.extension, server_of(isvc, component)
    revision = {
        **_pod(component),
        "containers": [_container(component, server, config), *sequence(component.pod, CONTAINERS)[1:]],
        "timeoutSeconds": extension.timeout,
        "containerConcurrency": extension.container_concurrency,
    }
    return {
        "apiVersion": KNATIVE_SERVICE.api_version,
        "kind": KNATIVE_SERVICE.kind,
        "metadata": {
            "name": default_service_name(name(isvc), component.type),
            "namespace": namespace(isvc),
            "labels": all_labels,
            "ownerReferences": [owner_reference(isvc, INFERENCE_SERVICE)],
        },
        "spec": {
            "template": {
                "metadata": {
                    "labels": {k: v for k, v in all_labels.items() if k not in HELD_BACK_TEMPLATE_LABELS},
                    "annotations": _template_annotations(isvc, component, server, config),
                },
                "spec": revision_defaults(revision),
            },
            "traffic": all_to_latest(),
        },
    }


def merge_knative_service(observed: Frozen, desired: Frozen, rollout: Rollout = NO_CANARY) -> Obj:
    """`observed` with template and labels as `desired` has them, and the traffic that `rollout` asks for."""
    formerly = {"labels": passed_down_last_time(observed)["labels"]}
    merged = clone(observed)
    merged["metadata"] = overlaid(mapping(observed, "metadata"), mapping(desired, "metadata"), formerly)
    spec = mapping(observed, "spec")
    merged["spec"] = {**mapping(merged, "spec"), **with_filled_in(mapping(desired, "spec"), spec)}
    changes = not semantic_equal(mapping(merged, "spec", "template"), mapping(spec, "template"))
    merged["spec"]["traffic"] = rollout.traffic(observed, changes_template=changes)
    return merged


def passed_down_last_time(observed: Frozen) -> dict[str, Frozen]:
    """The labels and annotations that the InferenceService had when its Knative Service was written.

    The template records them: nobody but us writes there. Visibility is on no template and always ours.
    """
    template = mapping(observed, "spec", "template", "metadata")
    visibility = {k: v for k, v in labels(observed).items() if k in HELD_BACK_TEMPLATE_LABELS}
    return {
        "labels": {**mapping(template, "labels"), **visibility},
        "annotations": mapping(template, "annotations"),
    }


def _pod(component: Component) -> Frozen:
    """The pod fields beside the container. As in the original, only a custom explainer has any."""
    if component.type == EXPLAINER and component.implementation().field != CONTAINERS:
        return {}
    return component.pod


def _container(component: Component, server: ModelServer, config: Config) -> Obj:
    container = clone(server.container(config))
    # The agent, which logs and batches, stands before the server.
    if _sidecar_annotations(component) and not container.get("ports"):
        container["ports"] = [{"containerPort": AGENT_PORT}]
    return container


def _template_annotations(isvc: Frozen, component: Component, server: ModelServer, config: Config) -> dict[str, str]:
    found = passed_down(isvc)
    if server.storage_uri is not None:
        found[STORAGE_URI_ANNOTATION] = server.storage_uri
    found |= _sidecar_annotations(component)
    if component.type == PREDICTOR and server.is_multi_model(config):
        found |= {
            AGENT_ANNOTATION: "true",
            MODEL_CONFIG_NAME_ANNOTATION: model_config_name(name(isvc)),
            MODEL_CONFIG_PATH_ANNOTATION: MODEL_CONFIG_PATH,
            MODEL_DIR_ANNOTATION: MODEL_MOUNT_PATH,
        }
    replicas = component.extension.min_replicas
    found[MIN_SCALE_ANNOTATION] = str(DEFAULT_MIN_REPLICAS if replicas is None else replicas)
    if component.extension.max_replicas:
        found[MAX_SCALE_ANNOTATION] = str(component.extension.max_replicas)
    found.setdefault(SCALING_CLASS_ANNOTATION, DEFAULT_SCALING_CLASS)
    return found


def _sidecar_annotations(component: Component) -> dict[str, str]:
    """How the pod mutator learns what the agent of a predictor is to do; others have none."""
    found: dict[str, Any] = {}
    if component.type != PREDICTOR:
        return {}
    extension = component.extension
    if (logger := extension.logger) is not None:
        found |= {LOGGER_ANNOTATION: "true", LOGGER_MODE_ANNOTATION: logger.mode or ""}
        found[LOGGER_URL_ANNOTATION] = logger.url
    if (batcher := extension.batcher) is not None:
        found |= {
            BATCHER_ANNOTATION: "true",
            BATCHER_MAX_SIZE_ANNOTATION: batcher.max_batch_size,
            BATCHER_MAX_LATENCY_ANNOTATION: batcher.max_latency,
            BATCHER_TIMEOUT_ANNOTATION: batcher.timeout,
        }
    return {key: str(value) for key, value in found.items() if value is not None}
