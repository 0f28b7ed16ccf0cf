"""The few reads that controllers and webhooks share: the project's configuration.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1beta1/configmap.go`, which reads the ConfigMap
again for each use; here it is watched, and parsed once per version.
"""

from __future__ import annotations

import logging

from kfs.api.config import Config, parse_config
from kfs.api.constants import INFERENCE_SERVICE_CONFIG
from kfs.manager.cache import Cache, Change, Informer, Scope
from kfs.manager.errors import ConfigError
from kfs.manager.objects.kinds import CONFIG_MAP, ObjectKey
from kfs.manager.objects.tree import mapping, resource_version

log = logging.getLogger(__name__)


class ConfigSource:
    """The ConfigMap `inferenceservice-config` of one namespace, watched; no other ConfigMap is cached."""

    def __init__(self, cache: Cache, namespace: str) -> None:
        self._key = ObjectKey(namespace, INFERENCE_SERVICE_CONFIG)
        scope = Scope(namespaces=(namespace,), fields=f"metadata.name={INFERENCE_SERVICE_CONFIG}")
        self.informer: Informer = cache.informer(CONFIG_MAP, scope)
        self._current: Config | None = None
        self._good: Config | None = None
        self.informer.subscribe(self._take)

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

        Raises:
            ConfigError: there has been no configuration since the start.
        """
        if self._good is None:
            raise ConfigError(self._missing())
        return self._good

    def problem(self) -> str | None:
        """What is wrong with the configuration, or None."""
        if self._current is None:
            return self._missing()
        return "; ".join(self._current.problems.values()) or None

    def loaded(self) -> str | None:
        """Why there is no configuration to work with, or None: the check behind `/readyz`."""
        return None if self._good is not None else self._missing()

    def _missing(self) -> str:
        why = "does not exist: create it, or start once with --install"
        return f"ConfigMap {self._key} {why if self.informer.has_synced else 'has not been read yet'}"

    def _take(self, change: Change) -> None:
        self._current = None if change.new is None else parse_config(mapping(change.new, "data"))
        if self._current is not None:
            self._good = self._current if self._good is None else self._current.or_else(self._good)
        extra = {"resource_version": resource_version(change.object)}
        if (problem := self.problem()) is not None:
            log.error("configuration is bad, keeping what was good", extra=extra | {"problem": problem})
        else:
            log.info("configuration loaded", extra=extra)
