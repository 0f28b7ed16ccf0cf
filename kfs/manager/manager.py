"""The manager: what controllers and webhooks share, and what starts and stops them.

Upstream: kubernetes-sigs/controller-runtime `pkg/manager/manager.go`, `internal.go`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.manager.cache.cache import Cache
from kfs.manager.cache.delegating import DelegatingClient
from kfs.manager.cache.informer import Scope
from kfs.manager.client.client import LiveClient
from kfs.manager.clock import Clock, SystemClock
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import SECRET, SERVICE_ACCOUNT, Kind
from kfs.manager.recorder import EventBroadcaster
from kfs.manager.runnables import Phase, Runnable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfs.manager.client.transport import Transport
    from kfs.manager.leader import LeaderElector

log = logging.getLogger(__name__)

# Secrets above all: a cluster may hold tens of thousands, and caching them would need the right to list them all.
NEVER_CACHED = frozenset({SECRET, SERVICE_ACCOUNT})


@dataclass(frozen=True)
class ManagerOptions:
    """`namespaces`: what is watched, all when empty. `uncached`: kinds always read from the server."""

    namespaces: tuple[str, ...] = ()
    uncached: frozenset[Kind] = NEVER_CACHED


class Manager:
    """Shared cache, clients, events and metrics, and the runnables that use them.

    `client` is for controllers: with an elector it writes only while this process leads. What is to be written by
    every process goes through `live`.
    """

    def __init__(
        self,
        transport: Transport,
        options: ManagerOptions | None = None,
        *,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        elector: LeaderElector | None = None,
    ) -> None:
        options = options or ManagerOptions()
        self.metrics = metrics or Metrics()
        self.clock = clock or SystemClock()
        self.live = LiveClient(transport)
        self.cache = Cache(transport, self.clock, self.metrics, Scope(namespaces=options.namespaces))
        self.client = DelegatingClient(
            self.cache, self.live, options.uncached, *([elector.require] if elector is not None else [])
        )
        self.events = EventBroadcaster(self.live, self.clock, self.metrics)
        self._elector = elector
        self._runnables: dict[Phase, list[Runnable]] = {phase: [] for phase in Phase}
        self._groups: dict[Phase, asyncio.TaskGroup] = {}
        self.add(self.cache, Phase.CACHES)
        self.add(self.events, Phase.OTHERS)

    def add(self, runnable: Runnable, phase: Phase = Phase.OTHERS) -> None:
        """Run this from `phase` on; at once when the manager has passed that phase already."""
        self._runnables[phase].append(runnable)
        if (group := self._groups.get(phase)) is not None:
            group.create_task(runnable.run(lambda: None))

    async def run(self) -> None:
        """Start everything, phase by phase, and run until cancelled; then stop in reverse.

        Raises:
            Exception: what a runnable raised; everything else is stopped first.
        """
        try:
            await self._run(list(Phase))
        except BaseExceptionGroup as group:
            raise _first(group) from group

    async def _run(self, phases: Sequence[Phase]) -> None:
        if not phases:
            log.info("manager started")
            await asyncio.Event().wait()
        phase, *later = phases
        if phase is Phase.LEADER and self._elector is not None:
            await self._lead(self._elector, later)
        else:
            await self._run_phase(phase, later)

    async def _run_phase(self, phase: Phase, later: Sequence[Phase]) -> None:
        # The later phases run inside this one's task group: whether they end by cancellation or because something here
        # failed, they are gone before this phase's own runnables are cancelled. That is the reverse order.
        async with asyncio.TaskGroup() as group:
            waiting = [self._start(group, runnable) for runnable in self._runnables[phase]]
            for started in waiting:
                await started.wait()
            self._groups[phase] = group
            try:
                await self._run(later)
            finally:
                del self._groups[phase]

    def _start(self, group: asyncio.TaskGroup, runnable: Runnable) -> asyncio.Event:
        started = asyncio.Event()
        task = group.create_task(runnable.run(started.set))
        # One that ends without having said so has nothing left to wait for.
        task.add_done_callback(lambda _: started.set())
        return started

    async def _lead(self, elector: LeaderElector, later: Sequence[Phase]) -> None:
        await elector.acquire()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(elector.hold())
                await self._run_phase(Phase.LEADER, later)
        finally:
            await elector.release()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stopped the manager: the innermost of the first in the group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
