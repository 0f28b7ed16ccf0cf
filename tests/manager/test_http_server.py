"""Metrics and probes over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kfs.manager.errors import ConfigError
from kfs.manager.http_server import HttpServer, Probes, metrics_server, probe_server
from kfs.manager.listener import Address, parse_address
from kfs.manager.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def running(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    started = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(server.run(started.set))
        await started.wait()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield session
        task.cancel()


async def get(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as response:
        return response.status, await response.text()


async def healthy() -> str | None:
    return None


async def sick() -> str | None:
    return "no pulse"


async def broken() -> str | None:
    raise LookupError("no such patient")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0", None),
        (":8080", Address("", 8080)),
        (":0", Address("", 0)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:80", Address("::1", 80)),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    assert parse_address(text) == address
    if address is not None:
        assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", ":http", ":65536", ":-1", "::1:80", "[::1:80", "[::1]", ":٣"]
)
def test_a_bad_address_is_told_how_to_be_written(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write HOST:PORT") as caught:
        parse_address(text)
    assert f'"{text}"' in str(caught.value)


async def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics()
    metrics.reconcile_total.labels("isvc", "success").inc()
    async with running(metrics_server("127.0.0.1:0", metrics)) as session:
        async with session.get("/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == CONTENT_TYPE
            families = {f.name for f in text_string_to_metric_families(await response.text())}
        assert (await get(session, "/"))[0] == 404
        async with session.post("/metrics") as response:
            assert response.status == 405
    assert "controller_runtime_reconcile" in families


async def test_probes_without_checks_pass() -> None:
    async with running(probe_server("127.0.0.1:0", Probes())) as session:
        assert await get(session, "/healthz") == (200, "ok")
        assert await get(session, "/readyz") == (200, "ok")
        assert await get(session, "/readyz?verbose") == (200, "readyz check passed\n")


async def test_probes_tell_which_check_failed_and_why() -> None:
    probes = Probes()
    probes.add_health("ping", healthy)
    probes.add_ready("webhook", healthy)
    probes.add_ready("config", sick)
    probes.add_ready("cluster", broken)
    async with running(probe_server("127.0.0.1:0", probes)) as session:
        assert await get(session, "/healthz") == (200, "ok")
        assert await get(session, "/readyz") == (
            500,
            "[+]webhook ok\n[-]config failed: no pulse\n[-]cluster failed: LookupError: no such patient\n"
            "readyz check failed\n",
        )
        assert await get(session, "/readyz/webhook") == (200, "ok")
        assert await get(session, "/readyz/config") == (500, "internal server error: no pulse")
        status, text = await get(session, "/readyz/ping")
        assert status == 404
        assert "/healthz/ping" in text
        assert "/readyz/config" in text


async def test_details_inform_and_never_fail() -> None:
    def lost() -> str:
        raise LookupError("no cache")

    probes = Probes()
    probes.add_ready("webhook", healthy)
    probes.add_detail("caches", lambda: "3 of 4 synced")
    probes.add_detail("lost", lost)
    async with running(probe_server("127.0.0.1:0", probes)) as session:
        assert await get(session, "/readyz") == (200, "ok")
        assert await get(session, "/readyz?verbose") == (
            200,
            "[+]webhook ok\n[ ]caches: 3 of 4 synced\n[ ]lost: LookupError: no cache\nreadyz check passed\n",
        )


async def test_a_recovered_check_passes_again() -> None:
    reasons = ["starting", None]
    probes = Probes()

    async def starting() -> str | None:
        return reasons.pop(0)

    probes.add_ready("manager", starting)
    async with running(probe_server("127.0.0.1:0", probes)) as session:
        assert (await get(session, "/readyz"))[0] == 500
        assert (await get(session, "/readyz"))[0] == 200


async def test_address_0_serves_nothing() -> None:
    server = metrics_server("0", Metrics())
    await server.run(lambda: None)
    assert server.port == 0


async def test_an_address_in_use_is_named() -> None:
    first = probe_server("127.0.0.1:0", Probes())
    async with running(first):
        address = f"127.0.0.1:{first.port}"
        with pytest.raises(ConfigError, match=f"cannot listen on {address}: it is in use already"):
            await probe_server(address, Probes()).run(lambda: None)


async def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 256\.0\.0\.1:0"):
        await probe_server("256.0.0.1:0", Probes()).run(lambda: None)


async def test_no_host_means_every_interface() -> None:
    async with running(probe_server(":0", Probes())) as session:
        assert await get(session, "/healthz") == (200, "ok")


async def test_the_port_is_free_again_after_a_stop() -> None:
    first = probe_server("127.0.0.1:0", Probes())
    async with running(first) as session:
        await get(session, "/healthz")
        port = first.port
    async with running(probe_server(f"127.0.0.1:{port}", Probes())) as session:
        assert await get(session, "/healthz") == (200, "ok")
