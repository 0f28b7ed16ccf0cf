"""Admission: what a review says becomes a request, and an answer becomes what an API server accepts."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest

from kfs.manager.objects import codec
from kfs.manager.webhook.admission import (
    AdmissionRequest,
    AdmissionResponse,
    allowed,
    denied,
    errored,
    patched,
)
from kfs.manager.webhook.review import BadReview, Envelope, read_admission, write_admission

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

UID = "0df28fbd-5f5f-11e8-bc74-36e6bb280816"
ENVELOPE = Envelope("admission.k8s.io/v1", UID)
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-", "labels": {"x/y": "1"}}}


def written(response: AdmissionResponse) -> Obj:
    review = codec.loads_object(write_admission(ENVELOPE, response))
    assert review["response"]["uid"] == UID
    return dict(review["response"])


def review_of(**request: Any) -> bytes:
    return codec.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {"uid": UID, "operation": "CREATE", **request},
        }
    )


def test_a_request_has_what_the_review_says() -> None:
    envelope, request = read_admission(
        review_of(
            kind={"group": "", "version": "v1", "kind": "Pod"},
            resource={"group": "", "version": "v1", "resource": "pods"},
            requestKind={"group": "", "version": "v1", "kind": "Pod"},
            subResource="ephemeralcontainers",
            namespace="ns",
            operation="UPDATE",
            object=POD,
            oldObject={**POD, "status": {}},
            options={"kind": "UpdateOptions"},
            dryRun=True,
            userInfo={"username": "ada", "groups": ["g"], "extra": {"k": ["v"]}},
        )
    )
    assert envelope == ENVELOPE
    assert request == AdmissionRequest(
        uid=UID,
        operation="UPDATE",
        version="v1",
        kind="Pod",
        resource="pods",
        subresource="ephemeralcontainers",
        namespace="ns",
        object=POD,
        old_object={**POD, "status": {}},
        options={"kind": "UpdateOptions"},
        dry_run=True,
        user="ada",
        user_groups=("g",),
    )


def test_a_request_may_lack_all_but_uid_and_operation() -> None:
    _, request = read_admission(
        review_of(object=None, oldObject=None, options=None, dryRun=None, userInfo={"groups": None})
    )
    assert request == AdmissionRequest(uid=UID, operation="CREATE")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"operation": "MERGE"}, "request.operation"),
        ({"object": []}, "request.object"),
        ({"kind": {"kind": 1}}, "request.kind.kind"),
        ({"dryRun": "no"}, "request.dryRun"),
    ],
)
def test_a_bad_field_is_named_and_the_answer_can_be_addressed(request_: Obj, message: str) -> None:
    with pytest.raises(BadReview, match=message) as caught:
        read_admission(review_of(**request_))
    assert caught.value.envelope == ENVELOPE


def test_yes() -> None:
    assert written(allowed()) == {"uid": UID, "allowed": True, "status": {"code": 200}}


def test_yes_with_warnings() -> None:
    assert written(allowed(["a", "b"]))["warnings"] == ["a", "b"]


def test_no_by_a_rule_is_forbidden() -> None:
    answer = written(denied("spec.x: too big"))
    assert answer == {
        "uid": UID,
        "allowed": False,
        "status": {"status": "Failure", "code": 403, "reason": "Forbidden", "message": "spec.x: too big"},
    }


def test_no_by_an_error_has_its_code() -> None:
    answer = written(errored(400, "no pod"))
    assert not answer["allowed"]
    assert answer["status"] == {"status": "Failure", "code": 400, "message": "no pod"}


def test_audit_annotations_are_passed_on() -> None:
    assert written(replace(allowed(), audit_annotations={"k": "v"}))["auditAnnotations"] == {"k": "v"}


def test_a_patch_turns_one_object_into_the_other() -> None:
    after = {**POD, "metadata": {"labels": {"x/y": "2", "~": ""}}, "spec": {"containers": [{"name": "c"}]}}
    answer = written(patched(POD, after, ["w"]))
    assert answer["allowed"]
    assert answer["patchType"] == "JSONPatch"
    assert answer["warnings"] == ["w"]
    assert jsonpatch.apply_patch(POD, codec.loads(base64.b64decode(answer["patch"]))) == after


def test_an_empty_patch_is_none_at_all() -> None:
    # An API server refuses a patch type without a patch, and both from a validating webhook.
    assert patched(POD, dict(POD)) == allowed()
    assert {"patch", "patchType"}.isdisjoint(written(patched(POD, dict(POD))))


def test_a_patch_is_left_out_of_a_no() -> None:
    answer = written(replace(denied("no"), patch=[{"op": "remove", "path": "/a"}]))
    assert {"patch", "patchType"}.isdisjoint(answer)
