"""What the agent is, and what it shares with the server."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.manager.errors import ConfigError, ValidationError
from kfs.webhook.inputs import Inputs
from kfs.webhook.pods import mutate
from tests.samples import config, pod

INTERNAL = "internal.serving.kubeflow.org/"
PULLER = {"agent": "true", "configVolumeName": "modelconfig-m-0", "configMountPath": "/list", "modelDir": "/models"}
PROXY = {"name": "queue-proxy", "env": [{"name": "USER_PORT", "value": "8080"}]}
LOG = ["--inference-service", "m", "--namespace", "ns", "--endpoint", ""]


def asking(asked: Any, **spec: Any) -> Any:
    """A pod with these internal annotations."""
    return pod(uri=None, annotations={INTERNAL + k: v for k, v in asked.items()}, **spec)


def injected(tree: Any, **sections: Any) -> Any:
    return mutate(tree, Inputs(config(**sections), "ns"))["spec"]


def agent(asked: Any, **spec: Any) -> Any:
    return injected(asking(asked, **spec))["containers"][-1]


def test_a_logger_is_told_where_to_send_what() -> None:
    server = {"name": "kfserving-container", "securityContext": {"runAsUser": 7}}
    assert agent({"logger": "true"}, containers=[server, PROXY]) == {
        "name": "agent",
        "image": "agent:1",
        "args": ["--log-url", "http://sink", "--source-uri", "p", "--log-mode", "all", *LOG],
        "env": [{"name": "USER_PORT", "value": "8080"}],
        "resources": {
            "limits": {"cpu": "1", "memory": "1Gi"},
            "requests": {"cpu": "100m", "memory": "100Mi"},
        },
        "readinessProbe": {"exec": {"command": ["/agent", "-probe-period", "0"]}},
        "securityContext": {"runAsUser": 7},
    }


def test_a_logger_may_say_more() -> None:
    asked = {"logger": "true", "logger-sink-url": "http://mine", "logger-mode": "request"}
    tree = asking(asked)
    tree["metadata"]["labels"]["endpoint"] = "default"
    expected = ["--log-url", "http://mine", "--source-uri", "p", "--log-mode", "request", *LOG[:-1], "default"]
    assert injected(tree)["containers"][-1]["args"] == expected


@pytest.mark.parametrize(
    ("limits", "arguments"),
    [
        ({}, []),
        (
            {"batcher-max-batchsize": "32", "batcher-max-latency": "1000", "batcher-timeout": "60"},
            ["--max-batchsize", "32", "--max-latency", "1000"],
        ),
    ],
)
def test_a_batcher_is_told_its_limits_but_not_its_time_out(limits: Any, arguments: Any) -> None:
    found = agent({"batcher": "true", **limits})
    assert found["args"] == ["--enable-batcher", "true", *arguments]
    assert "readinessProbe" in found
    assert "env" not in found


def test_a_puller_shares_the_models_with_the_server_and_has_their_list() -> None:
    spec = injected(asking(PULLER, containers=[PROXY, {"name": "kfserving-container"}]))
    models = {"name": "model-dir", "mountPath": "/mnt/models"}
    server, found = spec["containers"][1:]
    assert found["args"] == ["--enable-puller", "true", "--config-dir", "/list", "--model-dir", "/models"]
    assert found["volumeMounts"] == [models, {"name": "model-config", "mountPath": "/mnt/configs"}]
    assert "readinessProbe" not in found
    assert server["volumeMounts"] == [models]
    assert spec["volumes"] == [
        {"name": "model-dir", "emptyDir": {}},
        {"name": "model-config", "configMap": {"name": "modelconfig-m-0"}},
    ]


def test_volumes_that_are_there_are_used() -> None:
    mine = [{"name": "model-dir", "persistentVolumeClaim": {"claimName": "c"}}]
    volumes = injected(asking(PULLER, volumes=mine))["volumes"]
    assert [v["name"] for v in volumes] == ["model-dir", "model-config"]
    assert volumes[0] == mine[0]


def test_one_agent_does_everything_and_fetches_instead_of_the_storage_initializer() -> None:
    tree = asking({**PULLER, "logger": "true", "batcher": "true", "storage-initializer-sourceuri": "gs://m"})
    spec = injected(tree)
    flags = [text for text in spec["containers"][-1]["args"] if text.startswith("--")]
    assert flags[:5] == ["--enable-puller", "--config-dir", "--model-dir", "--enable-batcher", "--log-url"]
    assert "initContainers" not in spec


@pytest.mark.parametrize("missing", ["modelDir", "configVolumeName"])
def test_a_puller_that_is_not_told_enough_is_refused_by_name(missing: str) -> None:
    asked = {k: v for k, v in PULLER.items() if k != missing}
    with pytest.raises(ValidationError, match=f"can not find {INTERNAL}{missing} label"):
        injected(asking(asked))


@pytest.mark.parametrize(
    "tree",
    [
        asking({}),
        asking({"logger": "true"}, containers=[{"name": "kfserving-container"}, {"name": "agent", "image": "mine"}]),
        asking({"logger": "true"}, containers=[]),
        asking({"logger": "true"}, containers=None),
    ],
)
def test_nothing_is_injected_twice_unasked_or_beside_nothing(tree: Any) -> None:
    assert injected(tree) == tree["spec"]


def test_only_sections_that_are_needed_must_be_good() -> None:
    tree = asking({"logger": "true", "logger-sink-url": "http://mine"})
    bad = {"logger": "{", "batcher": "{", "storageInitializer": "{", "credentials": "{"}
    assert injected(tree, **bad)["containers"][-1]["name"] == "agent"
    for section in ("agent", "logger"):
        with pytest.raises(ConfigError, match=f'key "{section}" of inferenceservice-config is bad: JSON is malformed'):
            injected(asking({"logger": "true"}), **{section: "{,"})
