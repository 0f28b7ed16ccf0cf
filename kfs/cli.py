"""The command line: `kfs manager`, which `python -m cmd.manager` is too, and `kfs convert`.

Imports of what a command needs wait until it is chosen: `--help` answers at once.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from kfs import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kfs.options import Options

log = logging.getLogger(__name__)

# Kubernetes' default: what has not stopped 30 s after SIGTERM is killed anyway.
STOP_S = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script `kfs`; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands: Mapping[str, Callable[[Sequence[str]], int]] = {"manager": manager, "convert": convert}
    match given:
        case [name, *rest] if name in commands:
            return commands[name](rest)
        case ["--version"]:
            sys.stdout.write(f"kfs {__version__}\n")
            return 0
        case ["-h" | "--help"]:
            sys.stdout.write(f"usage: kfs {{{','.join(commands)}}} ...\n\n`kfs COMMAND --help` explains each.\n")
            return 0
        case _:
            sys.stderr.write(f"kfs: name a command, one of: {', '.join(commands)}\n")
            return 2


def manager(arguments: Sequence[str], prog: str = "kfs manager") -> int:
    """Run the manager until it is told to stop; the exit status."""
    from kfs import logs, options

    chosen = options.parse(arguments, os.environ, prog)
    logs.configure(chosen.log_level, chosen.log_format)
    return asyncio.run(_manage(chosen))


def convert(arguments: Sequence[str]) -> int:
    """Convert InferenceServices in files to the other version; the exit status."""
    from kfs import convert

    return convert.main(arguments)


async def _manage(options: Options) -> int:
    from kfs.manager.errors import KfsError
    from kfs.manager.login import connect

    running = asyncio.current_task()
    assert running is not None
    stopping = False

    def stop(number: int) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        log.info("stopping", extra={"signal": signal.Signals(number).name})
        # A thread, so that it holds even when the event loop does not turn any more.
        deadline = threading.Timer(STOP_S, os._exit, [1])
        deadline.daemon = True
        deadline.start()
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        # Logging in may take a process of its own a second; the imports take as long.
        connection, app = await asyncio.gather(
            connect(options.kubeconfig, options.context), asyncio.to_thread(importlib.import_module, "kfs.app")
        )
        await app.run(options, connection)
    except asyncio.CancelledError:
        if not stopping:
            raise
        log.info("stopped")
        return 0
    except KfsError as error:
        log.error("cannot go on", extra={"error": str(error)})
        return 1
    return 0
