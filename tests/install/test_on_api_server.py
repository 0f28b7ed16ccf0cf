"""The installer on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfs.api.constants import GROUP
from kfs.install.installer import InstallError, InstallOptions, install
from kfs.manager.client import Applied, HttpTransport, LiveClient, PatchType
from kfs.manager.login import connect
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION, ObjectKey
from kfs.manager.testing.envtest import ControlPlane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CRD = ObjectKey("", f"inferenceservices.{GROUP}")


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlane]:
    """A control plane of these tests' own: the webhooks they install would be in others' way."""
    with ControlPlane(users={"stranger": []}) as running:
        yield running


@pytest.fixture
async def client(server: ControlPlane) -> AsyncIterator[LiveClient]:
    transport = HttpTransport(await connect(str(server.kubeconfig)), Metrics())
    try:
        yield LiveClient(transport)
    finally:
        await transport.close()


def options(server: ControlPlane, url: str | None = None) -> InstallOptions:
    return InstallOptions(webhook_url=url, ca_bundle=server.ca_file.read_bytes())


async def changes(client: LiveClient, wanted: InstallOptions) -> set[Applied]:
    return {installed.done for installed in await install(client, wanted)}


async def test_installs_once_and_switches_between_service_and_url(server: ControlPlane, client: LiveClient) -> None:
    await install(client, options(server))
    for url in (None, "https://127.0.0.1:9443", None):
        await install(client, options(server, url))
        assert await changes(client, options(server, url)) == {Applied.UNCHANGED}
        crd = await client.get(CUSTOM_RESOURCE_DEFINITION, CRD)
        assert crd is not None
        called = crd["spec"]["conversion"]["webhook"]["clientConfig"]
        assert called.get("url") == (f"{url}/convert" if url else None)
        assert ("service" in called) is (url is None)


async def test_edits_of_the_crd_are_noticed(server: ControlPlane, client: LiveClient) -> None:
    await install(client, options(server))
    edit = [{"op": "remove", "path": "/spec/versions/1/additionalPrinterColumns/0"}]
    await client.patch(CUSTOM_RESOURCE_DEFINITION, CRD, edit, type=PatchType.JSON)
    assert await changes(client, options(server)) == {Applied.UNCHANGED, Applied.UPDATED}
    assert await changes(client, options(server)) == {Applied.UNCHANGED}


async def test_who_may_not_install_is_told_what_is_missing(server: ControlPlane) -> None:
    transport = HttpTransport(await connect(str(server.user("stranger"))), Metrics())
    try:
        with pytest.raises(InstallError, match=r"needs the right to get .*ClusterRole"):
            await install(LiveClient(transport), options(server))
    finally:
        await transport.close()
