"""What runs a component: the row of its framework or explainer, or the user's own container.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/component.go` (ComponentImplementation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kfs.api.component import CONTAINERS, Component, Model
from kfs.api.custom import CustomServer
from kfs.api.explainers import EXPLAINERS, ExplanationServer
from kfs.api.framework_server import FrameworkServer
from kfs.api.frameworks import FRAMEWORKS
from kfs.api.v1beta1 import FrameworkSpec
from kfs.manager.objects.tree import name, namespace

if TYPE_CHECKING:
    from kfs.api.config import Config
    from kfs.manager.objects.tree import Frozen, Obj


class ModelServer(Protocol):
    """The server of one component of one InferenceService."""

    @property
    def storage_uri(self) -> str | None:
        """Where what it serves is fetched from; None when it brings it along."""
        ...

    @property
    def protocol(self) -> str:
        """The inference protocol in which it answers."""
        ...

    def defaults(self, config: Config) -> Obj:
        """The fields that the defaulter sets, except resources; raises `ConfigError`."""
        ...

    def check(self) -> None:
        """Raises `ValidationError` when it breaks a rule."""
        ...

    def oddities(self) -> list[str]:
        """What to warn about although it breaks no rule."""
        ...

    def container(self, config: Config) -> Obj:
        """The container to run; raises `ConfigError`, and `ValidationError` for what was never validated."""
        ...

    def is_multi_model(self, config: Config) -> bool:
        """Whether it serves the models that TrainedModels name; raises `ConfigError`."""
        ...


def server_of(isvc: Frozen, component: Component) -> ModelServer:
    """The server of a component.

    Raises:
        ValidationError: the component has not exactly one implementation.
    """
    found = component.implementation()
    named, of = name(isvc), namespace(isvc)
    if found.field == CONTAINERS:
        return CustomServer(
            component.type, Model(named, of, found.at, found.spec, found.container, component.extension)
        )
    if isinstance(found.spec, FrameworkSpec):
        framework = Model(named, of, found.at, found.spec, found.container, component.extension)
        return FrameworkServer(FRAMEWORKS[found.field], framework)
    explainer = Model(named, of, found.at, found.spec, found.container, component.extension)
    return ExplanationServer(EXPLAINERS[found.field], explainer)
