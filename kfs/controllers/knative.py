"""The Knative Service behind one component.

Upstream: kserve/kserve v0.5.1
`pkg/controller/v1beta1/inferenceservice/{components/predictor.go,reconcilers/knative/ksvc_reconciler.go}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.api.constants import (
    AGENT_PORT,
    BATCHER_ANNOTATION,
    BATCHER_MAX_LATENCY_ANNOTATION,
    BATCHER_MAX_SIZE_ANNOTATION,
    BATCHER_TIMEOUT_ANNOTATION,
    COMPONENT_LABEL,
    DEFAULT_MIN_REPLICAS,
    DEFAULT_SCALING_CLASS,
    HELD_BACK_TEMPLATE_LABELS,
    INFERENCE_SERVICE,
    INFERENCE_SERVICE_LABEL,
    KNATIVE_SERVICE,
    LOGGER_ANNOTATION,
    LOGGER_MODE_ANNOTATION,
    LOGGER_URL_ANNOTATION,
    MAX_SCALE_ANNOTATION,
    MIN_SCALE_ANNOTATION,
    SCALING_CLASS_ANNOTATION,
    STORAGE_URI_ANNOTATION,
)
from kfs.api.frameworks import Model
from kfs.api.inferenceservice import framework_of
from kfs.api.knative_defaults import revision_defaults, with_filled_in
from kfs.api.names import default_service_name
from kfs.api.v1beta1 import ComponentExtension, FrameworkSpec
from kfs.controllers.metadata import overlaid, passed_down
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import clone, labels, mapping, name, namespace, owner_reference

if TYPE_CHECKING:
    from kfs.api.component import Component
    from kfs.api.config import Config
    from kfs.manager.objects.tree import Frozen, Obj


def knative_service(isvc: Frozen, component: Component, config: Config) -> Obj:
    """The Knative Service that runs a component, with Knative's own defaults filled in.

    Raises:
        ValidationError: the component has not exactly one implementation, or one without support.
        ConfigError: the configuration does not say how to run it.
    """
    own = {INFERENCE_SERVICE_LABEL: name(isvc), COMPONENT_LABEL: component.type}
    all_labels = {**labels(isvc), **own}
    extension = component.extension
    revision = {
        **component.pod,
        "containers": [_container(isvc, component, config)],
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
                    "annotations": _template_annotations(isvc, component),
                },
                "spec": revision_defaults(revision),
            },
            "traffic": [{"latestRevision": True, "percent": 100}],
        },
    }


def merge_knative_service(observed: Frozen, desired: Frozen) -> Obj:
    """`observed` with the sections that are ours as `desired` has them: template, traffic, labels."""
    formerly = {"labels": passed_down_last_time(observed)["labels"]}
    merged = clone(observed)
    merged["metadata"] = overlaid(mapping(observed, "metadata"), mapping(desired, "metadata"), formerly)
    merged["spec"] |= with_filled_in(mapping(desired, "spec"), mapping(observed, "spec"))
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


def _container(isvc: Frozen, component: Component, config: Config) -> Obj:
    implementation, framework = component.implementation(), framework_of(component)
    if framework is None or not isinstance(implementation.spec, FrameworkSpec):
        raise ValidationError(
            f"{implementation.at} is not supported by this version of kfs yet", field=implementation.at
        )
    extension = component.extension
    model = Model(
        name=name(isvc),
        spec=implementation.spec,
        container=clone(implementation.container),
        concurrency=extension.container_concurrency,
    )
    container = framework.container(model, config)
    # The agent, which logs and batches, stands before the server.
    if (extension.logger is not None or extension.batcher is not None) and not container.get("ports"):
        container["ports"] = [{"containerPort": AGENT_PORT}]
    return container


def _template_annotations(isvc: Frozen, component: Component) -> dict[str, str]:
    found = passed_down(isvc)
    uri = component.implementation().spec.storage_uri
    if uri is not None:
        found[STORAGE_URI_ANNOTATION] = uri
    found |= _sidecar_annotations(component.extension)
    replicas = component.extension.min_replicas
    found[MIN_SCALE_ANNOTATION] = str(DEFAULT_MIN_REPLICAS if replicas is None else replicas)
    if component.extension.max_replicas:
        found[MAX_SCALE_ANNOTATION] = str(component.extension.max_replicas)
    found.setdefault(SCALING_CLASS_ANNOTATION, DEFAULT_SCALING_CLASS)
    return found


def _sidecar_annotations(extension: ComponentExtension) -> dict[str, str]:
    """How the pod mutator learns what the agent is to do."""
    found: dict[str, Any] = {}
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
