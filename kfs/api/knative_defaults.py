"""What Knative's own webhook fills into a Service, filled in beforehand.

Otherwise each comparison of the wanted with the stored object would find a difference.

Upstream: knative/serving v0.18 `pkg/apis/serving/v1/{revision,route}_defaults.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kfs.manager.objects.tree import mapping, sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

TIMEOUT_S: Final = 300
CONCURRENCY: Final = 0
_PROBES = ("tcpSocket", "httpGet", "exec", "grpc")


def revision_defaults(revision: Frozen) -> Obj:
    """A revision's spec as Knative stores it: time-out in seconds, concurrency (0: no limit), probe."""
    concurrency = revision.get("containerConcurrency")
    containers = sequence(revision, "containers")
    return {
        **revision,
        "timeoutSeconds": revision.get("timeoutSeconds") or TIMEOUT_S,
        "containerConcurrency": CONCURRENCY if concurrency is None else concurrency,
        "containers": [_container(c, serves=len(containers) == 1 or bool(c.get("ports"))) for c in containers],
    }


def _container(container: Frozen, *, serves: bool) -> Obj:
    filled = dict(container)
    if serves:
        filled["readinessProbe"] = _probe(mapping(container, "readinessProbe"))
    if mounts := sequence(container, "volumeMounts"):
        filled["volumeMounts"] = [{**m, "readOnly": True} if isinstance(m, Mapping) else m for m in mounts]
    return filled


def _probe(probe: Frozen) -> Obj:
    filled: dict[str, Any] = {**probe, "successThreshold": probe.get("successThreshold") or 1}
    if all(probe.get(kind) is None for kind in _PROBES):
        # Knative replaces port 0 by the port that the container serves on.
        filled["tcpSocket"] = {"port": 0}
    return filled
