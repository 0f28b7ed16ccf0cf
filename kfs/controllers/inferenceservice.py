"""The v1beta1 InferenceService controller: read, plan, write what differs, tell.

Upstream: kserve/kserve v0.5.1 `pkg/controller/v1beta1/inferenceservice/controller.go`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kfs.api.component import COMPONENTS
from kfs.api.constants import (
    FINALIZER,
    INFERENCE_SERVICE,
    KNATIVE_SERVICE,
    PARENT_LABEL,
    TRAINED_MODEL,
    VIRTUAL_SERVICE,
    ComponentType,
)
from kfs.api.names import default_service_name
from kfs.api.status import read_status, transition
from kfs.controllers.config_changes import ConfigChanges
from kfs.controllers.plan import Observed, Plan, after_failure, plan
from kfs.manager.client import Client, Reader, apply, patch_finalizer
from kfs.manager.controller.builder import controller_for
from kfs.manager.errors import (
    Conflict,
    KfsError,
    KindMissing,
    NotFound,
    NotOwnedError,
    TerminalError,
    ValidationError,
)
from kfs.manager.objects import codec
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.kinds import SERVICE, ObjectKey
from kfs.manager.objects.tree import Frozen, clone, is_deleting, key_of, mapping, name, namespace, uid
from kfs.manager.recorder import NORMAL, WARNING, Recorder
from kfs.manager.runnables import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kfs.api.v1beta1 import InferenceServiceStatus
    from kfs.controllers.config_rollout import ConfigRollout
    from kfs.lookups import ConfigSource
    from kfs.manager.clock import Clock
    from kfs.manager.manager import Manager

log = logging.getLogger(__name__)

# Why a child could not be written, as conditions say it.
_REASONS: Final[Mapping[type[KfsError], str]] = {NotOwnedError: "NotOwned", KindMissing: "CRDMissing"}


@dataclass(frozen=True)
class InferenceServices:
    """The reconciler. `client` reads from the cache, `live` from the server.

    Differs: where Knative's or Istio's CRDs are missing, status and an event of those that need them say so, and the
    controller looks again when they appear (difference 18).
    """

    client: Client
    live: Reader
    configs: ConfigSource
    rollout: ConfigRollout
    recorder: Recorder
    clock: Clock

    async def reconcile(self, key: ObjectKey) -> None:
        """Bring one InferenceService's children and status to what its spec says."""
        isvc = await self.client.get(INFERENCE_SERVICE, key)
        if isvc is None or is_deleting(isvc):
            self.rollout.forget(key)
            if isvc is not None:
                await self._finalize(isvc)
            return
        isvc = await patch_finalizer(self.client, INFERENCE_SERVICE, isvc, FINALIZER, present=True)
        await self.configs.informer.answered()
        observed = await self._observe(key)
        planned = plan(isvc, self.configs.last_good(), observed, self.clock.now())
        await self._carry_out(isvc, self._in_turn(isvc, planned, observed))

    def _in_turn(self, isvc: Frozen, planned: Plan, observed: Observed) -> Plan:
        """The plan, without Knative Services whose new revisions must wait for their turn."""
        decision = self.rollout.decide(isvc, planned.children, observed.knative.values())
        if decision.why:
            self.recorder.event(isvc, INFERENCE_SERVICE, NORMAL, "ConfigurationChanged", decision.why)
        if decision.go:
            return planned
        kept = tuple(child for child in planned.children if child.kind != KNATIVE_SERVICE)
        return replace(planned, children=kept)

    async def _observe(self, key: ObjectKey) -> Observed:
        knative: dict[ComponentType, Frozen] = {}
        for component in COMPONENTS:
            at = ObjectKey(key.namespace, default_service_name(key.name, component))
            # Of a kind that is missing nothing is there; whoever writes one hears of it.
            with suppress(KindMissing):
                if (service := await self.client.get(KNATIVE_SERVICE, at)) is not None:
                    knative[component] = service
        return Observed(knative)

    async def _carry_out(self, isvc: Frozen, planned: Plan) -> None:
        """Write children and status, the status also when a child could not be planned or written; then remove."""
        status, failure = planned.status, planned.failure
        removals = planned.removals
        for child in planned.children:
            try:
                await apply(self.client, self.live, child, isvc, INFERENCE_SERVICE)
            except Conflict:
                raise
            except KfsError as error:
                reason = _REASONS.get(type(error), f"{child.kind.kind}Failed")
                status = after_failure(isvc, planned, child, reason, str(error), self.clock.now())
                failure, removals = error, ()
                break
        await self._write_status(isvc, status)
        try:
            await self._remove(removals)
        except KfsError as error:
            failure = failure or error
        if failure is not None:
            reason = _REASONS[KindMissing] if isinstance(failure, KindMissing) else "InternalError"
            self.recorder.event(isvc, INFERENCE_SERVICE, WARNING, reason, str(failure))
            # What the webhook refuses was stored without the webhook: trying again does not help.
            raise TerminalError(str(failure)) if isinstance(failure, ValidationError) else failure

    async def _remove(self, services: Sequence[Frozen]) -> None:
        for service in services:
            with suppress(NotFound):
                await self.client.delete(KNATIVE_SERVICE, key_of(service), uid=uid(service))

    async def _write_status(self, isvc: Frozen, status: InferenceServiceStatus) -> None:
        tree = codec.builtins(status)
        if semantic_equal(tree, mapping(isvc, "status")):
            return
        await self.client.update(INFERENCE_SERVICE, {**clone(isvc), "status": tree}, subresource="status")
        if (event := transition(name(isvc), read_status(isvc), status)) is not None:
            self.recorder.event(isvc, INFERENCE_SERVICE, event.type, event.reason, event.message)

    async def _finalize(self, isvc: Frozen) -> None:
        """Delete the TrainedModels of this InferenceService, then let it go. Children go by their owner reference.

        Differs: only those of its own namespace, and a delete that fails holds the finalizer (difference 1).
        """
        if FINALIZER not in mapping(isvc, "metadata").get("finalizers", ()):
            return
        for model in await self._models(isvc):
            try:
                await self.client.delete(TRAINED_MODEL, key_of(model), uid=uid(model), propagation="Background")
            except NotFound:
                continue
        await patch_finalizer(self.client, INFERENCE_SERVICE, isvc, FINALIZER, present=False)

    async def _models(self, isvc: Frozen) -> list[Frozen]:
        try:
            return await self.live.list(TRAINED_MODEL, namespace(isvc), labels={PARENT_LABEL: name(isvc)})
        except NotFound:
            # No such kind: its CRD is not installed.
            return []


def add_inference_services(
    manager: Manager, configs: ConfigSource, rollout: ConfigRollout, recorder: Recorder, workers: int
) -> None:
    """Register the controller, and what follows the configuration for it, with the manager."""
    reconciler = InferenceServices(manager.client, manager.live, configs, rollout, recorder, manager.clock)
    controller = (
        controller_for(manager, INFERENCE_SERVICE)
        .owns(KNATIVE_SERVICE)
        .owns(VIRTUAL_SERVICE)
        .owns(SERVICE)
        .complete(reconciler.reconcile, workers=workers)
    )
    rollout.attach(controller.enqueue)
    changes = ConfigChanges(configs, manager.cache, controller, rollout, recorder, manager.clock)
    manager.add(changes, Phase.LEADER)
