"""A component of an InferenceService, taken apart: our fields, the model server, and the pod around it.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/{component,predictor,transformer,explainer}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from kfs.api.constants import EXPLAINER, PREDICTOR, STORAGE_URI_ENV, TRANSFORMER, ComponentType
from kfs.api.records import own_fields
from kfs.api.v1beta1 import (
    AIXSpec,
    AlibiSpec,
    ARTSpec,
    ComponentExtension,
    FrameworkSpec,
    TorchServeSpec,
)
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen

COMPONENTS: Final[tuple[ComponentType, ...]] = (PREDICTOR, TRANSFORMER, EXPLAINER)
CONTAINERS: Final = "containers"

ExplainerServerSpec = AlibiSpec | AIXSpec | ARTSpec
ServerSpec = FrameworkSpec | ExplainerServerSpec
Spec = TypeVar("Spec", bound=ServerSpec, covariant=True)

# Field, and its name in the messages that users know.
_SERVERS: Mapping[ComponentType, Mapping[str, tuple[str, type[ServerSpec]]]] = {
    PREDICTOR: {
        "sklearn": ("SKLearn", FrameworkSpec),
        "xgboost": ("XGBoost", FrameworkSpec),
        "tensorflow": ("Tensorflow", FrameworkSpec),
        "pytorch": ("PyTorch", TorchServeSpec),
        "triton": ("Triton", FrameworkSpec),
        "onnx": ("ONNX", FrameworkSpec),
        "pmml": ("PMML", FrameworkSpec),
        "lightgbm": ("LightGBM", FrameworkSpec),
    },
    TRANSFORMER: {},
    EXPLAINER: {"alibi": ("Alibi", AlibiSpec), "aix": ("AIX", AIXSpec), "art": ("ART", ARTSpec)},
}


@dataclass(frozen=True)
class Implementation:
    """One way to fill a component: a model server by its field, or `containers` for a custom one.

    `spec` holds our fields, `container` the rest of the same tree, which is a Kubernetes container.
    """

    field: str
    at: str
    spec: ServerSpec
    container: Frozen


@dataclass(frozen=True)
class Model(Generic[Spec]):
    """What a server is to serve, and for whom.

    `name` and `namespace` are the InferenceService's, `at` is the server's place in it. `spec` holds our fields,
    `container` the user's own container fields.
    """

    name: str
    namespace: str
    at: str
    spec: Spec
    container: Frozen
    extension: ComponentExtension

    @property
    def concurrency(self) -> int | None:
        """Requests that a container takes at once; None when the user says nothing."""
        return self.extension.container_concurrency


@dataclass(frozen=True)
class Component:
    """`pod` is what remains of the component's tree: a Kubernetes pod spec."""

    type: ComponentType
    at: str
    extension: ComponentExtension
    implementations: tuple[Implementation, ...]
    pod: Frozen

    def implementation(self) -> Implementation:
        """The one implementation.

        Raises:
            ValidationError: there is none, or more than one; the message is the original's.
        """
        if len(self.implementations) == 1:
            return self.implementations[0]
        titles = [title for title, _ in _SERVERS[self.type].values()]
        raise ValidationError(
            f"Exactly one of [{', '.join([*titles, 'PodSpec'])}] must be specified in {self.type.capitalize()}Spec",
            field=self.at,
        )


def parse_component(isvc: Frozen, type_: ComponentType) -> Component | None:
    """One component of an InferenceService; None when it has none of that type.

    The predictor is always there: a missing one is one without implementation.

    Raises:
        ValidationError: a field of ours has the wrong type; the message names it.
    """
    at = f"spec.{type_}"
    tree = _object(_object(isvc.get("spec"), "spec") or {}, at, type_)
    if tree is None:
        if type_ != PREDICTOR:
            return None
        tree = {}
    extension, pod = own_fields(tree, ComponentExtension, at)
    servers = _SERVERS[type_]
    found = [_server(tree, field, record, at) for field, (_, record) in servers.items()]
    pod = {key: value for key, value in pod.items() if key not in servers}
    custom = _custom(pod, at)
    implementations = tuple(i for i in [*found, custom] if i is not None)
    return Component(type_, at, extension, implementations, pod)


def _server(tree: Frozen, field: str, record: type[ServerSpec], at: str) -> Implementation | None:
    at = f"{at}.{field}"
    server = _object(tree, at, field)
    if server is None:
        return None
    spec, container = own_fields(server, record, at)
    return Implementation(field, at, spec, container)


def _custom(pod: Frozen, at: str) -> Implementation | None:
    containers = sequence(pod, CONTAINERS)
    if not containers:
        return None
    at = f"{at}.{CONTAINERS}[0]"
    container = _object(containers[0], at) or {}
    return Implementation(CONTAINERS, at, FrameworkSpec(storage_uri=_storage_uri(container)), container)


def _storage_uri(container: Frozen) -> str | None:
    for variable in sequence(container, "env"):
        if isinstance(variable, Mapping) and variable.get("name") == STORAGE_URI_ENV:
            value = variable.get("value")
            return value if isinstance(value, str) else None
    return None


def _object(value: Any, at: str, *path: str) -> Frozen | None:
    for key in path:
        value = value.get(key)
    if value is None or isinstance(value, Mapping):
        return value
    raise ValidationError(f"{at}: must be an object, but is {type(value).__name__}", field=at)
