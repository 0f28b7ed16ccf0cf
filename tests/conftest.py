"""Settings of the plugins that the tests run with."""

from __future__ import annotations

import asyncio
import os

from hypothesis import settings

# No deadline: how long an example takes depends on the machine, and says nothing of the code.
settings.register_profile("gate", deadline=None, print_blob=True)
settings.register_profile("long", settings.get_profile("gate"), max_examples=10_000)


def pytest_sessionstart() -> None:
    """Choose how many cases hypothesis generates, and keep stray event loops from being made."""
    settings.load_profile("long" if os.environ.get("KFS_LONG") else "gate")
    # pytest-asyncio and looptime ask for the main thread's event loop. Before Python 3.14 asking makes one,
    # which nobody closes and which fails some later test with a ResourceWarning, unless it was said before
    # that there is none.
    asyncio.set_event_loop(None)
