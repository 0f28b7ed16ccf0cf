"""A control plane with the manager as a process beside it, as a user outside the cluster runs it.

Used by the end-to-end tests and by hack/conformance, hack/demo and hack/bench.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kfs.manager.testing.guard import GuardedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this checkout."""
    return [sys.executable, "-m", module, *arguments]


class ManagerProcess:
    """`python -m cmd.manager` against the API server of a kubeconfig, webhooks called by URL on loopback.

    Ports and certificates stay the same over `kill` and `start`, as they do for a Pod that restarts.
    """

    def __init__(self, kubeconfig: Path, folder: Path, arguments: Sequence[str] = ()) -> None:
        self.metrics_port, self.probe_port, self.webhook_port = free_port(), free_port(), free_port()
        self.log = folder / "manager.log"
        self._folder = folder
        self._command = [
            *python("cmd.manager", "--install"),
            *("--kubeconfig", str(kubeconfig)),
            *("--metrics-addr", f"127.0.0.1:{self.metrics_port}"),
            *("--health-probe-addr", f"127.0.0.1:{self.probe_port}"),
            *("--webhook-host", "127.0.0.1", "--webhook-port", str(self.webhook_port)),
            *("--webhook-url", f"https://127.0.0.1:{self.webhook_port}"),
            *("--cert-dir", str(folder / "certificates")),
            *arguments,
        ]
        self._process: GuardedProcess | None = None

    @property
    def process(self) -> GuardedProcess:
        """The running process."""
        assert self._process is not None, "not started"
        return self._process

    def launch(self) -> None:
        """Start the process and return at once."""
        self._process = GuardedProcess(self._command, folder=ROOT, log=self.log)

    def start(self) -> float:
        """Start the process; the seconds until /readyz said yes."""
        begun = time.monotonic()
        self.launch()
        self.wait_ready()
        return time.monotonic() - begun

    def wait_ready(self) -> None:
        """Wait until /readyz says yes."""
        deadline = time.monotonic() + READY_S
        while not self.ready():
            status = self.process.wait(0.02)
            assert status is None, f"the manager ended with status {status}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the manager is not ready:\n{self.tail()}"

    def ready(self) -> bool:
        """Whether /readyz says yes."""
        try:
            return self._get(self.probe_port, "/readyz") != ""
        except (urllib.error.URLError, ConnectionError):
            return False

    def probe(self, path: str) -> str:
        """What the probe server answers."""
        return self._get(self.probe_port, path)

    def kill(self) -> None:
        """kill -9, as the kernel does when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        self.process.stop()

    def signal(self, number: int) -> None:
        """Send the manager a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float) -> int | None:
        """Its exit status, or None when it still runs after `timeout` seconds."""
        return self.process.wait(timeout)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self._process is not None:
            self._process.stop()

    def metrics(self, name: str) -> dict[str, float]:
        """The samples of one metric, by their labels as text."""
        text = self._get(self.metrics_port, "/metrics")
        return {m[1] or "": float(m[2]) for m in re.finditer(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.M)}

    def requests(self) -> int:
        """How many requests the manager has made to the API server, watches included."""
        return int(sum(self.metrics("rest_client_requests_total").values()))

    def writes(self) -> int:
        """How many of them were writes."""
        samples = self.metrics("rest_client_requests_total").items()
        return int(sum(n for labels, n in samples if any(f'method="{m}"' in labels for m in WRITES)))

    def resident_mib(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024

    def tail(self) -> str:
        """The last of its log."""
        return "\n".join(self.log.read_text().splitlines()[-30:])

    def _get(self, port: int, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return str(reply.read().decode())


@contextmanager
def manager_process(kubeconfig: Path, arguments: Sequence[str] = ()) -> Iterator[ManagerProcess]:
    """A started, ready manager, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="kfs-manager-") as folder:
        manager = ManagerProcess(kubeconfig, Path(folder), arguments)
        try:
            manager.start()
            yield manager
        finally:
            manager.stop()
