"""Kubernetes Events about objects: recorded without waiting, sent in the background.

A reconciler calls `Recorder.event`, which never blocks and never raises: Events are for people, and
their loss must not harm the work. One task, the `EventBroadcaster`, sends them in order, after the
`correlator` has counted, combined and filtered them.

`kfs_events_total` counts by outcome: `created`, `updated` (the count of an earlier Event was raised),
`filtered` (spam), `dropped` (the queue was full, or the process ended first), `rejected` (the server
refuses it), `failed` (no answer after all tries).

Upstream: kubernetes/client-go `tools/record/event.go`, `tools/record/util/util.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from kfs.manager.clock import backoff, timestamp
from kfs.manager.correlator import Correlator, bounded
from kfs.manager.errors import (
    AlreadyExists,
    ApiError,
    KfsError,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
)
from kfs.manager.objects.kinds import EVENT
from kfs.manager.objects.tree import key_of, name, namespace, reference, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfs.manager.client import Writer
    from kfs.manager.clock import Clock
    from kfs.manager.correlator import Correlated
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.kinds import Kind
    from kfs.manager.objects.tree import Frozen, Obj
    from kfs.manager.runnables import Started

EventType = Literal["Normal", "Warning"]
NORMAL: EventType = "Normal"
WARNING: EventType = "Warning"

QUEUE_LIMIT = 1000
TRIES = 12
RETRY_FIRST_S = 1.0
RETRY_LIMIT_S = 10.0
FLUSH_WITHIN_S = 3.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_NAME_LIMIT = 253
_RETRIED = (TransportError, TooManyRequests, ServerError)

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """What a controller needs for Events."""

    def event(
        self,
        obj: Frozen,
        kind: Kind,
        type: EventType,
        reason: str,
        message: str,
        *,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Record that something happened to `obj`.

        `reason` is one word in CamelCase for machines, `message` a sentence for people, cut after
        1024 bytes. Never blocks, never raises; call it from the event loop's thread.
        """
        ...


class EventBroadcaster:
    """Sends recorded Events until it is cancelled, then what is left of them; a `Runnable`.

    Events recorded before it runs are sent when it does. While the server cannot be reached they
    queue, up to 1000; later ones are dropped.
    """

    def __init__(self, client: Writer, clock: Clock, metrics: Metrics) -> None:
        self._client = client
        self._clock = clock
        self._outcomes = metrics.events
        self._correlator = Correlator()
        self._queue: asyncio.Queue[Obj] = asyncio.Queue(QUEUE_LIMIT)
        self._unsent: Correlated | None = None
        self._serial = itertools.count()

    def recorder(self, component: str) -> Recorder:
        """A recorder whose Events name `component` as their source."""
        return _ComponentRecorder(component, self)

    async def run(self, started: Started) -> None:
        """Send until cancelled; then spend up to 3 s on what is queued, trying each Event once."""
        started()
        try:
            while True:
                await self._send_next(TRIES)
        finally:
            await self._flush()

    def record(
        self,
        component: str,
        obj: Frozen,
        kind: Kind,
        type: EventType,
        reason: str,
        message: str,
        annotations: Mapping[str, str] | None,
    ) -> None:
        """Queue an Event of `component`; see `Recorder.event`."""
        now = self._clock.now()
        # The serial number tells Events of the same microsecond apart.
        nanoseconds = (now - _EPOCH) // _MICROSECOND * 1000 + next(self._serial) % 1000
        at = timestamp(now)
        meta = {
            "name": _event_name(name(obj), nanoseconds),
            "namespace": namespace(obj) or "default",
        }
        event: Obj = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": meta | ({"annotations": dict(annotations)} if annotations else {}),
            "involvedObject": reference(obj, kind),
            "type": type,
            "reason": reason,
            "message": bounded(message),
            "source": {"component": component},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
            "reportingComponent": component,
            "reportingInstance": "",
        }
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._outcomes.labels("dropped").inc()
            log.warning("Event dropped: too many are queued", extra=_fields(event))
        else:
            log.debug("Event", extra=_fields(event))

    async def _send_next(self, tries: int) -> None:
        # Kept until it is sent, so that a flush begins with the Event whose sending was cancelled.
        if self._unsent is None:
            self._unsent = self._correlator.correlate(await self._queue.get(), self._clock.now())
        if self._unsent is None:
            outcome = "filtered"
        else:
            outcome = await self._send(self._unsent, tries)
            self._unsent = None
        self._outcomes.labels(outcome).inc()

    async def _send(self, correlated: Correlated, tries: int) -> str:
        fields = _fields(correlated.event)
        delays = backoff(RETRY_FIRST_S, RETRY_LIMIT_S)
        for left in reversed(range(tries)):
            try:
                return await self._write(correlated)
            except _RETRIED as error:
                if not left:
                    log.warning("Event lost: no answer", extra={**fields, "error": str(error)})
                else:
                    await asyncio.sleep(next(delays))
            except KfsError as error:
                # In a namespace that is going or gone, Events are refused as a matter of course.
                level = logging.DEBUG if _namespace_is_ending(error) else logging.WARNING
                log.log(level, "Event refused by the server", extra={**fields, "error": str(error)})
                return "rejected"
        return "failed"

    async def _write(self, correlated: Correlated) -> str:
        event, patch = correlated
        if patch is not None:
            try:
                await self._client.patch(EVENT, key_of(event), patch)
                return "updated"
            except NotFound:
                # The server forgets Events, after an hour by default.
                pass
        # Names are unique, so one that is taken is ours: stored by a try whose answer was lost.
        with contextlib.suppress(AlreadyExists):
            await self._client.create(EVENT, event)
        return "created"

    async def _flush(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_WITHIN_S):
                while self._unsent is not None or not self._queue.empty():
                    await self._send_next(tries=1)
        lost = self._queue.qsize() + (self._unsent is not None)
        if lost:
            self._outcomes.labels("dropped").inc(lost)
            log.warning("Events lost: the process ends before they are sent", extra={"count": lost})


class _ComponentRecorder:
    def __init__(self, component: str, broadcaster: EventBroadcaster) -> None:
        self._component = component
        self._broadcaster = broadcaster

    def event(
        self,
        obj: Frozen,
        kind: Kind,
        type: EventType,
        reason: str,
        message: str,
        *,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        self._broadcaster.record(self._component, obj, kind, type, reason, message, annotations)


def _event_name(object_name: str, nanoseconds: int) -> str:
    # Some kinds, such as RBAC's, allow names that an Event may not have.
    wanted = f"{object_name}.{nanoseconds:x}"
    valid = len(wanted) <= _NAME_LIMIT and _NAME.fullmatch(wanted)
    return wanted if valid else str(uuid.uuid4())


def _namespace_is_ending(error: KfsError) -> bool:
    if isinstance(error, NotFound):
        return True
    causes = sequence(error.status, "details", "causes") if isinstance(error, ApiError) else ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def _fields(event: Obj) -> dict[str, str]:
    involved = event["involvedObject"]
    return {
        "object_kind": involved.get("kind", ""),
        "object": str(key_of({"metadata": involved})),
        "type": event["type"],
        "reason": event["reason"],
        "event_message": event["message"],
    }
