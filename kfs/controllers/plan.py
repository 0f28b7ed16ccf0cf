"""One pass over an InferenceService: from what is there to what must be there, and its status.

Pure: the reconciler reads what `plan` needs, writes the children in order, then the status.

Upstream: kserve/kserve v0.5.1 `pkg/controller/v1beta1/inferenceservice/controller.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from kfs.api.component import COMPONENTS, Component, parse_component
from kfs.api.constants import COMPONENT_LABEL, KNATIVE_SERVICE, PREDICTOR, VIRTUAL_SERVICE, ComponentType
from kfs.api.frameworks import protocol
from kfs.api.inferenceservice import framework_of
from kfs.api.names import predict_path, service_host
from kfs.api.status import (
    COMPONENT_READY,
    CONDITIONS,
    INGRESS_READY,
    keep_times,
    mark_ingress,
    propagate,
    read_status,
)
from kfs.api.v1beta1 import Address, FrameworkSpec, InferenceServiceStatus
from kfs.controllers.ingress import (
    entry_url,
    external_service,
    merge_external_service,
    merge_virtual_service,
    virtual_service,
)
from kfs.controllers.knative import knative_service, merge_knative_service, passed_down_last_time
from kfs.manager.objects.child import Child
from kfs.manager.objects.conditions import FALSE, TRUE, is_true
from kfs.manager.objects.kinds import SERVICE
from kfs.manager.objects.tree import generation, labels, mapping, name, namespace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kfs.api.config import Config
    from kfs.manager.objects.tree import Frozen


@dataclass(frozen=True)
class Observed:
    """What there is: the Knative Services of the components, those that exist."""

    knative: Mapping[ComponentType, Frozen] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """`children` in the order in which to write them, and the status to write after them."""

    children: tuple[Child, ...]
    status: InferenceServiceStatus


def plan(isvc: Frozen, config: Config, observed: Observed, now: datetime) -> Plan:
    """What to do about an InferenceService.

    Raises:
        ValidationError: it breaks a rule that the validating webhook would have refused.
        ConfigError: a section of the configuration that it needs is bad or missing.
    """
    before = read_status(isvc)
    status = msgspec.structs.replace(before, observed_generation=generation(isvc))
    children: list[Child] = []
    path = ""
    for type_ in COMPONENTS:
        component = parse_component(isvc, type_)
        if component is None:
            continue
        service = knative_service(isvc, component, config)
        children.append(Child(KNATIVE_SERVICE, service, partial(merge_knative_service, desired=service)))
        status = propagate(status, type_, mapping(observed.knative.get(type_, {}), "status"), now)
        if type_ == PREDICTOR:
            path = _path(isvc, component, config)
    routes, status = _ingress(isvc, config, observed, status, path, now)
    children += routes
    conditions = keep_times(before.conditions, status.conditions)
    return Plan(tuple(children), msgspec.structs.replace(status, conditions=conditions))


def _ingress(
    isvc: Frozen, config: Config, observed: Observed, status: InferenceServiceStatus, path: str, now: datetime
) -> tuple[list[Child], InferenceServiceStatus]:
    """The routes, once there is somewhere to go. Those that exist stay while the predictor is unready."""
    url = entry_url(status)
    if not url:
        return [], status
    if not is_true(status.conditions, COMPONENT_READY[PREDICTOR]):
        return [], mark_ingress(status, FALSE, now, reason="Predictor ingress not created")
    service = external_service(isvc, config.ingress)
    routes = virtual_service(isvc, url, config.ingress)
    formerly = passed_down_last_time(observed.knative.get(PREDICTOR, {}))
    children = [
        Child(SERVICE, service, partial(merge_external_service, desired=service)),
        Child(VIRTUAL_SERVICE, routes, partial(merge_virtual_service, desired=routes, formerly=formerly)),
    ]
    address = Address(url=f"http://{service_host(name(isvc), namespace(isvc))}{path}")
    return children, mark_ingress(msgspec.structs.replace(status, url=url, address=address), TRUE, now)


def _path(isvc: Frozen, predictor: Component, config: Config) -> str:
    """Where the model answers; empty when there are many, each with a path of its own."""
    framework, spec = framework_of(predictor), predictor.implementation().spec
    if framework is None or not isinstance(spec, FrameworkSpec) or framework.is_multi_model(spec, config):
        return ""
    return predict_path(name(isvc), protocol(spec))


def after_failure(
    isvc: Frozen, planned: Plan, child: Child, reason: str, message: str, now: datetime
) -> InferenceServiceStatus:
    """The status to write when a child could not be written: the condition that it stands behind is False.

    Differs: the original writes no status then, so that nobody learns why (difference 8).
    """
    conditions = planned.status.conditions
    type_ = INGRESS_READY
    if child.kind == KNATIVE_SERVICE:
        component = labels(child.desired).get(COMPONENT_LABEL, PREDICTOR)
        type_ = next(ready for of, ready in COMPONENT_READY.items() if of == component)
    marked = CONDITIONS.mark(conditions, type_, FALSE, now, reason=reason, message=message)
    # A failure that repeats writes nothing: the times are kept.
    kept = keep_times(read_status(isvc).conditions, marked)
    return msgspec.structs.replace(planned.status, conditions=kept)
