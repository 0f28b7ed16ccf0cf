"""The objects of one kind by key, with a single writer: the informer.

Beside what the watch has shown, the store keeps our own writes that it has not shown yet: a reader
sees what it wrote, and never acts twice on one stale read. Upstream: the promise of kubernetes-sigs/controller-runtime
issue 3320 and KEP-5647.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.manager.cache.changes import Change
from kfs.manager.objects.tree import Frozen, key_of, labels, resource_version, uid

if TYPE_CHECKING:
    from kfs.manager.objects.kinds import ObjectKey

IndexFunction = Callable[[Frozen], Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Write:
    """One of our writes: the object as the server stored it, or None for a delete of the object with `uid`."""

    version: int
    object: Frozen | None
    uid: str = ""


class Store:
    """Keys to objects. Reads return what must not be edited: `clone` first.

    `namespaces` are those that have a watch each; the empty one stands for all.
    """

    def __init__(self, namespaces: Iterable[str] = ("",)) -> None:
        # The version up to which each watch has shown everything.
        self._shown = dict.fromkeys(namespaces, 0)
        self._objects: dict[ObjectKey, Frozen] = {}
        self._writes: dict[ObjectKey, _Write] = {}
        self._indexers: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, set[ObjectKey]]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    # Reading

    def get(self, key: ObjectKey) -> Frozen | None:
        """The object, own writes included, or None."""
        known = self._objects.get(key)
        write = self._writes.get(key)
        if write is None:
            return known
        if write.object is not None:
            return write.object
        return known if known is not None and uid(known) != write.uid else None

    def list(self, namespace: str = "", match: Mapping[str, str] | None = None) -> Sequence[Frozen]:
        """The objects of a namespace (or of all) that carry all labels of `match`."""
        return [obj for obj in self._visible() if _matches(obj, namespace, match)]

    def by_index(self, index: str, value: str) -> Sequence[Frozen]:
        """The objects for which the index function yields `value`."""
        keys = self._indexes[index].get(value, frozenset()) | self._writes.keys()
        indexer = self._indexers[index]
        found = (self.get(key) for key in keys)
        return [obj for obj in found if obj is not None and value in indexer(obj)]

    def _visible(self) -> Iterator[Frozen]:
        if not self._writes:
            yield from self._objects.values()
            return
        for key in [*self._objects, *(k for k in self._writes if k not in self._objects)]:
            if (obj := self.get(key)) is not None:
                yield obj

    # Writing: the informer

    def upsert(self, obj: Frozen, *, initial: bool = False) -> Change:
        """Take over what the watch showed."""
        key = key_of(obj)
        old = self._objects.get(key)
        self._objects[key] = obj
        self._note(key.namespace, _version(obj))
        self._settle(key, _version(obj))
        self._reindex(key, old, obj)
        return Change(old, obj, initial=initial)

    def remove(self, obj: Frozen, *, unseen: bool = False) -> Change | None:
        """Take over a deletion; `obj` is its last state. None when the object was not known."""
        key = key_of(obj)
        old = self._objects.pop(key, None)
        self._note(key.namespace, _version(obj))
        self._settle(key, _version(obj))
        if old is None:
            return None
        self._reindex(key, old, None)
        return Change(obj, None, unseen=unseen)

    def replace(self, listed: Iterable[Frozen], version: str, namespace: str = "") -> Sequence[Change]:
        """Take over a whole list, of one namespace or of all; objects that vanished are reported as deleted."""
        changes = [self.upsert(obj, initial=True) for obj in listed]
        kept = {change.key for change in changes}
        gone = [
            obj
            for key, obj in self._objects.items()
            if key not in kept and (not namespace or key.namespace == namespace)
        ]
        changes += [change for obj in gone if (change := self.remove(obj, unseen=True)) is not None]
        at = int(version) if version.isdigit() else 0
        self._note(namespace, at)
        for key in [
            k for k, w in self._writes.items() if w.version <= at and (not namespace or k.namespace == namespace)
        ]:
            del self._writes[key]
        return changes

    # Writing: our own writes

    def wrote(self, obj: Frozen) -> None:
        """Remember what the server answered to a write of ours, until the watch shows it or something newer.

        An answer may come late: what the watch has passed, a deletion included, and what is older than another
        write of ours is not remembered.
        """
        key, version = key_of(obj), _version(obj)
        before = self._writes.get(key)
        if version > self._shown.get(self._watch_of(key.namespace), 0) and (before is None or before.version < version):
            self._writes[key] = _Write(version, obj)

    def deleted(self, key: ObjectKey, uid_: str, version: str) -> None:
        """Remember that we deleted the object of that uid, last known at `version`."""
        known, at = self._objects.get(key), int(version) if version.isdigit() else 0
        # Shown since at a newer version, it is not gone: a finalizer holds it.
        if known is not None and uid(known) == uid_ and _version(known) <= at:
            self._writes[key] = _Write(at, None, uid_)

    def _watch_of(self, namespace: str) -> str:
        return namespace if namespace in self._shown else ""

    def _note(self, namespace: str, version: int) -> None:
        watch = self._watch_of(namespace)
        self._shown[watch] = max(self._shown.get(watch, 0), version)

    def _settle(self, key: ObjectKey, seen: int) -> None:
        write = self._writes.get(key)
        if write is None:
            return
        if write.object is not None and (seen >= write.version or not seen):
            del self._writes[key]
        elif write.object is None:
            current = self._objects.get(key)
            # Still the object that we deleted: a finalizer holds it, or the watch is behind. Shown as it is once newer.
            if current is None or uid(current) != write.uid or seen > write.version:
                del self._writes[key]

    # Indexes

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Index all objects, present and to come, by the values that `function` yields."""
        self._indexers[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._reindex(key, None, obj, only=name)

    def _reindex(self, key: ObjectKey, old: Frozen | None, new: Frozen | None, only: str = "") -> None:
        for name, function in self._indexers.items():
            if only and name != only:
                continue
            index = self._indexes[name]
            for value in function(old) if old is not None else ():
                keys = index.get(value)
                if keys is not None:
                    keys.discard(key)
                    if not keys:
                        del index[value]
            for value in function(new) if new is not None else ():
                index.setdefault(value, set()).add(key)


def _version(obj: Frozen) -> int:
    # Versions of one kind are ordered integers (KEP-5504); another server's strings count as "unknown".
    version = resource_version(obj)
    return int(version) if version.isdigit() else 0


def _matches(obj: Frozen, namespace: str, match: Mapping[str, str] | None) -> bool:
    if namespace and key_of(obj).namespace != namespace:
        return False
    if not match:
        return True
    have = labels(obj)
    return all(have.get(k) == v for k, v in match.items())
