"""Differences between two trees, as JSON Patch (RFC 6902) and as JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj


def json_patch(before: Any, after: Any) -> list[Obj]:
    """The operations that turn `before` into `after`; empty when they are identical.

    Objects are compared field by field and lists item by item; items past the shorter list's end
    are added or removed. Fields that neither side names are never touched.
    """
    return list(_operations(before, after, ""))


def _operations(before: Any, after: Any, path: str) -> Iterator[Obj]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before:
            if key not in after:
                yield {"op": "remove", "path": f"{path}/{_escape(key)}"}
        for key, value in after.items():
            at = f"{path}/{_escape(key)}"
            if key in before:
                yield from _operations(before[key], value, at)
            else:
                yield {"op": "add", "path": at, "value": value}
    elif isinstance(before, list) and isinstance(after, list):
        shared = min(len(before), len(after))
        for i in range(shared):
            yield from _operations(before[i], after[i], f"{path}/{i}")
        for i in reversed(range(shared, len(before))):
            yield {"op": "remove", "path": f"{path}/{i}"}
        for value in after[shared:]:
            yield {"op": "add", "path": f"{path}/-", "value": value}
    elif not _identical(before, after):
        yield {"op": "replace", "path": path, "value": after}


def _identical(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Obj:
    """The merge patch that turns `before` into `after`; empty when they are identical.

    A field set to null in `after` counts as absent: merge patches cannot say otherwise.
    """
    patch: Obj = {key: None for key in before if after.get(key) is None and before[key] is not None}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if nested := merge_patch(old, value):
                patch[key] = nested
        elif value is not None and not _identical(old, value):
            patch[key] = value
    return patch
