"""The few reads that controllers and webhooks share: the project's configuration.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/configmap.go`, which reads the ConfigMap
again for each use; here it is watched, and parsed once per version.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.api.config import Config, no_config, parse_config
from kfs.api.constants import INFERENCE_SERVICE_CONFIG
from kfs.manager.cache import Cache, Change, Informer, Scope
from kfs.manager.errors import ConfigError
from kfs.manager.objects.kinds import CONFIG_MAP, ObjectKey
from kfs.manager.objects.tree import mapping, resource_version

if TYPE_CHECKING:
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.tree import Frozen

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConfigChange:
    """The last good configuration before and after a version of the ConfigMap; `before` is None for the first."""

    before: Config | None
    after: Config


ConfigHandler = Callable[[ConfigChange], None]
"""Called before anybody reads the new configuration: it must return at once."""


class ConfigSource:
    """The ConfigMap `inferenceservice-config` of one namespace, watched; no other ConfigMap is cached.

    Differs: what makes no sense is said and the last good configuration kept; the original's webhooks panic and its
    reconciler fails without a word in any status (difference 7).
    """

    def __init__(self, cache: Cache, namespace: str) -> None:
        self._key = ObjectKey(namespace, INFERENCE_SERVICE_CONFIG)
        scope = Scope(namespaces=(namespace,), fields=f"metadata.name={INFERENCE_SERVICE_CONFIG}")
        self.informer: Informer = cache.informer(CONFIG_MAP, scope)
        self._current: Config | None = None
        self._good: Config | None = None
        self._handlers: list[ConfigHandler] = []
        self.informer.subscribe(self._take)

    def subscribe(self, handler: ConfigHandler) -> None:
        """Have `handler` called for each version of the ConfigMap from now on."""
        self._handlers.append(handler)

    def current(self) -> Config:
        """The configuration as it stands; a section that makes no sense raises when it is asked for.

        Raises:
            ConfigError: the ConfigMap is missing.
        """
        if self._current is None:
            raise ConfigError(self._missing())
        return self._current

    def last_good(self) -> Config:
        """For those who must go on: sections that make no sense are as they were when they last did.

        A section that never did, or all when there has been no ConfigMap since the start, raise when asked for.
        """
        return self._good if self._good is not None else no_config(self._missing())

    def config_map(self) -> Frozen | None:
        """The ConfigMap as it is, good or bad."""
        return self.informer.store.get(self._key)

    def problems(self) -> Mapping[str, str]:
        """What is wrong with the configuration as it stands, by key; under the ConfigMap's name when there is none."""
        if self._current is None:
            return {INFERENCE_SERVICE_CONFIG: self._missing()}
        return self._current.problems

    def problem(self) -> str | None:
        """What is wrong with the configuration as it stands, or None."""
        return "; ".join(self.problems().values()) or None

    def loaded(self) -> str | None:
        """Why there is no configuration to work with, or None: the check behind `/readyz`."""
        return None if self._good is not None else self._missing()

    def _missing(self) -> str:
        why = "does not exist: create it, or start once with --install"
        return f"ConfigMap {self._key} {why if self.informer.has_synced else 'has not been read yet'}"

    def _take(self, change: Change) -> None:
        before = self._good
        self._current = None if change.new is None else parse_config(mapping(change.new, "data"))
        if self._current is not None:
            self._good = self._current if before is None else self._current.or_else(before)
        extra = {"resource_version": resource_version(change.object)}
        if (problem := self.problem()) is not None:
            log.error("configuration is bad, keeping what was good", extra=extra | {"problem": problem})
        else:
            log.info("configuration loaded", extra=extra)
        for handler in self._handlers:
            handler(ConfigChange(before, self.last_good()))


def count_problems(configs: ConfigSource, metrics: Metrics) -> None:
    """Have the metric `kfs_config_problems` follow the configuration: 1 for each key that makes no sense."""

    def count(change: ConfigChange) -> None:
        problems = configs.problems()
        for key in {*change.after.sections, *change.after.problems, *problems, INFERENCE_SERVICE_CONFIG}:
            metrics.config_problems.labels(key).set(key in problems)

    configs.subscribe(count)
