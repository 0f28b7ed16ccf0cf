"""Names, hosts, URLs and paths that follow from an InferenceService's name.

Upstream: kserve/kserve v0.5.1 `pkg/constants/constants.go`; knative/pkg `network/domain.go`.
"""

from __future__ import annotations

from typing import Final

from kfs.api.constants import PREDICTOR, PROTOCOL_V2, ComponentType

CLUSTER_DOMAIN: Final = "cluster.local"
_LOCAL_SUFFIX: Final = f".svc.{CLUSTER_DOMAIN}"
# The requests that an explainer answers.
EXPLAIN_PATTERN: Final = r"^/v1/models/[\w-]+:explain$"
_PORT: Final = r"(?::\d{1,5})?"
_SPECIAL: Final = str.maketrans({c: "\\" + c for c in r"\.+*?()|[]{}^$"})


def default_service_name(name: str, component: ComponentType) -> str:
    """The Knative Service of one component."""
    return f"{name}-{component}-default"


def model_config_name(name: str) -> str:
    """The ConfigMap that tells the agent of an InferenceService which models to load."""
    return f"modelconfig-{name}-0"


def predictor_address(name: str, namespace: str) -> str:
    """Host name under which an explainer or a transformer calls the predictor."""
    return f"{default_service_name(name, PREDICTOR)}.{namespace}"


def service_host(name: str, namespace: str) -> str:
    """The cluster-local host name of a Service."""
    return f"{name}.{namespace}{_LOCAL_SUFFIX}"


def public(address: str, component: ComponentType) -> str:
    """The InferenceService's own host or URL, from that of the component which answers for it."""
    return address.replace(f"-{component}-default", "", 1)


def predict_path(name: str, protocol: str) -> str:
    """Where a model answers, in its server's protocol. Any protocol but v2 is served as v1."""
    return f"/v2/models/{name}/infer" if protocol == PROTOCOL_V2 else f"/v1/models/{name}:predict"


def host_pattern(host: str) -> str:
    """The regular expression that matches a host with or without a port.

    A cluster-local host also matches in its short forms: `a.ns`, `a.ns.svc`.
    """
    if not host.endswith(_LOCAL_SUFFIX):
        return f"^{_quote(host)}{_PORT}$"
    return rf"^{_quote(host.removesuffix(_LOCAL_SUFFIX))}(\.svc({_quote('.' + CLUSTER_DOMAIN)})?)?{_PORT}$"


def _quote(text: str) -> str:
    # re.escape would escape `-` too, which RE2 takes but the original never wrote.
    return text.translate(_SPECIAL)
