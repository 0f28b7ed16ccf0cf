"""The pod webhook, through its handler: what it reads, answers and never tells."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.client import LiveClient
from kfs.manager.errors import ConfigError, KfsError, TransportError, api_error
from kfs.manager.objects import codec
from kfs.manager.objects.kinds import SECRET, SERVICE_ACCOUNT
from kfs.manager.objects.tree import clone
from kfs.manager.testing.fake_api import FakeApi
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse
from kfs.webhook.inputs import Inputs
from kfs.webhook.pods import mutate, pod_mutator
from tests.samples import config, pod

if TYPE_CHECKING:
    from kfs.api.config import Config

INTERNAL = "internal.serving.kubeflow.org/"
ACCOUNT = "/api/v1/namespaces/ns/serviceaccounts/default"
SECRETS = "/api/v1/namespaces/ns/secrets"
LOGGER = {f"{INTERNAL}logger": "true"}


async def ask(tree: Any, settings: Config | None = None, api: FakeApi | None = None) -> AdmissionResponse:
    handler = pod_mutator(lambda: settings or config(), LiveClient(api or FakeApi()))
    return await handler(AdmissionRequest(uid="u", operation="CREATE", namespace="ns", object=tree))


def no_configuration() -> Config:
    raise ConfigError("no configuration")


def server_with(*missing: str, **secrets: Any) -> FakeApi:
    """An API server whose ServiceAccounts name Secrets; those given with their data exist."""
    api = FakeApi()
    references = [{"name": name} for name in (*missing, *secrets)]
    for account in ("default", "mine"):
        api.put(SERVICE_ACCOUNT, {"metadata": {"namespace": "ns", "name": account}, "secrets": references})
    for name, values in secrets.items():
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
        api.put(SECRET, {"metadata": {"namespace": "ns", "name": name}, "data": encoded})
    return api


def asked_of(api: FakeApi) -> list[str]:
    return [f"{call.method} {call.path}" for call in api.calls]


@pytest.mark.parametrize("labels", [{}, None, {"app": "x"}, "odd"])
async def test_a_pod_of_nobodys_needs_nothing(labels: Any) -> None:
    tree, api = pod(), FakeApi()
    tree["metadata"]["labels"] = labels
    response = await pod_mutator(no_configuration, LiveClient(api))(
        AdmissionRequest(uid="u", operation="CREATE", object=tree),
    )
    assert (response.allowed, response.patch, api.calls) == (True, None, [])


@pytest.mark.parametrize(
    "tree",
    [
        pod(uri=None),
        pod(initContainers=[{"name": "storage-initializer"}]),
        pod(uri=None, annotations=LOGGER, containers=[{"name": "agent"}]),
    ],
)
async def test_a_pod_that_asks_for_nothing_more_needs_nothing(tree: Any) -> None:
    api = FakeApi()
    response = await pod_mutator(no_configuration, LiveClient(api))(
        AdmissionRequest(uid="u", operation="CREATE", object=tree),
    )
    assert (response.allowed, response.patch, api.calls) == (True, None, [])


async def test_what_is_injected_is_answered_as_a_patch_once() -> None:
    tree = pod(annotations=LOGGER)
    response = await ask(tree)
    assert response.allowed
    after = jsonpatch.apply_patch(tree, list(response.patch or ()))
    assert after == mutate(tree, Inputs(config(), "ns"))
    assert (await ask(after)).patch is None


async def test_the_pod_that_was_given_is_not_edited() -> None:
    tree = pod(annotations=LOGGER)
    before = clone(tree)
    mutate(tree, Inputs(config()))
    assert tree == before


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


@pytest.mark.parametrize(
    ("tree", "sections", "message"),
    [
        (
            pod(containers=[{"name": "user-container"}]),
            {},
            "Invalid configuration: cannot find container: kfserving-container",
        ),
        (
            pod(),
            {"storageInitializer": {"memoryLimit": "lots"}},
            'Failed to parse resource configuration for "storageInitializer": "quantities'
            " must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\"",
        ),
        (
            pod(),
            {"storageInitializer": '{"image": x}'},
            'key "storageInitializer" of inferenceservice-config is bad:'
            " JSON is malformed: invalid character (byte 10)",
        ),
    ],
)
async def test_what_cannot_be_injected_is_refused(tree: Any, sections: Any, message: str) -> None:
    response = await ask(tree, config(**sections))
    assert (response.allowed, response.code, response.message) == (False, 500, message)


async def test_how_credentials_are_found_matters_once_there_are_secrets() -> None:
    settings = config(credentials="{,")
    assert (await ask(pod(), settings, server_with())).allowed
    response = await ask(pod(), settings, server_with(s={}))
    assert response.code == 500
    assert response.message.startswith('key "credentials" of inferenceservice-config is bad: JSON is malformed')


async def test_a_log_mode_that_the_agent_does_not_know_is_let_in_with_a_warning() -> None:
    tree = pod(uri=None, annotations={**LOGGER, f"{INTERNAL}logger-mode": "zz"})
    response = await ask(tree)
    assert response.allowed
    assert response.warnings == (
        f'metadata.annotations[{INTERNAL}logger-mode]: "zz" is unknown, and the agent will not start with it;'
        " use one of all, request, response",
    )
    after = jsonpatch.apply_patch(tree, list(response.patch or ()))
    assert (await ask(after)).warnings == ()


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


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        (pod(containers={"name": "x"}), "spec.containers"),
        (pod(containers=[{"name": 7}]), "spec.containers[0].name"),
        (pod(volumes=["x"]), "spec.volumes[0]"),
        (pod(annotations={f"{INTERNAL}logger": True}), "metadata.annotations"),
    ],
)
async def test_a_wrong_type_is_a_bad_request_that_names_the_field(tree: Any, field: str) -> None:
    response = await ask(tree)
    assert (response.allowed, response.code) == (False, 400)
    assert response.message.startswith(field)


# fmt: off
FIELDS = [
    "name", "value", "env", "args", "image", "resources", "limits", "nvidia.com/gpu", "securityContext",
    "volumeMounts", "mountPath", "containers", "initContainers", "volumes", "nodeSelector", "serviceAccountName",
    "annotations", "labels", "emptyDir", "runAsUser",
]
# fmt: on
ASKED = [
    "serving.kubeflow.org/gke-accelerator",
    *(INTERNAL + key for key in ("storage-initializer-sourceuri", "agent", "configVolumeName", "configMountPath")),
    *(INTERNAL + key for key in ("modelDir", "logger", "logger-sink-url", "logger-mode", "batcher")),
    *(INTERNAL + key for key in ("batcher-max-batchsize", "batcher-max-latency")),
]
TEXTS = st.sampled_from(["", "true", "pvc://c/d", "gs://b/k", "default", "1"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | TEXTS,
    lambda trees: st.lists(trees, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), trees, max_size=5),
    max_leaves=15,
)
NAMES = st.sampled_from(["kfserving-container", "queue-proxy", "agent", "storage-initializer", "x"])
VARIABLES = st.lists(st.fixed_dictionaries({"name": st.sampled_from(["STORAGE_URI", "A"]), "value": TEXTS}), max_size=2)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "env": st.none() | VARIABLES,
            "securityContext": st.none() | st.fixed_dictionaries({"runAsUser": st.integers(0, 9)}),
            "resources": st.just({"limits": {"nvidia.com/gpu": "1"}}) | st.none(),
            "volumeMounts": st.none() | st.just([{"name": "v", "mountPath": "/v"}]),
        },
    ),
    max_size=4,
)
PODS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {
                "labels": st.just({"serving.kubeflow.org/inferenceservice": "m"}),
                "annotations": st.dictionaries(st.sampled_from(ASKED), TEXTS),
            }
        ),
        "spec": st.fixed_dictionaries(
            {"containers": CONTAINERS},
            optional={
                "initContainers": st.none() | CONTAINERS,
                "volumes": st.none() | st.just([{"name": "model-dir"}]),
                "nodeSelector": st.none() | st.just({"a": "b"}),
                "serviceAccountName": TEXTS,
            },
        ),
    }
)


@st.composite
def odd_pods(draw: st.DrawFn) -> Any:
    """A pod with something odd in one place, at any depth."""
    place: Any = clone(draw(PODS))
    tree = place
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(TREES)
            return tree
        place = place[key]


SORTS = ["awsSecretAccessKey", "gcloud-application-credentials.json", "AZ_CLIENT_SECRET", "https-host", "headers"]


def credentials_server() -> FakeApi:
    return server_with("ghost", **{f"s{i}": dict.fromkeys(SORTS[i:], "x") for i in range(len(SORTS))})


@given(TREES | odd_pods(), TREES)
async def test_a_pod_of_any_shape_gets_an_answer(tree: Any, secrets: Any) -> None:
    api = credentials_server()
    api.put(SERVICE_ACCOUNT, {"metadata": {"namespace": "ns", "name": "default"}, "secrets": secrets})
    response = await ask(tree if isinstance(tree, dict) else {"spec": tree}, api=api)
    assert response.allowed or response.message


@given(PODS)
async def test_mutating_twice_is_mutating_once(tree: Any) -> None:
    api = credentials_server()
    response = await ask(tree, api=api)
    assert codec.dumps(response.patch)
    if response.allowed:
        after = jsonpatch.apply_patch(tree, list(response.patch or ()))
        calls = len(api.calls)
        again = await ask(after, api=api)
        assert (again.allowed, again.patch, again.warnings, len(api.calls)) == (True, None, (), calls)
