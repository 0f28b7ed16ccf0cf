"""The CRDs' schemas on a real API server, without webhooks: what is kept, dropped, merged, refused and explained."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.constants import INFERENCE_SERVICE, TRAINED_MODEL
from kfs.install.installer import InstallOptions, ensure
from kfs.install.manifests import manifests
from kfs.manager.client import HttpTransport, LiveClient, PatchType
from kfs.manager.errors import Invalid
from kfs.manager.login import connect
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION
from kfs.manager.objects.tree import Obj, key_of
from kfs.manager.testing.envtest import ControlPlane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlane]:
    """A control plane of these tests' own: elsewhere webhooks would have a say."""
    with ControlPlane() as running:
        yield running


@pytest.fixture
async def client(server: ControlPlane) -> AsyncIterator[LiveClient]:
    transport = HttpTransport(await connect(str(server.kubeconfig)), Metrics())
    try:
        found = LiveClient(transport)
        await ensure(found, [m for m in manifests(InstallOptions()) if m.kind == CUSTOM_RESOURCE_DEFINITION])
        yield found
    finally:
        await transport.close()


def service(name: str, **predictor: Any) -> Obj:
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": predictor},
    }


async def test_what_a_newer_kubernetes_knows_is_kept_and_typos_are_not(client: LiveClient) -> None:
    container = {
        "name": "c",
        "image": "i",
        "fromTheFuture": {"a": 1},
        "env": [{"name": "A", "valueFrom": {"futureRef": {"key": "k"}}}, {"name": "A", "value": "again"}],
    }
    server = {"storageUri": "gs://m", "fromTheFuture": 1}
    created = await client.create(
        INFERENCE_SERVICE, service("kept", sklearn=server, containers=[container], minReplicass=1)
    )
    assert created["spec"] == {"predictor": {"sklearn": server, "containers": [container]}}


async def test_nothing_is_filled_in_or_asked_for(client: LiveClient) -> None:
    specs: tuple[Obj, ...] = (
        {},
        {"predictor": {}},
        {"predictor": {"sklearn": {}}},
        {"transformer": {"containers": [{}]}},
    )
    for spec in specs:
        created = await client.create(INFERENCE_SERVICE, {**service("empty"), "spec": spec}, dry_run=True)
        assert created["spec"] == spec


async def test_messages_of_the_schema_are_those_that_users_know(client: LiveClient) -> None:
    with pytest.raises(Invalid) as mode:
        await client.create(INFERENCE_SERVICE, service("m", sklearn={}, logger={"mode": "some"}))
    assert str(mode.value) == (
        'InferenceService.serving.kubeflow.org "m" is invalid: spec.predictor.logger.mode: '
        'Unsupported value: "some": supported values: "all", "request", "response"'
    )
    model = {
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {
            "inferenceService": "m",
            "model": {"storageUri": "gs://m", "framework": "x", "memory": "lots"},
        },
    }
    with pytest.raises(Invalid) as memory:
        await client.create(
            TRAINED_MODEL, {"apiVersion": TRAINED_MODEL.api_version, "kind": TRAINED_MODEL.kind, **model}
        )
    assert "spec.model.memory in body should match '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)" in str(memory.value)


async def test_two_appliers_share_a_list_of_volumes(client: LiveClient) -> None:
    async def applied(by: str, volume: str) -> Obj:
        wanted = service("shared", volumes=[{"name": volume, "emptyDir": {}}])
        return await client.patch(INFERENCE_SERVICE, key_of(wanted), wanted, type=PatchType.APPLY, field_manager=by)

    await applied("one", "a")
    stored = await applied("two", "b")
    assert [volume["name"] for volume in stored["spec"]["predictor"]["volumes"]] == ["a", "b"]


async def test_kubectl_explains_and_lists(server: ControlPlane, client: LiveClient) -> None:
    async def kubectl(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            server.binaries.kubectl,
            f"--kubeconfig={server.kubeconfig}",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return out.decode()

    explained = await kubectl("explain", "isvc.spec.predictor")
    assert "Runs the model." in explained
    assert "Serve a scikit-learn model." in explained
    assert "valueFrom" in await kubectl("explain", "isvc.spec.predictor.sklearn.env")
    await client.create(INFERENCE_SERVICE, service("listed", sklearn={}))
    columns = (await kubectl("get", "isvc", "listed")).splitlines()[0].split()
    assert columns == [
        "NAME",
        "URL",
        "READY",
        "PREV",
        "LATEST",
        "PREVROLLEDOUTREVISION",
        "LATESTREADYREVISION",
        "AGE",
    ]
