"""A model server for one predictor: what its row of the table, the user and the configuration make of it.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/predictor_*.go`,
`pkg/controller/v1beta1/inferenceservice/utils/utils.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kfs.api.config import Config, ProtocolRuntimes, Runtime
from kfs.api.constants import CONTAINER_NAME, INFERENCE_SERVICE_CONFIG, PROTOCOL_V1, PROTOCOL_V2
from kfs.api.frameworks import Framework, asked_protocol, wants_gpu
from kfs.api.storage import storage_uri_oddities
from kfs.manager.errors import ConfigError

if TYPE_CHECKING:
    from kfs.api.component import Model
    from kfs.api.v1beta1 import FrameworkSpec
    from kfs.manager.objects.tree import Obj

_PROTOCOLS = (PROTOCOL_V1, PROTOCOL_V2)


@dataclass(frozen=True)
class FrameworkServer:
    """A model server for one model."""

    row: Framework
    model: Model[FrameworkSpec]

    @property
    def storage_uri(self) -> str | None:
        return self.model.spec.storage_uri

    @property
    def protocol(self) -> str:
        """The protocol in which predictions are asked for. Any but v2 is served as v1."""
        return self.row.answers or asked_protocol(self.model.spec)

    def defaults(self, config: Config) -> Obj:
        """The fields that the defaulter sets, with the values that they then have.

        Raises:
            ConfigError: the configuration does not say which version to use, and the user gave no image.
        """
        found: Obj = {"name": CONTAINER_NAME}
        if len(self.row.servers) > 1:
            found["protocolVersion"] = asked_protocol(self.model.spec)
        if self._version_setting(config) or not self.model.container.get("image"):
            found["runtimeVersion"] = self._version(config)
        return found

    def check(self) -> None:
        """Refuse what the server cannot serve; the messages are the original's.

        Raises:
            ValidationError: a rule is broken.
        """
        for check in self.row.checks:
            check(self.model)

    def oddities(self) -> list[str]:
        """What to warn about in a server that is accepted."""
        found = storage_uri_oddities(self.storage_uri, f"{self.model.at}.storageUri")
        asked, at = self.model.spec.protocol_version, f"{self.model.at}.protocolVersion"
        if asked is None:
            return found
        if len(self.row.servers) == 1:
            (only,) = self.row.servers
            if asked != only:
                found.append(f'{at}: "{asked}" is ignored; {self.row.field} always answers as {only}')
        elif asked not in _PROTOCOLS:
            found.append(f'{at}: "{asked}" is unknown and served as v2; use v1 or v2')
        return found

    def container(self, config: Config) -> Obj:
        """The container that serves the model; what the user set wins.

        Raises:
            ConfigError: the configuration does not say which image to use.
        """
        # A protocol that nobody knows is served as v2, by an image of v1's default version.
        served = self._served(unknown=PROTOCOL_V2)
        runtime = self._runtime(config, served)
        given = self.model.container
        container = {**given, "name": CONTAINER_NAME, **self.row.servers[served](self.model, runtime)}
        if not container.get("image"):
            image = runtime.image or self._complain(served, "image")
            container["image"] = f"{image}:{self._version(config)}"
        return container

    def is_multi_model(self, config: Config) -> bool:
        """Whether it serves the models that TrainedModels name: so configured, and without one of its own."""
        return self.storage_uri is None and self._runtime(config, self.protocol).multi_model_server

    def _version(self, config: Config) -> str:
        found = self._version_setting(config)
        # An empty version that somebody gave stays, as in the original: v1alpha2 gives it to PyTorch.
        if not found and self.model.spec.runtime_version is None:
            self._complain(self._served(unknown=PROTOCOL_V1), self._version_key())
        return found

    def _version_setting(self, config: Config) -> str:
        if self.model.spec.runtime_version is not None:
            return self.model.spec.runtime_version
        runtime = self._runtime(config, self._served(unknown=PROTOCOL_V1))
        return runtime.default_gpu_image_version if self._on_gpu() else runtime.default_image_version

    def _version_key(self) -> str:
        return "defaultGpuImageVersion" if self._on_gpu() else "defaultImageVersion"

    def _on_gpu(self) -> bool:
        return self.row.gpu and wants_gpu(self.model)

    def _served(self, *, unknown: str) -> str:
        """By which of the servers; `unknown` is the answer for a protocol that nobody knows."""
        if len(self.row.servers) == 1:
            return next(iter(self.row.servers))
        asked = asked_protocol(self.model.spec)
        served = asked if asked in _PROTOCOLS else unknown
        return served if served == PROTOCOL_V2 or self.row.serves_v1(self.model.spec) else PROTOCOL_V2

    def _runtime(self, config: Config, served: str) -> Runtime:
        found: Runtime | ProtocolRuntimes | None = getattr(config.predictors, self.row.field)
        if isinstance(found, ProtocolRuntimes):
            found = {PROTOCOL_V1: found.v1, PROTOCOL_V2: found.v2}.get(served)
        return found or Runtime()

    def _complain(self, served: str, setting: str) -> NoReturn:
        of = f"{self.row.field}.{served}" if len(self.row.servers) > 1 else self.row.field
        raise ConfigError(
            f'key "predictors" of {INFERENCE_SERVICE_CONFIG} does not say how to run {of}: set {setting} of {of}'
        )
