"""Containers of the user's own, as predictor, transformer or explainer.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/{predictor,transformer,explainer}_custom.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.api.constants import CONTAINER_NAME, EXPLAINER, HTTP_PORT, PREDICTOR, PROTOCOL_V1, ComponentType
from kfs.api.frameworks import includes
from kfs.api.names import predictor_address
from kfs.api.storage import check_storage_uri, storage_uri_oddities
from kfs.manager.objects.tree import Obj, clone, sequence

if TYPE_CHECKING:
    from kfs.api.component import Model, ServerSpec
    from kfs.api.config import Config


@dataclass(frozen=True)
class CustomServer:
    """The first container of a component that has containers."""

    type: ComponentType
    model: Model[ServerSpec]

    protocol = PROTOCOL_V1

    @property
    def storage_uri(self) -> str | None:
        return self.model.spec.storage_uri

    def defaults(self, config: Config) -> Obj:
        """The fields that the defaulter sets."""
        return {"name": CONTAINER_NAME}

    def check(self) -> None:
        """Refuse what cannot be fetched.

        Raises:
            ValidationError: the storage address is of an unknown kind.
        """
        check_storage_uri(self.storage_uri, f"{self.model.at}.env")

    def oddities(self) -> list[str]:
        """What to warn about in a container that is accepted."""
        return storage_uri_oddities(self.storage_uri, f"{self.model.at}.env")

    def container(self, config: Config) -> Obj:
        """The user's container. A transformer or explainer is told whom it works for, by arguments after its own."""
        container = clone(self.model.container)
        container["name"] = CONTAINER_NAME
        if self.type != PREDICTOR:
            container["args"] = [*sequence(container, "args"), *self._arguments()]
        return container

    def is_multi_model(self, config: Config) -> bool:
        """Never."""
        return False

    def _arguments(self) -> list[str]:
        model, found = self.model, list[str]()
        if not includes(model.container, "--model_name"):
            found += ["--model_name", model.name]
        if not includes(model.container, "--predictor_host"):
            found += ["--predictor_host", predictor_address(model.name, model.namespace)]
        # The original never asks an explainer for a port of its own.
        if self.type == EXPLAINER or not includes(model.container, "--http_port"):
            found += ["--http_port", str(HTTP_PORT)]
        if model.concurrency is not None and not includes(model.container, "--workers"):
            found += ["--workers", str(model.concurrency)]
        return found
