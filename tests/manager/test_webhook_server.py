"""The webhook server over real TLS: reviews, refusals, time-outs, stops and changing certificates."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import aiohttp
import pytest

from kfs.manager.errors import ConfigError, KfsError, ValidationError
from kfs.manager.metrics import Metrics
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj, clone, name
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse, allowed, denied, patched
from kfs.manager.webhook.authority import Authority
from kfs.manager.webhook.certificates import ensure_certificates
from kfs.manager.webhook.server import DuplicatePath, WebhookServer
from tests.manager.webhook_caller import NOW, UID, Caller, client_tls, make_server, serving, started

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path


async def agree(_: AdmissionRequest) -> AdmissionResponse:
    return allowed()


async def label(request: AdmissionRequest) -> AdmissionResponse:
    assert request.object is not None
    labelled = clone(request.object)
    labelled.setdefault("metadata", {})["labels"] = {"by": request.user}
    return patched(request.object, labelled)


async def refuse(_: AdmissionRequest) -> AdmissionResponse:
    return denied("metadata.name: taken")


async def leak(_: AdmissionRequest) -> AdmissionResponse:
    raise RuntimeError("password=hunter2")


def convert(obj: Frozen, api_version: str) -> Obj:
    if name(obj) == "bad":
        raise ValidationError("spec.x: cannot be told in v2", field="spec.x")
    if name(obj) == "leak":
        raise RuntimeError("password=hunter2")
    return {**obj, "apiVersion": api_version}


def thing(called: str, version: str = "v1") -> Obj:
    return {"apiVersion": f"g/{version}", "kind": "Thing", "metadata": {"namespace": "ns", "name": called}}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_admission_answers_in_the_version_of_the_question(tmp_path: Path, version: str) -> None:
    async with serving(tmp_path, label=label, refuse=refuse) as caller:
        response = await caller.admit("/label?timeout=10s", version, userInfo={"username": "ada"})
        assert response["allowed"]
        assert codec.loads(base64.b64decode(response["patch"])) == [
            {"op": "add", "path": "/metadata", "value": {"labels": {"by": "ada"}}}
        ]
        response = await caller.admit("/refuse", version)
        assert not response["allowed"]
        assert response["status"]["message"] == "metadata.name: taken"
        assert response["status"]["code"] == 403


async def test_admission_is_counted(tmp_path: Path) -> None:
    async with serving(tmp_path, agree=agree) as caller:
        total = "controller_runtime_webhook_requests_total"
        assert caller.value(total, webhook="/agree", code="200") == 0
        assert caller.value(total, webhook="/agree", code="500") == 0
        await caller.admit("/agree")
        await caller.post("/agree", b"")
        assert caller.value(total, webhook="/agree", code="200") == 1
        assert caller.value(total, webhook="/agree", code="400") == 1
        assert caller.value("controller_runtime_webhook_latency_seconds_count", webhook="/agree") == 2
        assert caller.value("controller_runtime_webhook_requests_in_flight", webhook="/agree") == 0


async def test_an_exception_is_answered_without_its_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path, leak=leak, agree=agree) as caller:
        response = await caller.admit("/leak")
        assert not response["allowed"]
        assert response["status"]["code"] == 500
        assert response["status"]["message"].startswith("internal error ")
        assert "hunter2" not in codec.dumps(response).decode()
        logged = [record for record in caplog.records if record.message == "webhook handler raised"]
        assert vars(logged[0])["error_id"] in response["status"]["message"]
        assert caller.value("controller_runtime_webhook_panics_total", webhook="/leak") == 1
        assert (await caller.admit("/agree"))["allowed"]


async def test_a_review_that_cannot_be_read_is_answered_to_its_sender(tmp_path: Path) -> None:
    async with serving(tmp_path, agree=agree, convert=convert) as caller:
        response = await caller.admit("/agree", operation="MERGE")
        assert not response["allowed"]
        assert response["status"]["code"] == 400
        assert "request.operation" in response["status"]["message"]
        response = await caller.convert("/convert", "g/v2", [1])  # type: ignore[list-item]
        assert response["result"]["status"] == "Failure"
        assert "request.objects" in response["result"]["message"]


@pytest.mark.parametrize("path", ["/agree", "/convert"])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is no"),
        (b"\xff", "the body is no"),
        (b"[]", "the body is no"),
        (b"{}", "kind: want"),
        (b'{"kind": "Pod"}', 'got "Pod"'),
        (b'{"kind": "KIND"}', "apiVersion: want"),
        (b'{"kind": "KIND", "apiVersion": "GROUP/v2"}', "got"),
        (b'{"kind": "KIND", "apiVersion": "GROUP/v1"}', "request.uid: want"),
        (b'{"kind": "KIND", "apiVersion": "GROUP/v1", "request": []}', "request.uid: want"),
        (b'{"kind": "KIND", "apiVersion": "GROUP/v1", "request": {"uid": 1}}', "got 1"),
    ],
)
async def test_what_is_no_review_is_refused_in_words(tmp_path: Path, path: str, body: bytes, problem: str) -> None:
    kind, group = {
        "/agree": (b"AdmissionReview", b"admission.k8s.io"),
        "/convert": (b"ConversionReview", b"apiextensions.k8s.io"),
    }[path]
    async with serving(tmp_path, agree=agree, convert=convert) as caller:
        status, text = await caller.post(path, body.replace(b"KIND", kind).replace(b"GROUP", group))
    assert status == 400
    assert problem in text


async def test_requests_that_are_no_calls_of_a_webhook(tmp_path: Path) -> None:
    async with serving(tmp_path, agree=agree) as caller:
        assert (await caller.post("/agree", b"{}", "text/plain"))[0] == 415
        assert (await caller.post("/other", b"{}"))[0] == 404
        async with caller.session.get("/agree") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert caller.value("controller_runtime_webhook_requests_total", webhook="/other", code="404") is None


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1000

    async with serving(tmp_path, agree=agree, convert=convert) as caller:
        assert (await caller.admit("/agree", name="a" * 8_000))["allowed"]
        assert (await caller.post("/agree", b" " * 20_000))[0] == 413
        headers = {"Content-Type": "application/json"}
        async with caller.session.post("/agree", data=chunks(), headers=headers) as response:
            assert response.status == 413
        objects = [thing("a" * 20_000)]
        assert len((await caller.convert("/convert", "g/v2", objects))["convertedObjects"]) == 1


async def test_an_answer_comes_before_the_caller_gives_up(tmp_path: Path) -> None:
    cancelled = asyncio.Event()

    async def ponder(_: AdmissionRequest) -> AdmissionResponse:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return allowed()

    async with serving(tmp_path, ponder=ponder) as caller:
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        body |= {"request": {"uid": UID, "operation": "CREATE"}}  # type: ignore[dict-item]
        status, text = await caller.post("/ponder?timeout=0.05s", codec.dumps(body))
        assert (status, text) == (504, "no answer within 0.045 s")
        assert cancelled.is_set()


async def test_a_time_out_of_the_handlers_own_is_an_error_of_its_own(tmp_path: Path) -> None:
    async def impatient(_: AdmissionRequest) -> AdmissionResponse:
        raise TimeoutError

    async with serving(tmp_path, impatient=impatient) as caller:
        assert (await caller.admit("/impatient"))["status"]["code"] == 500


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_conversion_keeps_number_and_order(tmp_path: Path, version: str) -> None:
    objects = [thing("a"), thing("b", "v2"), thing("c")]
    async with serving(tmp_path, convert=convert) as caller:
        response = await caller.convert("/convert", "g/v2", objects, version)
        assert response["result"] == {"status": "Success"}
        assert response["convertedObjects"] == [thing(called, "v2") for called in "abc"]
        assert (await caller.convert("/convert", "g/v2", [], version))["convertedObjects"] == []


async def test_conversion_of_one_bad_object_fails_all_and_names_it(tmp_path: Path) -> None:
    async with serving(tmp_path, convert=convert) as caller:
        response = await caller.convert("/convert", "g/v2", [thing("a"), thing("bad")])
        assert response["result"] == {"status": "Failure", "message": "ns/bad: spec.x: cannot be told in v2"}
        assert response["convertedObjects"] == []
        response = await caller.convert("/convert", "g/v2", [thing("leak")])
        assert response["result"]["message"].startswith("internal error ")
        assert "hunter2" not in codec.dumps(response).decode()
        assert caller.value("controller_runtime_webhook_panics_total", webhook="/convert") == 1


def test_a_path_is_registered_once(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    server.register("/mutate-pods", agree)
    with pytest.raises(DuplicatePath, match="/mutate-pods") as caught:
        server.register("/mutate-pods", agree)
    assert isinstance(caught.value, KfsError)
    with pytest.raises(DuplicatePath, match="/mutate-pods"):
        server.register_conversion("/mutate-pods", convert)
    with pytest.raises(ValueError, match="slash"):
        server.register("mutate-pods", agree)


async def test_a_stop_finishes_what_is_in_flight_and_accepts_no_more(tmp_path: Path) -> None:
    arrived, proceed = asyncio.Event(), asyncio.Event()

    async def slow(_: AdmissionRequest) -> AdmissionResponse:
        arrived.set()
        await proceed.wait()
        return allowed()

    server = make_server(tmp_path)
    server.register("/slow", slow)
    tls = client_tls((tmp_path / "ca.crt").read_bytes())
    async with (
        started(server) as task,
        aiohttp.ClientSession(f"https://localhost:{server.port}", connector=aiohttp.TCPConnector(ssl=tls)) as session,
        asyncio.TaskGroup() as tasks,
    ):
        caller = Caller(session, Metrics())
        port = server.port
        asked = tasks.create_task(caller.admit("/slow"))
        await arrived.wait()
        task.cancel()
        while await accepts(port):
            pass
        proceed.set()
        assert (await asked)["allowed"]
    assert await server.check() == "the webhook server does not listen"


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def presented(port: int, tls: ssl.SSLContext) -> bytes:
    """The certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("localhost", port, ssl=tls)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert isinstance(certificate, bytes)
    return certificate


async def test_a_new_certificate_is_served_without_dropping_connections(tmp_path: Path) -> None:
    metrics = Metrics()
    server = make_server(tmp_path, metrics, reload_s=0.001)
    server.register("/agree", agree)
    tls = client_tls((tmp_path / "ca.crt").read_bytes())
    transports = []
    trace = aiohttp.TraceConfig()

    async def note(*_: object) -> None:
        transports.append(1)

    trace.on_connection_create_end.append(note)
    async with (
        started(server),
        aiohttp.ClientSession(
            f"https://localhost:{server.port}",
            connector=aiohttp.TCPConnector(ssl=tls),
            trace_configs=[trace],
        ) as session,
    ):
        caller = Caller(session, metrics)
        await caller.admit("/agree")
        old = await presented(server.port, tls)
        ensure_certificates(tmp_path, ["new.example"], NOW)
        while await presented(server.port, tls) == old:
            pass
        await caller.admit("/agree")
        assert len(transports) == 1
        assert await server.check() is None


async def test_it_does_not_start_without_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls\.crt: cannot read it"):
        await WebhookServer("127.0.0.1", 0, tmp_path, Metrics()).run(lambda: None)


async def test_the_check_proves_a_handshake(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    assert await server.check() == "the webhook server does not listen"
    async with started(server):
        assert await server.check() is None


async def test_the_check_sees_a_bundle_that_does_not_vouch(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    (tmp_path / "ca.crt").write_bytes(Authority.create(Authority.new_key(), NOW).certificate)
    async with started(server):
        assert str(await server.check()).startswith("the serving certificate does not verify: ")


@pytest.mark.parametrize("host", ["", "0.0.0.0", "localhost"])
async def test_the_check_finds_the_server_wherever_it_listens(tmp_path: Path, host: str) -> None:
    ensure_certificates(tmp_path, ["localhost"], NOW)
    server = WebhookServer(host, 0, tmp_path, Metrics())
    async with started(server):
        assert await server.check() is None
