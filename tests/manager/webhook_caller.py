"""A webhook server and an API server's side of talking to it, for tests."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from kfs.manager.metrics import Metrics
from kfs.manager.objects import codec
from kfs.manager.webhook.certificates import ensure_certificates
from kfs.manager.webhook.server import WebhookServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from kfs.manager.objects.tree import Frozen, Obj

UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
NOW = datetime.now(UTC)


def client_tls(ca_bundle: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_bundle.decode())


@dataclass
class Caller:
    """The API server's side."""

    session: aiohttp.ClientSession
    metrics: Metrics

    async def post(self, path: str, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
        async with self.session.post(path, data=body, headers={"Content-Type": content_type}) as response:
            return response.status, await response.text()

    async def admit(self, path: str, version: str = "v1", **request: Any) -> Obj:
        """The response in the review that answers."""
        api_version = f"admission.k8s.io/{version}"
        review: Obj = {"apiVersion": api_version, "kind": "AdmissionReview"}
        review["request"] = {"uid": UID, "operation": "CREATE", "object": {"kind": "Pod"}, **request}
        return await self._ask(path, review)

    async def convert(self, path: str, to: str, objects: Sequence[Frozen], version: str = "v1") -> Obj:
        """The response in the review that answers."""
        api_version = f"apiextensions.k8s.io/{version}"
        request = {"uid": UID, "desiredAPIVersion": to, "objects": objects}
        return await self._ask(path, {"apiVersion": api_version, "kind": "ConversionReview", "request": request})

    async def _ask(self, path: str, review: Obj) -> Obj:
        status, text = await self.post(path, codec.dumps(review))
        assert status == 200, text
        answer = codec.loads_object(text)
        assert (answer["apiVersion"], answer["kind"]) == (review["apiVersion"], review["kind"])
        assert answer["response"]["uid"] == UID
        return dict(answer["response"])

    def value(self, metric: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(metric, labels)


def make_server(directory: Path, metrics: Metrics | None = None, **arguments: Any) -> WebhookServer:
    ensure_certificates(directory, ["localhost", "127.0.0.1"], NOW)
    return WebhookServer("127.0.0.1", 0, directory, metrics or Metrics(), **arguments)


@asynccontextmanager
async def started(server: WebhookServer) -> AsyncIterator[asyncio.Task[None]]:
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(server.run(ready.set))
        await ready.wait()
        yield task
        task.cancel()


@asynccontextmanager
async def serving(directory: Path, **handlers: Any) -> AsyncIterator[Caller]:
    """A running server with an admission handler at the path of each name, and some limits that are small."""
    metrics = Metrics()
    server = make_server(directory, metrics, admission_body_limit=10_000)
    for path, handler in handlers.items():
        if path == "convert":
            server.register_conversion("/convert", handler)
        else:
            server.register(f"/{path}", handler)
    connector = aiohttp.TCPConnector(ssl=client_tls((directory / "ca.crt").read_bytes()))
    async with (
        started(server),
        aiohttp.ClientSession(f"https://localhost:{server.port}", connector=connector) as session,
    ):
        yield Caller(session, metrics)
