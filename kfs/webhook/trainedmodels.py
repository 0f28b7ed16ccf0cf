"""The validating webhook of TrainedModel v1alpha1.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1alpha1/trainedmodel_webhook.go`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kfs.manager.errors import ValidationError
from kfs.manager.objects.quantity import canonical_quantity, same_quantity
from kfs.manager.objects.tree import is_deleting, mapping, name
from kfs.manager.webhook.admission import AdmissionHandler, AdmissionRequest, AdmissionResponse, allowed, denied

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen

NAME_RULE: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
# What a model agent can fetch from.
STORAGE_PREFIXES: Final = ("s3://", "gs://")


def validate(model: Frozen, before: Frozen | None) -> None:
    """Check a TrainedModel, and on an update what may not change.

    Raises:
        ValidationError: a rule is broken; the messages are the original's.
    """
    if not re.fullmatch(NAME_RULE, name(model)):
        raise ValidationError(
            f'the Trained Model "{name(model)}" is invalid: a Trained Model name must consist of lower case'
            " alphanumeric characters or '-', and must start with alphabetical character."
            f' (e.g. "my-name" or "abc-123", regex used for validation is \'{NAME_RULE}\')',
            field="metadata.name",
        )
    spec = mapping(model, "spec", "model")
    uri = str(spec.get("storageUri") or "")
    if not uri.startswith(STORAGE_PREFIXES):
        raise ValidationError(
            f'the Trained Model "{name(model)}" storageUri field is invalid. The storage uri must start with one of'
            f' the prefixes: {", ".join(STORAGE_PREFIXES)}. (the storage uri given is "{uri}")',
            field="spec.model.storageUri",
        )
    if before is None:
        return
    old, new = mapping(before, "spec", "model").get("memory"), spec.get("memory")
    if not same_quantity(old, new):
        raise ValidationError(
            f'the Trained Model "{name(model)}" memory field is immutable. The memory was "{_spelt(old)}" but it is'
            f' updated to "{_spelt(new)}"',
            field="spec.model.memory",
        )


def _spelt(quantity: object) -> str:
    try:
        return canonical_quantity(quantity)
    except ValidationError:
        return str(quantity)


def validator() -> AdmissionHandler:
    """The handler."""

    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        # No rule of today may hold the finalizers of a model that is going away.
        if request.object is None or is_deleting(request.object):
            return allowed()
        try:
            validate(request.object, request.old_object)
        except ValidationError as error:
            return denied(str(error))
        return allowed()

    return handle
