"""The status of an InferenceService, from what Knative says of its components.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/inference_service_status.go`,
`pkg/controller/v1beta1/inferenceservice/controller.go`.

Differs: RouteReady follows RoutesReady and ConfigurationReady follows ConfigurationsReady; the
original has them crossed (difference 13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from kfs.api.constants import EXPLAINER, NOT_READY_EVENT, PREDICTOR, READY_EVENT, TRANSFORMER, ComponentType
from kfs.api.records import own_fields
from kfs.api.v1beta1 import Address, ComponentStatus, InferenceServiceStatus, TrafficTarget
from kfs.manager.objects import codec
from kfs.manager.objects.conditions import READY, Condition, ConditionSet, find, is_true
from kfs.manager.objects.tree import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kfs.manager.objects.conditions import Conditions
    from kfs.manager.objects.tree import Frozen

INGRESS_READY: Final = "IngressReady"
COMPONENT_READY: Final[Mapping[ComponentType, str]] = {
    PREDICTOR: "PredictorReady",
    TRANSFORMER: "TransformerReady",
    EXPLAINER: "ExplainerReady",
}
# The odd spellings are those that clients read.
_ROUTE_READY: Final[Mapping[ComponentType, str]] = {
    PREDICTOR: "PredictorRouteReady",
    TRANSFORMER: "TransformerRouteReady",
    EXPLAINER: "ExplainerRoutesReady",
}
_CONFIGURATION_READY: Final[Mapping[ComponentType, str]] = {
    PREDICTOR: "PredictorConfigurationReady",
    TRANSFORMER: "TransformerConfigurationeReady",
    EXPLAINER: "ExplainerConfigurationReady",
}
CONDITIONS: Final = ConditionSet((COMPONENT_READY[PREDICTOR], INGRESS_READY))


class Transition(NamedTuple):
    """An event to emit: its type (Normal or Warning), reason and message."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def read_status(isvc: Frozen) -> InferenceServiceStatus:
    """The status that an InferenceService carries; an empty one when it has none.

    Raises:
        ValidationError: it is no such status.
    """
    status, _ = own_fields(isvc.get("status") or {}, InferenceServiceStatus, "status")
    return status


def propagate(
    status: InferenceServiceStatus, component: ComponentType, knative: Frozen, now: datetime
) -> InferenceServiceStatus:
    """`status` after taking in the status of the Knative Service behind one component.

    `knative` is empty while Knative has not spoken, which clears the component's revisions and
    leaves its conditions and its last known URL.
    """
    found = {c.type: c for c in codec.convert(sequence(knative, "conditions"), tuple[Condition, ...], "conditions")}
    before = status.components.get(component, ComponentStatus())
    after = _component(before, knative, ready=is_true(found.values(), READY))
    components = dict(status.components)
    if component in components or after != ComponentStatus():
        components[component] = after
    conditions = status.conditions
    for wanted, source in (
        (COMPONENT_READY, READY),
        (_ROUTE_READY, "RoutesReady"),
        (_CONFIGURATION_READY, "ConfigurationsReady"),
    ):
        if (said := found.get(source)) is not None:
            reason, message = ("", "") if said.status == "True" else (said.reason, said.message)
            conditions = CONDITIONS.mark(
                conditions, wanted[component], said.status, now, reason=reason, message=message
            )
    return msgspec.structs.replace(status, components=components, conditions=conditions)


def _component(before: ComponentStatus, knative: Frozen, *, ready: bool) -> ComponentStatus:
    traffic = codec.convert(sequence(knative, "traffic"), tuple[TrafficTarget, ...], "status.traffic")
    latest = str(knative.get("latestReadyRevisionName") or "")
    changes: dict[str, Any] = {
        "latest_created_revision": str(knative.get("latestCreatedRevisionName") or ""),
        "latest_ready_revision": latest,
        "traffic": traffic,
    }
    rolled_out = any(t.revision_name == latest and t.latest_revision and t.percent == 100 for t in traffic)
    if rolled_out and before.latest_rolledout_revision != latest:
        changes["previous_rolledout_revision"] = before.latest_rolledout_revision
        changes["latest_rolledout_revision"] = latest
    if ready and knative.get("url"):
        changes["url"] = knative["url"]
    if ready and mapping(knative, "address"):
        changes["address"] = Address(url=mapping(knative, "address").get("url", ""))
    return msgspec.structs.replace(before, **changes)


def mark_component(
    status: InferenceServiceStatus, component: ComponentType, value: str, now: datetime, reason: str, message: str
) -> InferenceServiceStatus:
    """`status` with the readiness of one component set, and Ready derived again."""
    type_ = COMPONENT_READY[component]
    conditions = CONDITIONS.mark(status.conditions, type_, value, now, reason=reason, message=message)
    return msgspec.structs.replace(status, conditions=conditions)


def forget_component(status: InferenceServiceStatus, component: ComponentType) -> InferenceServiceStatus:
    """`status` without a component that is no more."""
    gone = {of[component] for of in (COMPONENT_READY, _ROUTE_READY, _CONFIGURATION_READY)}
    return msgspec.structs.replace(
        status,
        conditions=tuple(c for c in status.conditions if c.type not in gone),
        components={of: kept for of, kept in status.components.items() if of != component},
    )


def mark_ingress(
    status: InferenceServiceStatus, value: str, now: datetime, *, reason: str = "", message: str = ""
) -> InferenceServiceStatus:
    """`status` with condition IngressReady set, and Ready derived again."""
    conditions = CONDITIONS.mark(status.conditions, INGRESS_READY, value, now, reason=reason, message=message)
    return msgspec.structs.replace(status, conditions=conditions)


def keep_times(before: Conditions, after: Conditions) -> Conditions:
    """`after`, with the old transition time wherever a condition ends a pass as it began it.

    Ready is derived several times in a pass and may take another value in between. Without this a
    settled object's status would change with every pass.
    """
    return tuple(old if (old := find(before, new.type)) and _same(old, new) else new for new in after)


def _same(a: Condition, b: Condition) -> bool:
    return msgspec.structs.replace(a, last_transition_time=b.last_transition_time) == b


def transition(name: str, before: InferenceServiceStatus, after: InferenceServiceStatus) -> Transition | None:
    """The event that tells of a change in readiness; None when there is no such change."""
    was, is_now = is_true(before.conditions, READY), is_true(after.conditions, READY)
    if was == is_now:
        return None
    if is_now:
        return Transition("Normal", READY_EVENT, f"InferenceService [{name}] is Ready")
    return Transition("Warning", NOT_READY_EVENT, f"InferenceService [{name}] is no longer Ready")
