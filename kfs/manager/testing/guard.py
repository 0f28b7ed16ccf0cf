"""Processes that do not outlive whoever started them.

`GuardedProcess` starts this file as a script, and the script runs the command. Its standard input is the
leash, a socket: when the other end is closed, also by the kernel because the starter was killed, the command
gets SIGTERM and, GRACE_SECONDS later, SIGKILL. A socket rather than PR_SET_PDEATHSIG, which is Linux's alone
and goes by the thread that started the command, not by the process.

Only the standard library is used and nothing of kfs is imported, so that the script starts in milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

GRACE_SECONDS = 5.0


class GuardedProcess:
    """A command running in `folder`, in a session of its own, its output appended to `log`.

    remove: a folder to remove when the command was ended by the leash.

    Raises ChildProcessError when the command cannot be run.
    """

    def __init__(self, command: Sequence[str], *, folder: Path, log: Path, remove: Path | None = None) -> None:
        self.name = Path(command[0]).name
        self._log = log
        removal = [] if remove is None else ["--remove", str(remove)]
        self._leash, end = socket.socketpair()
        with log.open("ab") as output, end:
            self._log_start = output.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, *removal, "--", *command],
                cwd=folder,
                stdin=end.fileno(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._pid = int(self._leash.recv(32) or 0)
        if not self._pid:
            self.stop()
            raise ChildProcessError(f"{self.name} did not start: {self.output().strip()}")

    @property
    def pid(self) -> int:
        """The command's own process id."""
        return self._pid

    def send_signal(self, number: int) -> None:
        """Send the command a signal; nothing happens when it has ended."""
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def wait(self, timeout: float) -> int | None:
        """The exit status, 128 + signal for a killed one; None when it still runs after `timeout` seconds."""
        try:
            status = self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self._leash.close()
        return status

    def stop(self) -> None:
        """Let go of the leash and wait for the end; nothing happens when it has ended."""
        self._leash.close()
        if self.wait(2 * GRACE_SECONDS) is None:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()

    def output(self) -> str:
        """What the command has written."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command until it ends or the leash does; its exit status, 128 + signal when it was killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--remove", type=Path)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    leash = socket.socket(fileno=sys.stdin.fileno())
    try:
        command = subprocess.Popen(options.command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(str(error))
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    released = threading.Event()

    def hold_leash() -> None:
        with contextlib.suppress(OSError):
            leash.sendall(str(command.pid).encode())
            leash.recv(1)
        released.set()
        command.terminate()
        try:
            command.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()

    threading.Thread(target=hold_leash, daemon=True).start()
    status = command.wait()
    if options.remove is not None and released.is_set():
        shutil.rmtree(options.remove, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
