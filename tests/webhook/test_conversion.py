"""The conversion webhook: whatever an API server sends, it gets an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kfs.api.conversion import convert
from kfs.manager.objects import codec
from tests.api.generated import ANYTHING, examples, services
from tests.manager.webhook_caller import UID, serving

if TYPE_CHECKING:
    from pathlib import Path

    from kfs.manager.objects.tree import Obj

A, B = "serving.kubeflow.org/v1alpha2", "serving.kubeflow.org/v1beta1"
REVIEW = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview"}


def without(found: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in keys}


VERSIONS = st.sampled_from([A, B, "serving.kubeflow.org/v9", "v1", ""])
OBJECTS = services("v1alpha2") | services("v1beta1")
ODD_OBJECTS = st.builds(
    lambda obj, version, more, gone: without({**obj, "apiVersion": version, **more}, gone),
    OBJECTS,
    VERSIONS,
    st.dictionaries(st.sampled_from(["metadata", "spec", "status", "kind", "apiVersion"]), ANYTHING, max_size=2),
    st.lists(st.sampled_from(["metadata", "kind", "apiVersion", "spec"]), max_size=2),
)
REQUESTS = st.builds(
    lambda request, odd, gone: without({"uid": UID, **request, **odd}, gone),
    st.fixed_dictionaries({"desiredAPIVersion": VERSIONS, "objects": st.lists(OBJECTS | ODD_OBJECTS, max_size=4)}),
    st.dictionaries(st.sampled_from(["desiredAPIVersion", "objects"]), ANYTHING, max_size=1),
    st.lists(st.sampled_from(["desiredAPIVersion", "objects", "uid"]), max_size=1),
)


@settings(max_examples=examples(0) // 10, suppress_health_check=[*HealthCheck])
@given(requests=st.lists(REQUESTS | ANYTHING, min_size=10, max_size=10))
async def test_every_review_gets_an_answer(tmp_path_factory: pytest.TempPathFactory, requests: list[Any]) -> None:
    async with serving(tmp_path_factory.mktemp("certificates"), convert=convert) as caller:
        for request in requests:
            status, text = await caller.post("/convert", codec.dumps({**REVIEW, "request": request}))
            if status == 400:
                assert text
                continue
            assert status == 200
            response = codec.loads_object(text)["response"]
            assert response["uid"] == UID
            if response["result"]["status"] == "Failure":
                assert response["result"]["message"]
                assert response["convertedObjects"] == []
            else:
                converted = response["convertedObjects"]
                assert [obj["apiVersion"] for obj in converted] == [request["desiredAPIVersion"]] * len(converted)
                assert len(converted) == len(request["objects"])
        assert caller.value("controller_runtime_webhook_panics_total", webhook="/convert") == 0


async def test_a_list_of_hundreds_is_converted_in_order(tmp_path: Path) -> None:
    objects: list[Obj] = [
        {
            "apiVersion": (A, B)[i % 2],
            "kind": "InferenceService",
            "metadata": {"name": f"m-{i}", "namespace": "ns", "uid": f"u-{i}"},
            "spec": {"default": {"predictor": {"sklearn": {}}}} if i % 2 == 0 else {"predictor": {"sklearn": {}}},
        }
        for i in range(500)
    ]
    async with serving(tmp_path, convert=convert) as caller:
        for version in (A, B):
            response = await caller.convert("/convert", version, objects)
            assert response["result"] == {"status": "Success"}
            assert [obj["metadata"] for obj in response["convertedObjects"]] == [obj["metadata"] for obj in objects]
            assert {obj["apiVersion"] for obj in response["convertedObjects"]} == {version}


@pytest.mark.parametrize("depth", [300, 5_000, 100_000])
async def test_objects_of_any_depth_get_an_answer(tmp_path: Path, depth: int) -> None:
    objects = b'{"apiVersion":"%s","kind":"InferenceService","spec":%s1%s}' % (
        A.encode(),
        b'{"a":' * depth,
        b"}" * depth,
    )
    body = b'{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","request":{"uid":"u",'
    body += b'"desiredAPIVersion":"%s","objects":[%s]}}' % (B.encode(), objects)
    async with serving(tmp_path, convert=convert) as caller:
        status, text = await caller.post("/convert", body)
    assert status == (200 if depth == 300 else 400)
    assert text
