"""The queue of keys that await reconciliation.

It belongs to one event loop and needs no locks. Its promises:

- *Level-triggered*: a key says that something changed, never what. Adding a key that waits already
  changes nothing but its priority, reason and due time.
- *One worker a key*: between `get` and `done` nobody else gets the key; if it is added meanwhile, it
  becomes ready when `done` is called.
- *One pending run a key, the earliest asked for*: adding a delayed key at once replaces the delay, and
  delaying a key that is ready already changes nothing. (client-go would run the key a second time
  when the delay ends; since a reconciler sees the whole state and says anew when to look again,
  that run is superfluous.)
- *Fair*: see `fairness`; keys that fail come back with a growing delay, see `ratelimit`.

A key can be *processing* (taken and not done) and *pending* at once. A pending key is either *ready*
(in the fair queue), *held* (being processed; ready after `done`) or *delayed* (a timer will make it
ready or held).

Upstream: kubernetes/client-go `util/workqueue/queue.go`, `delaying_queue.go`,
`rate_limiting_queue.go`; kubernetes-sigs/controller-runtime `pkg/controller/priorityqueue`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from kfs.manager.controller.fairness import FairQueue
from kfs.manager.errors import KfsError

if TYPE_CHECKING:
    from kfs.manager.controller.ratelimit import RateLimiter
    from kfs.manager.metrics import Metrics

K = TypeVar("K", bound=Hashable)

LOW_PRIORITY = -10
"""For what nobody waits for: the keys of the first list and of a resync. Under a steady load of ordinary
keys (priority 0) such keys still get every eleventh turn."""


class QueueShutDown(KfsError):
    """The queue was shut down; the worker should end."""


class Item(NamedTuple, Generic[K]):
    """A key to work on. `reason` is for the log; `priority` is what a retry should be added with."""

    key: K
    reason: str
    priority: int


@dataclass(slots=True)
class _Pending:
    """A run that was asked for. `ready_at` is loop time; `timer` is set while the run is delayed."""

    priority: int
    reason: str
    ready_at: float
    timer: asyncio.TimerHandle | None = None


def namespace_of(key: Any) -> Hashable:
    """The namespace of an `ObjectKey`, or of anything like it; an empty string for other keys."""
    return getattr(key, "namespace", "")


class WorkQueue(Generic[K]):
    """A level-triggered, deduplicating, fair queue with delays and rate limits.

    `name` is the controller's and labels the metrics. `group` tells which keys share a turn.
    All methods must be called from within one event loop.
    """

    def __init__(
        self,
        name: str,
        limiter: RateLimiter,
        metrics: Metrics,
        *,
        group: Callable[[K], Hashable] = namespace_of,
    ) -> None:
        self._limiter = limiter
        self._pending: dict[K, _Pending] = {}
        self._ready: FairQueue[K] = FairQueue(group)
        self._available = asyncio.Semaphore(0)
        self._processing: dict[K, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

        labels = (name, name)
        self._adds = metrics.queue_adds.labels(*labels)
        self._retries = metrics.queue_retries.labels(*labels)
        self._latency = metrics.queue_latency.labels(*labels)
        self._work = metrics.queue_work.labels(*labels)
        metrics.queue_depth.labels(*labels).set_function(self.__len__)
        metrics.queue_unfinished.labels(*labels).set_function(lambda: sum(self._ages()))
        metrics.queue_longest.labels(*labels).set_function(lambda: max(self._ages(), default=0.0))

    def __len__(self) -> int:
        """The number of keys that are ready."""
        return len(self._ready)

    def ready(self) -> list[K]:
        """The keys that are ready, in the order in which they came; for debugging."""
        return list(self._ready)

    def delayed(self) -> dict[K, float]:
        """The delayed keys and the seconds until each is ready; for debugging."""
        now = self._now()
        return {key: pending.ready_at - now for key, pending in self._pending.items() if pending.timer}

    def processing(self) -> list[K]:
        """The keys that were taken and are not done; for debugging."""
        return list(self._processing)

    def add(self, key: K, *, reason: str = "", priority: int = 0) -> None:
        """Ask for the key to be worked on now.

        If it waits already, the higher priority and the first reason since the last `get` are kept;
        if it is delayed, it no longer is.
        """
        if self._closed:
            return
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(priority, reason, self._now())
            self._fall_due(key, pending)
            return
        pending.priority = max(pending.priority, priority)
        if pending.timer is not None:
            pending.timer.cancel()
            pending.reason = reason
            self._fall_due(key, pending)
        else:
            pending.reason = pending.reason or reason
            if key in self._ready:
                self._ready.push(key, pending.priority)

    def add_after(self, key: K, delay_s: float, *, reason: str = "", priority: int = 0) -> None:
        """Ask for the key to be worked on in `delay_s` seconds, or before, if it waits for less."""
        if self._closed:
            return
        # client-go counts every delayed add as a retry, and dashboards are made for that.
        self._retries.inc()
        if delay_s <= 0:
            self.add(key, reason=reason, priority=priority)
            return
        at = self._now() + delay_s
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(priority, reason, at)
        else:
            pending.priority = max(pending.priority, priority)
            if pending.timer is None:
                if key in self._ready:
                    self._ready.push(key, pending.priority)
                return
            if pending.ready_at <= at:
                return
            pending.timer.cancel()
            pending.reason, pending.ready_at = reason, at
        pending.timer = self._running_loop().call_at(at, self._fall_due, key, pending)

    def add_rate_limited(self, key: K, *, reason: str = "", priority: int = 0) -> None:
        """Ask for the key to be worked on when the limiter allows it: after a failure."""
        if not self._closed:
            self.add_after(key, self._limiter.when(key), reason=reason, priority=priority)

    def forget(self, key: K) -> None:
        """Tell the limiter that the key succeeded, or is given up. `done` is still due."""
        self._limiter.forget(key)

    def retries(self, key: K) -> int:
        """How many times in a row the key was added rate-limited."""
        return self._limiter.retries(key)

    async def get(self) -> Item[K]:
        """Wait for a key and take it; whoever took it must call `done`.

        Raises:
            QueueShutDown: the queue was shut down.
        """
        await self._available.acquire()
        if self._closed:
            # Passed on from one waiting worker to the next.
            self._available.release()
            raise QueueShutDown("The work queue was shut down")
        key = self._ready.pop()
        pending = self._pending.pop(key)
        now = self._processing[key] = self._now()
        self._latency.observe(now - pending.ready_at)
        return Item(key, pending.reason, pending.priority)

    def done(self, key: K) -> None:
        """The work on a key that `get` gave has ended, well or badly.

        Raises:
            KeyError: the key is not being processed.
        """
        self._work.observe(self._now() - self._processing.pop(key))
        pending = self._pending.get(key)
        if pending is not None and pending.timer is None:
            self._make_ready(key, pending)

    def shut_down(self) -> None:
        """Accept no more keys, drop those that wait, and let every `get` raise.

        Keys that are being processed stay so until `done`. Nothing is lost: whoever starts next
        lists all objects anyway.
        """
        if self._closed:
            return
        self._closed = True
        for pending in self._pending.values():
            if pending.timer is not None:
                pending.timer.cancel()
        self._pending.clear()
        self._ready.clear()
        self._available.release()

    def _fall_due(self, key: K, pending: _Pending) -> None:
        pending.timer = None
        pending.ready_at = self._now()
        self._adds.inc()
        if key not in self._processing:
            self._make_ready(key, pending)

    def _make_ready(self, key: K, pending: _Pending) -> None:
        self._ready.push(key, pending.priority)
        self._available.release()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _now(self) -> float:
        return self._running_loop().time()

    def _ages(self) -> list[float]:
        return [self._now() - started for started in self._processing.values()]
