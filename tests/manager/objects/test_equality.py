"""Semantic equality: an equivalence, in which absent is empty and quantities compare by amount."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.objects.equality import differences, semantic_equal
from kfs.manager.objects.tree import clone

EQUAL: dict[str, tuple[Any, Any]] = {
    "absent and null": ({"a": 1}, {"a": 1, "b": None}),
    "absent and empty map": ({}, {"labels": {}}),
    "absent and empty list": ({}, {"env": []}),
    "absent and empty text": ({}, {"name": ""}),
    "map of nothing": ({}, {"a": {"b": {"c": None}}}),
    "cpu": ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}),
    "cpu as number": ({"requests": {"cpu": 1}}, {"requests": {"cpu": "1"}}),
    "size": ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}),
    "tuple and list": ({"a": (1, 2)}, {"a": [1, 2]}),
}
DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "value": ({"a": 1}, {"a": 2}, "a"),
    "zero is not absent": ({"a": 0}, {}, "a"),
    "false is not absent": ({"a": False}, {}, "a"),
    "length": ({"a": [1]}, {"a": [1, 2]}, "a"),
    "order": ({"a": [1, 2]}, {"a": [1, 3]}, "a[1]"),
    "nested": ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, "a.b[0].c"),
    "text that looks like a quantity": ({"args": {"cpu": "1"}}, {"args": {"cpu": "1000m"}}, "args.cpu"),
    "no quantity": ({"limits": {"cpu": "x"}}, {"limits": {"cpu": "y"}}, "limits.cpu"),
    "list with an empty item": ({"a": [{}]}, {}, "a"),
}


@pytest.mark.parametrize(("a", "b"), EQUAL.values(), ids=EQUAL)
def test_equal(a: Any, b: Any) -> None:
    assert semantic_equal(a, b)
    assert semantic_equal(b, a)


@pytest.mark.parametrize(("a", "b", "path"), DIFFERENT.values(), ids=DIFFERENT)
def test_different(a: Any, b: Any, path: str) -> None:
    assert differences(a, b) == [path]
    assert not semantic_equal(b, a)


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "1", "1000m"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "limits", "cpu"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(trees, trees)
def test_symmetric_and_agrees_with_differences(a: Any, b: Any) -> None:
    assert semantic_equal(a, b) == semantic_equal(b, a) == (not differences(a, b))


@given(st.dictionaries(st.text(max_size=3), trees, max_size=4))
def test_a_clone_is_equal_and_apart(tree: dict[str, Any]) -> None:
    copy = clone(tree)
    assert semantic_equal(copy, tree)
    copy["new"] = 1
    assert "new" not in tree
