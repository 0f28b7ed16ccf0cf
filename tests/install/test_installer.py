"""What is written when, against an API server in memory."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from kfs.install.installer import InstallError, InstallOptions, covers, install
from kfs.install.manifests import manifests
from kfs.manager.client import Applied, LiveClient
from kfs.manager.errors import api_error
from kfs.manager.objects.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    MUTATING_WEBHOOK_CONFIGURATION,
    NAMESPACE,
    Kind,
)
from kfs.manager.testing.fake_api import FakeApi

pytestmark = pytest.mark.looptime

OPTIONS = InstallOptions("ns", ca_bundle=b"pem")
SERVICES = Kind("serving.kubeflow.org", "v1beta1", "InferenceService", "inferenceservices")
WEBHOOKS = (MUTATING_WEBHOOK_CONFIGURATION, "", "inferenceservice.serving.kubeflow.org")
CRD = (CUSTOM_RESOURCE_DEFINITION, "", "inferenceservices.serving.kubeflow.org")


async def done(api: FakeApi, options: InstallOptions = OPTIONS) -> dict[str, str]:
    """Install; what was done about each object that was not left alone."""
    installed = await install(LiveClient(api), options)
    return {f"{i.kind.kind} {i.name}": i.done.value for i in installed if i.done != Applied.UNCHANGED}


async def settled() -> FakeApi:
    api = FakeApi()
    await done(api)
    for manifest in manifests(OPTIONS):
        if manifest.kind == CUSTOM_RESOURCE_DEFINITION:
            crd = api.get(manifest.kind, "", manifest.desired["metadata"]["name"])
            assert crd is not None
            api.put(manifest.kind, {**crd, "status": {"conditions": [{"type": "Established", "status": "True"}]}})
    api.calls.clear()
    return api


def existing(api: FakeApi, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
    found = api.get(kind, namespace, name)
    assert found is not None
    return found


async def test_everything_is_created_once() -> None:
    api = FakeApi()
    assert await done(api) == {
        "Namespace ns": "created",
        "CustomResourceDefinition inferenceservices.serving.kubeflow.org": "created",
        "CustomResourceDefinition trainedmodels.serving.kubeflow.org": "created",
        "ConfigMap ns/inferenceservice-config": "created",
        "MutatingWebhookConfiguration inferenceservice.serving.kubeflow.org": "created",
        "ValidatingWebhookConfiguration inferenceservice.serving.kubeflow.org": "created",
        "ValidatingWebhookConfiguration trainedmodel.serving.kubeflow.org": "created",
    }
    assert api.writes()[0] == "POST /api/v1/namespaces"


async def test_a_second_time_nothing_is_written() -> None:
    api = await settled()
    assert await done(api) == {}
    assert api.writes() == []
    assert len(api.calls) == len(manifests(OPTIONS))


async def test_what_users_own_stays_theirs() -> None:
    api = await settled()
    api.put(CONFIG_MAP, {"metadata": {"name": "inferenceservice-config", "namespace": "ns"}, "data": {"a": "b"}})
    api.put(NAMESPACE, {"metadata": {"name": "ns", "labels": {"team": "x"}}})
    assert await done(api) == {}


async def test_an_edit_of_a_schema_is_undone() -> None:
    api = await settled()
    crd = existing(api, *CRD)
    schema = crd["spec"]["versions"][1]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["extra"] = {"type": "string"}
    api.put(CUSTOM_RESOURCE_DEFINITION, crd)
    assert await done(api) == {"CustomResourceDefinition inferenceservices.serving.kubeflow.org": "updated"}


async def test_an_edit_of_a_webhook_is_undone_and_annotations_stay() -> None:
    api = await settled()
    configuration = existing(api, *WEBHOOKS)
    wanted = deepcopy(configuration["webhooks"])
    configuration["webhooks"][0]["failurePolicy"] = "Ignore"
    configuration["webhooks"].append({"name": "an.old.one"})
    configuration["metadata"]["annotations"] = {"a": "b"}
    api.put(MUTATING_WEBHOOK_CONFIGURATION, configuration)

    assert list(await done(api)) == ["MutatingWebhookConfiguration inferenceservice.serving.kubeflow.org"]

    after = existing(api, *WEBHOOKS)
    assert after["webhooks"] == wanted
    assert after["metadata"]["annotations"] == {"a": "b"}


async def test_a_new_certificate_reaches_webhooks_and_conversion() -> None:
    api = await settled()
    assert len(await done(api, InstallOptions("ns", ca_bundle=b"new"))) == 4


async def test_another_installer_at_the_same_time_is_no_failure() -> None:
    api = await settled()
    configuration = existing(api, *WEBHOOKS)
    api.put(MUTATING_WEBHOOK_CONFIGURATION, {**configuration, "webhooks": []})
    api.fail_next("PUT", "mutatingwebhookconfigurations", api_error(409, {"reason": "Conflict"}))
    assert len(await done(api)) == 1

    api.put(MUTATING_WEBHOOK_CONFIGURATION, {**configuration, "webhooks": []})
    api.fail_next("PUT", "mutatingwebhookconfigurations", api_error(409, {"reason": "Conflict"}), times=3)
    with pytest.raises(InstallError, match="changed by somebody else 3 times"):
        await done(api)


async def test_a_missing_right_is_named_with_a_remedy() -> None:
    api = FakeApi()
    refused = api_error(403, {"reason": "Forbidden", "message": 'User "u" cannot patch resource'})
    api.fail_next("PATCH", "customresourcedefinitions", refused)
    with pytest.raises(InstallError) as error:
        await done(api)
    message = str(error.value)
    assert "patch customresourcedefinitions.apiextensions.k8s.io" in message
    assert 'User "u"' in message
    assert "ClusterRole" in message
    assert "--install" in message


async def test_a_crd_that_is_never_served_is_an_error_that_says_why() -> None:
    api = await settled()
    crd = existing(api, *CRD)
    conflict = {"type": "NamesAccepted", "status": "False", "message": '"isvc" is already in use'}
    api.put(CUSTOM_RESOURCE_DEFINITION, {**crd, "status": {"conditions": [conflict]}})
    api.hide(SERVICES)
    with pytest.raises(InstallError, match=r'not established after 30 s .*"isvc" is already in use'):
        await done(api)


@pytest.mark.parametrize(
    ("observed", "desired", "covered"),
    [
        ({"a": 1, "scope": "*"}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": {}, "b": [], "c": None, "d": False}, True),
        ({"url": "u"}, {"url": None}, False),
        ({"l": [{"a": 1, "b": 2}]}, {"l": [{"a": 1}]}, True),
        ({"l": [{"a": 1}, {"a": 2}]}, {"l": [{"a": 1}]}, False),
        ({"l": "ab"}, {"l": ["a", "b"]}, False),
        ({"openAPIV3Schema": {"a": 1, "b": 2}}, {"openAPIV3Schema": {"a": 1}}, False),
        (None, {"a": 1}, False),
    ],
)
def test_covering(observed: Any, desired: Any, covered: bool) -> None:
    assert covers(observed, desired) is covered
