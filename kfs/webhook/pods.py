"""The pod webhook: what runs beside, before and around a model server is put into its pod.

The handler reads what this pod needs, then `mutate` folds the pod through steps. A step leaves alone what it
finds already done, so a pod may pass any number of times.

Upstream: kserve/kserve v0.5.1 `pkg/webhook/admission/pod/mutator.go`.

Differs: a pod, or a section of the configuration, that cannot be used is answered by what is wrong with it and
never ends the call (differences 7 and 20). Only the sections that the pod needs are looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from kfs.api.constants import INFERENCE_SERVICE_LABEL
from kfs.manager.errors import KfsError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj, clone, labels, mapping
from kfs.manager.webhook.admission import (
    AdmissionHandler,
    AdmissionRequest,
    AdmissionResponse,
    allowed,
    errored,
    patched,
)
from kfs.webhook.accelerator import select_accelerator
from kfs.webhook.agent import inject_agent, oddities, wants_agent
from kfs.webhook.inputs import Inputs, read_credentials
from kfs.webhook.storage_initializer import inject_storage_initializer, wants_storage_initializer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfs.api.config import Config
    from kfs.manager.client import Reader

log = logging.getLogger(__name__)

Step = Callable[[Obj, Inputs], None]
"""Edits the pod that it is given.

Raises:
    ValidationError: the pod cannot be made to work.
    ConfigError: a section of the configuration that this pod needs is bad.
"""

STEPS: Sequence[Step] = (select_accelerator, inject_storage_initializer, inject_agent)


class _Record(msgspec.Struct, frozen=True, rename="camel"):
    pass


class _Named(_Record, frozen=True):
    name: str | None = None


class _Variable(_Named, frozen=True):
    value: str | None = None


class _Resources(_Record, frozen=True):
    limits: Obj | None = None


class _Container(_Named, frozen=True):
    env: list[_Variable] | None = None
    resources: _Resources | None = None
    security_context: Obj | None = None
    volume_mounts: list[_Named] | None = None


class _Spec(_Record, frozen=True):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    node_selector: dict[str, str] | None = None
    service_account_name: str | None = None
    volumes: list[_Named] | None = None


class _Metadata(_Named, frozen=True):
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class _Pod(_Record, frozen=True):
    """What the steps look at. No pod that an API server sends has another shape."""

    metadata: _Metadata | None = None
    spec: _Spec | None = None


def mutate(pod: Frozen, inputs: Inputs) -> Obj:
    """A copy of the pod with everything injected that its annotations ask for.

    Raises:
        ValidationError: the pod cannot be made to work; the messages are the original's.
        ConfigError: a section of the configuration that this pod needs is bad.
    """
    after = clone(pod)
    for step in STEPS:
        step(after, inputs)
    return after


def wants_containers(pod: Frozen) -> bool:
    """Whether a container is to be injected: only then are configuration and credentials needed."""
    return wants_storage_initializer(pod) or wants_agent(pod)


def pod_mutator(config: Callable[[], Config], live: Reader) -> AdmissionHandler:
    """The handler. Pods that belong to no InferenceService pass untouched.

    `live` reads from the server: a cache of Secrets would have to hold all that there are.
    """

    async def handle(request: AdmissionRequest) -> AdmissionResponse:
        pod = request.object
        if pod is None or INFERENCE_SERVICE_LABEL not in labels(pod):
            return allowed()
        try:
            codec.convert(pod, _Pod)
        except ValidationError as error:
            return errored(400, str(error))
        try:
            inputs = Inputs()
            if wants_containers(pod):
                account = mapping(pod, "spec").get("serviceAccountName") or ""
                inputs = Inputs(config(), request.namespace, await read_credentials(live, request.namespace, account))
            after = mutate(pod, inputs)
        except KfsError as error:
            return errored(500, str(error))
        warnings = [*inputs.credentials.warnings, *oddities(pod)]
        for warning in warnings:
            # Most pods are created by controllers, which show an admission's warnings to nobody.
            fields = {"namespace": request.namespace, "generate_name": mapping(pod, "metadata").get("generateName")}
            log.warning("pod admitted with a warning", extra={**fields, "warning": warning})
        return patched(pod, after, warnings)

    return handle
