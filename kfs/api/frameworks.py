"""The model servers: one row each, which says how a server is configured and run.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/predictor_*.go`, `pkg/constants/mlserver.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kfs.api.config import Config, Predictors, ProtocolRuntimes, Runtime
from kfs.api.constants import (
    CONTAINER_NAME,
    HTTP_PORT,
    INFERENCE_SERVICE_CONFIG,
    MODEL_MOUNT_PATH,
    PROTOCOL_V1,
    PROTOCOL_V2,
)
from kfs.manager.errors import ConfigError
from kfs.manager.objects.tree import Obj, sequence

if TYPE_CHECKING:
    from kfs.api.v1beta1 import FrameworkSpec
    from kfs.manager.objects.tree import Frozen

_GRPC_PORT = 9000


@dataclass(frozen=True)
class Model:
    """What a server is to serve.

    `name` is the model's name, `spec` our fields and `container` the user's own container fields.
    `concurrency`: requests a container takes at once, or None.
    """

    name: str
    spec: FrameworkSpec
    container: Frozen
    concurrency: int | None = None


Server = Callable[[Model], Obj]
"""The container fields that make a server serve a model: arguments, environment, ports."""


@dataclass(frozen=True)
class Framework:
    """One model server.

    `servers` has one builder for each protocol. A protocol that nobody knows is served as v2, by a server
    whose version is v1's default, since the original does so.
    """

    field: str
    runtimes: Callable[[Predictors], ProtocolRuntimes]
    servers: Mapping[str, Server]

    def defaults(self, spec: FrameworkSpec, config: Config) -> Obj:
        """The fields that the defaulter sets, with the values that they then have.

        Raises:
            ConfigError: the configuration does not say which version to use.
        """
        return {
            "name": CONTAINER_NAME,
            "runtimeVersion": self._version(spec, config),
            "protocolVersion": protocol(spec),
        }

    def container(self, model: Model, config: Config) -> Obj:
        """The container that serves the model; what the user set wins.

        Raises:
            ConfigError: the configuration does not say which image to use.
        """
        served = PROTOCOL_V1 if protocol(model.spec) == PROTOCOL_V1 else PROTOCOL_V2
        container = {**model.container, "name": CONTAINER_NAME, **self.servers[served](model)}
        if not container.get("image"):
            image = self._runtime(config, served).image
            container["image"] = f"{image}:{self._version(model.spec, config)}"
        return container

    def is_multi_model(self, spec: FrameworkSpec, config: Config) -> bool:
        """Whether it serves the models that TrainedModels name: so configured, and without one of its own."""
        runtime = getattr(self.runtimes(config.predictors), protocol(spec), None)
        return spec.storage_uri is None and isinstance(runtime, Runtime) and runtime.multi_model_server

    def _version(self, spec: FrameworkSpec, config: Config) -> str:
        if spec.runtime_version is not None:
            return spec.runtime_version
        served = PROTOCOL_V2 if protocol(spec) == PROTOCOL_V2 else PROTOCOL_V1
        return self._runtime(config, served).default_image_version

    def _runtime(self, config: Config, served: str) -> Runtime:
        runtime: Runtime | None = getattr(self.runtimes(config.predictors), served)
        if runtime is None or not (runtime.image and runtime.default_image_version):
            raise ConfigError(
                f'key "predictors" of {INFERENCE_SERVICE_CONFIG} does not say how to run {self.field} with'
                f" protocol {served}: set image and defaultImageVersion of {self.field}.{served}"
            )
        return runtime


def protocol(spec: FrameworkSpec) -> str:
    """The inference protocol that was asked for; v1 when none was."""
    return PROTOCOL_V1 if spec.protocol_version is None else spec.protocol_version


def _kfserver(model: Model) -> Obj:
    own = list(sequence(model.container, "args"))
    args = [
        f"--model_name={model.name}",
        f"--model_dir={MODEL_MOUNT_PATH}",
        f"--http_port={HTTP_PORT}",
    ]
    if model.concurrency is not None and not any(str(a).startswith("--workers") for a in own):
        args.append(f"--workers={model.concurrency}")
    return {"args": args + own}


def _mlserver(model: Model, implementation: str) -> Obj:
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


FRAMEWORKS: Mapping[str, Framework] = {
    row.field: row
    for row in (
        Framework(
            "sklearn",
            runtimes=lambda predictors: predictors.sklearn,
            servers={
                PROTOCOL_V1: _kfserver,
                PROTOCOL_V2: partial(_mlserver, implementation="mlserver_sklearn.SKLearnModel"),
            },
        ),
    )
}
