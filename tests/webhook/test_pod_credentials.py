"""What the pod webhook reads for a pod's credentials, how it takes what it finds, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest

from kfs.manager.errors import KfsError, TransportError, api_error
from kfs.manager.objects.kinds import SECRET, SERVICE_ACCOUNT
from kfs.manager.testing.fake_api import FakeApi
from kfs.webhook.inputs import read_credentials
from tests.samples import config, pod
from tests.webhook.pod_caller import LOGGER, ask, server_with

if TYPE_CHECKING:
    from kfs.manager.objects.kinds import Kind, ObjectKey
    from kfs.manager.objects.tree import Frozen

ACCOUNT = "/api/v1/namespaces/ns/serviceaccounts/default"
SECRETS = "/api/v1/namespaces/ns/secrets"


def asked_of(api: FakeApi) -> list[str]:
    return [f"{call.method} {call.path}" for call in api.calls]


async def test_secrets_are_read_anew_for_each_pod_once_however_many_containers_need_them() -> None:
    api = server_with(s={"awsSecretAccessKey": "k"}, g={"gcloud-application-credentials.json": "{}"})
    tree = pod(annotations=LOGGER)
    response = await ask(tree, api=api)
    assert asked_of(api) == [f"GET {ACCOUNT}", f"GET {SECRETS}/s", f"GET {SECRETS}/g"]
    spec = jsonpatch.apply_patch(tree, list(response.patch or ()))["spec"]
    for container in (spec["initContainers"][0], spec["containers"][-1]):
        names = [v["name"] for v in container["env"]]
        assert names == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"]
        assert container["volumeMounts"][-1]["name"] == "user-gcp-sa"
    assert [v["name"] for v in spec["volumes"]] == ["kfserving-provision-location", "user-gcp-sa"]

    await ask(tree, api=api)
    assert len(api.calls) == 6


async def test_the_account_is_the_one_that_the_pod_names() -> None:
    api = server_with(s={"awsSecretAccessKey": "k"})
    api.remove(SERVICE_ACCOUNT, "ns", "default")
    response = await ask(pod(serviceAccountName="mine"), api=api)
    assert "AWS_SECRET_ACCESS_KEY" in str(response.patch)


async def test_a_secret_that_is_missing_is_named_and_the_pod_is_the_same() -> None:
    without = await ask(pod(), api=server_with())
    response = await ask(pod(), api=server_with("ghost"))
    assert (response.allowed, response.patch) == (True, without.patch)
    assert response.warnings == (
        'ServiceAccount ns/default names Secret "ghost", which does not exist, so that the pod gets no credentials'
        " from it: create the Secret, or take it off the ServiceAccount",
    )
    assert without.warnings == ()


async def test_an_account_that_the_pod_names_and_that_is_missing_is_named_as_well() -> None:
    response = await ask(pod(serviceAccountName="mine"))
    assert response.allowed
    assert response.warnings == (
        "ServiceAccount ns/mine does not exist, so that the pod gets no credentials: create it",
    )
    assert (await ask(pod())).warnings == ()


@pytest.mark.parametrize("name", ["../../kube-system/secrets/s", "..", "a?b", "S", "a/b", "x" * 254, "a%2fb"])
async def test_a_name_that_no_object_can_have_is_never_asked_for(name: str) -> None:
    api = server_with(name)
    response = await ask(pod(), api=api)
    assert asked_of(api) == [f"GET {ACCOUNT}"]
    assert name in response.warnings[0]
    other = FakeApi()
    assert (await ask(pod(serviceAccountName=name), api=other)).allowed
    assert other.calls == []


@pytest.mark.parametrize("secrets", [None, "s", [None], ["s"], [{}], [{"name": ""}], [{"name": None}]])
async def test_an_account_of_any_shape_is_an_account_without_secrets(secrets: Any) -> None:
    api = server_with()
    api.put(SERVICE_ACCOUNT, {"metadata": {"namespace": "ns", "name": "default"}, "secrets": secrets})
    response = await ask(pod(), api=api)
    assert (response.allowed, response.warnings) == (True, ())


@pytest.mark.parametrize(
    "error", [TransportError("connection reset"), api_error(403, {"message": "forbidden: cannot get"}), KfsError("x")]
)
@pytest.mark.parametrize(("path", "what"), [(ACCOUNT, "ServiceAccount ns/default"), ("/secrets/s", "Secret ns/s")])
async def test_a_read_that_fails_refuses_the_pod_and_says_which(error: KfsError, path: str, what: str) -> None:
    api = server_with(s={}, t={})
    api.fail_next("GET", path, error)
    response = await ask(pod(), api=api)
    assert (response.allowed, response.code, response.message) == (False, 500, f"cannot read {what}: {error}")
    assert (await ask(pod(), api=api)).allowed


async def test_how_credentials_are_found_matters_once_there_are_secrets() -> None:
    settings = config(credentials="{,")
    assert (await ask(pod(), settings, server_with())).allowed
    response = await ask(pod(), settings, server_with(s={}))
    assert response.code == 500
    assert response.message.startswith('key "credentials" of inferenceservice-config is bad: JSON is malformed')


async def test_no_value_of_a_secret_is_told_to_anybody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = ("awsSecretAccessKey", "gcloud-application-credentials.json", "AZ_CLIENT_SECRET", "token")
    secrets = {f"s{i}": {key: "MARKED", "awsAccessKeyID": "MARKED"} for i, key in enumerate(keys)}
    api = server_with("ghost", **secrets)
    refused = await ask(pod(), config(credentials="{"), api)
    answers = [await ask(pod(annotations=LOGGER), api=api), refused]
    told = f"{answers} {[record.__dict__ for record in caplog.records]}"
    assert "ghost" in told
    assert refused.code == 500
    assert "MARKED" not in told
    assert base64.b64encode(b"MARKED").decode() not in told


async def test_the_headers_of_an_https_secret_are_in_the_pod_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api = server_with("ghost", h={"https-host": "h.example", "headers": "MARKED"})
    response = await ask(pod(), api=api)
    assert str(response.patch).count("MARKED") == 1
    assert "MARKED" not in f"{response.warnings} {response.message} {[r.__dict__ for r in caplog.records]}"


class Together:
    """A reader that answers for Secrets once all of them have been asked for."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._asked = asyncio.Barrier(len(names))

    async def get(self, kind: Kind, key: ObjectKey) -> Frozen | None:
        if kind == SERVICE_ACCOUNT:
            return {"secrets": [{"name": name} for name in self._names]}
        assert kind == SECRET
        await self._asked.wait()
        return {"metadata": {"name": key.name}}

    async def list(self, kind: Kind, namespace: str = "", *, labels: Any = "", fields: str = "") -> list[Frozen]:
        raise AssertionError("nothing is listed")


@pytest.mark.timeout(20)
async def test_all_secrets_are_asked_for_at_once_and_keep_their_order() -> None:
    found = await read_credentials(Together(["c", "a", "b"]), "ns", "")
    assert [secret["metadata"]["name"] for secret in found.secrets] == ["c", "a", "b"]


async def test_a_secret_that_is_named_twice_is_read_once() -> None:
    api = server_with("ghost", "ghost")
    response = await ask(pod(), api=api)
    assert asked_of(api) == [f"GET {ACCOUNT}", f"GET {SECRETS}/ghost"]
    assert len(response.warnings) == 1
