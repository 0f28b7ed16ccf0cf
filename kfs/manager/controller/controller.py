"""A controller: sources fill a queue, workers reconcile its keys.

Upstream: kubernetes-sigs/controller-runtime `pkg/internal/controller/controller.go`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kfs.manager.controller.reconcile import Reconcile, Result
from kfs.manager.controller.workqueue import LOW_PRIORITY, Item, QueueShutDown, WorkQueue
from kfs.manager.errors import Conflict, KfsError, TerminalError
from kfs.manager.objects.tree import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfs.manager.cache.changes import Change
    from kfs.manager.cache.informer import Informer
    from kfs.manager.controller.handlers import KeysOf
    from kfs.manager.controller.predicates import Predicate
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.kinds import ObjectKey
    from kfs.manager.runnables import Started

log = logging.getLogger(__name__)

DEFAULT_WORKERS = 8
# How long reconciliations under way may go on after the controller is told to stop.
DRAIN_S = 20.0

reconcile_fields: contextvars.ContextVar[dict[str, str] | None] = contextvars.ContextVar("reconcile", default=None)
"""Controller, key, id and reason of the reconciliation that is running; the log formatter adds them to each line."""


@dataclass(frozen=True)
class Source:
    """An informer, the changes of it that count, and the keys that they mean."""

    informer: Informer
    keys_of: KeysOf
    predicate: Predicate


class Controller:
    """Runs `reconcile` for each key; never twice at once for the same one. The first source has the keys' own kind."""

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        sources: Sequence[Source],
        queue: WorkQueue[ObjectKey],
        metrics: Metrics,
        *,
        workers: int = DEFAULT_WORKERS,
        timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self.queue = queue
        self._reconcile = reconcile
        self._sources = sources
        self._metrics = metrics
        self._workers = workers
        self._timeout_s = timeout_s

    def enqueue(self, key: ObjectKey, reason: str) -> None:
        """Have a key reconciled for a reason that no source sees."""
        self.queue.add(key, reason=reason)

    async def run(self, started: Started) -> None:
        """Reconcile until cancelled; then finish what is under way, for at most `DRAIN_S`.

        Differs: a kind that the server does not have holds up nothing; everything is looked at again when it appears
        and when it vanishes (difference 18). One that it has is always listed before anything is reconciled.
        """
        for source in self._sources:
            source.informer.subscribe(partial(self._take, source))
            source.informer.on_presence(partial(self._look_at_all, source))
        started()
        for source in self._sources:
            await source.informer.answered()
        log.info("starting workers", extra={"controller": self.name, "workers": self._workers})
        self._metrics.max_concurrent_reconciles.labels(self.name).set(self._workers)
        async with asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(self._work()) for _ in range(self._workers)]
            try:
                await asyncio.wait(workers)
            except asyncio.CancelledError:
                self.queue.shut_down()
                await asyncio.wait(workers, timeout=DRAIN_S)
                raise

    def _take(self, source: Source, change: Change) -> None:
        if not source.predicate(change):
            return
        reason = f"{source.informer.kind.kind} {change.verb}"
        priority = LOW_PRIORITY if change.initial else 0
        for key in source.keys_of(change):
            self.queue.add(key, reason=reason, priority=priority)

    def _look_at_all(self, source: Source) -> None:
        reason = f"{source.informer.kind.kind} {'missing' if source.informer.missing else 'appeared'}"
        for obj in self._sources[0].informer.store.list():
            self.queue.add(key_of(obj), reason=reason, priority=LOW_PRIORITY)

    async def _work(self) -> None:
        active = self._metrics.active_workers.labels(self.name)
        while True:
            try:
                item = await self.queue.get()
            except QueueShutDown:
                return
            active.inc()
            try:
                await self._one(item)
            finally:
                active.dec()
                self.queue.done(item.key)

    async def _one(self, item: Item[ObjectKey]) -> None:
        key = item.key
        fields = {
            "controller": self.name,
            "key": str(key),
            "reconcile_id": uuid.uuid4().hex[:12],
            "reason": item.reason,
        }
        token = reconcile_fields.set(fields)
        outcome = "error"
        try:
            with self._metrics.reconcile_time.labels(self.name).time():
                async with asyncio.timeout(self._timeout_s):
                    result = await self._reconcile(key) or Result()
            if result.requeue_after_s is not None:
                outcome = "requeue_after"
                self.queue.forget(key)
                self.queue.add_after(key, result.requeue_after_s, reason="requeue", priority=item.priority)
            else:
                outcome = "success"
                self.queue.forget(key)
        except TerminalError as error:
            self._metrics.terminal_errors.labels(self.name).inc()
            self._metrics.reconcile_errors.labels(self.name).inc()
            self.queue.forget(key)
            log.error("reconciling failed for good, waiting for a change", extra={"error": str(error)})
        except Conflict as error:
            # Somebody else wrote in between; the watch brings the newer state. Not worth an alarm.
            self._retry(item)
            log.info("conflict, trying again", extra={"error": str(error)})
        except KfsError as error:
            self._retry(item)
            log.error(
                "reconciling failed, trying again",
                extra={"error": str(error), "retries": self.queue.retries(key)},
            )
        except TimeoutError:
            self._retry(item)
            log.error("reconciling took too long, trying again", extra={"timeout_s": self._timeout_s})
        except Exception:
            # A bug in a reconciler: counted, logged with its stack, retried; the others go on.
            self._metrics.reconcile_panics.labels(self.name).inc()
            self._retry(item)
            log.exception("reconciler raised, trying again")
        finally:
            self._metrics.reconcile_total.labels(self.name, outcome).inc()
            reconcile_fields.reset(token)

    def _retry(self, item: Item[ObjectKey]) -> None:
        self._metrics.reconcile_errors.labels(self.name).inc()
        self.queue.add_rate_limited(item.key, reason="retry", priority=item.priority)
