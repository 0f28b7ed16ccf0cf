"""The order in which ready keys are taken: by priority, and by turns between groups.

Keys of one priority form a band. Within a band the groups take turns, and within a group the first
to come is the first to go, so that a namespace with thousands of keys delays nobody else's by more
than one key a turn.

The band with the highest priority is served first, but each pop that passes a waiting band over
raises that band by one point until it is served. So a band ten points below a busy one still gets
every eleventh pop: lower keys wait, and none starves. Counting pops rather than seconds makes the
share the same for fast and slow reconcilers.

Every operation takes O(log n) time at most.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class _Band(Generic[K]):
    """The keys of one priority. `rank` orders the bands: the lowest is served next."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        # Not plain dicts: taking their first item again and again costs O(n) a time.
        self.groups: OrderedDict[Hashable, OrderedDict[K, None]] = OrderedDict()

    def add(self, group: Hashable, key: K) -> None:
        self.groups.setdefault(group, OrderedDict())[key] = None

    def remove(self, group: Hashable, key: K) -> None:
        keys = self.groups[group]
        del keys[key]
        if not keys:
            del self.groups[group]

    def pop(self) -> K:
        group, keys = next(iter(self.groups.items()))
        key, _ = keys.popitem(last=False)
        if keys:
            self.groups.move_to_end(group)
        else:
            del self.groups[group]
        return key


class FairQueue(Generic[K]):
    """Keys with priorities, each at most once.

    `group` names the group of a key; groups of equal priority take turns.
    """

    def __init__(self, group: Callable[[K], Hashable]) -> None:
        self._group = group
        self._priorities: dict[K, int] = {}
        self._bands: dict[int, _Band[K]] = {}
        # (rank, priority); an entry counts only while its band exists and still has that rank.
        self._order: list[tuple[int, int]] = []
        self._pops = 0

    def __len__(self) -> int:
        return len(self._priorities)

    def __contains__(self, key: K) -> bool:
        return key in self._priorities

    def __iter__(self) -> Iterator[K]:
        """The keys, in the order in which they came."""
        return iter(self._priorities)

    def push(self, key: K, priority: int) -> None:
        """Add the key; if it waits already with a lower priority, raise it."""
        before = self._priorities.get(key)
        if before is not None:
            if priority <= before:
                return
            self._remove(key, before)
        self._priorities[key] = priority
        band = self._bands.get(priority)
        if band is None:
            band = self._bands[priority] = _Band(self._rank(priority))
            heapq.heappush(self._order, (band.rank, priority))
        band.add(self._group(key), key)

    def pop(self) -> K:
        """Take the next key.

        Raises:
            IndexError: there is none.
        """
        while True:
            rank, priority = heapq.heappop(self._order)
            band = self._bands.get(priority)
            if band is not None and band.rank == rank:
                break
        self._pops += 1
        key = band.pop()
        del self._priorities[key]
        if band.groups:
            band.rank = self._rank(priority)
            heapq.heappush(self._order, (band.rank, priority))
        else:
            del self._bands[priority]
        return key

    def clear(self) -> None:
        """Drop all keys."""
        self._priorities.clear()
        self._bands.clear()
        self._order.clear()

    def _rank(self, priority: int) -> int:
        # All waiting bands rise at the same pace, so their order among each other never changes while they
        # wait: it is enough to remember when each began to.
        return self._pops - priority

    def _remove(self, key: K, priority: int) -> None:
        band = self._bands[priority]
        band.remove(self._group(key), key)
        del self._priorities[key]
        if not band.groups:
            del self._bands[priority]
