"""The pod webhook, through its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.client import LiveClient
from kfs.manager.errors import ConfigError
from kfs.manager.objects import codec
from kfs.manager.objects.kinds import SERVICE_ACCOUNT
from kfs.manager.objects.tree import clone
from kfs.manager.testing.fake_api import FakeApi
from kfs.manager.webhook.admission import AdmissionRequest
from kfs.webhook.inputs import Inputs
from kfs.webhook.pods import mutate, pod_mutator
from tests.samples import config, pod
from tests.webhook.pod_caller import INTERNAL, LOGGER, ask, server_with

if TYPE_CHECKING:
    from kfs.api.config import Config


def no_configuration() -> Config:
    raise ConfigError("no configuration")


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
