"""Leader election: of several processes, at most one leads, as long as it holds a Lease.

A lease is a promise about time. Clocks of different machines disagree, so nobody trusts the times
written in the record: a candidate waits until it has *itself* seen no renewal for the whole
duration, and the leader gives up, by its own monotonic clock, well before that. In between no two
processes believe that they lead. What reconcilers write goes through `require`, so that work that is being finished
while leadership is lost sends nothing more. (A write that is under way by then may still arrive; only
preconditions on the objects protect against that.)

A manager does, in this order:

    await elector.acquire()     # returns when this process leads
    ... start the controllers, beside `elector.hold()`, which raises LeadershipLost ...
    await elector.release()     # after all of that has stopped

Upstream: kubernetes/client-go `tools/leaderelection/leaderelection.go`; for the time a request may
take kubernetes-sigs/controller-runtime `pkg/leaderelection/leader_election.go`. Unlike there, a leader
that reads another holder's name stops at once instead of trying on until the renew deadline, and the
deadline runs from the last renewal.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from kfs.manager.clock import micro_timestamp
from kfs.manager.errors import ConfigError, KfsError
from kfs.manager.objects.kinds import LEASE
from kfs.manager.objects.tree import clone, mapping

if TYPE_CHECKING:
    from datetime import datetime

    from kfs.manager.client import Client
    from kfs.manager.clock import Clock
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.kinds import ObjectKey
    from kfs.manager.objects.tree import Frozen, Obj

JITTER = 1.2

log = logging.getLogger(__name__)


class LeadershipLost(KfsError):
    """The lease could not be renewed in time, or somebody else has it: the process must end."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast leadership moves, in seconds.

    A candidate takes a lease that it has not seen renewed for `lease_duration_s`. A leader renews
    every `retry_period_s`, and stops leading `renew_deadline_s` after its last renewal.

    Raises:
        ConfigError: the three do not leave each other room.
    """

    lease_duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0

    def __post_init__(self) -> None:
        if self.lease_duration_s < 1 or self.lease_duration_s <= self.renew_deadline_s:
            raise ConfigError(
                f"lease_duration_s ({self.lease_duration_s}) must be longer than"
                f" renew_deadline_s ({self.renew_deadline_s}), and at least 1"
            )
        if self.retry_period_s <= 0 or self.renew_deadline_s <= self.retry_period_s * JITTER:
            raise ConfigError(
                f"renew_deadline_s ({self.renew_deadline_s}) must be longer than"
                f" {JITTER} times retry_period_s ({self.retry_period_s}), and that above 0"
            )


class Verdict(Enum):
    """What a process may do about a lease."""

    CREATE = "there is no lease"
    TAKE = "nobody holds it, or its holder has stopped to renew it"
    RENEW = "it is ours"
    WAIT = "somebody else holds it"


def decide(lease: Frozen | None, *, identity: str, unchanged_s: float, default_duration_s: float) -> Verdict:
    """What `identity` may do about a lease whose spec it has seen unchanged for `unchanged_s` seconds.

    The times in the record are never looked at, only its duration; `default_duration_s` stands in
    for a missing one.
    """
    if lease is None:
        return Verdict.CREATE
    spec = mapping(lease, "spec")
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        return Verdict.RENEW
    duration_s = spec.get("leaseDurationSeconds") or default_duration_s
    return Verdict.TAKE if not holder or unchanged_s >= duration_s else Verdict.WAIT


def claimed(lease: Obj, *, identity: str, now: datetime, duration_s: int) -> Obj:
    """A copy of the lease held and renewed by `identity`; an empty identity gives it up.

    Fields that election does not own stay as they are. `leaseTransitions` counts the changes from
    one holder to the next.
    """
    at = micro_timestamp(now)
    before = mapping(lease, "spec")
    spec = {"leaseTransitions": 0, **before}
    spec |= {"holderIdentity": identity, "leaseDurationSeconds": duration_s, "renewTime": at}
    holder = before.get("holderIdentity")
    if holder != identity:
        spec["acquireTime"] = at
        if identity and holder is not None:
            spec["leaseTransitions"] += 1
    return {**clone(lease), "spec": spec}


def new_identity() -> str:
    """A name for this process that no other has: `HOSTNAME_UUID`."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class LeaderElector:
    """Takes, keeps and gives up the Lease `key` for `identity`.

    `client` must read from the server, never from a cache. `leader_election_master_status` carries
    the lease's name.
    """

    def __init__(
        self,
        client: Client,
        key: ObjectKey,
        identity: str,
        clock: Clock,
        metrics: Metrics,
        timing: Timing | None = None,
    ) -> None:
        self._client = client
        self._key = key
        self._identity = identity
        self._clock = clock
        self._timing = timing or Timing()
        self._status = metrics.leader.labels(key.name)
        self._status.set(0)
        self._lease: Obj | None = None
        self._seen_at = 0.0
        # Whether `_lease` is our own last write, so that renewing it needs no read.
        self._current = False
        self._renewed_at: float | None = None

    @property
    def leading_until(self) -> float | None:
        """The loop time at which leadership ends unless it is renewed before; None while not leading."""
        return None if self._renewed_at is None else self._renewed_at + self._timing.renew_deadline_s

    def require(self) -> None:
        """Nothing while this process leads by its own clock.

        Raises:
            LeadershipLost: it does not, or not any more; what it would write now, somebody else may be writing.
        """
        until = self.leading_until
        if until is None or asyncio.get_running_loop().time() >= until:
            raise LeadershipLost(f"The lease {self._key} is not ours")

    async def acquire(self) -> None:
        """Return when this process leads; until then try every 2 to 4.4 s. Outages are waited out."""
        log.info("Waiting for leadership", extra=self._fields())
        while True:
            if await self._try():
                break
            await asyncio.sleep(self._timing.retry_period_s * (1 + JITTER * random.random()))
        self._status.set(1)
        log.info("Leading", extra=self._fields())

    async def hold(self) -> None:
        """Renew the lease for ever; to be called right after `acquire`.

        Raises:
            LeadershipLost: whatever must run only once has to stop now.
        """
        if self._renewed_at is None:
            raise LeadershipLost(f"The lease {self._key} was not acquired")
        try:
            while True:
                async with asyncio.timeout_at(self.leading_until):
                    await asyncio.sleep(self._timing.retry_period_s)
                    # After a failure the deadline stays, and the next round has what is left of it.
                    await self._try()
        except TimeoutError:
            self._stop_leading()
            raise LeadershipLost(
                f"The lease {self._key} was not renewed within {self._timing.renew_deadline_s} s"
            ) from None

    async def release(self) -> None:
        """Give the lease up, so that another process can lead at once; never raises for an API failure.

        Only after everything that must run once has stopped. Does nothing when not leading.
        """
        if self._renewed_at is None:
            return
        self._stop_leading()
        try:
            async with asyncio.timeout(self._timing.renew_deadline_s):
                if not self._current:
                    self._observe(await self._client.get(LEASE, self._key))
                if self._lease is not None and self._holder() == self._identity:
                    # One second as in client-go, for candidates that look at the duration alone.
                    freed = claimed(self._lease, identity="", now=self._clock.now(), duration_s=1)
                    await self._client.update(LEASE, freed)
                    log.info("Leadership released", extra=self._fields())
        except (KfsError, TimeoutError) as error:
            log.warning("Leadership not released", extra=self._fields(error))

    async def _try(self) -> bool:
        """Take or renew the lease, if we may; whether it is ours now.

        Raises:
            LeadershipLost: we led, and somebody else holds the lease.
        """
        began = asyncio.get_running_loop().time()
        try:
            # Half, as controller-runtime's: a request that hangs leaves time for another one.
            async with asyncio.timeout(self._timing.renew_deadline_s / 2):
                if not self._current:
                    self._observe(await self._client.get(LEASE, self._key))
                if not self._may_claim():
                    return False
                self._current = False
                await self._claim()
                self._current = True
        except LeadershipLost:
            raise
        except (KfsError, TimeoutError) as error:
            log.warning("Lease neither taken nor renewed", extra=self._fields(error))
            return False
        # Others can have seen this renewal no earlier than it was sent, and count from there.
        self._renewed_at = began
        return True

    def _may_claim(self) -> bool:
        unchanged_s = asyncio.get_running_loop().time() - self._seen_at
        verdict = decide(
            self._lease,
            identity=self._identity,
            unchanged_s=unchanged_s,
            default_duration_s=self._timing.lease_duration_s,
        )
        if self._renewed_at is not None and verdict in (Verdict.TAKE, Verdict.WAIT):
            self._stop_leading()
            raise LeadershipLost(f"The lease {self._key} is no longer ours; its holder is {self._holder()!r}")
        return verdict is not Verdict.WAIT

    async def _claim(self) -> None:
        lease = self._lease
        if lease is None:
            lease = {
                "apiVersion": LEASE.api_version,
                "kind": LEASE.kind,
                "metadata": {"namespace": self._key.namespace, "name": self._key.name},
            }
        wanted = claimed(
            lease, identity=self._identity, now=self._clock.now(), duration_s=self._timing.lease_duration_s
        )
        write = self._client.create if self._lease is None else self._client.update
        self._observe(await write(LEASE, wanted))

    def _observe(self, lease: Frozen | None) -> None:
        before = self._holder()
        # Only the spec: a label that somebody sets on the lease is no renewal.
        if lease is None or self._lease is None or mapping(lease, "spec") != mapping(self._lease, "spec"):
            self._seen_at = asyncio.get_running_loop().time()
        self._lease = None if lease is None else clone(lease)
        if self._holder() not in ("", before):
            log.info("New leader", extra={**self._fields(), "leader": self._holder()})

    def _holder(self) -> str:
        return "" if self._lease is None else str(mapping(self._lease, "spec").get("holderIdentity") or "")

    def _stop_leading(self) -> None:
        self._renewed_at = None
        self._status.set(0)

    def _fields(self, error: Exception | None = None) -> dict[str, str]:
        fields = {"lease": str(self._key), "identity": self._identity}
        return fields if error is None else {**fields, "error": str(error) or type(error).__name__}
