"""The webhook server: HTTPS that an API server calls, one path a handler.

Every question gets an answer before the caller gives up: a review where it can be addressed, a status and a
line of text where not. What a handler raises is counted and logged under an id, and the id alone is answered.

Upstream: kubernetes-sigs/controller-runtime `pkg/webhook/server.go`, `pkg/webhook/admission/http.go`,
`pkg/webhook/conversion/conversion.go`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from kfs.manager.errors import KfsError, ValidationError
from kfs.manager.listener import Address, listen, serving
from kfs.manager.webhook import review
from kfs.manager.webhook.admission import AdmissionHandler, AdmissionResponse, errored
from kfs.manager.webhook.conversion import ConversionHandler, convert_all
from kfs.manager.webhook.tls import RELOAD_S, CertificateWatcher, handshake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kfs.manager.metrics import Metrics
    from kfs.manager.runnables import Started
    from kfs.manager.webhook.admission import AdmissionRequest

log = logging.getLogger(__name__)

MIB = 1024 * 1024
# A request of 3 MiB is the most that an API server takes; an update's review carries the object twice.
ADMISSION_BODY_LIMIT = 7 * MIB
# A list that is asked for in another version than it is stored in arrives here in one piece.
CONVERSION_BODY_LIMIT = 128 * MIB
# How long an API server waits when it does not say so in `?timeout=`.
ADMISSION_TIMEOUT_S = 10.0
CONVERSION_TIMEOUT_S = 30.0
DRAIN_S = 10.0

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


class DuplicatePath(KfsError, ValueError):
    """Two handlers for one path."""


@dataclass(frozen=True, slots=True)
class _Route:
    answer: Callable[[bytearray], Awaitable[bytes]]
    body_limit: int
    timeout_s: float


class WebhookServer:
    """A runnable that serves admission and conversion handlers with the certificate in `directory`.

    `host` may be empty for all interfaces; `port` 0 lets the system choose, see `.port`. The certificate's
    files are looked at every `reload_s` seconds; `ensure_certificates` makes them.
    """

    def __init__(
        self,
        host: str,
        port: int,
        directory: Path,
        metrics: Metrics,
        *,
        reload_s: float = RELOAD_S,
        admission_body_limit: int = ADMISSION_BODY_LIMIT,
        conversion_body_limit: int = CONVERSION_BODY_LIMIT,
    ) -> None:
        self._address = Address(host, port)
        self._watcher = CertificateWatcher(directory, metrics, reload_s)
        self._metrics = metrics
        self._admission_body_limit = admission_body_limit
        self._conversion_body_limit = conversion_body_limit
        self._routes: dict[str, _Route] = {}
        self._serving: Address | None = None

    @property
    def port(self) -> int:
        """The port in use; the one asked for before it is started."""
        return (self._serving or self._address).port

    def register(self, path: str, handler: AdmissionHandler) -> None:
        """Answer AdmissionReviews at `path`.

        Raises:
            DuplicatePath: there is a handler already; the message names the path.
        """

        async def answer(body: bytearray) -> bytes:
            return await self._admit(path, handler, body)

        self._add(path, _Route(answer, self._admission_body_limit, ADMISSION_TIMEOUT_S))

    def register_conversion(self, path: str, handler: ConversionHandler) -> None:
        """Answer ConversionReviews at `path`.

        Raises:
            DuplicatePath: there is a handler already; the message names the path.
        """

        async def answer(body: bytearray) -> bytes:
            return await self._convert(path, handler, body)

        self._add(path, _Route(answer, self._conversion_body_limit, CONVERSION_TIMEOUT_S))

    async def run(self, started: Started) -> None:
        """Serve until cancelled; then stop accepting and finish what is in flight, for at most `DRAIN_S`.

        Raises:
            ConfigError: the certificate cannot be used, or the address cannot be listened on.
        """
        self._watcher.load()
        with listen(self._address) as listening:
            self._serving = Address(*listening.getsockname()[:2])
            try:
                async with serving(self._respond, listening, tls=self._watcher.context, drain_s=DRAIN_S):
                    log.info(
                        "serving webhooks",
                        extra={"address": str(self._serving), "paths": sorted(self._routes)},
                    )
                    started()
                    await self._watcher.run()
            finally:
                self._serving = None

    async def check(self) -> str | None:
        """None when a TLS handshake with this server succeeds and verifies now; else the reason why not."""
        certificate = self._watcher.certificate
        if self._serving is None or certificate is None:
            return "the webhook server does not listen"
        wildcards = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
        host = wildcards.get(self._address.host, self._address.host)
        return await handshake(host, self.port, certificate.ca_bundle)

    def _add(self, path: str, route: _Route) -> None:
        if not path.startswith("/"):
            raise ValueError(f"webhook path {path}: it must begin with a slash")
        if path in self._routes:
            raise DuplicatePath(f"webhook path {path}: a handler is registered already")
        self._routes[path] = route
        # Dashboards show rates: a series has to be there before its first failure.
        for code in (200, 500):
            self._metrics.webhook_requests.labels(path, code)
        self._metrics.webhook_panics.labels(path)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._routes.get(request.path)
        if route is None:
            return web.Response(status=404, text="no webhook at this path")
        with (
            self._metrics.webhook_in_flight.labels(request.path).track_inprogress(),
            self._metrics.webhook_latency.labels(request.path).time(),
        ):
            response = await self._serve(request, route)
        self._metrics.webhook_requests.labels(request.path, response.status).inc()
        if response.status != 200:
            log.warning(
                "webhook request refused",
                extra={"webhook": request.path, "code": response.status, "error": response.text},
            )
        return response

    async def _serve(self, request: web.BaseRequest, route: _Route) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"}, text="webhooks are called by POST")
        if request.content_type != "application/json":
            return web.Response(status=415, text=f"Content-Type: want application/json, got {request.content_type}")
        timeout_s = _answer_within(request.query.get("timeout", ""), route.timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                body = await _body(request, route.body_limit)
                if body is None:
                    return web.Response(status=413, text=f"the body exceeds {route.body_limit} bytes")
                return web.Response(body=await route.answer(body), content_type="application/json")
        except review.BadReview as error:
            return web.Response(status=400, text=str(error))
        except TimeoutError:
            # No review: whether the operation may go on undecided is the failurePolicy's to say.
            return web.Response(status=504, text=f"no answer within {timeout_s:g} s")

    async def _admit(self, path: str, handler: AdmissionHandler, body: bytearray) -> bytes:
        try:
            envelope, request = review.read_admission(body)
        except review.BadReview as error:
            if error.envelope is None:
                raise
            return review.write_admission(error.envelope, errored(400, str(error)))
        try:
            response = await handler(request)
        except Exception:
            response = errored(500, self._panicked(path))
        _log_admission(path, request, response)
        return review.write_admission(envelope, response)

    async def _convert(self, path: str, handler: ConversionHandler, body: bytearray) -> bytes:
        try:
            envelope, request = review.read_conversion(body)
        except review.BadReview as error:
            if error.envelope is None:
                raise
            return review.write_conversion_failure(error.envelope, str(error))
        fields = {"webhook": path, "objects": len(request.objects), "to": request.desired_api_version}
        try:
            converted = await convert_all(handler, request.objects, request.desired_api_version)
        except ValidationError as error:
            log.info("conversion refused", extra={**fields, "error": str(error)})
            return review.write_conversion_failure(envelope, str(error))
        except Exception:
            return review.write_conversion_failure(envelope, self._panicked(path))
        log.debug("converted", extra=fields)
        return review.write_conversion(envelope, converted)

    def _panicked(self, path: str) -> str:
        """Count and log the exception being handled; what to tell the caller, who must not see its text."""
        error_id = uuid.uuid4().hex[:12]
        self._metrics.webhook_panics.labels(path).inc()
        log.exception("webhook handler raised", extra={"webhook": path, "error_id": error_id})
        return f"internal error {error_id}: the webhook server's log says more under this id"


def _answer_within(timeout: str, default_s: float) -> float:
    """Seconds until an answer must be on its way, from a Go duration such as `10s` in the caller's URL."""
    found = _DURATION.fullmatch(timeout)
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    limit_s = hours * 3600 + minutes * 60 + seconds or default_s
    return limit_s - min(limit_s / 10, 0.5)


async def _body(request: web.BaseRequest, limit: int) -> bytearray | None:
    """The request's body; None when it is longer than `limit` bytes."""
    body = bytearray()
    if (request.content_length or 0) > limit:
        return None
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return body


def _log_admission(path: str, request: AdmissionRequest, response: AdmissionResponse) -> None:
    level = logging.DEBUG if response.allowed else logging.INFO if response.code < 500 else logging.ERROR
    log.log(
        level,
        "admission reviewed",
        extra={
            "webhook": path,
            "uid": request.uid,
            "operation": request.operation,
            "kind": request.kind,
            "key": f"{request.namespace}/{request.name}".strip("/"),
            "user": request.user,
            "dry_run": request.dry_run,
            "allowed": response.allowed,
            "code": response.code,
            "reason": response.message,
        },
    )
