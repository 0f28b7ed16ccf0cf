"""Defaults and rules of an InferenceService v1beta1.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/inference_service_{defaults,validation}.go`,
`component.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kfs.api.component import COMPONENTS, CONTAINERS, Component, parse_component
from kfs.api.constants import EXPLAINER, PREDICTOR
from kfs.api.conversion import check_record
from kfs.api.ownership import check_owner
from kfs.api.quantities import canonical_quantities
from kfs.api.servers import server_of
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import Obj, clone, mapping, name

if TYPE_CHECKING:
    from kfs.api.config import Config
    from kfs.api.v1beta1 import ComponentExtension
    from kfs.manager.objects.tree import Frozen

NAME_RULE: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
DEFAULT_RESOURCES: Final = {"cpu": "1", "memory": "2Gi"}
LOGGER_MODES: Final = frozenset({"all", "request", "response"})


def default(isvc: Frozen, config: Config) -> Obj:
    """A copy with defaults filled in and quantities in canonical spelling.

    A component without, or with more than one, implementation is left as it is: validation refuses it.

    Raises:
        ValidationError: a field has the wrong type or is no quantity; the message names it.
        ConfigError: the configuration does not say how to run the model server.
    """
    after = clone(isvc)
    for type_ in COMPONENTS:
        component = parse_component(after, type_)
        if component is None or not component.implementations:
            continue
        tree = after["spec"][type_]
        canonical_quantities(tree, component.at)
        if len(component.implementations) > 1:
            continue
        implementation = component.implementation()
        server = {**implementation.container, **server_of(after, component).defaults(config)}
        server["resources"] = default_resources(server.get("resources"), implementation.at)
        if implementation.field == CONTAINERS:
            tree[CONTAINERS][0] = server
        else:
            tree[implementation.field] |= server
    return after


def validate(isvc: Frozen) -> list[str]:
    """Check an InferenceService against all rules; returns warnings about what is accepted but odd.

    Raises:
        ValidationError: a rule is broken; the messages are the original's where it has the rule.
    """
    check_name(isvc)
    check_owner(isvc)
    check_record(isvc)
    warnings: list[str] = []
    for type_ in COMPONENTS:
        component = parse_component(isvc, type_)
        if component is None:
            continue
        server = server_of(isvc, component)
        server.check()
        _check_extension(component.extension, component.at)
        warnings += server.oddities() + _ignored(component)
    return warnings


def check_name(isvc: Frozen) -> None:
    """Refuse a name that its children could not have; raises `ValidationError`."""
    if not re.fullmatch(NAME_RULE, name(isvc)):
        raise ValidationError(
            f'The InferenceService "{name(isvc)}" is invalid: a InferenceService name must consist of lower'
            " case alphanumeric characters or '-', and must start with alphabetical character."
            f' (e.g. "my-name" or "abc-123", regex used for validation is \'{NAME_RULE}\')',
            field="metadata.name",
        )


def check_replicas(minimum: int | None, maximum: int, at: str) -> None:
    """Refuse bounds between which there is nothing; raises `ValidationError`. A `maximum` of 0 is no bound."""
    least = 1 if minimum is None else minimum
    if least < 0:
        raise ValidationError("MinReplicas cannot be less than 0.", field=f"{at}.minReplicas")
    if maximum < 0:
        raise ValidationError("MaxReplicas cannot be less than 0.", field=f"{at}.maxReplicas")
    if least > maximum > 0:
        raise ValidationError("MinReplicas cannot be greater than MaxReplicas.", field=f"{at}.minReplicas")


def check_logger(mode: str, at: str) -> None:
    """Refuse a logger that does not say what to log; raises `ValidationError`."""
    if mode not in LOGGER_MODES:
        raise ValidationError("Invalid logger type", field=f"{at}.logger.mode")


def default_resources(resources: Any, at: str) -> Obj:
    """A container's resources, with the default ones where it names none.

    Raises:
        ValidationError: it is no object.
    """
    found = resources or {}
    if not isinstance(found, Mapping):
        raise ValidationError(f"{at}.resources: must be an object", field=f"{at}.resources")
    parts = {part: {**DEFAULT_RESOURCES, **mapping(found, part)} for part in ("limits", "requests")}
    return {**found, **parts}


def _check_extension(extension: ComponentExtension, at: str) -> None:
    concurrency, percent, logger = extension.container_concurrency, extension.canary_traffic_percent, extension.logger
    if concurrency is not None and concurrency < 0:
        raise ValidationError("Parallelism cannot be less than 0.", field=f"{at}.containerConcurrency")
    check_replicas(extension.min_replicas, extension.max_replicas or 0, at)
    if logger is not None:
        check_logger(logger.mode, at)
    # Differs: the original accepts any number (difference 25).
    if percent is not None and not 0 <= percent <= 100:
        field = f"{at}.canaryTrafficPercent"
        raise ValidationError(f"{field} must be between 0 and 100, but is {percent}", field=field)


def _ignored(component: Component) -> list[str]:
    """Warnings about fields that, as in the original, do nothing where they are."""
    found = []
    if component.type != PREDICTOR:
        asked = {"logger": component.extension.logger, "batcher": component.extension.batcher}
        found += [
            f"{component.at}.{field}: works on predictors only" for field, ask in asked.items() if ask is not None
        ]
    if component.type == EXPLAINER and (field := component.implementation().field) != CONTAINERS:
        found += [f"{component.at}.{key}: is ignored beside {field}" for key in sorted(component.pod)]
    return found
