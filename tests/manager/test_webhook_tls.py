"""Serving a certificate while its files change."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kfs.manager.errors import ConfigError
from kfs.manager.metrics import Metrics
from kfs.manager.webhook.authority import Authority
from kfs.manager.webhook.certificates import ensure_certificates
from kfs.manager.webhook.tls import CertificateWatcher, handshake

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime.now(UTC)


@asynccontextmanager
async def echoing(watcher: CertificateWatcher) -> AsyncIterator[int]:
    """The port of a server that repeats lines over the watcher's TLS."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=watcher.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("localhost", port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def presented(port: int, tls: ssl.SSLContext) -> object:
    """The certificate that a new connection is shown."""
    async with connected(port, tls) as (_, writer):
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


def client_tls(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=directory / "ca.crt")


def made(directory: Path, metrics: Metrics | None = None) -> CertificateWatcher:
    ensure_certificates(directory, ["localhost"], NOW)
    return CertificateWatcher(directory, metrics or Metrics(), 0.001)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_new_connections_get_the_new_certificate_and_old_ones_live_on(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    watcher = made(tmp_path)
    tls = client_tls(tmp_path)
    tls.minimum_version = tls.maximum_version = version
    assert watcher.load()
    assert not watcher.load()
    async with echoing(watcher) as port, connected(port, tls) as (reader, writer):
        old = await presented(port, tls)
        ensure_certificates(tmp_path, ["new.example"], NOW)
        assert await presented(port, tls) == old
        assert watcher.load()
        assert await presented(port, tls) != old
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"


async def test_a_bad_pair_keeps_the_old(tmp_path: Path) -> None:
    metrics = Metrics()
    watcher = made(tmp_path, metrics)
    tls = client_tls(tmp_path)
    watcher.load()
    async with echoing(watcher) as port:
        old = await presented(port, tls)
        (tmp_path / "tls.key").write_bytes(Authority.new_key())
        with pytest.raises(ConfigError, match=r"it is not the key of that certificate"):
            watcher.load()
        assert await presented(port, tls) == old
        (tmp_path / "tls.key").unlink()
        with pytest.raises(ConfigError, match=r"tls\.key: cannot read it"):
            watcher.load()
        assert await presented(port, tls) == old
    value = metrics.registry.get_sample_value
    assert value("certwatcher_read_certificate_total") == 3
    assert value("certwatcher_read_certificate_errors_total") == 2


async def test_watching_complains_once_and_recovers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    watcher = made(tmp_path, metrics)
    watcher.load()
    tls = client_tls(tmp_path)
    key = (tmp_path / "tls.key").read_bytes()
    (tmp_path / "tls.key").write_bytes(Authority.new_key())
    async with echoing(watcher) as port, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(watcher.run())
        old = await presented(port, tls)
        while (metrics.registry.get_sample_value("certwatcher_read_certificate_errors_total") or 0) < 3:
            assert await presented(port, tls) == old
        (tmp_path / "tls.key").write_bytes(key)
        ensure_certificates(tmp_path, ["new.example"], NOW)
        while await presented(port, tls) == old:
            pass
        task.cancel()
    complaints = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(complaints) == 1
    assert "tls.key" in vars(complaints[0])["error"]


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    watcher = made(tmp_path)
    watcher.load()
    tls = client_tls(tmp_path)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        tls.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    async with echoing(watcher) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await presented(port, tls)


async def test_a_handshake_is_judged_by_the_bundle_alone(tmp_path: Path) -> None:
    watcher = made(tmp_path)
    watcher.load()
    stranger = Authority.create(Authority.new_key(), NOW).certificate
    async with echoing(watcher) as port:
        assert await handshake("127.0.0.1", port, (tmp_path / "ca.crt").read_bytes()) is None
        assert await handshake("127.0.0.1", port, (tmp_path / "tls.crt").read_bytes()) is None
        reason = await handshake("127.0.0.1", port, stranger)
        assert str(reason).startswith("the serving certificate does not verify: ")
        assert str(await handshake("127.0.0.1", port, b"garbage")).startswith("no TLS handshake: ")


async def test_nobody_there_is_no_handshake(tmp_path: Path) -> None:
    watcher = made(tmp_path)
    bundle = (tmp_path / "ca.crt").read_bytes()
    async with echoing(watcher) as port:
        # A server without a certificate cannot shake hands.
        assert str(await handshake("127.0.0.1", port, bundle)).startswith("no TLS handshake")
    assert str(await handshake("127.0.0.1", port, bundle)).startswith("no TLS handshake: ")
