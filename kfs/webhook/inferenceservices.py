"""The defaulting and validating webhooks of InferenceService v1beta1.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/inference_service_{defaults,validation}.go`;
kubernetes-sigs/controller-runtime `pkg/webhook/admission/{defaulter,validator}.go` for the codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kfs.api import inferenceservice
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
    from kfs.manager.objects.tree import Frozen

ReadConfig = Callable[[], Config]
"""The configuration as it stands; raises `ConfigError` when there is none."""


def defaulter(config: ReadConfig) -> AdmissionHandler:
    """The handler that fills in defaults."""

    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        isvc = _subject(request)
        if isvc is None:
            return allowed()
        try:
            return patched(isvc, inferenceservice.default(isvc, config()))
        except ValidationError as error:
            return errored(400, str(error))
        except ConfigError as error:
            return errored(500, str(error))

    return handle


def validator() -> AdmissionHandler:
    """The handler that refuses what breaks a rule, and warns about what is accepted but odd."""

    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        isvc = _subject(request)
        if isvc is None:
            return allowed()
        try:
            return allowed(inferenceservice.validate(isvc))
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
