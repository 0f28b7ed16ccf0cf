"""What the storage initializer puts into a pod."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.webhook.inputs import Inputs
from kfs.webhook.pods import mutate
from tests.samples import MODEL, config, pod

MODEL_MOUNT = {"name": "kfserving-provision-location", "mountPath": "/mnt/models"}
CLAIM_MOUNT = {"name": "kfserving-pvc-source", "mountPath": "/mnt/pvc", "readOnly": True}


def injected(tree: Any) -> Any:
    return mutate(tree, Inputs(config()))["spec"]


def test_the_model_is_fetched_into_a_shared_volume() -> None:
    assert injected(pod()) == {
        "containers": [
            {
                "name": "kfserving-container",
                "image": "s:1",
                "volumeMounts": [{**MODEL_MOUNT, "readOnly": True}],
            }
        ],
        "initContainers": [
            {
                "name": "storage-initializer",
                "image": "storage-initializer:1",
                "args": [MODEL, "/mnt/models"],
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [MODEL_MOUNT],
                "resources": {
                    "limits": {"cpu": "1", "memory": "1Gi"},
                    "requests": {"cpu": "100m", "memory": "100Mi"},
                },
            }
        ],
        "volumes": [{"name": "kfserving-provision-location", "emptyDir": {}}],
    }


@pytest.mark.parametrize(
    ("uri", "claim", "source"),
    [
        ("pvc://claim/some/dir", "claim", "/mnt/pvc/some/dir"),
        ("pvc://claim", "claim", "/mnt/pvc/"),
        ("pvc://", "", "/mnt/pvc/"),
    ],
)
def test_a_claim_is_mounted_in_both_containers(uri: str, claim: str, source: str) -> None:
    spec = injected(pod(uri=uri))
    assert spec["volumes"][0] == {
        "name": "kfserving-pvc-source",
        "persistentVolumeClaim": {"claimName": claim},
    }
    assert spec["initContainers"][0]["args"] == [source, "/mnt/models"]
    assert spec["initContainers"][0]["volumeMounts"] == [CLAIM_MOUNT, MODEL_MOUNT]
    assert spec["containers"][0]["volumeMounts"] == [CLAIM_MOUNT, {**MODEL_MOUNT, "readOnly": True}]


def test_what_the_pod_has_stays_and_comes_first() -> None:
    server = {
        "name": "kfserving-container",
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "securityContext": {"runAsUser": 7},
    }
    spec = injected(pod(containers=[{"name": "x"}, server], volumes=[{"name": "v"}], initContainers=[{"name": "i"}]))
    assert spec["containers"][0] == {"name": "x"}
    assert spec["containers"][1]["volumeMounts"] == [
        {"name": "v", "mountPath": "/v"},
        {**MODEL_MOUNT, "readOnly": True},
    ]
    assert [v["name"] for v in spec["volumes"]] == ["v", "kfserving-provision-location"]
    assert [c["name"] for c in spec["initContainers"]] == ["i", "storage-initializer"]
    assert spec["initContainers"][1]["securityContext"] == {"runAsUser": 7}


def test_a_custom_server_is_told_where_its_model_is() -> None:
    env = [{"name": "STORAGE_URI", "value": MODEL}, {"name": "A", "value": "b"}]
    (server,) = injected(pod(containers=[{"name": "kfserving-container", "env": env}]))["containers"]
    assert server["env"] == [{"name": "STORAGE_URI", "value": "/mnt/models"}, {"name": "A", "value": "b"}]


@pytest.mark.parametrize(
    "tree",
    [
        pod(uri=None),
        pod(initContainers=[{"name": "storage-initializer", "image": "mine"}]),
    ],
)
def test_nothing_is_injected_twice_or_unasked(tree: Any) -> None:
    assert injected(tree) == tree["spec"]
