"""Plain HTTP beside the webhooks: metrics for Prometheus, probes for the kubelet.

Upstream: kubernetes/apiserver `pkg/server/healthz/healthz.go` for paths and text;
kubernetes-sigs/controller-runtime `pkg/healthz/healthz.go`, `pkg/metrics/server/server.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from kfs.manager.listener import Address, Handler, listen, parse_address, serving
from kfs.manager.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from kfs.manager.runnables import Started

log = logging.getLogger(__name__)

CHECK_LIMIT_S = 5.0

Check = Callable[[], Awaitable[str | None]]
"""None when all is well, else the reason why not. What it raises counts as a reason too."""

Detail = Callable[[], str]
"""One line that informs and never fails a probe."""


class HttpServer:
    """A runnable that serves plain HTTP at an address, or nothing when the address is `0`."""

    def __init__(self, address: str, handler: Handler) -> None:
        """
        Raises:
            ConfigError: the address makes no sense.
        """
        self._address = parse_address(address)
        self._handler = handler
        self._port = 0

    @property
    def port(self) -> int:
        """The port in use; 0 before it is started and when disabled."""
        return self._port

    async def run(self, started: Started) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        if self._address is None:
            return
        with listen(self._address) as listening:
            self._port = listening.getsockname()[1]
            async with serving(self._handler, listening):
                log.info("serving http", extra={"address": str(Address(self._address.host, self._port))})
                started()
                await asyncio.Event().wait()


def metrics_server(address: str, metrics: Metrics) -> HttpServer:
    """`/metrics`."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if refusal := _refuse(request):
            return refusal
        if request.path != "/metrics":
            return _text(404, "not found: try /metrics")
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return HttpServer(address, answer)


class Probes:
    """The named checks behind `/healthz` (restart me) and `/readyz` (send me requests).

    `/readyz?verbose` lists all checks and details, `/readyz/NAME` asks one check.
    """

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {"healthz": {}, "readyz": {}}
        self._details: dict[str, Detail] = {}
        self._failing: dict[str, Mapping[str, str]] = {}

    def add_health(self, name: str, check: Check) -> None:
        """Have `/healthz` fail when `check` does."""
        self._checks["healthz"][name] = check

    def add_ready(self, name: str, check: Check) -> None:
        """Have `/readyz` fail when `check` does."""
        self._checks["readyz"][name] = check

    def add_detail(self, name: str, detail: Detail) -> None:
        """Have `/readyz?verbose` say this as well."""
        self._details[name] = detail

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What the probe server answers."""
        if refusal := _refuse(request):
            return refusal
        probe, _, name = request.path.strip("/").partition("/")
        checks = self._checks.get(probe)
        if checks is None or (name and name not in checks):
            return _text(404, f"not found: try {', '.join(self._paths())}")
        if name:
            reason = await _reason(checks[name])
            return _text(200, "ok") if reason is None else _text(500, f"internal server error: {reason}")
        return await self._all(probe, checks, verbose="verbose" in request.query)

    async def _all(self, probe: str, checks: Mapping[str, Check], *, verbose: bool) -> web.Response:
        async with asyncio.TaskGroup() as tasks:
            asked = {name: tasks.create_task(_reason(check)) for name, check in checks.items()}
        reasons = {name: task.result() for name, task in asked.items()}
        failing = {name: reason for name, reason in reasons.items() if reason is not None}
        if failing != self._failing.get(probe, {}):
            self._failing[probe] = failing
            log.log(
                logging.WARNING if failing else logging.INFO,
                "probe changed",
                extra={"probe": probe, "failing": failing},
            )
        if not failing and not verbose:
            return _text(200, "ok")
        lines = [f"[-]{name} failed: {reason}" if reason else f"[+]{name} ok" for name, reason in reasons.items()]
        if probe == "readyz":
            lines += [f"[ ]{name}: {_line(detail)}" for name, detail in self._details.items()]
        lines.append(f"{probe} check {'failed' if failing else 'passed'}")
        return _text(500 if failing else 200, "\n".join(lines) + "\n")

    def _paths(self) -> list[str]:
        return [
            f"/{probe}{suffix}" for probe, checks in self._checks.items() for suffix in ("", *(f"/{n}" for n in checks))
        ]


def probe_server(address: str, probes: Probes) -> HttpServer:
    """`/healthz` and `/readyz`."""
    return HttpServer(address, probes.answer)


async def _reason(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_LIMIT_S:g} s"
    except Exception as error:
        # Whatever a check raises is what is wrong with what it checks; the probe itself must answer.
        return f"{type(error).__name__}: {error}"


def _line(detail: Detail) -> str:
    try:
        return detail()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _refuse(request: web.BaseRequest) -> web.Response | None:
    if request.method in ("GET", "HEAD"):
        return None
    return _text(405, "method not allowed", {"Allow": "GET, HEAD"})


def _text(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", **(headers or {})}
    return web.Response(status=status, text=text, headers=headers)
