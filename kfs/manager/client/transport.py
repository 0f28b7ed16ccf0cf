"""Sends calls to the API server; the only module that uses aiohttp's client.

A `Transport` is two methods, so a test replaces the network by a small class of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from kfs import __version__
from kfs.manager.errors import DecodeError, TransportError, api_error
from kfs.manager.objects import codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kfs.manager.client.calls import Call
    from kfs.manager.login import Connection
    from kfs.manager.metrics import Metrics

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
# A healthy watch hears a bookmark a minute; one that hears nothing for longer is dead, whatever TCP believes.
WATCH_SILENCE_S = 70.0
# As often as client-go repeats a request that the server put off with Retry-After (rest/request.go).
MAX_DEFERRALS = 10
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer."""

    status: int
    body: bytes


class Transport(Protocol):
    """How calls reach the server."""

    async def send(self, call: Call) -> Reply:
        """The answer to a call.

        Raises:
            ApiError: the server answered with a failure.
            TransportError: there was no answer.
        """
        ...

    def stream(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The lines of a watch, as they come. Entering and iterating raise as `send` does."""
        ...


class HttpTransport:
    """HTTP to one API server over pooled connections. Close it when done."""

    def __init__(self, connection: Connection, metrics: Metrics) -> None:
        self._connection = connection
        self._requests = metrics.rest_requests
        self._host = urlsplit(connection.server).netloc
        self._warned: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, call: Call) -> Reply:
        for deferral in range(MAX_DEFERRALS + 1):
            async with self._request(call, aiohttp.ClientTimeout(REQUEST_TIMEOUT_S, CONNECT_TIMEOUT_S)) as response:
                body = await response.read()
                if response.status < 400:
                    self._log_warnings(response.headers)
                    return Reply(response.status, body)
                error = api_error(response.status, _status(body), _retry_after(response.headers))
            if error.retry_after_s is None or deferral == MAX_DEFERRALS:
                raise error
            await asyncio.sleep(error.retry_after_s)
        raise AssertionError("unreachable")

    @contextlib.asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=WATCH_SILENCE_S)
        async with self._request(call, limits) as response:
            if response.status >= 400:
                body = await response.read()
                raise api_error(response.status, _status(body), _retry_after(response.headers))
            yield _lines(response)

    @contextlib.asynccontextmanager
    async def _request(self, call: Call, limits: aiohttp.ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """One exchange, repeated once with a fresh login when the server does not know us (any more)."""
        try:
            response = await self._exchange(call, limits, fresh=False)
            if response.status == 401:
                response.release()
                response = await self._exchange(call, limits, fresh=True)
            async with response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = str(error) or type(error).__name__
            raise TransportError(f"{call.method} {call.path}: {text}") from error

    async def _exchange(self, call: Call, limits: aiohttp.ClientTimeout, fresh: bool) -> aiohttp.ClientResponse:
        headers = {"Content-Type": call.content_type} if call.body is not None else {}
        if authorization := await self._connection.authorization(fresh):
            headers["Authorization"] = authorization
        code = "<error>"
        try:
            response = await self._open().request(
                call.method,
                URL(self._connection.server + call.target, encoded=True),
                data=call.body,
                headers=headers,
                timeout=limits,
                ssl=self._connection.tls,
                server_hostname=self._connection.server_name or None,
                proxy=self._connection.proxy or None,
                allow_redirects=False,
            )
            code = str(response.status)
            return response
        finally:
            self._requests.labels(code=code, method=call.method, host=self._host).inc()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # identity: on the way to an API server nearby, compressing costs both sides more than it saves.
            headers = {
                "User-Agent": f"kfs/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            }
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=90)
            self._session = aiohttp.ClientSession(headers=headers, connector=connector)
        return self._session

    def _log_warnings(self, headers: Mapping[str, Any]) -> None:
        for value in getattr(headers, "getall", lambda *_: ())("Warning", ()):
            for text in _WARNING.findall(value):
                if text not in self._warned:
                    self._warned.add(text)
                    log.warning("the API server warns", extra={"warning": text})


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    # aiohttp's own readline refuses lines over its buffer; objects are larger than that.
    rest: list[bytes] = []
    async for chunk in response.content.iter_any():
        head, newline, tail = chunk.partition(b"\n")
        rest.append(head)
        while newline:
            yield b"".join(rest)
            head, newline, tail = tail.partition(b"\n")
            rest = [head]
    if last := b"".join(rest):
        yield last


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        return codec.loads_object(body)
    except DecodeError:
        return {"message": body[:500].decode(errors="replace").strip()}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
