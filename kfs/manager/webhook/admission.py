"""Admission: what a handler is asked, and what it may answer.

A handler is a plain async function from request to response:

    async def validate(request: AdmissionRequest) -> AdmissionResponse:
        if request.object and not labels(request.object).get("owner"):
            return denied("metadata.labels: add the label `owner`")
        return allowed()

Upstream: kubernetes-sigs/controller-runtime `pkg/webhook/admission/response.go`; kubernetes/api
`admission/v1/types.go` for the fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kfs.manager.objects.patch import json_patch

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRequest:
    """What somebody wants to do to one object.

    `group`, `version` and `kind` are those of `object` as it was sent to this webhook; `resource` is the
    plural. `object` is None on DELETE, `old_object` on CREATE. `name` is empty when the server is still to
    generate it, and `namespace` is the request's: an object that is being created may not carry its own yet.
    With `dry_run` nothing will be stored: a handler with side effects leaves them out.
    """

    uid: str
    operation: Operation
    group: str = ""
    version: str = ""
    kind: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    object: Frozen | None = None
    old_object: Frozen | None = None
    options: Frozen = field(default_factory=dict)
    dry_run: bool = False
    user: str = ""
    user_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionResponse:
    """The answer. Made by `allowed`, `denied`, `errored` and `patched`; vary one by `dataclasses.replace`.

    `code` is an HTTP status, which the API server repeats to its client when the answer is no. `patch` is a
    JSON Patch; None when nothing changes. `warnings` are shown to the user. `audit_annotations` go to the
    audit log, under keys that the API server prefixes by the webhook's name.
    """

    allowed: bool
    code: int = 200
    message: str = ""
    reason: str = ""
    patch: Sequence[Obj] | None = None
    warnings: tuple[str, ...] = ()
    audit_annotations: Mapping[str, str] = field(default_factory=dict)


AdmissionHandler = Callable[[AdmissionRequest], Awaitable[AdmissionResponse]]
"""Decides on one request. An exception is answered as an error of code 500, without its text."""


def allowed(warnings: Sequence[str] = ()) -> AdmissionResponse:
    """Yes, as it is."""
    return AdmissionResponse(allowed=True, warnings=tuple(warnings))


def denied(message: str, warnings: Sequence[str] = ()) -> AdmissionResponse:
    """No, by a rule: the user reads `admission webhook "NAME" denied the request: MESSAGE`."""
    return AdmissionResponse(allowed=False, code=403, reason="Forbidden", message=message, warnings=tuple(warnings))


def errored(code: int, message: str) -> AdmissionResponse:
    """No, because the request is unusable (4xx) or could not be judged (5xx)."""
    return AdmissionResponse(allowed=False, code=code, message=message)


def patched(before: Frozen, after: Frozen, warnings: Sequence[str] = ()) -> AdmissionResponse:
    """Yes, with the changes that turn `before`, the request's object, into `after`."""
    return AdmissionResponse(allowed=True, patch=json_patch(before, after) or None, warnings=tuple(warnings))
