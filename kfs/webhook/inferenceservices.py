"""The defaulting and validating webhooks of InferenceServices, for each version.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/inference_service_{defaults,validation}.go`,
`pkg/apis/serving/v1alpha2/inferenceservice_{defaults,validation}.go`;
kubernetes-sigs/controller-runtime `pkg/webhook/admission/{defaulter,validator}.go` for the codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kfs.api import inferenceservice, inferenceservice_v1alpha2
from kfs.api.config import Config
from kfs.manager.errors import ConfigError, ValidationError
from kfs.manager.objects.tree import is_deleting
from kfs.manager.webhook.admission import (
    AdmissionHandler,
    AdmissionRequest,
    AdmissionResponse,
    allowed,
    denied,
    errored,
    patched,
)

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

ReadConfig = Callable[[], Config]
"""The configuration as it stands; raises `ConfigError` when there is none."""


Default = Callable[["Frozen", "Frozen | None"], "Obj"]
"""An object with its defaults, from the object and the one that it replaces."""

Validate = Callable[["Frozen", "Frozen | None"], list[str]]
"""Warnings about an object, given also the one that it replaces; raises `ValidationError`."""


def defaulter(config: ReadConfig) -> AdmissionHandler:
    """The handler that fills in v1beta1's defaults."""
    return _defaulter(lambda isvc, _: inferenceservice.default(isvc, config()))


def validator() -> AdmissionHandler:
    """The handler that refuses what breaks a rule of v1beta1, and warns about what is accepted but odd."""
    return _validator(lambda isvc, _: inferenceservice.validate(isvc))


def v1alpha2_defaulter(config: ReadConfig) -> AdmissionHandler:
    """The handler that fills in v1alpha2's defaults."""
    return _defaulter(lambda isvc, before: inferenceservice_v1alpha2.default(isvc, config(), before))


def v1alpha2_validator() -> AdmissionHandler:
    """The handler that refuses what breaks a rule of v1alpha2, and warns about what is accepted but does nothing."""
    return _validator(inferenceservice_v1alpha2.validate)


def _defaulter(default: Default) -> AdmissionHandler:
    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        isvc = _subject(request)
        if isvc is None:
            return allowed()
        try:
            return patched(isvc, default(isvc, request.old_object))
        except ValidationError as error:
            return errored(400, str(error))
        except ConfigError as error:
            return errored(500, str(error))

    return handle


def _validator(validate: Validate) -> AdmissionHandler:
    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        isvc = _subject(request)
        if isvc is None:
            return allowed()
        try:
            return allowed(validate(isvc, request.old_object))
        except ValidationError as error:
            return denied(str(error))

    return handle


def _subject(request: AdmissionRequest) -> Frozen | None:
    """The object to look at; None for deletes.

    Neither for an object that is going away: no rule of today may hold its finalizers.
    """
    if request.object is None or is_deleting(request.object):
        return None
    return request.object
