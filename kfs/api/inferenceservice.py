"""Defaults and rules of an InferenceService v1beta1.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/inference_service_{defaults,validation}.go`,
`component.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kfs.api.component import COMPONENTS, Component, Implementation, parse_component
from kfs.api.constants import PREDICTOR, PROTOCOL_V1, PROTOCOL_V2
from kfs.api.frameworks import FRAMEWORKS, Framework
from kfs.api.quantities import canonical_quantities
from kfs.api.v1beta1 import ComponentExtension, FrameworkSpec
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import Obj, clone, mapping, name

if TYPE_CHECKING:
    from kfs.api.config import Config
    from kfs.manager.objects.tree import Frozen

NAME_RULE: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
STORAGE_SCHEMES: Final = ("gs://", "s3://", "pvc://", "file://", "https://", "http://")
DEFAULT_RESOURCES: Final = {"cpu": "1", "memory": "2Gi"}
LOGGER_MODES: Final = frozenset({"all", "request", "response"})

_AZURE_BLOB = "blob.core.windows.net"
_AZURE_BLOB_URI = re.compile(r"https://(.+?).blob.core.windows.net/(.+)")
_HAS_SCHEME = re.compile(r"\w+?://", re.ASCII)
_ALMOST_A_SCHEME = re.compile(r"\w*:/", re.ASCII)


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
        implementation = component.implementations[0]
        framework = framework_of(component)
        if framework is not None and isinstance(implementation.spec, FrameworkSpec):
            server = tree[implementation.field]
            server.update(framework.defaults(implementation.spec, config))
            server["resources"] = _default_resources(server.get("resources"), implementation.at)
    return after


def framework_of(component: Component) -> Framework | None:
    """The row of the component's model server; None when this version has none."""
    return FRAMEWORKS.get(component.implementation().field) if component.type == PREDICTOR else None


def validate(isvc: Frozen) -> list[str]:
    """Check an InferenceService against all rules; returns warnings about what is accepted but odd.

    Raises:
        ValidationError: a rule is broken; the messages are the original's where it has the rule.
    """
    if not re.fullmatch(NAME_RULE, name(isvc)):
        raise ValidationError(
            f'The InferenceService "{name(isvc)}" is invalid: a InferenceService name must consist of lower'
            " case alphanumeric characters or '-', and must start with alphabetical character."
            f' (e.g. "my-name" or "abc-123", regex used for validation is \'{NAME_RULE}\')',
            field="metadata.name",
        )
    warnings: list[str] = []
    for type_ in COMPONENTS:
        component = parse_component(isvc, type_)
        if component is None:
            continue
        implementation = component.implementation()
        _check_storage_uri(implementation)
        if framework_of(component) is None:
            raise ValidationError(
                f"{implementation.at} is not supported by this version of kfs yet", field=implementation.at
            )
        _check_extension(component.extension, component.at)
        warnings += _oddities(implementation)
    return warnings


def _check_storage_uri(implementation: Implementation) -> None:
    uri = implementation.spec.storage_uri
    if not uri or not _HAS_SCHEME.search(uri):
        return
    if _AZURE_BLOB in uri:
        if _AZURE_BLOB_URI.search(uri):
            return
    elif uri.startswith(STORAGE_SCHEMES):
        return
    raise ValidationError(
        f"storageUri, must be one of: [{', '.join(STORAGE_SCHEMES)}] or match"
        " https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path."
        f" StorageUri [{uri}] is not supported.",
        field=f"{implementation.at}.storageUri",
    )


def _check_extension(extension: ComponentExtension, at: str) -> None:
    concurrency, maximum = extension.container_concurrency, extension.max_replicas or 0
    minimum = 1 if extension.min_replicas is None else extension.min_replicas
    percent, logger = extension.canary_traffic_percent, extension.logger
    if concurrency is not None and concurrency < 0:
        raise ValidationError("Parallelism cannot be less than 0.", field=f"{at}.containerConcurrency")
    if minimum < 0:
        raise ValidationError("MinReplicas cannot be less than 0.", field=f"{at}.minReplicas")
    if maximum < 0:
        raise ValidationError("MaxReplicas cannot be less than 0.", field=f"{at}.maxReplicas")
    if minimum > maximum > 0:
        raise ValidationError("MinReplicas cannot be greater than MaxReplicas.", field=f"{at}.minReplicas")
    if logger is not None and logger.mode not in LOGGER_MODES:
        raise ValidationError("Invalid logger type", field=f"{at}.logger.mode")
    # Differs: the original accepts any number (difference 25).
    if percent is not None and not 0 <= percent <= 100:
        field = f"{at}.canaryTrafficPercent"
        raise ValidationError(f"{field} must be between 0 and 100, but is {percent}", field=field)


def _oddities(implementation: Implementation) -> list[str]:
    found = []
    uri = implementation.spec.storage_uri
    if uri and not _HAS_SCHEME.search(uri) and _ALMOST_A_SCHEME.match(uri):
        found.append(
            f'{implementation.at}.storageUri: "{uri}" looks like a URI but is taken as a local path;'
            f" a URI starts with one of {', '.join(STORAGE_SCHEMES)}"
        )
    asked = getattr(implementation.spec, "protocol_version", None)
    if asked not in (None, PROTOCOL_V1, PROTOCOL_V2):
        found.append(f'{implementation.at}.protocolVersion: "{asked}" is unknown and served as v2; use v1 or v2')
    return found


def _default_resources(resources: Any, at: str) -> Obj:
    found = resources or {}
    if not isinstance(found, Mapping):
        raise ValidationError(f"{at}.resources: must be an object", field=f"{at}.resources")
    parts = {part: {**DEFAULT_RESOURCES, **mapping(found, part)} for part in ("limits", "requests")}
    return {**found, **parts}
