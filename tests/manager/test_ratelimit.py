"""Delays of keys that come again, under virtual time."""

from __future__ import annotations

import asyncio

import pytest

from kfs.manager.controller.ratelimit import ExponentialBackoff, MaxOf, TokenBucket, default_limiter

pytestmark = pytest.mark.looptime


async def test_backoff_doubles_for_each_key_up_to_its_limit() -> None:
    limiter = ExponentialBackoff(base_s=1.0, limit_s=10.0)
    assert [limiter.when("a") for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert limiter.when("b") == 1
    assert (limiter.retries("a"), limiter.retries("b"), limiter.retries("c")) == (6, 1, 0)


async def test_backoff_starts_over_after_forget() -> None:
    limiter = ExponentialBackoff(base_s=1.0)
    limiter.when("a")
    limiter.when("a")
    limiter.forget("a")
    assert limiter.retries("a") == 0
    assert limiter.when("a") == 1
    limiter.forget("never seen")


async def test_backoff_survives_years_of_failures() -> None:
    limiter = ExponentialBackoff()
    assert [limiter.when("a") for _ in range(5000)][-1] == 1000


async def test_bucket_gives_its_burst_and_then_spreads_callers() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.when(n) for n in range(6)] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3])


async def test_bucket_refills_with_time_but_not_beyond_its_burst() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    for n in range(3):
        bucket.when(n)
    await asyncio.sleep(0.1)
    assert [bucket.when(n) for n in range(2)] == pytest.approx([0, 0.1])
    await asyncio.sleep(3600)
    assert [bucket.when(n) for n in range(4)] == pytest.approx([0, 0, 0, 0.1])


async def test_the_longest_delay_wins_and_all_limiters_count() -> None:
    backoff, bucket = ExponentialBackoff(base_s=0.15), TokenBucket(rate=10, burst=1)
    limiter = MaxOf(backoff, bucket)
    assert [limiter.when("a") for _ in range(3)] == pytest.approx([0.15, 0.3, 0.6])
    assert limiter.when("b") == pytest.approx(0.3)
    assert limiter.retries("a") == 3
    limiter.forget("a")
    assert limiter.retries("a") == 0


async def test_the_default_is_that_of_controllers() -> None:
    limiter = default_limiter()
    assert [limiter.when("a") for _ in range(3)] == [0.005, 0.01, 0.02]
    assert [limiter.when(n) for n in range(97)] == [0.005] * 97
    assert limiter.when("late") == pytest.approx(0.1)
