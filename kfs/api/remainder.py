"""What is left of a tree when something else has said most of it, and how to complete that something again.

Entries are by JSON Pointer (RFC 6901). Each applies only where nothing has changed in the meantime: an addition where
its parent still is and its place still empty, an omission where the same value still stands. So what somebody edited
in between stays as edited, and what belonged to something removed is not brought back.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj


class Remainder(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to take out of a tree, with the value that is taken out, and then what to put in."""

    drop: Obj = {}
    add: Obj = {}

    def __bool__(self) -> bool:
        return bool(self.drop or self.add)

    def pointers(self) -> Iterable[str]:
        """Where it changes something."""
        return dict.fromkeys([*self.add, *self.drop])


def remainder(said: Frozen, whole: Frozen) -> Remainder:
    """What `complete` needs to make `whole` of `said`."""
    found = Remainder(drop={}, add={})
    _compare(said, whole, "", found)
    return found


def complete(said: Obj, left: Remainder) -> None:
    """Complete a tree in place."""
    for pointer, value in left.drop.items():
        parent, key = _parent(said, pointer)
        if isinstance(parent, dict) and key in parent and _same(parent[key], value):
            del parent[key]
        elif isinstance(parent, list) and key == str(len(parent) - 1) and _same(parent[-1], value):
            parent.pop()
    for pointer, value in left.add.items():
        parent, key = _parent(said, pointer)
        if isinstance(parent, dict) and key not in parent:
            parent[key] = value
        elif isinstance(parent, list) and key == str(len(parent)):
            parent.append(value)


def _compare(said: Any, whole: Any, at: str, found: Remainder) -> None:
    if said is whole:
        return
    if isinstance(said, Mapping) and isinstance(whole, Mapping):
        # In order, so that the same trees always give the same text.
        for key in sorted(said.keys() | whole.keys()):
            here = f"{at}/{_escape(key)}"
            if key not in whole:
                found.drop[here] = said[key]
            elif key not in said:
                found.add[here] = whole[key]
            else:
                _compare(said[key], whole[key], here, found)
    elif isinstance(said, list) and isinstance(whole, list):
        shared = min(len(said), len(whole))
        for i in range(shared):
            _compare(said[i], whole[i], f"{at}/{i}", found)
        # From the end, as they are taken out.
        found.drop.update((f"{at}/{i}", said[i]) for i in reversed(range(shared, len(said))))
        found.add.update((f"{at}/{i}", whole[i]) for i in range(shared, len(whole)))
    elif not _same(said, whole):
        found.drop[at], found.add[at] = said, whole


def _same(a: Any, b: Any) -> bool:
    return codec.canonical(a) == codec.canonical(b)


def _parent(tree: Any, pointer: str) -> tuple[Any, str]:
    """Where a pointer's last part belongs; None when something on the way is missing."""
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]] or [""]
    for part in path:
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and part.isdecimal() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return None, last
    return tree, last


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
