"""One pass over an InferenceService: from what is there to what must be there, and its status.

Pure: the reconciler reads what `plan` needs, writes the children in order, then the status, and removes what is wanted
no more.

Upstream: kserve/kserve v0.5.1 `pkg/controller/v1beta1/inferenceservice/controller.go`.

Differs: a component that cannot be planned leaves a status that says so, and the others go on; the original stops
and writes no status (difference 8). Only Knative Services that are the InferenceService's own count as observed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from kfs.api.component import COMPONENTS, parse_component
from kfs.api.constants import COMPONENT_LABEL, KNATIVE_SERVICE, PREDICTOR, VIRTUAL_SERVICE, ComponentType
from kfs.api.modelconfig import config_map
from kfs.api.names import predict_path, service_host
from kfs.api.servers import server_of
from kfs.api.status import (
    COMPONENT_READY,
    forget_component,
    keep_times,
    mark_component,
    mark_ingress,
    propagate,
    read_status,
)
from kfs.api.v1beta1 import Address, ComponentStatus, InferenceServiceStatus
from kfs.controllers.canary import Rollout
from kfs.controllers.ingress import (
    entry_url,
    external_service,
    merge_external_service,
    merge_virtual_service,
    virtual_service,
)
from kfs.controllers.knative import knative_service, merge_knative_service, passed_down_last_time
from kfs.manager.errors import ConfigError, KfsError, ValidationError
from kfs.manager.objects.child import Child
from kfs.manager.objects.conditions import FALSE, TRUE, is_true
from kfs.manager.objects.kinds import CONFIG_MAP, SERVICE
from kfs.manager.objects.tree import (
    clone,
    controller_of,
    generation,
    is_deleting,
    labels,
    mapping,
    name,
    namespace,
    uid,
)

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
    """What to do, in this order.

    `children` must exist, `status` is to be written, `removals` (Knative Services of ours) must go once all children
    are written. `failure` is why some of it could not be planned; the status tells of it.
    """

    children: tuple[Child, ...]
    status: InferenceServiceStatus
    removals: tuple[Frozen, ...] = ()
    failure: KfsError | None = None


def plan(isvc: Frozen, config: Config, observed: Observed, now: datetime) -> Plan:
    """What to do about an InferenceService.

    Raises:
        ValidationError: the status that it carries is none.
    """
    return _Pass(isvc, config, observed, now).plan()


class _Pass:
    """The state of one call of `plan`."""

    def __init__(self, isvc: Frozen, config: Config, observed: Observed, now: datetime) -> None:
        self._isvc = isvc
        self._config = config
        self._now = now
        self._ours = {t: o for t, o in observed.knative.items() if _is_ours(isvc, o)}
        self._before = read_status(isvc)
        self._status = msgspec.structs.replace(self._before, observed_generation=generation(isvc))
        self._children: list[Child] = []
        self._removals: list[Frozen] = []
        self._failure: KfsError | None = None

    def plan(self) -> Plan:
        present = [type_ for type_ in COMPONENTS if self._component(type_)]
        routed = self._ingress(present)
        for type_ in COMPONENTS:
            if type_ not in present:
                self._remove(type_, routed=routed)
        conditions = keep_times(self._before.conditions, self._status.conditions)
        status = msgspec.structs.replace(self._status, conditions=conditions)
        return Plan(tuple(self._children), status, tuple(self._removals), self._failure)

    def _component(self, type_: ComponentType) -> bool:
        """Plan one component; whether the InferenceService has it."""
        try:
            component = parse_component(self._isvc, type_)
            if component is None:
                return False
            service = knative_service(self._isvc, component, self._config)
            said = mapping(self._ours.get(type_, {}), "status")
            self._status = propagate(self._status, type_, said, self._now)
        except (ValidationError, ConfigError) as error:
            self._failed(error)
            self._status = mark_component(self._status, type_, FALSE, self._now, _reason(error), str(error))
            return True
        revisions = self._status.components.get(type_, ComponentStatus())
        if type_ == PREDICTOR and server_of(self._isvc, component).is_multi_model(self._config):
            # Before the server that mounts it. What models it names is the TrainedModel controller's to say.
            self._children.append(Child(CONFIG_MAP, config_map(self._isvc, {}), clone))
        rollout = Rollout(component.extension.canary_traffic_percent, revisions)
        merge = partial(merge_knative_service, desired=service, rollout=rollout)
        self._children.append(Child(KNATIVE_SERVICE, service, merge))
        return True

    def _ingress(self, present: list[ComponentType]) -> bool:
        """Plan the routes, once there is somewhere to go; whether they are planned.

        Those that exist stay as they are while a component is not ready.
        """
        url = entry_url(self._status, present)
        if not url:
            return False
        for type_ in present:
            if not is_true(self._status.conditions, COMPONENT_READY[type_]):
                self._mark_ingress(FALSE, _not_created(type_))
                return False
        try:
            ingress = self._config.ingress
            address = Address(url=f"http://{service_host(name(self._isvc), namespace(self._isvc))}{self._path()}")
        except (ValidationError, ConfigError) as error:
            self._failed(error)
            self._mark_ingress(FALSE, _reason(error), str(error))
            return False
        service = external_service(self._isvc, ingress)
        routes = virtual_service(self._isvc, url, ingress, present)
        formerly = passed_down_last_time(self._ours.get(PREDICTOR, {}))
        self._children += [
            Child(SERVICE, service, partial(merge_external_service, desired=service)),
            Child(VIRTUAL_SERVICE, routes, partial(merge_virtual_service, desired=routes, formerly=formerly)),
        ]
        self._status = msgspec.structs.replace(self._status, url=url, address=address)
        self._mark_ingress(TRUE)
        return True

    def _path(self) -> str:
        """Where the model answers; empty when there are many, each with a path of its own."""
        predictor = parse_component(self._isvc, PREDICTOR)
        if predictor is None:
            return ""
        server = server_of(self._isvc, predictor)
        return "" if server.is_multi_model(self._config) else predict_path(name(self._isvc), server.protocol)

    def _remove(self, type_: ComponentType, *, routed: bool) -> None:
        """Plan the end of a component that the InferenceService has no more.

        Differs: the original leaves its Knative Service and conditions behind (difference 4). Not before the routes
        that point to it have moved, which they do in this pass if they are planned in it.
        """
        service = self._ours.get(type_)
        if service is not None and not is_deleting(service):
            if not routed and self._before.url:
                return
            self._removals.append(service)
        self._status = forget_component(self._status, type_)

    def _mark_ingress(self, value: str, reason: str = "", message: str = "") -> None:
        self._status = mark_ingress(self._status, value, self._now, reason=reason, message=message)

    def _failed(self, error: KfsError) -> None:
        self._failure = self._failure or error


def _is_ours(isvc: Frozen, service: Frozen) -> bool:
    owner = controller_of(service)
    return owner is not None and owner.get("uid") == uid(isvc)


def _reason(error: KfsError) -> str:
    return "ConfigError" if isinstance(error, ConfigError) else "InvalidSpec"


def _not_created(type_: ComponentType) -> str:
    return f"{type_.capitalize()} ingress not created"


def after_failure(
    isvc: Frozen, planned: Plan, child: Child, reason: str, message: str, now: datetime
) -> InferenceServiceStatus:
    """The status to write when a child could not be written: the condition that it stands behind is False.

    Differs: the original writes no status then, so that nobody learns why (difference 8).
    """
    status = planned.status
    if child.kind in (KNATIVE_SERVICE, CONFIG_MAP):
        component = labels(child.desired).get(COMPONENT_LABEL) if child.kind == KNATIVE_SERVICE else PREDICTOR
        type_ = next(known for known in COMPONENTS if known == component)
        status = mark_component(status, type_, FALSE, now, reason, message)
        if type_ != PREDICTOR:
            # Ready does not look at the component itself.
            status = mark_ingress(status, FALSE, now, reason=_not_created(type_))
    else:
        status = mark_ingress(status, FALSE, now, reason=reason, message=message)
    # A failure that repeats writes nothing: the times are kept.
    kept = keep_times(read_status(isvc).conditions, status.conditions)
    return msgspec.structs.replace(status, conditions=kept)
