"""What Knative asks of a container of the user's own, as far as v1alpha2 asked it at admission.

Only rules that every version of Knative has. The others are Knative's to enforce; the status tells what it says.

Upstream: knative/serving v0.18 `pkg/apis/serving/k8s_validation.go` (ValidateContainer), `fieldmask.go`;
knative/pkg `apis/field_error.go` for the form of the message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from kfs.manager.objects.equality import is_empty
from kfs.manager.objects.tree import sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen

_MISSING: Final = "missing field(s)"
_DISALLOWED: Final = ("lifecycle", "startupProbe", "stdin", "stdinOnce", "tty", "volumeDevices")
_RESERVED_NAMES: Final = frozenset({"queue-proxy"})
_RESERVED_VARIABLES: Final = frozenset({"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"})


def container_problems(container: Frozen) -> str:
    """What is wrong with the only container of a pod without volumes; empty when nothing is."""
    by_message: dict[str, set[str]] = defaultdict(set)
    for message, path in _problems(container):
        by_message[message].add(path)
    return "\n".join(f"{message}: {', '.join(sorted(paths))}" for message, paths in sorted(by_message.items()))


def _problems(container: Frozen) -> Iterator[tuple[str, str]]:
    if not container.get("image"):
        yield _MISSING, "image"
    if container.get("name") in _RESERVED_NAMES:
        yield f'"{container["name"]}" is a reserved container name', "name"
    for field in _DISALLOWED:
        if container.get(field) and not is_empty(container[field]):
            yield "must not set the field(s)", field
    for i, variable in enumerate(sequence(container, "env")):
        name = variable.get("name") if isinstance(variable, Mapping) else None
        if not name:
            yield _MISSING, f"env[{i}].name"
        elif name in _RESERVED_VARIABLES:
            yield f'"{name}" is a reserved environment variable', f"env[{i}].name"
    for i, mount in enumerate(sequence(container, "volumeMounts")):
        yield "volumeMount has no matching volume", f"volumeMounts[{i}].name"
        for field in ("mountPath", "readOnly"):
            if not isinstance(mount, Mapping) or not mount.get(field):
                yield _MISSING, f"volumeMounts[{i}].{field}"
