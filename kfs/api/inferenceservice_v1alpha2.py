"""Defaults and rules of an InferenceService v1alpha2.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1alpha2/inferenceservice_{defaults,validation}.go`, `predictor.go`,
`transformer.go`, `explainer.go`, `framework_*.go`, `explainer_*.go`, `configmap.go`.

Differs: canaries are taken (difference 11); the controller that looks after an object is stamped on it (difference 12).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from kfs.api.component import COMPONENTS
from kfs.api.config import Config, ProtocolRuntimes, Runtime
from kfs.api.constants import (
    CONTAINER_NAME,
    EXPLAINER,
    GPU_RESOURCE,
    INFERENCE_SERVICE_CONFIG,
    PREDICTOR,
    RECONCILER_ANNOTATION,
    STORAGE_URI_ENV,
    TRANSFORMER,
    ComponentType,
)
from kfs.api.conversion import check_record, keep_record
from kfs.api.inferenceservice import check_logger, check_name, check_replicas, default_resources
from kfs.api.knative_container import container_problems
from kfs.api.ownership import V1ALPHA2, V1BETA1, check_owner, owner_of
from kfs.api.quantities import canonical_quantities
from kfs.api.records import own_fields
from kfs.api.storage import check_storage_uri
from kfs.api.v1alpha2 import (
    Custom,
    Endpoint,
    Explainer,
    ExplainerServer,
    Framework,
    InferenceServiceSpec,
    Predictor,
    PyTorch,
    ThreadedFramework,
    Transformer,
)
from kfs.manager.errors import ConfigError, ValidationError
from kfs.manager.objects.quantity import Quantity
from kfs.manager.objects.tree import Obj, clone, mapping, sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen

ComponentSpec = Predictor | Transformer | Explainer
ServerSpec = Custom | Framework | ExplainerServer

CUSTOM: Final = "custom"
DEFAULT_MODEL_CLASS: Final = "PyTorchModel"
# PMML and PyTorch servers are not in the message that users know.
_SERVERS: Final[Mapping[ComponentType, tuple[str, ...]]] = {
    PREDICTOR: (CUSTOM, "xgboost", "lightgbm", "sklearn", "tensorflow", "onnx", "pytorch", "triton", "pmml"),
    TRANSFORMER: (CUSTOM,),
    EXPLAINER: (CUSTOM, "alibi", "aix"),
}
_NOT_ONE: Final[Mapping[ComponentType, str]] = {
    PREDICTOR: "Exactly one of [Custom, ONNX, Tensorflow, Triton, SKLearn, XGBoost, LightGBM] must be specified in"
    " PredictorSpec",
    TRANSFORMER: "Exactly one of [Custom, Feast] must be specified in TransformerSpec",
    EXPLAINER: "Exactly one of [Custom, Alibi, AIX] must be specified in ExplainerSpec",
}
_GPU_SUFFIX: Final = "-gpu"
_GPU_TITLES: Final = {"tensorflow": "Tensorflow", "pytorch": "PyTorch"}
_ONNX_SUFFIX: Final = ".onnx"


@dataclass(frozen=True)
class Part:
    """One component of one endpoint. `servers`: the fields of the servers that it names, of which there may be one."""

    type: ComponentType
    at: str
    spec: ComponentSpec
    servers: tuple[str, ...]

    def server(self) -> tuple[str, ServerSpec]:
        """The one server: its field and what it says.

        Raises:
            ValidationError: there is none, or more than one; the message is the original's.
        """
        if len(self.servers) != 1:
            raise ValidationError(_NOT_ONE[self.type], field=self.at)
        return self.servers[0], getattr(self.spec, self.servers[0])


def read_spec(isvc: Frozen) -> InferenceServiceSpec:
    """The spec of a v1alpha2 InferenceService.

    Raises:
        ValidationError: a field has the wrong type; the message names it.
    """
    spec, _ = own_fields(isvc.get("spec") or {}, InferenceServiceSpec, "spec")
    return spec


def default(isvc: Frozen, config: Config, before: Frozen | None = None) -> Obj:
    """A copy with defaults filled in and quantities in canonical spelling; `before`: what it replaces, if anything.

    A new object is stamped with v1alpha2's controller, unless its author named one. One that replaces another keeps
    what v1beta1 alone says of that.

    Raises:
        ValidationError: a field has the wrong type or is no quantity; the message names it.
        ConfigError: the configuration does not say which version of a server to run.
    """
    after = clone(isvc)
    if before is not None:
        keep_record(after, before)
    elif RECONCILER_ANNOTATION not in mapping(after, "metadata", "annotations"):
        after["metadata"] = {**mapping(after, "metadata")}
        after["metadata"]["annotations"] = {
            **mapping(after, "metadata", "annotations"),
            RECONCILER_ANNOTATION: V1ALPHA2,
        }
    # A server's arguments are v1alpha2's way; v1beta1 has no place for threads and should not carry them along.
    threads = owner_of(after) == V1ALPHA2
    for part in _parts(read_spec(after)):
        tree = _tree(after, part.at)
        canonical_quantities(tree, part.at)
        if len(part.servers) == 1:
            field, spec = part.server()
            tree[field] |= _server_defaults(tree[field], field, spec, config, f"{part.at}.{field}", threads=threads)
    return after


def validate(isvc: Frozen, before: Frozen | None = None) -> list[str]:
    """Check an InferenceService against all rules; returns warnings about what is accepted but odd.

    Raises:
        ValidationError: a rule is broken; the messages are the original's where it has the rule.
    """
    check_name(isvc)
    check_owner(isvc)
    check_record(isvc)
    spec = read_spec(isvc)
    warnings: list[str] = []
    for part in _parts(spec, needed=True):
        _check(part)
        warnings += _oddities(part)
    owner = owner_of(isvc)
    _check_percent(spec, needs_canary=owner == V1ALPHA2)
    if owner == V1BETA1 and spec.canary is not None and not mapping(before or {}, "spec", "canary"):
        warnings.append(
            "spec.canary: does nothing while v1beta1's controller looks after this InferenceService; set annotation"
            f" {RECONCILER_ANNOTATION} to {V1ALPHA2} to have it run, or roll out by v1beta1's canaryTrafficPercent"
        )
    return warnings


def _oddities(part: Part) -> list[str]:
    field, server = part.server()
    if isinstance(server, PyTorch) and not server.runtime_version:
        return [f"{part.at}.{field}.runtimeVersion: has no default in v1alpha2, and no image has an empty tag; set it"]
    return []


def _parts(spec: InferenceServiceSpec, *, needed: bool = False) -> Iterator[Part]:
    """The components that a spec has; with `needed` also predictors that it should have, as empty ones."""
    endpoints = {"default": spec.default or (Endpoint() if needed else None), "canary": spec.canary}
    for name, endpoint in endpoints.items():
        if endpoint is None:
            continue
        for type_ in COMPONENTS:
            component: ComponentSpec | None = getattr(endpoint, type_)
            if component is None and needed and type_ == PREDICTOR:
                component = Predictor()
            if component is not None:
                servers = tuple(field for field in _SERVERS[type_] if getattr(component, field) is not None)
                yield Part(type_, f"spec.{name}.{type_}", component, servers)


def _tree(isvc: Obj, at: str) -> Obj:
    for key in at.split("."):
        isvc = isvc[key]
    return isvc


def _server_defaults(tree: Frozen, field: str, spec: ServerSpec, config: Config, at: str, *, threads: bool) -> Obj:
    if isinstance(spec, Custom):
        container = mapping(tree, "container")
        resources = default_resources(container.get("resources"), f"{at}.container")
        return {"container": {**container, "resources": resources}}
    resources = default_resources(tree.get("resources"), at)
    found: Obj = {"resources": resources, "runtimeVersion": spec.runtime_version or _version(field, spec, config)}
    if isinstance(spec, PyTorch):
        found["modelClassName"] = spec.model_class_name or DEFAULT_MODEL_CLASS
    if isinstance(spec, ThreadedFramework) and threads:
        found["nthread"] = spec.nthread or ceil(Quantity.parse(resources["requests"]["cpu"]).amount)
    return found


def _version(field: str, spec: Framework | ExplainerServer, config: Config) -> str:
    """The configured version of a server.

    PyTorch's is empty: v1alpha2 looks for it where configurations since v0.5 have one for each protocol instead.
    """
    section = "explainers" if isinstance(spec, ExplainerServer) else "predictors"
    if field == "pytorch":
        return ""
    found: Runtime | ProtocolRuntimes | None = getattr(getattr(config, section), field)
    runtime = found.v1 if isinstance(found, ProtocolRuntimes) else found
    if runtime is not None:
        on_gpu = field in _GPU_TITLES and _wants_gpu(spec)
        if version := runtime.default_gpu_image_version if on_gpu else runtime.default_image_version:
            return version
    _complain(section, field)


def _complain(section: str, field: str) -> NoReturn:
    raise ConfigError(
        f'key "{section}" of {INFERENCE_SERVICE_CONFIG} does not say which version of {field} to run:'
        " set its defaultImageVersion, or runtimeVersion in the InferenceService"
    )


def _check(part: Part) -> None:
    field, server = part.server()
    at = f"{part.at}.{field}"
    # The order decides which message a user with several mistakes gets; it is the original's.
    if part.type != TRANSFORMER:
        _check_server(field, server, at)
    if part.spec.parallelism < 0:
        raise ValidationError("Parallelism cannot be less than 0.", field=f"{part.at}.parallelism")
    check_replicas(part.spec.min_replicas, part.spec.max_replicas, part.at)
    if part.type == TRANSFORMER:
        _check_server(field, server, at)
    if part.spec.logger is not None:
        check_logger(part.spec.logger.mode, part.at)


def _check_server(field: str, server: ServerSpec, at: str) -> None:
    if isinstance(server, Custom):
        _check_custom(server.container or {}, f"{at}.container")
        return
    if isinstance(server, Framework):
        _check_gpu(field, server, at)
        if field == "onnx":
            _check_onnx_file(server.storage_uri, f"{at}.storageUri")
    check_storage_uri(server.storage_uri, f"{at}.storageUri")


def _check_custom(container: Frozen, at: str) -> None:
    if problems := container_problems(container):
        raise ValidationError(f"Custom container validation error: {problems}", field=at)
    variables = (v for v in sequence(container, "env") if isinstance(v, Mapping))
    uri: Any = next((v.get("value") for v in variables if v.get("name") == STORAGE_URI_ENV), None)
    if uri and container.get("name") != CONTAINER_NAME:
        raise ValidationError(
            f'Custom container validation error: container name must be "{CONTAINER_NAME}"', field=f"{at}.name"
        )
    check_storage_uri(uri if isinstance(uri, str) else None, f"{at}.env")


def _check_gpu(field: str, server: Framework, at: str) -> None:
    wants, title = _wants_gpu(server), _GPU_TITLES.get(field)
    if title is None or wants == (_GPU_SUFFIX in server.runtime_version):
        return
    given, asked = ("not ", "") if wants else ("", "not ")
    raise ValidationError(
        f"{title} RuntimeVersion is {given}GPU enabled but GPU resources are {asked}requested. ",
        field=f"{at}.runtimeVersion",
    )


def _check_onnx_file(uri: str, at: str) -> None:
    try:
        file = urlsplit(uri).path.rpartition("/")[2]
    except ValueError as error:
        raise ValidationError(f"{at}: {error}", field=at) from error
    _, dot, suffix = file.rpartition(".")
    if dot and dot + suffix != _ONNX_SUFFIX:
        raise ValidationError(f"Expected storageUri file extension: {_ONNX_SUFFIX} but got {dot}{suffix}", field=at)


def _wants_gpu(server: Framework | ExplainerServer) -> bool:
    return GPU_RESOURCE in mapping(server.resources or {}, "limits")


def _check_percent(spec: InferenceServiceSpec, *, needs_canary: bool) -> None:
    """The share of the canary.

    In an object that v1beta1 looks after it is that of the newest revision, which needs no canary.
    """
    percent, field = spec.canary_traffic_percent, "spec.canaryTrafficPercent"
    if percent is None:
        return
    if needs_canary and spec.canary is None and percent != 0:
        raise ValidationError("Canary must be specified when CanaryTrafficPercent > 0.", field=field)
    if not 0 <= percent <= 100:
        raise ValidationError("TrafficPercent must be between [0, 100].", field=field)
