"""What a manager runs, and in which order.

Upstream: kubernetes-sigs/controller-runtime `pkg/manager/runnable_group.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

Started = Callable[[], None]


class Phase(IntEnum):
    """Start order; the stop order is its reverse. A phase starts when all of the one before has started."""

    HTTP = 0
    WEBHOOKS = 1
    CACHES = 2
    OTHERS = 3
    LEADER = 4


class Runnable(Protocol):
    """Something that runs until it is cancelled."""

    async def run(self, started: Started) -> None:
        """Run until cancelled; call `started()` once, when others may rely on it.

        Returning early is allowed (the work is done); raising stops the manager with that error.
        """
        ...
