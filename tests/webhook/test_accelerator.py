"""Where pods with a GPU go."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.webhook.inputs import Inputs
from kfs.webhook.pods import mutate
from tests.samples import pod

WANTED = {"serving.kubeflow.org/gke-accelerator": "t4"}
GPU = {"name": "kfserving-container", "resources": {"limits": {"nvidia.com/gpu": "1"}}}


def selector(**parts: Any) -> Any:
    return mutate(pod(uri=None, **parts), Inputs())["spec"].get("nodeSelector")


def test_a_pod_with_a_gpu_goes_to_the_accelerator_it_names() -> None:
    assert selector(annotations=WANTED, containers=[{"name": "x"}, GPU]) == {"cloud.google.com/gke-accelerator": "t4"}


def test_other_selectors_stay_and_another_accelerator_goes() -> None:
    present = {"a": "b", "cloud.google.com/gke-accelerator": "k80"}
    expected = {"a": "b", "cloud.google.com/gke-accelerator": "t4"}
    assert selector(annotations=WANTED, containers=[GPU], nodeSelector=present) == expected
    assert selector(annotations=WANTED, containers=[GPU], nodeSelector=None) == {
        k: expected[k] for k in expected if k != "a"
    }


@pytest.mark.parametrize(
    ("annotations", "containers"),
    [
        (WANTED, [{"name": "kfserving-container"}]),
        (WANTED, [{"name": "kfserving-container", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]),
        ({}, [GPU]),
    ],
)
def test_without_a_gpu_or_a_name_nothing_is_selected(annotations: Any, containers: Any) -> None:
    assert selector(annotations=annotations, containers=containers) is None
