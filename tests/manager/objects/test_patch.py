"""Patches: applying what was computed gives what was wanted, whatever the two trees."""

from __future__ import annotations

from typing import Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.objects.patch import json_patch, merge_patch
from kfs.manager.objects.tree import Obj, clone

scalars = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1).map(lambda f: round(f, 1)) | st.text(max_size=2)
)
keys = st.sampled_from(["a", "b", "a/b", "~", "m~n/o"])
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(keys, trees, max_size=4)


@given(objects, objects)
def test_json_patch_turns_one_into_the_other(before: Obj, after: Obj) -> None:
    patched = jsonpatch.apply_patch(clone(before), json_patch(before, after))
    assert patched == after
    assert json_patch(patched, after) == []


@given(objects)
def test_identical_trees_need_no_patch(tree: Obj) -> None:
    assert json_patch(tree, clone(tree)) == []


def test_types_are_told_apart() -> None:
    assert json_patch({"a": 1}, {"a": True}) == [{"op": "replace", "path": "/a", "value": True}]


def test_only_what_differs_is_named() -> None:
    before = {"spec": {"containers": [{"name": "c", "unknownToUs": {"x": 1}}]}}
    after = clone(before)
    after["spec"]["containers"][0]["args"] = ["--x"]
    after["spec"]["containers"].append({"name": "d"})
    assert json_patch(before, after) == [
        {"op": "add", "path": "/spec/containers/0/args", "value": ["--x"]},
        {"op": "add", "path": "/spec/containers/-", "value": {"name": "d"}},
    ]


def apply_merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge(result.get(key), value)
    return result


def without_nulls(value: Any) -> Any:
    return {k: without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


@given(objects, objects)
def test_merge_patch_turns_one_into_the_other(before: Obj, after: Obj) -> None:
    patch = merge_patch(before, after)
    assert without_nulls(apply_merge(before, patch)) == without_nulls(after)
