"""Listening sockets, and serving HTTP on them until told to stop.

What the webhook server and the plain HTTP servers share; the only module that knows aiohttp's runner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from kfs.manager.errors import ConfigError

if TYPE_CHECKING:
    import ssl

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# Longer than Go's HTTP clients keep an idle connection (90 s), so that the client closes first and no request
# is ever sent into a connection that is closing.
KEEPALIVE_S = 120.0
BACKLOG = 1024


class Address(NamedTuple):
    """Where to listen. An empty host means all interfaces; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address | None:
    """`:8080`, `127.0.0.1:0` or `[::1]:8080` as an address; None for `0`, which means not at all.

    Raises:
        ConfigError: anything else; the message says how to write it.
    """
    if text == "0":
        return None
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or "[" in host:
        colon = ""
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigError(
            f'address "{text}": write HOST:PORT or :PORT with a port up to 65535, '
            "an IPv6 host in brackets, or 0 for none"
        )
    return Address(host, int(port))


def listen(address: Address) -> socket.socket:
    """A socket that listens there; an empty host means IPv4 and IPv6 where the system has both.

    Raises:
        ConfigError: the address is in use, not ours, not allowed or unknown.
    """
    try:
        if not address.host and socket.has_dualstack_ipv6():
            return socket.create_server(address, family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
        family, *_, target = socket.getaddrinfo(
            address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(target[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "it is in use already: choose another port, or end the process that has it"
        elif error.errno == errno.EACCES:
            reason = "this user may not: choose a port from 1024 up"
        else:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
        raise ConfigError(f"cannot listen on {address}: {reason}") from error


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, listening: socket.socket, *, tls: ssl.SSLContext | None = None, drain_s: float = 5.0
) -> AsyncIterator[None]:
    """Serve HTTP/1.1 inside the block.

    Leaving it stops accepting, closes idle connections, and gives requests in flight `drain_s` seconds.
    """
    server = web.Server(handler, access_log=None, keepalive_timeout=KEEPALIVE_S)
    runner = web.ServerRunner(server, shutdown_timeout=drain_s)
    await runner.setup()
    try:
        await web.SockSite(runner, listening, ssl_context=tls, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()
