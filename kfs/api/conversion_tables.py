"""What one version of InferenceService says in the place where the other says it: a table for each direction.

Only what both versions can say is here. The rest is found by converting there and back again, see `conversion`.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1alpha2/inferenceservice_conversion.go`.

Differs: the original leaves out what these rows move as well: service accounts, parameters of explainers, loggers and
batchers of transformers and explainers, the class of PyTorch models on the way back, the status on the way there
(difference 11). And it takes one model server where there are more, which the validator is there to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kfs.api.component import COMPONENTS
from kfs.api.ownership import V1ALPHA2, V1BETA1

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

ABSENT: Final[Any] = object()

Value = Callable[[Any], Any]
"""What a value becomes on its way; `ABSENT` when it stays behind. Never changes what it is given."""


@dataclass(frozen=True)
class Move:
    """A row of a table: what stands at `source` goes to `target`."""

    source: Sequence[str]
    target: Sequence[str]
    value: Value


@dataclass(frozen=True)
class Pair:
    """Two places that say the same, and what becomes of a value on the way to each."""

    v1alpha2: str
    v1beta1: str
    to_v1beta1: Value
    to_v1alpha2: Value

    def there(self) -> Move:
        return Move(self.v1alpha2.split("."), self.v1beta1.split("."), self.to_v1beta1)

    def back(self) -> Move:
        return Move(self.v1beta1.split("."), self.v1alpha2.split("."), self.to_v1alpha2)


def moved(isvc: Frozen, table: Sequence[Move]) -> Obj:
    """What a table makes of an object's `spec` and `status`. Values are shared with `isvc`, not copied."""
    found: Obj = {}
    for move in table:
        value = _find(isvc, move.source)
        if value is not ABSENT and (value := move.value(value)) is not ABSENT:
            _put(found, move.target, value)
    return found


def _find(tree: Frozen, path: Sequence[str]) -> Any:
    node: Any = tree
    for key in path:
        if not isinstance(node, dict) or key not in node:
            return ABSENT
        node = node[key]
    return node


def _put(tree: Obj, path: Sequence[str], value: Any) -> None:
    *parents, last = path
    for key in parents:
        tree = tree.setdefault(key, {})
    tree[last] = value


def _as_is(value: Any) -> Any:
    return value


def _presence(value: Any) -> Any:
    return {} if isinstance(value, dict) else ABSENT


def _not_zero(value: Any) -> Any:
    """In v1alpha2 no limit is 0 and the same as nothing; in v1beta1 a 0 reaches the server's arguments."""
    return ABSENT if value == 0 else value


def _always_zero(value: Any) -> Any:
    return 0 if isinstance(value, dict) else ABSENT


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else ABSENT


def _alone(value: Any) -> Any:
    return [value]


def _host(url: Any) -> Any:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or ABSENT if isinstance(url, str) else ABSENT
    except ValueError:
        return ABSENT


def _url(host: Any) -> Any:
    url = f"http://{host}"
    return url if isinstance(host, str) and _host(url) == host else ABSENT


_FRAMEWORKS: Final = ("tensorflow", "triton", "xgboost", "lightgbm", "sklearn", "onnx", "pytorch", "pmml")
_EXPLAINERS: Final = ("alibi", "aix")
_SERVER_FIELDS: Final = ("storageUri", "runtimeVersion", "resources")
_COMPONENT_FIELDS: Final = ("minReplicas", "maxReplicas", "serviceAccountName", "logger", "batcher")
_STATUS_FIELDS: Final = ("observedGeneration", "conditions", "url", "address", "annotations")


def _objects() -> Iterator[Pair]:
    """Objects that are there even when they are empty. The inner ones come after those around them."""
    pairs = [("spec", "spec"), ("status", "status")]
    for component in COMPONENTS:
        pairs.append((f"spec.default.{component}", f"spec.{component}"))
        pairs.append((f"status.default.{component}", f"status.components.{component}"))
    pairs += [(f"spec.default.predictor.{server}", f"spec.predictor.{server}") for server in _FRAMEWORKS]
    pairs += [(f"spec.default.explainer.{server}", f"spec.explainer.{server}") for server in _EXPLAINERS]
    return (Pair(a, b, _presence, _presence) for a, b in pairs)


def _fields() -> Iterator[Pair]:
    pairs = [("spec.canaryTrafficPercent", "spec.predictor.canaryTrafficPercent")]
    for component in COMPONENTS:
        a, b = f"spec.default.{component}", f"spec.{component}"
        pairs += [(f"{a}.{field}", f"{b}.{field}") for field in _COMPONENT_FIELDS]
        yield Pair(f"{a}.parallelism", f"{b}.containerConcurrency", _not_zero, _not_zero)
        yield Pair(f"{a}.custom.container", f"{b}.containers", _alone, _first)
        a, b = f"status.default.{component}", f"status.components.{component}"
        pairs.append((f"{a}.name", f"{b}.latestCreatedRevision"))
        yield Pair(f"{a}.host", f"{b}.url", _url, _host)
    for server in _FRAMEWORKS:
        at = f"predictor.{server}"
        pairs += [(f"spec.default.{at}.{field}", f"spec.{at}.{field}") for field in _SERVER_FIELDS]
    for server in _EXPLAINERS:
        at = f"explainer.{server}"
        pairs += [(f"spec.default.{at}.{field}", f"spec.{at}.{field}") for field in (*_SERVER_FIELDS, "type", "config")]
    pairs.append(("spec.default.predictor.pytorch.modelClassName", "spec.predictor.pytorch.modelClassName"))
    pairs += [(f"status.{field}", f"status.{field}") for field in _STATUS_FIELDS]
    for a, b in pairs:
        yield Pair(a, b, _as_is, _as_is)


_OBJECTS: Final = tuple(_objects())
_FIELDS: Final = tuple(_fields())
# The original gives explainers of these two kinds a limit always; who asks for none gets 0, which means the same.
_EXPLAINER_LIMITS: Final = tuple(
    Move(["spec", "default", "explainer", server], ["spec", "explainer", "containerConcurrency"], _always_zero)
    for server in _EXPLAINERS
)

TABLES: Final[Mapping[str, Sequence[Move]]] = {
    V1BETA1: (*(p.there() for p in _OBJECTS), *_EXPLAINER_LIMITS, *(p.there() for p in _FIELDS)),
    V1ALPHA2: (*(p.back() for p in _OBJECTS), *(p.back() for p in _FIELDS)),
}
"""The table that leads to each version."""
