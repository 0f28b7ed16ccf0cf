"""How long a key must wait before it is worked on again.

Time is the running loop's, so limiters must be used inside it, and virtual time works in tests.

Upstream: kubernetes/client-go `util/workqueue/default_rate_limiters.go`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


class RateLimiter(Protocol):
    """Delays keys that come again and again."""

    def when(self, key: Hashable) -> float:
        """Count one more retry of the key; the seconds that it must wait."""
        ...

    def forget(self, key: Hashable) -> None:
        """The key succeeded, or is given up: its next retry counts as the first."""
        ...

    def retries(self, key: Hashable) -> int:
        """How many times `when` was asked for the key since it was last forgotten."""
        ...


class ExponentialBackoff:
    """For each key on its own: `base_s`, doubled with every retry, up to `limit_s`."""

    def __init__(self, base_s: float = 0.005, limit_s: float = 1000.0) -> None:
        self._base_s = base_s
        self._limit_s = limit_s
        self._retries: dict[Hashable, int] = {}

    def when(self, key: Hashable) -> float:
        before = self._retries.get(key, 0)
        self._retries[key] = before + 1
        # A key may fail for years: past 2**60 every limit is reached, and 2.0**1024 would overflow.
        return min(self._base_s * 2.0 ** min(before, 60), self._limit_s)

    def forget(self, key: Hashable) -> None:
        self._retries.pop(key, None)

    def retries(self, key: Hashable) -> int:
        return self._retries.get(key, 0)


class TokenBucket:
    """For all keys together: `rate` a second, after a first `burst` at once.

    Each `when` reserves the next free token, so that many callers at once are spread over time.
    """

    def __init__(self, rate: float = 10.0, burst: int = 100) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._counted_at: float | None = None

    def when(self, key: Hashable) -> float:
        now = asyncio.get_running_loop().time()
        if self._counted_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def forget(self, key: Hashable) -> None:
        """Nothing: spent tokens stay spent."""

    def retries(self, key: Hashable) -> int:
        """0: the bucket knows no keys."""
        return 0


class MaxOf:
    """The longest delay that any of several limiters asks for."""

    def __init__(self, *limiters: RateLimiter) -> None:
        self._limiters = limiters

    def when(self, key: Hashable) -> float:
        return max([limiter.when(key) for limiter in self._limiters], default=0.0)

    def forget(self, key: Hashable) -> None:
        for limiter in self._limiters:
            limiter.forget(key)

    def retries(self, key: Hashable) -> int:
        return max([limiter.retries(key) for limiter in self._limiters], default=0)


def default_limiter() -> RateLimiter:
    """A controller's usual limiter: 5 ms doubling to 1000 s for a key, 10/s after a burst of 100 for all."""
    return MaxOf(ExponentialBackoff(), TokenBucket())
