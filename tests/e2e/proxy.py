"""A proxy before the API server that can end the manager at one exact write: before it, or after it.

Upstream: the intermediate-state pattern of Sieve (OSDI 2022): a controller may die between any two writes.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionResetError, ClientSession, ClientTimeout, TCPConnector, web

from tests.e2e.stack import WRITES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kfs.manager.testing.envtest import ControlPlane


class KillingProxy:
    """Forwards everything. `arm` has it call `kill` around the n-th write from then on."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.writes: list[str] = []
        self.port = 0
        self._upstream = control_plane.url
        self._tls = ssl.create_default_context(cafile=str(control_plane.ca_file))
        self._authorization = f"Bearer {control_plane.token}"
        self._kill: Callable[[], None] | None = None
        self._at = (0, False)

    def arm(self, n: int, *, after: bool, kill: Callable[[], None]) -> None:
        """Call `kill` before the n-th write reaches the server (from 1), or after it did and unanswered."""
        self.writes.clear()
        self._at, self._kill = (n, after), kill

    def disarm(self) -> None:
        """Only forward and count."""
        self.writes.clear()
        self._kill = None

    @contextmanager
    def serve(self, folder: Path) -> Iterator[Path]:
        """Run in a thread; a kubeconfig that leads through the proxy."""
        ready, loop = threading.Event(), asyncio.new_event_loop()

        async def main() -> None:
            self._done = asyncio.Event()
            connector = TCPConnector(ssl=self._tls, limit=0)
            async with ClientSession(connector=connector, auto_decompress=False) as self._session:
                application = web.Application(client_max_size=2**26)
                application.router.add_route("*", "/{path:.*}", self._forward)
                runner = web.AppRunner(application, shutdown_timeout=0.5, handler_cancellation=True)
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.port = runner.addresses[0][1]
                ready.set()
                await self._done.wait()
                await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
        thread.start()
        ready.wait()
        try:
            yield self._kubeconfig(folder)
        finally:
            loop.call_soon_threadsafe(self._done.set)
            thread.join()
            loop.close()

    def _kubeconfig(self, folder: Path) -> Path:
        path = folder / "proxy.kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{self.port}"}
        context = {"cluster": "proxy", "user": "proxy"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": context}],
            "current-context": "proxy",
        }
        path.write_text(json.dumps(document))
        return path

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        n, after = self._at
        hit = False
        # Events are for people and sent in the background: they may be lost, and their place varies.
        if request.method in WRITES and not request.path.endswith("/events"):
            self.writes.append(f"{request.method} {request.path}")
            hit = self._kill is not None and len(self.writes) == n
        if hit and not after:
            self._die(request)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length")}
        headers["Authorization"] = self._authorization
        url = self._upstream + request.path_qs
        body = await request.read() or None
        timeout = ClientTimeout(total=None)
        async with self._session.request(request.method, url, data=body, headers=headers, timeout=timeout) as reply:
            if hit:
                await reply.read()
                self._die(request)
            answer = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.content_type})
            for name in ("Retry-After", "Warning"):
                if name in reply.headers:
                    answer.headers[name] = reply.headers[name]
            # Whoever asked may be dead by now: that is what this proxy is for.
            with suppress(ClientConnectionResetError, ConnectionResetError):
                await answer.prepare(request)
                async for chunk in reply.content.iter_any():
                    await answer.write(chunk)
                await answer.write_eof()
            return answer

    def _die(self, request: web.Request) -> None:
        assert self._kill is not None
        self._kill()
        self._kill = None
        if request.transport is not None:
            request.transport.abort()
        raise web.HTTPServiceUnavailable
