"""Time as a dependency: nobody else calls the system clock.

Wall time comes from a `Clock`; delays and time-outs are asyncio's (`asyncio.sleep`,
`asyncio.timeout`, the loop's own monotonic time), which tests replace by a loop with virtual time.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock(Protocol):
    """Where wall time comes from."""

    def now(self) -> datetime:
        """The current time, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def timestamp(at: datetime) -> str:
    """A `metav1.Time`: RFC 3339 in whole seconds, `2026-01-02T03:04:05Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(at: datetime) -> str:
    """A `metav1.MicroTime`: RFC 3339 with six decimals."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def backoff(initial_s: float, limit_s: float, factor: float = 2.0, jitter: float = 0.5) -> Iterator[float]:
    """Endless delays in seconds: exponential up to `limit_s`, each shortened by up to `jitter` of itself."""
    delay = initial_s
    while True:
        yield delay * (1 - jitter * random.random())
        delay = min(delay * factor, limit_s)
