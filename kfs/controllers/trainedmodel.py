"""The TrainedModel controller. Its keys are InferenceServices: all models of one are looked at together.

Upstream: kserve/kserve v0.5.1 `pkg/controller/v1alpha1/trainedmodel/controller.go`, which has a key for each model.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kfs.api.constants import INFERENCE_SERVICE, PARENT_LABEL, TRAINED_MODEL, TRAINED_MODEL_FINALIZER
from kfs.api.modelconfig import MODELS_FILE, config_map, read_entries, write_entries
from kfs.api.names import model_config_name
from kfs.controllers.model_plan import ModelPlan, Parent, plan_models, plan_orphans, read_model_status
from kfs.manager.client import Client, PatchType, patch_finalizer
from kfs.manager.controller.builder import Host, controller_for
from kfs.manager.controller.handlers import mapped
from kfs.manager.errors import KfsError, NotFound, TerminalError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.conditions import FALSE, find
from kfs.manager.objects.kinds import CONFIG_MAP, ObjectKey
from kfs.manager.objects.tree import (
    Frozen,
    clone,
    finalizers,
    is_deleting,
    key_of,
    mapping,
    name,
    namespace,
    resource_version,
    uid,
)
from kfs.manager.recorder import WARNING, Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from kfs.api.modelconfig import Entries
    from kfs.api.trainedmodel import TrainedModelStatus
    from kfs.lookups import ConfigSource
    from kfs.manager.cache import Informer
    from kfs.manager.clock import Clock
    from kfs.manager.controller.controller import Controller

log = logging.getLogger(__name__)

T = TypeVar("T")

PARENT_INDEX = "inferenceservice"
# Writes of one pass that are under way at once: a thousand models must not crowd out everybody else.
PARALLEL_WRITES = 16


def parent_of(model: Frozen) -> Iterable[ObjectKey]:
    """The InferenceService that a TrainedModel names."""
    parent = mapping(model, "spec").get("inferenceService")
    return [ObjectKey(namespace(model), parent)] if isinstance(parent, str) else []


@dataclass(frozen=True)
class TrainedModels:
    """The reconciler. `client` reads from the cache, `live` from the server; `models` is the informer of all models."""

    client: Client
    live: Client
    models: Informer
    configs: ConfigSource
    recorder: Recorder
    clock: Clock

    async def reconcile(self, key: ObjectKey) -> None:
        """Bring the models of one InferenceService, and its model ConfigMap, to what they must be."""
        models = self.models.store.by_index(PARENT_INDEX, str(key))
        parent = await self.client.get(INFERENCE_SERVICE, key)
        if parent is None and not models:
            return
        if parent is None:
            # Differs: what goes is never decided on what a cache lacks (difference 3).
            parent = await self.live.get(INFERENCE_SERVICE, key)
        if parent is None:
            await self._orphans(key, models)
            return
        try:
            described = Parent.read(parent, self.configs.last_good())
        except ValidationError as error:
            raise TerminalError(str(error)) from error
        config = await self._config(key) if described.multi_model or models else None
        loaded = None if config is None else read_entries(config)
        elsewhere = [m for m in (loaded or {}) if self._is_elsewhere(ObjectKey(key.namespace, m), key)]
        planned = plan_models(described, models, loaded, elsewhere, self.clock.now())
        await self._carry_out(parent, planned, config)

    def _is_elsewhere(self, model: ObjectKey, parent: ObjectKey) -> bool:
        found = self.models.store.get(model)
        return found is not None and parent not in parent_of(found)

    async def _config(self, key: ObjectKey) -> Frozen | None:
        # Read live: it is the record of what is loaded, and watching it would mean to watch every ConfigMap.
        return await self.live.get(CONFIG_MAP, ObjectKey(key.namespace, model_config_name(key.name)))

    async def _orphans(self, key: ObjectKey, models: Sequence[Frozen]) -> None:
        """Delete the models of an InferenceService that is gone, and let them go."""
        log.info("the InferenceService is gone, deleting its models", extra={"models": len(models)})
        await _each([m for m in models if not is_deleting(m)], self._delete)
        config = await self._config(key)
        planned = plan_orphans(models, None if config is None else read_entries(config))
        if planned.entries is not None and config is not None:
            await self._write_entries(config, planned.entries)
        await _each(planned.release, self._release)

    async def _carry_out(self, parent: Frozen, planned: ModelPlan, config: Frozen | None) -> None:
        await _each(planned.claim, partial(self._claim, name(parent)))
        if planned.entries is not None:
            if config is None:
                await self.live.create(CONFIG_MAP, config_map(parent, planned.entries))
            else:
                await self._write_entries(config, planned.entries)
        await _each(planned.release, self._release)
        await _each(planned.statuses, self._write_status)

    async def _write_entries(self, config: Frozen, entries: Entries) -> None:
        data = {**mapping(config, "data"), MODELS_FILE: write_entries(entries)}
        await self.live.update(CONFIG_MAP, {**clone(config), "data": data})

    async def _claim(self, parent: str, model: Frozen) -> None:
        """Mark a model as ours before it is loaded: by then its deletion must wait for us."""
        held = [*finalizers(model)]
        if TRAINED_MODEL_FINALIZER not in held:
            held.append(TRAINED_MODEL_FINALIZER)
        metadata = {
            "finalizers": held,
            "labels": {PARENT_LABEL: parent},
            "resourceVersion": resource_version(model),
        }
        await self.client.patch(TRAINED_MODEL, key_of(model), {"metadata": metadata}, type=PatchType.MERGE)

    async def _release(self, model: Frozen) -> None:
        current = await self.client.get(TRAINED_MODEL, key_of(model)) or model
        await patch_finalizer(self.client, TRAINED_MODEL, current, TRAINED_MODEL_FINALIZER, present=False)

    async def _delete(self, model: Frozen) -> None:
        await self.live.delete(TRAINED_MODEL, key_of(model), uid=uid(model), propagation="Background")

    async def _write_status(self, item: tuple[Frozen, TrainedModelStatus]) -> None:
        model, status = item
        current = await self.client.get(TRAINED_MODEL, key_of(model)) or model
        before = read_model_status(current)
        tree = {**clone(current), "status": codec.builtins(status)}
        await self.client.update(TRAINED_MODEL, tree, subresource="status")
        for condition in status.conditions:
            old = find(before.conditions, condition.type)
            is_news = old is None or (old.status, old.message) != (condition.status, condition.message)
            if condition.status == FALSE and condition.reason and is_news and condition.type != "Ready":
                self.recorder.event(model, TRAINED_MODEL, WARNING, condition.reason, condition.message)


async def _each(items: Sequence[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Do it for all, several at once. One that fails does not keep the others: its error is raised at the end."""
    turns = asyncio.Semaphore(PARALLEL_WRITES)
    failures: list[KfsError] = []

    async def one(item: T) -> None:
        async with turns:
            try:
                await act(item)
            except NotFound:
                # It is gone, which is as good.
                pass
            except KfsError as error:
                failures.append(error)

    async with asyncio.TaskGroup() as tasks:
        for item in items:
            tasks.create_task(one(item))
    if failures:
        raise failures[0]


def add_trained_models(host: Host, reconciler: TrainedModels, workers: int) -> Controller:
    """Register the controller with the manager."""
    reconciler.models.store.add_index(PARENT_INDEX, lambda model: map(str, parent_of(model)))
    return (
        controller_for(host, INFERENCE_SERVICE, name="trainedmodel")
        .watches(TRAINED_MODEL, mapped(parent_of))
        .complete(reconciler.reconcile, workers=workers)
    )
