"""What Knative's own webhook fills into a Service; otherwise each look at one would find a difference.

What v0.18 fills in we write ourselves (`revision_defaults`), as the original does. What later versions fill in
beyond that stays where we find it (`with_filled_in`), unless somebody wants it otherwise: to write it to an older
Knative might be refused. `hack/record-knative-defaults` runs the real thing; tests/data has what it said.

Upstream: knative/serving v0.18.3 and v0.42.2 `pkg/apis/serving/v1/{revision,route}_defaults.go` (v0.51.0 differs in
`secure-pod-defaults` alone), and the defaults in the CRD's schema (`config/core/300-resources/service.yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kfs.manager.objects.equality import is_empty, semantic_equal
from kfs.manager.objects.tree import clone, mapping, sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

TIMEOUT_S: Final = 300
CONCURRENCY: Final = 0
_HANDLERS = ("tcpSocket", "httpGet", "exec", "grpc")
_PORTED = ("tcpSocket", "httpGet")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
# What Knative fills in by its configuration and an InferenceService cannot ask for.
_KNATIVE_ONLY = ("idleTimeoutSeconds", "responseStartTimeoutSeconds")
_PROBE_DEFAULTS: Final = {"successThreshold": 1, "failureThreshold": 3, "timeoutSeconds": 1}
_LOW_PORTS = 1024


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
    filled = {**container, **{name: _ported(probe) for name in _PROBES if (probe := mapping(container, name))}}
    if serves:
        filled["readinessProbe"] = _probe(mapping(filled, "readinessProbe"))
    if mounts := sequence(container, "volumeMounts"):
        filled["volumeMounts"] = [{**m, "readOnly": True} if isinstance(m, Mapping) else m for m in mounts]
    return filled


def _ported(probe: Frozen) -> Obj:
    """A handler that names no port has port 0: so Knative's Go types write it."""
    handlers = {kind: {"port": 0, **handler} for kind in _PORTED if (handler := mapping(probe, kind))}
    return {**probe, **handlers}


def _probe(probe: Frozen) -> Obj:
    filled: dict[str, Any] = {**probe, "successThreshold": probe.get("successThreshold") or 1}
    if all(probe.get(kind) is None for kind in _HANDLERS):
        # Knative replaces port 0 by the port that the container serves on.
        filled["tcpSocket"] = {"port": 0}
    return filled


def with_filled_in(spec: Frozen, observed: Frozen) -> Obj:
    """A Service's `spec` with what Knative filled into `observed` where `spec` says nothing.

    Only values that its webhook would give count; any other is somebody's edit, and left out.
    """
    filled = clone(spec)
    template = filled.get("template")
    if isinstance(template, dict):
        template["spec"] = _revision(mapping(spec, "template", "spec"), mapping(observed, "template", "spec"))
    return filled


def _revision(wanted: Frozen, observed: Frozen) -> Obj:
    filled = _keeping(wanted, observed, {key: observed.get(key) for key in _KNATIVE_ONLY})
    # Later versions fill this in on create and not on update: whoever took it away would make a new revision.
    filled = _keeping(filled, observed, {"enableServiceLinks": False})
    pod = mapping(wanted, "securityContext")
    for part in ("containers", "initContainers"):
        pairs = zip(sequence(wanted, part), sequence(observed, part), strict=False)
        found = [_filled_container(mine, theirs, pod) for mine, theirs in pairs]
        if found and len(found) == len(sequence(wanted, part)):
            filled[part] = found
    return filled


def _filled_container(wanted: Frozen, observed: Frozen, pod: Frozen) -> Obj:
    filled = dict(wanted)
    for probe in _PROBES:
        if mapping(wanted, probe):
            filled[probe] = _keeping(mapping(wanted, probe), mapping(observed, probe), _PROBE_DEFAULTS)
    ports = sequence(wanted, "ports")
    if ports and len(ports) == len(theirs := sequence(observed, "ports")):
        filled["ports"] = [_keeping(a, b, {"protocol": "TCP"}) for a, b in zip(ports, theirs, strict=True)]
    context = mapping(observed, "securityContext")
    if any(semantic_equal(context, secured) for secured in _secured(wanted, pod)):
        filled["securityContext"] = context
    return filled


def _secured(container: Frozen, pod: Frozen) -> list[Obj]:
    """The container's security context as Knative's feature `secure-pod-defaults` makes it, in both its degrees."""
    context: dict[str, Any] = {"allowPrivilegeEscalation": False, **mapping(container, "securityContext")}
    if not mapping(pod, "seccompProfile").get("type"):
        context["seccompProfile"] = {"type": "RuntimeDefault", **mapping(context, "seccompProfile")}
    if context.get("capabilities") is None:
        ports = [port.get("containerPort") or 0 for port in sequence(container, "ports")]
        low = {"add": ["NET_BIND_SERVICE"]} if any(port < _LOW_PORTS for port in ports) else {}
        context["capabilities"] = {"drop": ["ALL"], **low}
    strict = context if pod.get("runAsNonRoot") is not None else {"runAsNonRoot": True, **context}
    return [context, strict]


def _keeping(wanted: Frozen, observed: Frozen, defaults: Frozen) -> Obj:
    """`wanted`, with the fields of `defaults` that it leaves open and that have these values in `observed`."""
    kept = {k: v for k, v in defaults.items() if v is not None and is_empty(wanted.get(k)) and observed.get(k) == v}
    return {**wanted, **kept}
