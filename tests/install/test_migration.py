"""Objects that an older install stored as v1alpha2: rewritten once, and then never again."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.constants import CONVERSION_ANNOTATION, INFERENCE_SERVICE, INFERENCE_SERVICE_V1ALPHA2
from kfs.api.conversion import convert
from kfs.install.installer import InstallOptions, ensure, install
from kfs.install.manifests import manifests
from kfs.install.migration import AT_ONCE, StorageMigration, migrate
from kfs.install.webhooks import CONVERSION_PATH
from kfs.manager.client import HttpTransport, LiveClient
from kfs.manager.errors import KfsError, NotFound, api_error
from kfs.manager.login import connect
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE, ObjectKey
from kfs.manager.objects.tree import Obj, mapping, name
from kfs.manager.testing.envtest import ControlPlane
from kfs.manager.testing.fake_api import FakeApi
from kfs.manager.webhook.certificates import ensure_certificates
from kfs.manager.webhook.server import WebhookServer

if TYPE_CHECKING:
    from pathlib import Path

CRD = ObjectKey("", INFERENCE_SERVICE.resource)
SERVICES = 30


def service(i: int, namespace: str = "default") -> Obj:
    endpoint = {"predictor": {"sklearn": {"storageUri": "gs://m"}}}
    return {
        "apiVersion": INFERENCE_SERVICE_V1ALPHA2.api_version,
        "kind": "InferenceService",
        "metadata": {"name": f"m-{i}", "namespace": namespace},
        "spec": {"default": endpoint, "canary": endpoint, "canaryTrafficPercent": i},
    }


# What is asked of the server


def fake(*stored: str, services: int = SERVICES) -> FakeApi:
    """A server with objects, whose CRD has these stored versions."""
    api = FakeApi()
    crd: Obj = {"metadata": {"name": CRD.name}, "status": {"storedVersions": [*stored]}}
    api.put(CUSTOM_RESOURCE_DEFINITION, crd)
    for i in range(services):
        api.put(INFERENCE_SERVICE, {**service(i), "apiVersion": INFERENCE_SERVICE.api_version})
    return api


def stored(api: FakeApi) -> list[str]:
    crd = api.get(CUSTOM_RESOURCE_DEFINITION, "", CRD.name)
    assert crd is not None
    return list(crd["status"]["storedVersions"])


async def test_nothing_is_asked_where_nothing_is_old() -> None:
    api = fake("v1beta1")
    assert await migrate(LiveClient(api), INFERENCE_SERVICE) is None
    assert [(c.method, c.path) for c in api.calls] == [
        ("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD.name}")
    ]
    assert await migrate(LiveClient(FakeApi()), INFERENCE_SERVICE) is None


async def test_each_object_is_touched_by_its_status_alone_and_the_crd_last() -> None:
    api = fake("v1alpha2", "v1beta1")
    assert await migrate(LiveClient(api), INFERENCE_SERVICE) == SERVICES
    path = f"PATCH {INFERENCE_SERVICE.path('default')}"
    *touched, last = api.writes()
    assert sorted(touched) == sorted(f"{path}/m-{i}/status" for i in range(SERVICES))
    assert last.endswith(f"{CRD.name}/status")
    assert stored(api) == ["v1beta1"]
    assert await migrate(LiveClient(api), INFERENCE_SERVICE) is None


async def test_what_is_gone_meanwhile_is_no_failure() -> None:
    api = fake("v1alpha2", services=3)
    api.fail_next("PATCH", "/m-1/status", api_error(404, {"reason": "NotFound"}))
    assert await migrate(LiveClient(api), INFERENCE_SERVICE) == 3
    assert stored(api) == ["v1beta1"]


async def test_a_failure_stops_it_soon_and_leaves_the_crd_alone() -> None:
    api = fake("v1alpha2")
    api.fail_next("PATCH", "/m-0/status", api_error(500, {"message": "conversion webhook failed"}))
    with pytest.raises(KfsError, match="conversion webhook failed"):
        await migrate(LiveClient(api), INFERENCE_SERVICE)
    assert len(api.writes()) <= 2 * AT_ONCE
    assert stored(api) == ["v1alpha2"]


@pytest.mark.looptime
async def test_it_goes_on_until_it_is_done_and_then_ends() -> None:
    api = fake("v1alpha2", services=3)
    for code in (500, 409, 429):
        api.fail_next("PATCH", "status", api_error(code, {"message": "later"}))
    api.fail_next("GET", "customresourcedefinitions", api_error(503, {"message": "later"}))
    await StorageMigration(LiveClient(api), INFERENCE_SERVICE).run(lambda: None)
    assert stored(api) == ["v1beta1"]


async def test_a_missing_right_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    api = fake("v1alpha2", services=1)
    api.fail_next("PATCH", "customresourcedefinitions", api_error(403, {"message": "may not"}))
    with caplog.at_level(logging.ERROR):
        await StorageMigration(LiveClient(api), INFERENCE_SERVICE).run(lambda: None)
    assert "grant the right" in caplog.text
    assert stored(api) == ["v1alpha2"]


# On a real API server


async def older_install(client: LiveClient) -> None:
    """CRDs as they were when v1alpha2 was the stored version, and objects of that time."""
    [crd, *_] = [m for m in manifests(InstallOptions()) if m.kind == CUSTOM_RESOURCE_DEFINITION]
    crd.desired["spec"]["conversion"] = {"strategy": "None"}
    for version in crd.desired["spec"]["versions"]:
        version["storage"] = version["name"] == "v1alpha2"
    await client.create(CUSTOM_RESOURCE_DEFINITION, crd.desired)
    namespace: Any = {"metadata": {"name": "other"}, "apiVersion": "v1", "kind": "Namespace"}
    await client.create(NAMESPACE, namespace)
    for i in range(SERVICES):
        await created(client, service(i, "other" if i % 2 else "default"))


async def created(client: LiveClient, obj: Obj) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.create(INFERENCE_SERVICE_V1ALPHA2, obj)
            except NotFound:
                await asyncio.sleep(0.1)
            else:
                return


async def test_an_older_install_is_taken_over(tmp_path: Path) -> None:
    metrics = Metrics()
    certificate = ensure_certificates(tmp_path, ["127.0.0.1"], datetime.now(UTC))
    server = WebhookServer("127.0.0.1", 0, tmp_path, metrics)
    server.register_conversion(CONVERSION_PATH, convert)
    with ControlPlane() as control_plane:
        transport = HttpTransport(await connect(str(control_plane.kubeconfig)), metrics)
        client = LiveClient(transport)
        try:
            await older_install(client)
            await install(client, InstallOptions(webhook_url="https://127.0.0.1:1", ca_bundle=certificate.ca_bundle))
            async with asyncio.TaskGroup() as tasks:
                ready = asyncio.Event()
                serving = tasks.create_task(server.run(ready.set))
                await ready.wait()
                url = f"https://127.0.0.1:{server.port}"
                options = InstallOptions(webhook_url=url, ca_bundle=certificate.ca_bundle)
                await ensure(client, [m for m in manifests(options) if m.kind == CUSTOM_RESOURCE_DEFINITION])
                await StorageMigration(client, INFERENCE_SERVICE).run(lambda: None)
                serving.cancel()
            crd = await client.get(CUSTOM_RESOURCE_DEFINITION, CRD)
            assert crd is not None
            assert crd["status"]["storedVersions"] == ["v1beta1"]
            assert await migrate(client, INFERENCE_SERVICE) is None
            # Nobody converts any more, and nobody needs to.
            found = await client.list(INFERENCE_SERVICE)
            assert sorted(name(obj) for obj in found) == sorted(f"m-{i}" for i in range(SERVICES))
            for obj in found:
                assert obj["spec"]["predictor"]["sklearn"] == {"storageUri": "gs://m"}
                assert "/spec/canary" in mapping(obj, "metadata", "annotations")[CONVERSION_ANNOTATION]
        finally:
            await transport.close()
