"""The servers of explanations: one row each.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/explainer_{alibi,aix360,art}.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kfs.api.config import Runtime
from kfs.api.constants import CONTAINER_NAME, HTTP_PORT, INFERENCE_SERVICE_CONFIG, MODEL_MOUNT_PATH, PROTOCOL_V1
from kfs.api.frameworks import includes
from kfs.api.names import predictor_address
from kfs.api.storage import check_storage_uri, storage_uri_oddities
from kfs.manager.errors import ConfigError
from kfs.manager.objects.tree import Obj, clone, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfs.api.component import ExplainerServerSpec, Model
    from kfs.api.config import Config


@dataclass(frozen=True)
class ExplainerRow:
    """One server of explanations.

    `methods` are the values of `type` that it knows, `flag` the argument that carries it, if not the bare value.
    `customizable`: whether the user's own container fields are kept; of the others only resources and arguments are.
    """

    field: str
    methods: tuple[str, ...]
    flag: str = ""
    customizable: bool = False


@dataclass(frozen=True)
class ExplanationServer:
    """A server that explains one model's predictions."""

    row: ExplainerRow
    model: Model[ExplainerServerSpec]

    protocol = PROTOCOL_V1

    @property
    def storage_uri(self) -> str | None:
        """Where the trained explainer is, or None.

        Differs: an empty address means none; the original has Alibi's storage initializer fetch it, which fails.
        """
        return self.model.spec.storage_uri or None

    def defaults(self, config: Config) -> Obj:
        """The fields that the defaulter sets, with the values that they then have.

        Raises:
            ConfigError: the configuration does not say which version to use.
        """
        return {"name": CONTAINER_NAME, "runtimeVersion": self._version(config)}

    def check(self) -> None:
        """Refuse what cannot be fetched.

        Raises:
            ValidationError: the storage address is of an unknown kind.
        """
        check_storage_uri(self.storage_uri, f"{self.model.at}.storageUri")

    def oddities(self) -> list[str]:
        """What to warn about in a server that is accepted."""
        found = storage_uri_oddities(self.storage_uri, f"{self.model.at}.storageUri")
        if (method := self.model.spec.type) not in self.row.methods:
            known = ", ".join(self.row.methods)
            found.append(f'{self.model.at}.type: "{method}" is no method of {self.row.field}; it has {known}')
        if not self.row.customizable:
            ignored = sorted(self.model.container.keys() - {"name", "resources", "args"})
            found += [f"{self.model.at}.{field}: is ignored by {self.row.field}" for field in ignored]
        return found

    def container(self, config: Config) -> Obj:
        """The container that explains.

        Raises:
            ConfigError: the configuration does not say which image to use.
        """
        given = clone(self.model.container)
        if not self.row.customizable:
            given = {"resources": given.get("resources")}
        container = {**given, "name": CONTAINER_NAME, "args": self._arguments()}
        if not container.get("image"):
            image = self._runtime(config).image or self._complain("image")
            container["image"] = f"{image}:{self._version(config)}"
        return container

    def is_multi_model(self, config: Config) -> bool:
        """Never."""
        return False

    def _arguments(self) -> list[str]:
        model, spec = self.model, self.model.spec
        found = ["--model_name", model.name, "--http_port", str(HTTP_PORT)]
        if not includes(model.container, "--predictor_host"):
            found += ["--predictor_host", predictor_address(model.name, model.namespace)]
        if model.concurrency is not None and not includes(model.container, "--workers"):
            found += ["--workers", str(model.concurrency)]
        if self.storage_uri:
            found += ["--storage_uri", MODEL_MOUNT_PATH]
        found += [self.row.flag, spec.type] if self.row.flag else [spec.type]
        for key, value in sorted((spec.config or {}).items()):
            found += [f"--{key}", value]
        return [*found, *sequence(model.container, "args")]

    def _version(self, config: Config) -> str:
        if self.model.spec.runtime_version:
            return self.model.spec.runtime_version
        return self._runtime(config).default_image_version or self._complain("defaultImageVersion")

    def _runtime(self, config: Config) -> Runtime:
        found: Runtime | None = getattr(config.explainers, self.row.field)
        return found or Runtime()

    def _complain(self, setting: str) -> NoReturn:
        of = self.row.field
        raise ConfigError(
            f'key "explainers" of {INFERENCE_SERVICE_CONFIG} does not say how to run {of}: set {setting} of {of}'
        )


_ROWS = (
    ExplainerRow(
        "alibi",
        ("AnchorTabular", "AnchorImages", "AnchorText", "Counterfactuals", "Contrastive"),
        customizable=True,
    ),
    ExplainerRow("aix", ("LimeImages",), "--explainer_type"),
    ExplainerRow("art", ("SquareAttack",), "--adversary_type"),
)
EXPLAINERS: Mapping[str, ExplainerRow] = {row.field: row for row in _ROWS}
