"""The JSON of reviews: `AdmissionReview` and `ConversionReview`, each v1 and v1beta1, whose fields agree.

An answer has the version of its question and repeats its uid.

Upstream: kubernetes/api `admission/v1/types.go`; kubernetes/apiextensions-apiserver
`pkg/apis/apiextensions/v1/types.go`; kubernetes/apiserver
`pkg/admission/plugin/webhook/request/admissionreview.go` for what an API server accepts as an answer.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from kfs.manager.errors import DecodeError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj, mapping
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse, Operation

ADMISSION = "admission.k8s.io"
CONVERSION = "apiextensions.k8s.io"
VERSIONS = ("v1", "v1beta1")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an answer repeats of its question."""

    api_version: str
    uid: str


class BadReview(DecodeError):
    """A review that cannot be read; `envelope` is None when not even an answer can be addressed."""

    def __init__(self, message: str, envelope: Envelope | None = None) -> None:
        super().__init__(message)
        self.envelope = envelope


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """Objects to convert, all of one kind, and the `apiVersion` they shall have."""

    desired_api_version: str
    objects: Sequence[Frozen]


class _Kind(msgspec.Struct, frozen=True):
    group: str = ""
    version: str = ""
    kind: str = ""


class _Resource(msgspec.Struct, frozen=True):
    resource: str = ""


class _User(msgspec.Struct, frozen=True):
    username: str = ""
    groups: tuple[str, ...] | None = None


class _Admission(msgspec.Struct, frozen=True, rename="camel"):
    operation: Operation
    kind: _Kind = _Kind()
    resource: _Resource = _Resource()
    sub_resource: str = ""
    namespace: str = ""
    name: str = ""
    object: Obj | None = None
    old_object: Obj | None = None
    options: Obj | None = None
    dry_run: bool | None = None
    user_info: _User = _User()


class _Conversion(msgspec.Struct, frozen=True):
    desired_api_version: str = msgspec.field(name="desiredAPIVersion")
    objects: list[Obj]


def read_admission(body: bytes | bytearray) -> tuple[Envelope, AdmissionRequest]:
    """The request in an AdmissionReview.

    Raises:
        BadReview: the message names the field.
    """
    envelope, wire = _open(body, "AdmissionReview", ADMISSION, _Admission)
    request = AdmissionRequest(
        uid=envelope.uid,
        operation=wire.operation,
        group=wire.kind.group,
        version=wire.kind.version,
        kind=wire.kind.kind,
        resource=wire.resource.resource,
        subresource=wire.sub_resource,
        namespace=wire.namespace,
        name=wire.name,
        object=wire.object,
        old_object=wire.old_object,
        options=wire.options or {},
        dry_run=bool(wire.dry_run),
        user=wire.user_info.username,
        user_groups=wire.user_info.groups or (),
    )
    return envelope, request


def write_admission(envelope: Envelope, response: AdmissionResponse) -> bytes:
    """The AdmissionReview that answers."""
    status: Obj = {"code": response.code}
    if response.message:
        status["message"] = response.message
    if response.reason:
        status["reason"] = response.reason
    if not response.allowed:
        status["status"] = "Failure"
    answer: Obj = {"uid": envelope.uid, "allowed": response.allowed, "status": status}
    # An API server refuses an answer that has one of these two without the other.
    if response.allowed and response.patch:
        answer["patchType"] = "JSONPatch"
        answer["patch"] = base64.b64encode(codec.dumps(response.patch)).decode()
    if response.warnings:
        answer["warnings"] = response.warnings
    if response.audit_annotations:
        answer["auditAnnotations"] = response.audit_annotations
    return _seal(envelope, "AdmissionReview", answer)


def read_conversion(body: bytes | bytearray) -> tuple[Envelope, ConversionRequest]:
    """The request in a ConversionReview.

    Raises:
        BadReview: the message names the field.
    """
    envelope, wire = _open(body, "ConversionReview", CONVERSION, _Conversion)
    return envelope, ConversionRequest(wire.desired_api_version, wire.objects)


def write_conversion(envelope: Envelope, converted: Sequence[Frozen]) -> bytes:
    """The ConversionReview that answers with all objects converted."""
    return _seal_conversion(envelope, converted, {"status": "Success"})


def write_conversion_failure(envelope: Envelope, message: str) -> bytes:
    """The ConversionReview that says why nothing was converted."""
    return _seal_conversion(envelope, (), {"status": "Failure", "message": message})


def _seal_conversion(envelope: Envelope, converted: Sequence[Frozen], result: Obj) -> bytes:
    answer = {"uid": envelope.uid, "convertedObjects": converted, "result": result}
    return _seal(envelope, "ConversionReview", answer)


def _open(body: bytes | bytearray, kind: str, group: str, record: type[T]) -> tuple[Envelope, T]:
    try:
        review = codec.loads_object(body)
    except DecodeError as error:
        raise BadReview(f"the body is no {kind}: {error}") from error
    envelope = _envelope(review, kind, group)
    try:
        return envelope, codec.convert(review["request"], record, "request")
    except ValidationError as error:
        raise BadReview(f"the {kind} cannot be read: {error}", envelope) from error


def _envelope(review: Obj, kind: str, group: str) -> Envelope:
    if review.get("kind") != kind:
        raise BadReview(f"kind: want {kind}, got {_shown(review.get('kind'))}")
    versions = [f"{group}/{version}" for version in VERSIONS]
    api_version = review.get("apiVersion")
    if api_version not in versions:
        raise BadReview(f"apiVersion: want {' or '.join(versions)}, got {_shown(api_version)}")
    uid = mapping(review, "request").get("uid")
    if not isinstance(uid, str) or not uid:
        raise BadReview(f"request.uid: want a string that is not empty, got {_shown(uid)}")
    return Envelope(api_version, uid)


def _shown(value: Any) -> str:
    return codec.dumps(value).decode()[:100]


def _seal(envelope: Envelope, kind: str, response: Obj) -> bytes:
    return codec.dumps({"apiVersion": envelope.api_version, "kind": kind, "response": response})
