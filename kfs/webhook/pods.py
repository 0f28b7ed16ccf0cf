"""The pod webhook: what runs beside, before and around a model server is put into its pod.

`mutate` folds the pod through steps. A step leaves alone what it finds already done, so a pod may pass
any number of times.

Upstream: kserve/kserve v0.5.1 `pkg/webhook/admission/pod/mutator.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kfs.api.config import Config
from kfs.api.constants import INFERENCE_SERVICE_LABEL
from kfs.manager.errors import ConfigError, ValidationError
from kfs.manager.objects.tree import Frozen, Obj, clone, labels
from kfs.manager.webhook.admission import (
    AdmissionHandler,
    AdmissionRequest,
    AdmissionResponse,
    allowed,
    errored,
    patched,
)
from kfs.webhook.storage_initializer import inject_storage_initializer

if TYPE_CHECKING:
    from collections.abc import Sequence

Step = Callable[[Obj, Config], None]
"""Edits the pod that it is given.

Raises:
    ValidationError: the pod cannot be made to work.
    ConfigError: a section of the configuration that this pod needs is bad.
"""

STEPS: Sequence[Step] = (inject_storage_initializer,)


def mutate(pod: Frozen, config: Config) -> Obj:
    """A copy of the pod with everything injected that its annotations ask for.

    Raises:
        ValidationError: the pod cannot be made to work; the messages are the original's.
        ConfigError: a section of the configuration that this pod needs is bad.
    """
    after = clone(pod)
    for step in STEPS:
        step(after, config)
    return after


def pod_mutator(config: Callable[[], Config]) -> AdmissionHandler:
    """The handler. Pods that belong to no InferenceService pass untouched."""

    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        pod = request.object
        if pod is None or INFERENCE_SERVICE_LABEL not in labels(pod):
            return allowed()
        try:
            return patched(pod, mutate(pod, config()))
        except (ValidationError, ConfigError) as error:
            return errored(500, str(error))

    return handle
