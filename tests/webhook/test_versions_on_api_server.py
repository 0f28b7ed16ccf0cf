"""One object in both versions on a real API server, with the webhooks and without any controller."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from kfs.api.constants import CONVERSION_ANNOTATION, INFERENCE_SERVICE, INFERENCE_SERVICE_V1ALPHA2
from kfs.api.conversion import convert
from kfs.install import webhooks
from kfs.install.installer import InstallOptions, install
from kfs.manager.client import HttpTransport, LiveClient
from kfs.manager.errors import ApiError
from kfs.manager.login import connect
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import ObjectKey
from kfs.manager.testing.envtest import ControlPlane
from kfs.manager.webhook.certificates import ensure_certificates
from kfs.manager.webhook.server import WebhookServer
from kfs.webhook.inferenceservices import defaulter, v1alpha2_defaulter, v1alpha2_validator, validator
from tests.samples import config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kfs.manager.objects.tree import Obj

A, B = INFERENCE_SERVICE_V1ALPHA2, INFERENCE_SERVICE
SKLEARN: Obj = {"sklearn": {"storageUri": "gs://m"}}
CANARY: Obj = {"predictor": {"sklearn": {"storageUri": "gs://m2"}}}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveClient]:
    """A client of a control plane that has the webhooks, which run in this process."""
    folder = tmp_path_factory.mktemp("certificates")
    certificate = ensure_certificates(folder, ["127.0.0.1"], datetime.now(UTC))
    metrics = Metrics()
    server = WebhookServer("127.0.0.1", 0, folder, metrics)
    server.register(webhooks.MUTATE_V1ALPHA2_PATH, v1alpha2_defaulter(config))
    server.register(webhooks.VALIDATE_V1ALPHA2_PATH, v1alpha2_validator())
    server.register(webhooks.MUTATE_V1BETA1_PATH, defaulter(config))
    server.register(webhooks.VALIDATE_V1BETA1_PATH, validator())
    server.register_conversion(webhooks.CONVERSION_PATH, convert)
    async with asyncio.TaskGroup() as tasks:
        ready = asyncio.Event()
        serving = tasks.create_task(server.run(ready.set))
        await ready.wait()
        with ControlPlane() as control_plane:
            transport = HttpTransport(await connect(str(control_plane.kubeconfig)), metrics)
            found = LiveClient(transport)
            url = f"https://127.0.0.1:{server.port}"
            await install(found, InstallOptions(webhook_url=url, ca_bundle=certificate.ca_bundle))
            await serves_both(found)
            yield found
            await transport.close()
        serving.cancel()


async def serves_both(client: LiveClient) -> None:
    """Wait until the API server has taken note of where the webhooks are."""
    probe = {**service("probe", predictor=SKLEARN), "metadata": {"generateName": "probe-", "namespace": "default"}}
    async with asyncio.timeout(30):
        while True:
            try:
                created = await client.create(B, probe)
                await client.get(A, key(created["metadata"]["name"]))
            except ApiError:
                await asyncio.sleep(0.1)
            else:
                return


def key(called: str) -> ObjectKey:
    return ObjectKey("default", called)


def service(called: str, **spec: Any) -> Obj:
    kind = A if "default" in spec else B
    metadata = {"name": called, "namespace": "default"}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


async def read(client: LiveClient, kind: Any, called: str) -> Any:
    found = await client.get(kind, key(called))
    assert found is not None
    return found


async def test_a_canary_outlives_edits_as_v1beta1(client: LiveClient) -> None:
    await client.create(A, service("canary", default={"predictor": SKLEARN}, canary=CANARY, canaryTrafficPercent=20))
    before = await read(client, A, "canary")
    assert before["metadata"]["annotations"] == {"serving.kubeflow.org/reconciler": "v1alpha2"}
    await client.patch(B, key("canary"), {"spec": {"predictor": {"minReplicas": 2, "timeout": 9}}})
    after = await read(client, A, "canary")
    assert after["spec"]["canary"] == before["spec"]["canary"]
    assert after["spec"]["default"]["predictor"]["minReplicas"] == 2
    await client.patch(
        A, key("canary"), {"spec": {"canaryTrafficPercent": 60, "canary": {"predictor": {"minReplicas": 0}}}}
    )
    stored = await read(client, B, "canary")
    assert stored["spec"]["predictor"]["timeout"] == 9
    assert stored["spec"]["predictor"]["canaryTrafficPercent"] == 60
    assert (await read(client, A, "canary"))["spec"]["canary"]["predictor"]["minReplicas"] == 0


async def test_replacing_it_as_v1alpha2_keeps_what_v1beta1_says(client: LiveClient) -> None:
    await client.create(B, service("replaced", predictor={**SKLEARN, "timeout": 9, "volumes": [{"name": "v"}]}))
    current = await read(client, B, "replaced")
    components = {"predictor": {"latestRolledoutRevision": "r"}}
    await client.update(B, {**current, "status": {"components": components}}, subresource="status")
    new = service("replaced", default={"predictor": {"onnx": {"storageUri": "gs://m.onnx"}}})
    new["metadata"]["resourceVersion"] = (await read(client, A, "replaced"))["metadata"]["resourceVersion"]
    await client.update(A, new)
    stored = await read(client, B, "replaced")
    assert stored["spec"]["predictor"].keys() == {"onnx", "timeout", "volumes"}
    assert stored["status"] == {"components": components}


async def test_v1alpha2_status_is_kept_until_v1beta1_writes_its_own(client: LiveClient) -> None:
    await client.create(A, service("status", default={"predictor": SKLEARN}, canary=CANARY, canaryTrafficPercent=20))
    status = {
        "url": "http://m",
        "traffic": 80,
        "canaryTraffic": 20,
        "default": {"predictor": {"name": "d-1", "host": "d.example.com"}},
        "canary": {"predictor": {"name": "c-1", "host": "c.example.com"}},
    }
    current = await read(client, A, "status")
    await client.update(A, {**current, "status": status}, subresource="status")
    assert (await read(client, A, "status"))["status"] == status
    assert (await read(client, A, "status"))["metadata"]["generation"] == current["metadata"]["generation"]
    stored = await read(client, B, "status")
    assert stored["status"]["components"]["predictor"]["url"] == "http://d.example.com"
    await client.patch(B, key("status"), {"metadata": {"labels": {"a": "b"}}})
    assert (await read(client, A, "status"))["status"] == status
    await client.patch(B, key("status"), {"status": {"url": "http://elsewhere"}}, subresource="status")
    assert (await read(client, A, "status"))["status"] == {"url": "http://elsewhere", "default": status["default"]}


async def test_reading_and_writing_back_changes_nothing(client: LiveClient) -> None:
    await client.create(A, service("same", default={"predictor": SKLEARN}, canary=CANARY, canaryTrafficPercent=20))
    await client.patch(B, key("same"), {"spec": {"predictor": {"timeout": 9}}})
    for kind in (A, B, A, B):
        before = await read(client, kind, "same")
        after = await client.update(kind, before)
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_what_does_not_fit_is_refused_with_the_reason(client: LiveClient) -> None:
    container = {"name": "kfserving-container", "image": "i", "args": ["x" * 140_000]}
    canary = {"predictor": {"custom": {"container": container}}}
    with pytest.raises(ApiError, match=r"there is room for 131072: make /spec/canary smaller"):
        await client.create(A, service("big", default={"predictor": SKLEARN}, canary=canary, canaryTrafficPercent=20))


async def test_lists_never_fail_because_of_one_object(client: LiveClient) -> None:
    volumes = [{"name": "x" * 140_000}]
    await client.create(B, service("large", predictor={**SKLEARN, "volumes": volumes}))
    assert "large" in {obj["metadata"]["name"] for obj in await client.list(A, "default")}
    with pytest.raises(ApiError, match="change it as v1beta1"):
        await client.patch(A, key("large"), {"metadata": {"labels": {"a": "b"}}})
    await client.patch(B, key("large"), {"metadata": {"labels": {"a": "b"}}})
    await client.delete(B, key("large"))


async def test_the_record_is_not_for_users_to_write(client: LiveClient) -> None:
    for kind, spec in ((A, {"default": {"predictor": SKLEARN}}), (B, {"predictor": SKLEARN})):
        tree = service("broken", **spec)
        tree["metadata"]["annotations"] = {CONVERSION_ANNOTATION: "{"}
        with pytest.raises(ApiError, match="cannot be read; put back what was there, or remove it"):
            await client.create(kind, tree)
