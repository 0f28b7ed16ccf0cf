"""Paces the new revisions that a change of configuration brings: at most so many roll out at a time.

The question is level-based: *is this object's Knative Service about to get a new revision that its user did not ask
for?* So it needs no record of what changed, and a manager that is started in the middle of a wave goes on with it.
See docs/decisions/0006-paced-configuration.md.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kfs.api.constants import GROUP, INFERENCE_SERVICE, INFERENCE_SERVICE_CONFIG, KNATIVE_SERVICE
from kfs.api.status import read_status
from kfs.manager.objects.conditions import FALSE, READY, TRUE
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.kinds import ObjectKey
from kfs.manager.objects.tree import controller_of, generation, key_of, mapping, name, namespace, sequence, uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kfs.manager.cache import Informer
    from kfs.manager.objects.child import Child
    from kfs.manager.objects.tree import Frozen


class Decision(NamedTuple):
    """Whether an object's Knative Services may be written now; `why`, if that rolls out what no user asked for."""

    go: bool
    why: str = ""


class ConfigRollout:
    """The gate. `services` watches Knative Services, `parallelism` is how many objects may be on their way.

    An object takes a place when it goes and gives it back once it is Ready, so a configuration with which nothing
    becomes Ready stops after that many. One that was not Ready before has nothing to lose and needs no place.
    """

    def __init__(self, services: Informer, parallelism: int) -> None:
        self._services = services
        self._parallelism = parallelism
        self._enqueue: Callable[[ObjectKey, str], None] = lambda key, reason: None
        # Objects that have been found, or made, to be as the configuration says: what differs later is no wave.
        self._known: set[ObjectKey] = set()
        self._known_before: set[ObjectKey] = set()
        self._rolling: set[ObjectKey] = set()
        self._waiting: dict[ObjectKey, None] = {}
        self._changed: set[str] = set()
        # Knative Services that were on their way when this process began, by the object that they belong to.
        self._inherited: dict[ObjectKey, ObjectKey] | None = None

    def attach(self, enqueue: Callable[[ObjectKey, str], None]) -> None:
        """Where to send objects whose turn has come."""
        self._enqueue = enqueue

    @property
    def waiting(self) -> int:
        """How many objects wait for their turn."""
        return len(self._waiting)

    def decide(self, isvc: Frozen, children: Iterable[Child], services: Iterable[Frozen]) -> Decision:
        """Whether `children` may be written over `services`, the Knative Services that the InferenceService has."""
        key = key_of(isvc)
        ours = [service for service in services if (controller_of(service) or {}).get("uid") == uid(isvc)]
        if key in self._rolling and all(map(_is_ready, ours)):
            self._rolling.remove(key)
        decision = self._decide(key, isvc, children, ours)
        if decision.go:
            self._known.add(key)
            self._waiting.pop(key, None)
        else:
            self._waiting.setdefault(key)
        self._wake()
        return decision

    def _decide(self, key: ObjectKey, isvc: Frozen, children: Iterable[Child], ours: Sequence[Frozen]) -> Decision:
        if key in self._known or not _rolls_by_itself(isvc, children, ours):
            return Decision(go=True)
        if key not in self._rolling and all(map(_is_ready, ours)):
            if self._free() <= 0:
                return Decision(go=False)
            self._rolling.add(key)
        return Decision(go=True, why=self._why())

    def forget(self, key: ObjectKey) -> None:
        """The object is gone, or on its way out."""
        self._known.discard(key)
        self._rolling.discard(key)
        self._waiting.pop(key, None)
        self._wake()

    def config_changed(self, keys: Iterable[str]) -> None:
        """These keys of the configuration changed: what objects there are may differ from it."""
        if not self._waiting:
            self._changed.clear()
        self._changed.update(keys)
        self._known_before |= self._known
        self._known.clear()

    def unaffected(self, key: ObjectKey) -> None:
        """No change of the configuration since the last `compared` means anything to this object."""
        if key in self._known_before:
            self._known.add(key)

    def compared(self) -> None:
        """All objects have been compared with the changed configuration."""
        self._known_before.clear()

    def _why(self) -> str:
        if not self._changed:
            return f"{INFERENCE_SERVICE_CONFIG} or kfs changed while kfs did not run: a new revision rolls out"
        keys = ", ".join(sorted(self._changed))
        return f"{INFERENCE_SERVICE_CONFIG} changed ({keys}): a new revision rolls out"

    def _wake(self) -> None:
        if self._waiting and (free := self._free()) > 0:
            for key in islice(self._waiting, free):
                self._enqueue(key, "configuration rollout")

    def _free(self) -> int:
        if self._inherited is None:
            self._inherited = dict(filter(None, map(_on_its_way, self._services.store.list())))
        elif self._inherited:
            left = (self._services.store.get(key) for key in self._inherited)
            self._inherited = dict(filter(None, (_on_its_way(service) for service in left if service is not None)))
        return self._parallelism - len({*self._rolling, *self._inherited.values()})


def _rolls_by_itself(isvc: Frozen, children: Iterable[Child], services: Sequence[Frozen]) -> bool:
    """Whether writing `children` makes a new revision for which nobody edited the InferenceService.

    What its spec says was carried out: status has its generation. Labels and annotations have none: they are compared.
    """
    if read_status(isvc).observed_generation not in (0, generation(isvc)):
        return False
    by_name = {name(service): service for service in services}
    for child in children:
        service = by_name.get(name(child.desired)) if child.kind == KNATIVE_SERVICE else None
        if service is None:
            continue
        before, after = mapping(service, "spec", "template"), mapping(child.merge(service), "spec", "template")
        if not semantic_equal(before, after):
            return _from_the_user(before) == _from_the_user(after)
    return False


def _from_the_user(template: Frozen) -> list[dict[str, str]]:
    """The labels and annotations of a template that its InferenceService brought."""
    found = (mapping(template, "metadata", part) for part in ("labels", "annotations"))
    return [{k: v for k, v in part.items() if not k.startswith(f"internal.{GROUP}/")} for part in found]


def _is_ready(service: Frozen) -> bool:
    return _seen(service) and _readiness(service) == TRUE


def _on_its_way(service: Frozen) -> tuple[ObjectKey, ObjectKey] | None:
    """The keys of a Knative Service that is neither ready nor given up and of the InferenceService behind it."""
    owner = controller_of(service)
    if owner is None or owner.get("kind") != INFERENCE_SERVICE.kind:
        return None
    if _seen(service) and _readiness(service) in (TRUE, FALSE):
        return None
    return key_of(service), ObjectKey(namespace(service), str(owner.get("name")))


def _seen(service: Frozen) -> bool:
    seen = mapping(service, "status").get("observedGeneration", generation(service))
    return bool(seen == generation(service))


def _readiness(service: Frozen) -> str:
    conditions = sequence(service, "status", "conditions")
    return next((str(c.get("status")) for c in conditions if c.get("type") == READY), "")
