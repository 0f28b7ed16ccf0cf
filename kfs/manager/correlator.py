"""Which Events are worth telling the API server, and how: pure decisions, without I/O.

Three rules, in this order:

- *Aggregation*: when one object gets Events of one type and reason with ever different messages, the
  first nine stand for themselves; all others share one Event whose message says that it combines them.
  A pause of ten minutes starts over.
- *Counting*: an Event that was seen before is patched (count, last time, message), not created again.
- *Spam filter*: a source may send 25 Events about an object at once, then one every five minutes.
  What it swallows is still counted, and shows in the count of the next Event that passes.

Upstream: kubernetes/client-go `tools/record/events_cache.go`. There, past the threshold, it is left to
chance which message keeps an Event of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from kfs.manager.objects.tree import Obj, mapping, name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

AGGREGATE_AFTER = 10
AGGREGATE_WITHIN = timedelta(seconds=600)
COMBINED = "(combined from similar events): "
MESSAGE_LIMIT = 1024
SPAM_BURST = 25
SPAM_REFILL = timedelta(seconds=300)

# In each of the caches, so that a cluster full of unhealthy objects cannot fill the memory.
_REMEMBERED = 4096
_NEVER = datetime.min.replace(tzinfo=UTC)

V = TypeVar("V")


class Correlated(NamedTuple):
    """What to send: `patch` for an Event that should exist, else (or if it does not) create `event`."""

    event: Obj
    patch: Obj | None


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    last_at: datetime = _NEVER


@dataclass(slots=True)
class _Seen:
    name: str
    first_at: str
    count: int = 0


@dataclass(slots=True)
class _Allowance:
    counted_at: datetime
    tokens: float = SPAM_BURST


class Correlator:
    """Remembers what was sent, for the 4096 Events, groups of similar ones, and sources used last."""

    def __init__(self) -> None:
        self._similar: _Recent[_Similar] = _Recent()
        self._seen: _Recent[_Seen] = _Recent()
        self._allowances: _Recent[_Allowance] = _Recent()

    def correlate(self, event: Obj, now: datetime) -> Correlated | None:
        """What to send for a new core/v1 Event, which may be changed; None when it is filtered as spam."""
        source = (*mapping(event, "source").values(), *_identity(event), event["type"])
        event, key = self._aggregate(event, (*source, event["reason"]), now)
        correlated = self._count(event, key)
        return correlated if self._allow(source, now) else None

    def _aggregate(self, event: Obj, group: tuple[str, ...], now: datetime) -> tuple[Obj, Hashable]:
        similar = self._similar.get(group, _Similar)
        if now - similar.last_at > AGGREGATE_WITHIN:
            similar.messages.clear()
        similar.last_at = now
        message: str = event["message"]
        if message in similar.messages or len(similar.messages) < AGGREGATE_AFTER - 1:
            similar.messages.add(message)
            return event, (*group, message)
        combined = {
            "metadata": {field: event["metadata"][field] for field in ("name", "namespace")},
            "message": bounded(COMBINED + message),
        }
        return {**event, **combined}, group

    def _count(self, event: Obj, key: Hashable) -> Correlated:
        seen = self._seen.get(key, lambda: _Seen(name(event), event["firstTimestamp"]))
        seen.count += 1
        if seen.count == 1:
            return Correlated(event, None)
        event["metadata"] = {**event["metadata"], "name": seen.name}
        event |= {"firstTimestamp": seen.first_at, "count": seen.count}
        patch = {field: event[field] for field in ("count", "lastTimestamp", "message")}
        return Correlated(event, patch)

    def _allow(self, source: Hashable, now: datetime) -> bool:
        allowance = self._allowances.get(source, lambda: _Allowance(now))
        refill = max(0.0, (now - allowance.counted_at) / SPAM_REFILL)
        allowance.tokens = min(SPAM_BURST, allowance.tokens + refill)
        allowance.counted_at = now
        if allowance.tokens < 1:
            return False
        allowance.tokens -= 1
        return True


class _Recent(Generic[V]):
    """A mapping that forgets the key that was not asked for longest."""

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, default: Callable[[], V]) -> V:
        """The value; a new one from `default` when there is none."""
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = default()
            if len(self._values) > _REMEMBERED:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return value


def bounded(message: str) -> str:
    """The message cut to what an Event may hold: 1024 bytes of UTF-8, with an ellipsis where it was cut."""
    data = message.encode("utf-8", "replace")
    if len(data) <= MESSAGE_LIMIT:
        return data.decode()
    return data[: MESSAGE_LIMIT - len("...")].decode("utf-8", "ignore") + "..."


def _identity(event: Obj) -> tuple[str, ...]:
    involved = mapping(event, "involvedObject")
    return tuple(involved.get(field, "") for field in ("apiVersion", "kind", "namespace", "name", "uid", "fieldPath"))
