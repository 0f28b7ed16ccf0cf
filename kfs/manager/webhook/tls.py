"""Serving TLS with a certificate that changes on disk, without dropping a connection.

Upstream: kubernetes-sigs/controller-runtime `pkg/certwatcher/certwatcher.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import TYPE_CHECKING

from kfs.manager.errors import ConfigError
from kfs.manager.webhook.certificates import ServingCertificate, read_certificate, server_context

if TYPE_CHECKING:
    from pathlib import Path

    from kfs.manager.metrics import Metrics

log = logging.getLogger(__name__)

RELOAD_S = 10.0
HANDSHAKE_LIMIT_S = 3.0


class CertificateWatcher:
    """The certificate in a directory, read again whenever its files change.

    `context` is for the listening socket and stays the same object. It has no certificate of its own: each
    handshake takes the newest pair that was read whole, so a half-written one is never served and open
    connections never notice.
    """

    def __init__(self, directory: Path, metrics: Metrics, interval_s: float = RELOAD_S) -> None:
        self._directory = directory
        self._interval_s = interval_s
        self._reads = metrics.certificate_reads
        self._errors = metrics.certificate_errors
        self._current: tuple[ServingCertificate, ssl.SSLContext] | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.sni_callback = self._choose

    @property
    def certificate(self) -> ServingCertificate | None:
        """What new connections are served with; None before the first `load`."""
        return self._current[0] if self._current else None

    def load(self) -> bool:
        """Read the files; whether new connections get another certificate than before.

        Raises:
            ConfigError: the files are missing, unreadable or no pair; what was loaded before stays in use.
        """
        self._reads.inc()
        try:
            found = read_certificate(self._directory)
            if found == self.certificate:
                return False
            self._current = (found, server_context(found))
        except ConfigError:
            self._errors.inc()
            raise
        return True

    async def run(self) -> None:
        """Look for changes until cancelled. A bad pair is logged once and tried again each time."""
        complaint = ""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                changed = self.load()
            except ConfigError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.error("cannot reload the certificate, keeping the old one", extra={"error": complaint})
                continue
            complaint = ""
            if changed:
                log.info("certificate reloaded", extra={"directory": str(self._directory)})

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str, context: ssl.SSLContext) -> None:
        # OpenSSL asks here for every connection, also those that name no server.
        if self._current is not None:
            connection.context = self._current[1]


async def handshake(host: str, port: int, ca_bundle: bytes) -> str | None:
    """None when a TLS handshake succeeds for an API server with this `caBundle`; else the reason why not.

    The name in the certificate is not compared: an API server comes by the name of a Service.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # As in Go, what is in the bundle is trusted, whether it is a root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=ca_bundle.decode(errors="replace"))
        async with asyncio.timeout(HANDSHAKE_LIMIT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except ssl.SSLCertVerificationError as error:
        return f"the serving certificate does not verify: {error.verify_message}"
    except TimeoutError:
        return f"no TLS handshake within {HANDSHAKE_LIMIT_S:g} s"
    except OSError as error:
        return f"no TLS handshake: {error}"
    return None
