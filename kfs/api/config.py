"""The ConfigMap `inferenceservice-config`: one JSON document a key, each a section.

A section that makes no sense fails whoever needs it and nobody else: its error is raised on access.
Sections and fields that nobody knows are ignored.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/configmap.go`,
`pkg/webhook/admission/pod/*_injector.go`, `pkg/credentials/service_account_credentials.go`.

Differs: the original panics on bad JSON (difference 7); here the error names the key and the position.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import msgspec

from kfs.api.constants import INFERENCE_SERVICE_CONFIG
from kfs.manager.errors import ConfigError, DecodeError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.quantity import canonical_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfs.manager.objects.tree import Obj


class _Section(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Runtime(_Section, frozen=True):
    """One model server: the image without tag, and the tags that are used when the user names none."""

    image: str = ""
    default_image_version: str = ""
    default_gpu_image_version: str = ""
    # Seconds, written as a string.
    default_timeout: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+$")] = "0"
    multi_model_server: bool = False


class ProtocolRuntimes(_Section, frozen=True):
    """One model server for each protocol."""

    v1: Runtime | None = None
    v2: Runtime | None = None


class Predictors(_Section, frozen=True):
    """Section `predictors`."""

    tensorflow: Runtime | None = None
    triton: Runtime | None = None
    xgboost: ProtocolRuntimes = ProtocolRuntimes()
    sklearn: ProtocolRuntimes = ProtocolRuntimes()
    pytorch: ProtocolRuntimes = ProtocolRuntimes()
    onnx: Runtime | None = None
    pmml: Runtime | None = None
    lightgbm: Runtime | None = None


class Explainers(_Section, frozen=True):
    """Section `explainers`."""

    alibi: Runtime | None = None
    aix: Runtime | None = None
    art: Runtime | None = None


class Transformers(_Section, frozen=True):
    """Section `transformers`."""

    feast: Runtime | None = None


class Sidecar(_Section, frozen=True):
    """A container that the pod mutator adds: image and resources. Sections `agent` and `batcher`."""

    image: str = ""
    cpu_request: str = ""
    cpu_limit: str = ""
    memory_request: str = ""
    memory_limit: str = ""

    def resources(self) -> Obj:
        """A container's `resources`, in canonical spelling.

        Raises:
            ValidationError: one of them is missing or no quantity.
        """
        return {
            "limits": {
                "cpu": canonical_quantity(self.cpu_limit),
                "memory": canonical_quantity(self.memory_limit),
            },
            "requests": {
                "cpu": canonical_quantity(self.cpu_request),
                "memory": canonical_quantity(self.memory_request),
            },
        }


class StorageInitializer(Sidecar, frozen=True):
    """Section `storageInitializer`."""

    image: str = "gcr.io/kfserving/storage-initializer:latest"


class LoggerSidecar(Sidecar, frozen=True):
    """Section `logger`; `default_url` takes what a logger without URL sends."""

    default_url: str = ""


class S3(_Section, frozen=True):
    """Under which keys a Secret holds S3 credentials, and the endpoint of Secrets that name none."""

    access_key_id_name: str = msgspec.field(default="", name="s3AccessKeyIDName")
    secret_access_key_name: str = msgspec.field(default="", name="s3SecretAccessKeyName")
    endpoint: str = msgspec.field(default="", name="s3Endpoint")
    use_https: str = msgspec.field(default="", name="s3UseHttps")


class GCS(_Section, frozen=True):
    """Under which key a Secret holds a Google service account's file."""

    credential_file_name: str = msgspec.field(default="", name="gcsCredentialFileName")


class Credentials(_Section, frozen=True):
    """Section `credentials`."""

    s3: S3 = S3()
    gcs: GCS = GCS()


class Ingress(_Section, frozen=True):
    """Section `ingress`: Istio gateways (`namespace/name`) and the Services behind them (host names)."""

    ingress_gateway: str = ""
    ingress_service: str = ""
    local_gateway: str = "knative-serving/cluster-local-gateway"
    local_gateway_service: str = "cluster-local-gateway.istio-system.svc.cluster.local"


S = TypeVar("S", bound=_Section)

_SECTIONS: Mapping[str, type[_Section]] = {
    "predictors": Predictors,
    "explainers": Explainers,
    "transformers": Transformers,
    "storageInitializer": StorageInitializer,
    "credentials": Credentials,
    "ingress": Ingress,
    "logger": LoggerSidecar,
    "batcher": Sidecar,
    "agent": Sidecar,
}


@dataclass(frozen=True)
class Config:
    """The sections that made sense, and what is wrong with the others, by key.

    Each property raises `ConfigError` when its section is bad.
    """

    sections: Mapping[str, _Section] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def predictors(self) -> Predictors:
        return self._section("predictors", Predictors)

    @property
    def explainers(self) -> Explainers:
        return self._section("explainers", Explainers)

    @property
    def transformers(self) -> Transformers:
        return self._section("transformers", Transformers)

    @property
    def storage_initializer(self) -> StorageInitializer:
        return self._section("storageInitializer", StorageInitializer)

    @property
    def credentials(self) -> Credentials:
        return self._section("credentials", Credentials)

    @property
    def ingress(self) -> Ingress:
        return self._section("ingress", Ingress)

    @property
    def logger(self) -> LoggerSidecar:
        return self._section("logger", LoggerSidecar)

    @property
    def batcher(self) -> Sidecar:
        return self._section("batcher", Sidecar)

    @property
    def agent(self) -> Sidecar:
        return self._section("agent", Sidecar)

    def or_else(self, good: Config) -> Config:
        """This configuration, with `good`'s sections in the place of its bad ones; other problems remain."""
        return Config(
            sections={**{k: v for k, v in good.sections.items() if k in self.problems}, **self.sections},
            problems={k: v for k, v in self.problems.items() if k not in good.sections},
        )

    def differing(self, other: Config) -> list[str]:
        """The keys of the sections that this configuration and another do not have alike."""
        keys = [*self.sections, *(key for key in other.sections if key not in self.sections)]
        return [key for key in keys if self.sections.get(key) != other.sections.get(key)]

    def _section(self, key: str, record: type[S]) -> S:
        if key in self.sections:
            return cast("S", self.sections[key])
        raise ConfigError(self.problems.get(key) or _problem(key, "is missing; add it"))


def parse_config(data: Mapping[str, str]) -> Config:
    """The configuration in a ConfigMap's `data`. Never raises: what is wrong is in `problems`."""
    sections: dict[str, _Section] = {}
    problems: dict[str, str] = {}
    for key, record in _SECTIONS.items():
        try:
            sections[key] = _parse(key, data.get(key), record)
        except ConfigError as error:
            problems[key] = str(error)
    return Config(sections, problems)


def no_config(why: str) -> Config:
    """A configuration of which every section is missing for one reason."""
    return Config(problems=dict.fromkeys(_SECTIONS, why))


def _parse(key: str, text: str | None, record: type[S]) -> S:
    if text is None:
        if issubclass(record, Sidecar | Ingress):
            raise ConfigError(_problem(key, "is missing; add it"))
        return record()
    try:
        section = codec.convert(codec.loads_object(text), record)
    except (DecodeError, ValidationError) as error:
        raise ConfigError(_problem(key, f"is bad: {error}")) from error
    if isinstance(section, Sidecar):
        try:
            section.resources()
        except ValidationError as error:
            raise ConfigError(f'Failed to parse resource configuration for "{key}": "{error}"') from error
    if isinstance(section, Ingress) and not (section.ingress_gateway and section.ingress_service):
        raise ConfigError(
            _problem(key, "is bad: Invalid ingress config, ingressGateway and ingressService are required.")
        )
    return section


def _problem(key: str, what: str) -> str:
    return f'key "{key}" of {INFERENCE_SERVICE_CONFIG} {what}'
