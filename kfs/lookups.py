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
        self._config: Config | None = None
        self._error = ""
        self.informer.subscribe(self._take)

    def current(self) -> Config:
        """The configuration as it stands.

        Raises:
            ConfigError: it is missing, or says something that makes no sense.
        """
        problem = self.problem()
        if self._config is None or problem is not None:
            raise ConfigError(problem or "")
        return self._config

    def last_good(self) -> Config:
        """The newest configuration that made sense, for those who must go on.

        Raises:
            ConfigError: there has been none since the start.
        """
        if self._config is None:
            raise ConfigError(self.problem() or "")
        return self._config

    def problem(self) -> str | None:
        """What is wrong with the configuration, or None."""
        if self._config is None and not self._error:
            missing = "does not exist; create it, or start once with --install"
            return f"ConfigMap {self._key} {missing if self.informer.has_synced else 'has not been read yet'}"
        return self._error or None

    def _take(self, change: Change) -> None:
        if change.new is None:
            self._error = f"ConfigMap {self._key} does not exist; create it, or start once with --install"
        else:
            try:
                self._config = parse_config(mapping(change.new, "data"))
                self._error = ""
            except ConfigError as error:
                self._error = f"ConfigMap {self._key}: {error}"
        extra = {"resource_version": resource_version(change.object), "error": self._error}
        if self._error:
            log.error("configuration is bad, keeping the last good one", extra=extra)
        else:
            log.info("configuration loaded", extra=extra)
