"""The model servers: one row each, which says what tells it from the others.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/predictor_*.go`, `pkg/constants/mlserver.go`,
`pkg/controller/v1beta1/inferenceservice/utils/utils.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from kfs.api.component import Model
from kfs.api.config import Runtime
from kfs.api.constants import (
    GPU_RESOURCE,
    HTTP_PORT,
    MODEL_MOUNT_PATH,
    PROTOCOL_V1,
    PROTOCOL_V2,
)
from kfs.api.storage import check_storage_uri
from kfs.api.v1beta1 import FrameworkSpec, TorchServeSpec
from kfs.manager.errors import ValidationError
from kfs.manager.objects.quantity import Quantity
from kfs.manager.objects.tree import Obj, mapping, sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen

_GPU_SUFFIX = "-gpu"
_GRPC_PORT = 9000
_ONNX_SUFFIX = ".onnx"
_PROTOCOLS = (PROTOCOL_V1, PROTOCOL_V2)

Build = Callable[[Model[FrameworkSpec], Runtime], Obj]
"""The container fields that make a server serve a model: arguments, environment, command."""

Check = Callable[[Model[FrameworkSpec]], None]
"""Raises `ValidationError` when the server cannot serve the model."""


def asked_protocol(spec: FrameworkSpec) -> str:
    """The inference protocol that was asked for; v1 when none was."""
    return PROTOCOL_V1 if spec.protocol_version is None else spec.protocol_version


def _check_storage(model: Model[FrameworkSpec]) -> None:
    check_storage_uri(model.spec.storage_uri, f"{model.at}.storageUri")


@dataclass(frozen=True)
class Framework:
    """One model server.

    `servers` has one builder for each protocol; with two of them the user chooses. `answers` is the protocol of its
    predictions, None when it is the chosen one. `serves_v1` says whether the v1 server suits a model.
    `gpu`: it has images of its own for GPUs.
    """

    field: str
    servers: Mapping[str, Build]
    answers: str | None = PROTOCOL_V1
    serves_v1: Callable[[FrameworkSpec], bool] = lambda _: True
    gpu: bool = False
    checks: tuple[Check, ...] = (_check_storage,)


def includes(container: Frozen, flag: str) -> bool:
    """Whether the user's own arguments have the flag already."""
    return any(str(argument).startswith(flag) for argument in sequence(container, "args"))


def wants_gpu(model: Model[FrameworkSpec]) -> bool:
    """Whether the user asks for GPUs."""
    return GPU_RESOURCE in mapping(model.container, "resources", "limits")


def _before_own(model: Model[FrameworkSpec], *arguments: str) -> Obj:
    return {"args": [*arguments, *sequence(model.container, "args")]}


def _kfserver(model: Model[FrameworkSpec], _: Runtime, *, threads: bool = False) -> Obj:
    arguments = [f"--model_name={model.name}"]
    if isinstance(model.spec, TorchServeSpec):
        arguments.append(f"--model_class_name={model.spec.model_class_name}")
    arguments += [f"--model_dir={MODEL_MOUNT_PATH}", f"--http_port={HTTP_PORT}"]
    if threads:
        arguments.append(f"--nthread={_cpus(model)}")
    if isinstance(model.spec, TorchServeSpec) and wants_gpu(model):
        arguments.append("--workers=1")
    elif model.concurrency is not None and not includes(model.container, "--workers"):
        arguments.append(f"--workers={model.concurrency}")
    return _before_own(model, *arguments)


def _cpus(model: Model[FrameworkSpec]) -> int:
    """The CPU limit, in whole CPUs; 0 without a limit."""
    limit = mapping(model.container, "resources", "limits").get("cpu", 0)
    try:
        return ceil(Quantity.parse(limit).amount)
    except ValidationError as error:
        at = f"{model.at}.resources.limits.cpu"
        raise ValidationError(f"{at}: {error}", field=at) from error


def _mlserver(model: Model[FrameworkSpec], _: Runtime, *, implementation: str) -> Obj:
    variables = {
        "MLSERVER_HTTP_PORT": str(HTTP_PORT),
        "MLSERVER_GRPC_PORT": str(_GRPC_PORT),
        "MODELS_DIR": MODEL_MOUNT_PATH,
    }
    if model.spec.storage_uri is None:
        variables["MLSERVER_LOAD_MODELS_AT_STARTUP"] = "false"
    variables["MLSERVER_MODEL_IMPLEMENTATION"] = implementation
    if model.spec.storage_uri is not None:
        variables |= {"MLSERVER_MODEL_NAME": model.name, "MLSERVER_MODEL_URI": MODEL_MOUNT_PATH}
    own = sequence(model.container, "env")
    return {"env": [*own, *({"name": k, "value": v} for k, v in variables.items())]}


def _tensorflow_serving(model: Model[FrameworkSpec], runtime: Runtime) -> Obj:
    asked = model.extension.timeout
    timeout_s = int(runtime.default_timeout) if asked is None else asked
    return {
        "command": ["/usr/bin/tensorflow_model_server"],
        **_before_own(
            model,
            f"--port={_GRPC_PORT}",
            f"--rest_api_port={HTTP_PORT}",
            f"--model_name={model.name}",
            f"--model_base_path={MODEL_MOUNT_PATH}",
            f"--rest_api_timeout_in_ms={1000 * timeout_s}",
        ),
    }


def _torchserve(model: Model[FrameworkSpec], _: Runtime) -> Obj:
    return _before_own(
        model,
        "torchserve",
        "--start",
        f"--model-store={MODEL_MOUNT_PATH}/model-store",
        f"--ts-config={MODEL_MOUNT_PATH}/config/config.properties",
    )


def _triton(model: Model[FrameworkSpec], _: Runtime) -> Obj:
    arguments = [
        "tritonserver",
        f"--model-store={MODEL_MOUNT_PATH}",
        f"--grpc-port={_GRPC_PORT}",
        f"--http-port={HTTP_PORT}",
        "--allow-grpc=true",
        "--allow-http=true",
    ]
    if model.concurrency:
        arguments.append(f"--http-thread-count={model.concurrency}")
    if model.spec.storage_uri is None:
        # Models are loaded and unloaded when asked for.
        arguments.append("--model-control-mode=explicit")
    return _before_own(model, *arguments)


def _onnx_runtime(model: Model[FrameworkSpec], _: Runtime) -> Obj:
    file, suffix = _onnx_file(model)
    return _before_own(
        model,
        f"--model_path={MODEL_MOUNT_PATH}/{file if suffix else 'model.onnx'}",
        f"--http_port={HTTP_PORT}",
        f"--grpc_port={_GRPC_PORT}",
    )


def _check_onnx_file(model: Model[FrameworkSpec]) -> None:
    if (suffix := _onnx_file(model)[1]) not in ("", _ONNX_SUFFIX):
        raise ValidationError(
            f"Expected storageUri file extension: '{_ONNX_SUFFIX}' but got '{suffix}'", field=f"{model.at}.storageUri"
        )


def _check_gpu(model: Model[FrameworkSpec], *, title: str, advice: bool = False) -> None:
    """Whether the version is for GPUs exactly when there are some.

    What the original advises is a formatting error; the message of PyTorch, without advice, is its own.
    """
    version, wants = model.spec.runtime_version, wants_gpu(model)
    if not version or wants == (_GPU_SUFFIX in version):
        return
    given, asked = ("not ", "") if wants else ("", "not ")
    message = f"{title} RuntimeVersion is {given}GPU enabled but GPU resources are {asked}requested. "
    if advice:
        message += f"{title} RuntimeVersion must {asked}contain {_GPU_SUFFIX}"
    raise ValidationError(message, field=f"{model.at}.runtimeVersion")


def _check_not_v2(model: Model[FrameworkSpec]) -> None:
    if model.spec.protocol_version == PROTOCOL_V2:
        raise ValidationError("Invalid inference protocol version", field=f"{model.at}.protocolVersion")


def _onnx_file(model: Model[FrameworkSpec]) -> tuple[str, str]:
    """The last part of the model's address, and its suffix with the dot."""
    file = (model.spec.storage_uri or "").rpartition("/")[2]
    _, dot, suffix = file.rpartition(".")
    return file, dot + suffix if dot else ""


_ROWS = (
    Framework(
        "sklearn",
        {
            PROTOCOL_V1: _kfserver,
            PROTOCOL_V2: partial(_mlserver, implementation="mlserver_sklearn.SKLearnModel"),
        },
        answers=None,
    ),
    Framework(
        "xgboost",
        {
            PROTOCOL_V1: partial(_kfserver, threads=True),
            PROTOCOL_V2: partial(_mlserver, implementation="mlserver_xgboost.XGBoostModel"),
        },
        answers=None,
    ),
    Framework(
        "tensorflow",
        {PROTOCOL_V1: _tensorflow_serving},
        gpu=True,
        checks=(_check_storage, partial(_check_gpu, title="Tensorflow", advice=True)),
    ),
    # TorchServe, the v2 server, also serves models without a class, in v1 of the protocol; v2 is refused.
    Framework(
        "pytorch",
        {PROTOCOL_V1: _kfserver, PROTOCOL_V2: _torchserve},
        serves_v1=lambda spec: isinstance(spec, TorchServeSpec) and bool(spec.model_class_name),
        gpu=True,
        checks=(_check_storage, partial(_check_gpu, title="PyTorch"), _check_not_v2),
    ),
    Framework("triton", {PROTOCOL_V2: _triton}, answers=PROTOCOL_V2),
    Framework("onnx", {PROTOCOL_V1: _onnx_runtime}, checks=(_check_onnx_file, _check_storage)),
    Framework("pmml", {PROTOCOL_V1: _kfserver}),
    Framework("lightgbm", {PROTOCOL_V1: partial(_kfserver, threads=True)}),
)
FRAMEWORKS: Mapping[str, Framework] = {row.field: row for row in _ROWS}
