"""What a change of the configuration means: which InferenceServices look different under it, and what to tell.

Differs: the original reads its configuration when it happens to reconcile, so that a change arrives whenever the
next event does, for all objects at once after a restart; bad JSON makes it panic (difference 7).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from kfs.api.component import COMPONENTS
from kfs.api.constants import INFERENCE_SERVICE, KNATIVE_SERVICE
from kfs.api.names import default_service_name
from kfs.controllers.plan import Observed, plan
from kfs.manager.controller.workqueue import LOW_PRIORITY
from kfs.manager.errors import ValidationError
from kfs.manager.objects.kinds import CONFIG_MAP, ObjectKey
from kfs.manager.objects.tree import Frozen, is_deleting, key_of
from kfs.manager.recorder import NORMAL, WARNING, Recorder

if TYPE_CHECKING:
    from kfs.api.config import Config
    from kfs.controllers.config_rollout import ConfigRollout
    from kfs.lookups import ConfigChange, ConfigSource
    from kfs.manager.cache import Cache
    from kfs.manager.clock import Clock
    from kfs.manager.controller.controller import Controller
    from kfs.manager.runnables import Started

log = logging.getLogger(__name__)

# How long the event loop may be kept from everybody else.
_TURN_S = 0.01


class ConfigChanges:
    """Enqueues the InferenceServices to which a change of the configuration means anything; a `Runnable`."""

    def __init__(
        self,
        configs: ConfigSource,
        cache: Cache,
        controller: Controller,
        rollout: ConfigRollout,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._configs = configs
        self._isvcs = cache.informer(INFERENCE_SERVICE)
        self._knative = cache.informer(KNATIVE_SERVICE)
        self._controller = controller
        self._rollout = rollout
        self._recorder = recorder
        self._clock = clock
        self._changes: list[ConfigChange] = []
        self._changed = asyncio.Event()
        self._told: str | None = None

    async def run(self, started: Started) -> None:
        """Follow the configuration until cancelled."""
        self._configs.subscribe(self._take)
        self._tell()
        started()
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._compare()

    def _take(self, change: ConfigChange) -> None:
        self._tell()
        if change.before is not None:
            keys = change.after.differing(change.before)
            if not keys:
                return
            self._rollout.config_changed(keys)
        self._changes.append(change)
        self._changed.set()

    def _tell(self) -> None:
        """An Event on the ConfigMap when it turns bad, or good again."""
        config_map, problem = self._configs.config_map(), self._configs.problem()
        if config_map is None or problem == self._told:
            return
        self._told = problem
        if problem is None:
            self._recorder.event(config_map, CONFIG_MAP, NORMAL, "ConfigurationGood", "All keys make sense again")
        else:
            message = f"Keeping what was good: {problem}"
            self._recorder.event(config_map, CONFIG_MAP, WARNING, "ConfigurationBad", message)

    async def _compare(self) -> None:
        """Compare each object's plans before and after; again from the start when the configuration changes meanwhile.

        An object may have been reconciled between two changes, so all changes since the last whole comparison count.
        """
        changes, affected = [*self._changes], 0
        loop = asyncio.get_running_loop()
        begun = turn = loop.time()
        for isvc in self._isvcs.store.list():
            if any(change.before is None or self._matters(isvc, change.before, change.after) for change in changes):
                self._controller.queue.add(key_of(isvc), reason="configuration changed", priority=LOW_PRIORITY)
                affected += 1
            else:
                self._rollout.unaffected(key_of(isvc))
            if loop.time() - turn > _TURN_S:
                await asyncio.sleep(0)
                turn = loop.time()
                if len(self._changes) > len(changes):
                    return
        self._changes.clear()
        self._rollout.compared()
        log.info("configuration compared", extra={"affected": affected, "seconds": round(loop.time() - begun, 3)})

    def _matters(self, isvc: Frozen, before: Config, after: Config) -> bool:
        if is_deleting(isvc):
            return False
        observed, now = self._observe(key_of(isvc)), self._clock.now()
        try:
            old, new = (plan(isvc, config, observed, now) for config in (before, after))
        except ValidationError:
            # Its status is none, under any configuration.
            return False
        return (
            [child.desired for child in old.children] != [child.desired for child in new.children]
            or old.status != new.status
            or str(old.failure) != str(new.failure)
        )

    def _observe(self, key: ObjectKey) -> Observed:
        names = {type_: ObjectKey(key.namespace, default_service_name(key.name, type_)) for type_ in COMPONENTS}
        found = {type_: self._knative.store.get(at) for type_, at in names.items()}
        return Observed({type_: service for type_, service in found.items() if service is not None})
