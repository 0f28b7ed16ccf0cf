"""Puts a controller together:

    controller_for(manager, MEMCACHED).owns(DEPLOYMENT).complete(reconcile)

Upstream: kubernetes-sigs/controller-runtime `pkg/builder/controller.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kfs.manager.controller.controller import DEFAULT_WORKERS, Controller, Source
from kfs.manager.controller.handlers import KeysOf, controller_of_kind, itself
from kfs.manager.controller.predicates import Predicate, version_changed
from kfs.manager.controller.ratelimit import default_limiter
from kfs.manager.controller.workqueue import WorkQueue
from kfs.manager.runnables import Phase, Runnable

if TYPE_CHECKING:
    from kfs.manager.cache.cache import Cache
    from kfs.manager.cache.informer import Scope
    from kfs.manager.controller.reconcile import Reconcile
    from kfs.manager.metrics import Metrics
    from kfs.manager.objects.kinds import Kind, ObjectKey


class Host(Protocol):
    """What a builder needs of a manager."""

    cache: Cache
    metrics: Metrics

    def add(self, runnable: Runnable, phase: Phase = Phase.OTHERS) -> None:
        """Run this, from that phase on."""
        ...


class ControllerBuilder:
    """Collects sources; `complete` registers the controller with the manager."""

    def __init__(self, host: Host, kind: Kind, name: str, predicate: Predicate) -> None:
        self._host = host
        self._kind = kind
        self._name = name
        self._sources = [Source(host.cache.informer(kind), itself, predicate)]

    def owns(self, kind: Kind, predicate: Predicate = version_changed) -> ControllerBuilder:
        """Reconcile the controlling object when one of its children of `kind` changes."""
        return self.watches(kind, controller_of_kind(self._kind), predicate)

    def watches(
        self, kind: Kind, keys_of: KeysOf, predicate: Predicate = version_changed, scope: Scope | None = None
    ) -> ControllerBuilder:
        """Reconcile what `keys_of` says when an object of `kind` changes."""
        self._sources.append(Source(self._host.cache.informer(kind, scope), keys_of, predicate))
        return self

    def complete(
        self, reconcile: Reconcile, *, workers: int = DEFAULT_WORKERS, timeout_s: float | None = None
    ) -> Controller:
        """Register the controller: it runs while this process leads.

        `timeout_s` bounds one reconciliation; one that takes longer is cancelled and tried again.
        """
        queue: WorkQueue[ObjectKey] = WorkQueue(self._name, default_limiter(), self._host.metrics)
        controller = Controller(
            self._name,
            reconcile,
            self._sources,
            queue,
            self._host.metrics,
            workers=workers,
            timeout_s=timeout_s,
        )
        self._host.add(controller, Phase.LEADER)
        return controller


def controller_for(
    host: Host, kind: Kind, *, name: str = "", predicate: Predicate = version_changed
) -> ControllerBuilder:
    """Start building a controller of `kind`; its name, in logs and metrics, is the lower-case kind by default."""
    return ControllerBuilder(host, kind, name or kind.kind.lower(), predicate)
