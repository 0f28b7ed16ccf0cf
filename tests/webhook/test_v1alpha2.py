"""The webhooks of v1alpha2, through their handlers."""

from __future__ import annotations

from typing import Any

import jsonpatch
from hypothesis import given

from kfs.api.conversion import convert
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse, Operation
from kfs.webhook.inferenceservices import v1alpha2_defaulter, v1alpha2_validator
from tests.api.generated import ANYTHING, fields
from tests.samples import config

A, B = "serving.kubeflow.org/v1alpha2", "serving.kubeflow.org/v1beta1"
SKLEARN = {"sklearn": {"storageUri": "gs://m"}}


def isvc(spec: Any, version: str = A) -> Any:
    return {
        "apiVersion": version,
        "kind": "InferenceService",
        "metadata": {"name": "m", "namespace": "ns"},
        "spec": spec,
    }


def request(tree: Any, old: Any = None) -> AdmissionRequest:
    operation: Operation = "CREATE" if old is None else "UPDATE"
    return AdmissionRequest(uid="u", operation=operation, namespace="ns", name="m", object=tree, old_object=old)


async def default(tree: Any, old: Any = None) -> AdmissionResponse:
    return await v1alpha2_defaulter(config)(request(tree, old))


async def test_defaults_and_the_stamp_are_answered_as_a_patch() -> None:
    tree = isvc({"default": {"predictor": SKLEARN}})
    response = await default(tree)
    after = jsonpatch.apply_patch(tree, list(response.patch or ()))
    assert after["metadata"]["annotations"] == {"serving.kubeflow.org/reconciler": "v1alpha2"}
    assert after["spec"]["default"]["predictor"]["sklearn"]["runtimeVersion"] == "0.5"
    assert (await default(after)).patch is None
    assert (await v1alpha2_validator()(request(after))).allowed


async def test_replacing_a_whole_object_keeps_what_v1beta1_says_of_it() -> None:
    stored = convert(isvc({"predictor": {**SKLEARN, "timeout": 9}}, B), A)
    new = isvc({"default": {"predictor": {"onnx": {}}}})
    after = jsonpatch.apply_patch(new, list((await default(new, stored)).patch or ()))
    assert convert(after, B)["spec"]["predictor"]["timeout"] == 9


async def test_what_breaks_a_rule_is_denied() -> None:
    response = await v1alpha2_validator()(request(isvc({"default": {"predictor": {**SKLEARN, "parallelism": -1}}})))
    assert (response.code, response.message) == (403, "Parallelism cannot be less than 0.")


async def test_a_canary_that_will_not_run_is_warned_of() -> None:
    old = isvc({"default": {"predictor": SKLEARN}})
    new = isvc({"default": {"predictor": SKLEARN}, "canary": {"predictor": SKLEARN}, "canaryTrafficPercent": 20})
    response = await v1alpha2_validator()(request(new, old))
    assert response.allowed
    assert len(response.warnings) == 1


@given(fields("v1alpha2", "spec") | ANYTHING)
async def test_any_spec_gets_an_answer(spec: Any) -> None:
    tree = isvc(spec)
    for handler in (v1alpha2_defaulter(config), v1alpha2_validator()):
        response = await handler(request(tree))
        assert response.allowed or response.message
