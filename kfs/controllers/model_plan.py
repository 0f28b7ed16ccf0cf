"""Which models an InferenceService's server loads, and what each TrainedModel's status says of it.

Pure, and for all models of one InferenceService at once: a thousand models that change together cost one write of
their ConfigMap.

Upstream: kserve/kserve v0.5.1 `pkg/controller/v1alpha1/trainedmodel`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import msgspec

from kfs.api.component import parse_component
from kfs.api.constants import PARENT_LABEL, PREDICTOR, TRAINED_MODEL_FINALIZER
from kfs.api.modelconfig import MODELS_LIMIT_BYTES, entry, memory_of
from kfs.api.names import predict_path
from kfs.api.servers import server_of
from kfs.api.status import keep_times, read_status
from kfs.api.trainedmodel import TrainedModelSpec, TrainedModelStatus
from kfs.api.v1beta1 import Address
from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.conditions import FALSE, READY, TRUE, ConditionSet, is_true
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.quantity import Quantity
from kfs.manager.objects.tree import finalizers, generation, is_deleting, labels, mapping, metadata, name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from kfs.api.config import Config
    from kfs.api.modelconfig import Entries
    from kfs.manager.objects.tree import Frozen, Obj

INFERENCE_SERVICE_READY: Final = "InferenceServiceReady"
# Condition types that version 0.6 introduced. They are there only while they are False.
IS_MULTI_MODEL: Final = "IsMMSPredictor"
MEMORY_AVAILABLE: Final = "MemoryResourceAvailable"


@dataclass(frozen=True)
class Parent:
    """What matters of an InferenceService to its models. `memory` is its predictor's limit in bytes, if it has one."""

    name: str
    ready: bool
    multi_model: bool
    protocol: str
    url: str
    address: str
    memory: Fraction | None

    @classmethod
    def read(cls, isvc: Frozen, config: Config) -> Parent:
        """The parent as its object and the configuration describe it.

        Raises:
            ValidationError: it breaks a rule that the validating webhook would have refused.
            ConfigError: the configuration does not say how its predictor is run.
        """
        predictor = parse_component(isvc, PREDICTOR)
        if predictor is None:
            raise ValidationError("spec.predictor is missing", field="spec.predictor")
        server, status = server_of(isvc, predictor), read_status(isvc)
        multi_model = server.is_multi_model(config)
        limit = mapping(predictor.implementation().container, "resources", "limits").get("memory")
        return cls(
            name=name(isvc),
            ready=is_true(status.conditions, READY),
            multi_model=multi_model,
            protocol=server.protocol,
            url=status.url,
            address=status.address.url if status.address is not None else "",
            memory=Quantity.parse(limit).amount if limit is not None else None,
        )


@dataclass(frozen=True)
class ModelPlan:
    """What to do, in this order: mark models as ours, write the ConfigMap, let go of models, write statuses.

    `entries` is None while the ConfigMap is as it must be.
    """

    claim: list[Frozen] = field(default_factory=list)
    entries: Entries | None = None
    release: list[Frozen] = field(default_factory=list)
    statuses: list[tuple[Frozen, TrainedModelStatus]] = field(default_factory=list)


def plan_models(
    parent: Parent, models: Iterable[Frozen], loaded: Entries | None, elsewhere: Iterable[str], now: datetime
) -> ModelPlan:
    """What to do about all models of an InferenceService.

    `loaded` is what the ConfigMap says, None when there is none; `elsewhere` names models of the namespace that belong
    to another InferenceService. Entries of models that nobody knows stay: somebody put them there.

    Differs: a model is loaded only while the predictor's memory limit, and the ConfigMap, have room for it
    (difference 23), and only by a multi-model server (difference 22). What is loaded is never evicted.
    """
    found = ModelPlan()
    wanted: dict[str, Obj] = {}
    entries = {key: value for key, value in (loaded or {}).items() if key not in set(elsewhere)}
    staying, leaving = _sorted(models)
    for model in leaving:
        entries.pop(name(model), None)
        if TRAINED_MODEL_FINALIZER in finalizers(model):
            found.release.append(model)
    for model in staying:
        spec = codec.convert(model.get("spec") or {}, TrainedModelSpec, "spec").model
        wanted[name(model)] = entry(name(model), spec)
    entries |= {key: value for key, value in wanted.items() if key in entries}
    room = _Room(parent, entries)
    for key, value in wanted.items():
        if key not in entries and parent.multi_model and parent.ready and not room.refuses(value):
            entries[key] = value
            room.take(value)
    for model in staying:
        is_loaded = name(model) in entries
        if is_loaded and not _is_claimed(model, parent):
            found.claim.append(model)
        # Only now is it known how much room the others leave.
        waits = parent.multi_model and parent.ready and not is_loaded
        refusal = room.refuses(wanted[name(model)]) if waits else ""
        status = _status(model, parent, refusal, now, is_loaded=is_loaded)
        if not semantic_equal(codec.builtins(status), mapping(model, "status")):
            found.statuses.append((model, status))
    missing = loaded is None and parent.multi_model
    changed = missing or not semantic_equal(entries, dict(loaded or {}))
    return ModelPlan(found.claim, entries if changed else None, found.release, found.statuses)


def plan_orphans(models: Iterable[Frozen], loaded: Entries | None) -> ModelPlan:
    """What to do about models whose InferenceService is gone: none of them is loaded, and all are let go."""
    models = list(models)
    entries = {k: v for k, v in (loaded or {}).items() if k not in {name(m) for m in models}}
    release = [m for m in models if TRAINED_MODEL_FINALIZER in finalizers(m)]
    return ModelPlan(entries=entries if loaded and len(entries) != len(loaded) else None, release=release)


def read_model_status(model: Frozen) -> TrainedModelStatus:
    """The status that a TrainedModel carries; an empty one when it has none.

    Raises:
        ValidationError: it is no such status.
    """
    return codec.convert(model.get("status") or {}, TrainedModelStatus, "status")


def _is_claimed(model: Frozen, parent: Parent) -> bool:
    return TRAINED_MODEL_FINALIZER in finalizers(model) and labels(model).get(PARENT_LABEL) == parent.name


def _sorted(models: Iterable[Frozen]) -> tuple[Sequence[Frozen], Sequence[Frozen]]:
    """Who stays, the oldest first, since room goes to those who came first; and who is being deleted."""
    by_age = sorted(models, key=lambda m: (str(metadata(m).get("creationTimestamp") or ""), name(m)))
    return [m for m in by_age if not is_deleting(m)], [m for m in by_age if is_deleting(m)]


class _Room:
    """What is left of the predictor's memory and of the ConfigMap."""

    def __init__(self, parent: Parent, entries: Entries) -> None:
        used = sum((memory_of(e) for e in entries.values()), Fraction(0))
        self._memory = None if parent.memory is None else parent.memory - used
        self._bytes = MODELS_LIMIT_BYTES - sum(_size(e) for e in entries.values())
        self._parent = parent

    def refuses(self, wanted: Obj) -> str:
        """Why there is no room; empty when there is."""
        server = f'Inference Service "{self._parent.name}"'
        if self._memory is not None and memory_of(wanted) > self._memory:
            free = max(0, int(self._memory))
            return f"{server} has {free} bytes of its predictor's memory limit free"
        if _size(wanted) > self._bytes:
            return f"the ConfigMap of {server} has {max(0, self._bytes)} bytes free, its list of models is full"
        return ""

    def take(self, wanted: Obj) -> None:
        if self._memory is not None:
            self._memory -= memory_of(wanted)
        self._bytes -= _size(wanted)


def _size(found: Obj) -> int:
    return len(codec.dumps(found)) + 1


def _status(model: Frozen, parent: Parent, refusal: str, now: datetime, *, is_loaded: bool) -> TrainedModelStatus:
    """Differs: follows the parent at once, in both directions (difference 2)."""
    before = read_model_status(model)
    says: list[tuple[str, str, str]] = []
    if not parent.multi_model:
        message = f'Inference Service "{parent.name}" predictor is not configured for multi-model serving'
        says.append((IS_MULTI_MODEL, "IsNotMMSPredictor", message))
    if refusal:
        says.append((MEMORY_AVAILABLE, "MemoryResourceNotAvailable", refusal))
    if not parent.ready:
        message = "Inference Service needs to be ready before Trained Model can be ready"
        says.append((INFERENCE_SERVICE_READY, "InferenceServiceNotReady", message))
    dependents = ConditionSet((INFERENCE_SERVICE_READY, *(t for t, _, _ in says if t != INFERENCE_SERVICE_READY)))
    passing = {IS_MULTI_MODEL, MEMORY_AVAILABLE} - set(dependents.dependents)
    conditions = tuple(c for c in before.conditions if c.type not in passing)
    if parent.ready:
        conditions = dependents.mark(conditions, INFERENCE_SERVICE_READY, TRUE, now)
    for type_, reason, message in says:
        conditions = dependents.mark(conditions, type_, FALSE, now, reason=reason, message=message)
    reached = is_loaded and parent.multi_model
    path = predict_path(name(model), parent.protocol)
    return msgspec.structs.replace(
        before,
        observed_generation=generation(model),
        conditions=keep_times(before.conditions, conditions),
        url=parent.url + path if reached and parent.url else "",
        address=Address(url=parent.address + path) if reached and parent.address else None,
    )
