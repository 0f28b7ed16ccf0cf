"""Semantic equality of JSON trees: the question behind every write that is not made.

Two trees are equal when a server would treat them alike: a missing field equals an empty one (null, "",
{} or []), and quantities compare by amount. So a change between "missing" and "empty" alone is never
written; no field that kfs writes gives the two different meanings.

Upstream: kubernetes/apimachinery `pkg/api/equality/semantic.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kfs.manager.objects.quantity import same_quantity

_QUANTITY_MAPS = frozenset({"limits", "requests", "overhead", "capacity", "allocatable"})
_QUANTITY_FIELDS = frozenset({"sizeLimit", "divisor"})


def is_empty(value: Any) -> bool:
    """Whether a field of this value means the same as the field's absence."""
    return value is None or value in ("", {}, [], ())


def semantic_equal(a: Any, b: Any) -> bool:
    """Whether two JSON trees mean the same."""
    return a == b or next(_differences(a, b, "", quantity=False), None) is None


def differences(a: Any, b: Any) -> list[str]:
    """The paths at which two trees differ, for logs; empty when they are semantically equal.

    Paths only, never values: a tree may hold secrets.
    """
    return list(_differences(a, b, "", quantity=False))


def _differences(a: Any, b: Any, path: str, *, quantity: bool) -> Iterator[str]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        holds_quantities = path.rpartition(".")[2] in _QUANTITY_MAPS
        for key in a.keys() | b.keys():
            nested = holds_quantities or key in _QUANTITY_FIELDS
            yield from _differences(a.get(key), b.get(key), f"{path}.{key}" if path else key, quantity=nested)
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _differences(x, y, f"{path}[{i}]", quantity=False)
    elif not _same(a, b, quantity):
        yield path


def _same(a: Any, b: Any, quantity: bool) -> bool:
    if a == b or (is_empty(a) and is_empty(b)):
        return True
    # {"a": {"b": None}} equals {}: an inner tree of nothing but empty fields is empty too.
    if isinstance(a, Mapping | list) and is_empty(b):
        return _hollow(a)
    if isinstance(b, Mapping | list) and is_empty(a):
        return _hollow(b)
    return quantity and same_quantity(a, b)


def _hollow(value: Any) -> bool:
    return isinstance(value, Mapping) and all(is_empty(v) or _hollow(v) for v in value.values())
