"""Conversion between v1alpha2 and v1beta1: nothing is lost, edits survive, everything is answered."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfs.api.conversion import (
    RECORD_LIMIT_BYTES,
    carried,
    check_record,
    convert,
    keep_record,
    overflow,
)
from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Obj, clone
from tests.api.generated import ANYTHING, examples, fields, services

A, B = "serving.kubeflow.org/v1alpha2", "serving.kubeflow.org/v1beta1"
RECORD = "internal.serving.kubeflow.org/conversion-data"
OTHER = {A: B, B: A}

# As many as the gate is promised, and those of `hack/check --long` there.
thorough = settings(max_examples=examples(500))


def service(version: str, spec: Any = None, status: Any = None, **annotations: str) -> Obj:
    found: Obj = {"apiVersion": version, "kind": "InferenceService", "metadata": {"name": "m", "namespace": "ns"}}
    if annotations:
        found["metadata"]["annotations"] = annotations
    return found | {key: value for key, value in (("spec", spec), ("status", status)) if value is not None}


def v1alpha2(default: Any, **others: Any) -> Obj:
    return service(A, {"default": default, **others})


def v1beta1(**spec: Any) -> Obj:
    return service(B, spec)


def record(obj: Any) -> Any:
    return json.loads(obj["metadata"].get("annotations", {}).get(RECORD, "{}"))


def said(obj: Any) -> bytes:
    """All of an object but the annotation, in a form that tells 1 from true."""
    found = clone(obj)
    annotations = found["metadata"].get("annotations", {})
    annotations.pop(RECORD, None)
    if not annotations:
        found["metadata"].pop("annotations", None)
    return codec.canonical(found)


def both(obj: Obj) -> tuple[Obj, Obj]:
    """An object in the other version, and back again."""
    there = convert(obj, OTHER[obj["apiVersion"]])
    return there, convert(there, obj["apiVersion"])


# What each version says


def test_a_service_as_v1beta1() -> None:
    resources = {"limits": {"cpu": "1"}}
    server = {"storageUri": "gs://m", "runtimeVersion": "v7", "resources": resources}
    predictor = {"sklearn": server, "parallelism": 2, "minReplicas": 0, "maxReplicas": 3, "logger": {"mode": "all"}}
    there = convert(v1alpha2({"predictor": predictor}, canaryTrafficPercent=0), B)
    assert there == v1beta1(
        predictor={
            "sklearn": server,
            "containerConcurrency": 2,
            "minReplicas": 0,
            "maxReplicas": 3,
            "logger": {"mode": "all"},
            "canaryTrafficPercent": 0,
        }
    )


def test_a_service_as_v1alpha2() -> None:
    components = {"predictor": {"latestCreatedRevision": "m-1", "url": "http://m.example.com", "traffic": []}}
    status = {"url": "http://m", "components": components, "conditions": [{"type": "Ready", "status": "True"}]}
    spec = {"predictor": {"pmml": {"storageUri": "gs://m"}, "timeout": 9, "canaryTrafficPercent": 30}}
    there = convert(service(B, spec, status), A)
    assert there["spec"] == {"default": {"predictor": {"pmml": {"storageUri": "gs://m"}}}, "canaryTrafficPercent": 30}
    assert there["status"] == {
        "url": "http://m",
        "conditions": [{"type": "Ready", "status": "True"}],
        "default": {"predictor": {"name": "m-1", "host": "m.example.com"}},
    }
    assert carried(there) == ["/spec/predictor/timeout", "/status/components/predictor/traffic"]


@pytest.mark.parametrize("component", ["predictor", "transformer", "explainer"])
def test_custom_containers(component: str) -> None:
    container = {"image": "i", "env": [{"name": "A"}]}
    old = v1alpha2({component: {"custom": {"container": container}, "serviceAccountName": "sa"}})
    assert convert(old, B) == service(B, {component: {"containers": [container], "serviceAccountName": "sa"}})


@pytest.mark.parametrize("field", ["alibi", "aix"])
def test_explainers_of_v1alpha2_always_have_a_limit_as_in_the_original(field: str) -> None:
    server = {"type": "AnchorText", "config": {"k": "v"}}
    there, back = both(v1alpha2({"explainer": {field: server}}))
    assert there["spec"] == {"explainer": {field: server, "containerConcurrency": 0}}
    assert "parallelism" not in back["spec"]["default"]["explainer"]
    there, back = both(v1beta1(explainer={field: server}))
    assert "containerConcurrency" not in back["spec"]["explainer"]


# What one version cannot say

CANARY = {"predictor": {"sklearn": {"storageUri": "gs://m2"}}}
LOST_BY_THE_ORIGINAL = {
    "canary": v1alpha2({"predictor": {"sklearn": {}}}, canary=CANARY, canaryTrafficPercent=20),
    "threads": v1alpha2({"predictor": {"xgboost": {"nthread": 4}}}),
    "account": v1alpha2({"transformer": {"custom": {"container": {}}, "serviceAccountName": "sa"}}),
    "class": v1alpha2({"predictor": {"pytorch": {"modelClassName": "Net"}}}),
    "parameters": v1alpha2({"explainer": {"aix": {"type": "LimeImages", "config": {"k": "v"}}}}),
    "logger": v1alpha2({"explainer": {"alibi": {}, "logger": {"mode": "all"}}}),
    "container": v1beta1(predictor={"sklearn": {"env": [{"name": "A"}], "protocolVersion": "v2"}, "timeout": 3}),
    "pod": v1beta1(predictor={"sklearn": {}, "volumes": [{"name": "v"}], "serviceAccountName": "sa"}),
    "sidecar": v1beta1(transformer={"containers": [{"image": "a"}, {"image": "b"}]}),
    "art": v1beta1(explainer={"art": {"type": "SquareAttack"}}),
    "never defaulted": v1beta1(predictor={"tensorflow": {"storageUri": "gs://m"}}),
    "no limit": v1beta1(predictor={"sklearn": {}, "containerConcurrency": 0}),
    "traffic": service(A, {}, {"traffic": 80, "canaryTraffic": 20, "canary": {"predictor": {"name": "c"}}}),
    "revisions": service(B, {}, {"components": {"predictor": {"url": "https://h/p", "latestRolledoutRevision": "r"}}}),
}


@pytest.mark.parametrize("name", LOST_BY_THE_ORIGINAL)
def test_what_the_original_loses_comes_back(name: str) -> None:
    before = LOST_BY_THE_ORIGINAL[name]
    assert said(both(before)[1]) == said(before)


def test_the_record_names_its_version_and_says_where_things_belong() -> None:
    there, _ = both(v1alpha2({"predictor": {"xgboost": {"nthread": 4}}}, canary=CANARY))
    add = {"/spec/canary": CANARY, "/spec/default/predictor/xgboost/nthread": 4}
    assert record(there) == {"v1alpha2": {"spec": {"add": add}}}
    assert RECORD not in both(v1beta1(predictor={"sklearn": {}}))[0]["metadata"].get("annotations", {})


@thorough
@given(services("v1alpha2") | services("v1beta1"))
def test_there_and_back_is_the_same(before: Obj) -> None:
    there, back = both(before)
    assert said(back) == said(before)
    assert codec.canonical(both(there)[1]) == codec.canonical(there)


# Edits in between

PATHS = {
    A: st.sampled_from([("spec",), ("spec", "default"), ("spec", "default", "predictor"), ("status",)]),
    B: st.sampled_from([("spec",), ("spec", "predictor"), ("spec", "explainer"), ("status",)]),
}


@st.composite
def edited(draw: st.DrawFn, obj: Obj) -> Obj:
    """An object with a field set to something else that the schema allows, or removed."""
    after = clone(obj)
    path = draw(PATHS[obj["apiVersion"]])
    parent = after
    for key in path[:-1]:
        parent = parent.setdefault(key, {})
    old, new = parent.get(path[-1], {}), draw(fields(obj["apiVersion"].partition("/")[2], *path))
    parent[path[-1]] = draw(st.sampled_from([new, {**old, **new}, {k: v for k, v in old.items() if k not in new}]))
    return after


@thorough
@given(services("v1alpha2") | services("v1beta1"), st.data())
def test_edits_in_the_other_version_survive(before: Obj, data: st.DataObject) -> None:
    there = data.draw(edited(convert(before, OTHER[before["apiVersion"]])))
    back, again = both(there)
    assert said(again) == said(there)
    # And so do edits of what came back.
    once_more = data.draw(edited(back))
    assert said(both(once_more)[1]) == said(once_more)


@given(fields("v1beta1", "spec", "predictor"))
def test_a_canary_outlives_edits_of_v1beta1(predictor: Any) -> None:
    there = convert(v1alpha2({"predictor": {"sklearn": {}}}, canary=CANARY), B)
    there["spec"]["predictor"] = predictor
    assert convert(there, A)["spec"]["canary"] == CANARY


def test_an_edit_wins_over_what_was_kept() -> None:
    there = convert(v1alpha2({"predictor": {"sklearn": {}, "parallelism": 0}}), B)
    there["spec"]["predictor"]["containerConcurrency"] = 5
    assert convert(there, A)["spec"]["default"]["predictor"]["parallelism"] == 5


def test_a_field_goes_with_what_it_belongs_to() -> None:
    there = convert(v1alpha2({"predictor": {"xgboost": {"nthread": 4}}}), B)
    there["spec"]["predictor"] = {"sklearn": {}}
    assert convert(there, A)["spec"] == {"default": {"predictor": {"sklearn": {}}}}


def test_sidecars_stay_when_the_other_version_changes_the_first_container() -> None:
    there = convert(v1beta1(predictor={"containers": [{"image": "a"}, {"image": "b"}]}), A)
    there["spec"]["default"]["predictor"]["custom"]["container"]["image"] = "c"
    assert convert(there, B)["spec"]["predictor"]["containers"] == [{"image": "c"}, {"image": "b"}]


# Status


def test_status_that_is_written_in_between_is_the_truth() -> None:
    status = {"url": "http://m", "traffic": 80, "canaryTraffic": 20}
    there = convert(service(A, {}, status), B)
    assert convert(there, A)["status"] == status
    there["status"]["url"] = "http://elsewhere"
    assert convert(there, A)["status"] == {"url": "http://elsewhere"}
    # Nor is it brought back when the url is what it was, once somebody has written v1alpha2 since.
    again = convert(convert(there, A), B)
    again["status"]["url"] = "http://m"
    assert convert(again, A)["status"] == {"url": "http://m"}


def test_a_spec_that_is_written_in_between_leaves_status_alone() -> None:
    status = {"url": "http://m", "components": {"predictor": {"latestRolledoutRevision": "r"}}}
    there = convert(service(B, {"predictor": {"sklearn": {}}}, status), A)
    there["spec"]["default"]["predictor"]["sklearn"]["storageUri"] = "gs://m2"
    assert convert(there, B)["status"] == status


# Annotations


def test_other_annotations_stay() -> None:
    there = convert(service(A, {"canary": CANARY}, a="b"), B)
    assert there["metadata"]["annotations"].keys() == {"a", RECORD}
    assert convert(there, A)["metadata"]["annotations"] == {"a": "b"}


def big(size: int) -> Obj:
    return {"predictor": {"custom": {"container": {"image": "x" * size}}}}


def test_v1alpha2_that_does_not_fit_is_refused_with_the_reason() -> None:
    convert(service(A, {"canary": big(RECORD_LIMIT_BYTES - 200)}), B)
    with pytest.raises(ValidationError, match=r"takes \d+ bytes, and there is room for 131072: make /spec/canary"):
        convert(service(A, {"canary": big(RECORD_LIMIT_BYTES)}), B)
    with pytest.raises(ValidationError, match="room for"):
        convert(service(A, {"canary": big(100_000)}, a="x" * 150_000), B)


def test_v1beta1_that_does_not_fit_is_read_but_not_written_back() -> None:
    stored = v1beta1(predictor={"sklearn": {}, "volumes": [{"name": "x" * RECORD_LIMIT_BYTES}]})
    there = convert(stored, A)
    assert there["spec"] == {"default": {"predictor": {"sklearn": {}}}}
    assert overflow(there) > RECORD_LIMIT_BYTES
    with pytest.raises(ValidationError, match="change it as v1beta1"):
        convert(there, B)


BROKEN = ["", "{", "[]", "5", '{"v1alpha2":5}', '{"v1alpha2":{"spec":{"add":[]}}}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_record_is_no_reason_to_fail(text: str) -> None:
    stored = service(B, {"predictor": {"sklearn": {}}}, **{RECORD: text})
    assert convert(stored, A) == v1alpha2({"predictor": {"sklearn": {}}})
    with pytest.raises(ValidationError, match="cannot be read"):
        check_record(stored)
    check_record(convert(v1alpha2({}, canary=CANARY), B))


def test_who_replaces_an_object_need_not_know_the_record() -> None:
    status = {"components": {"predictor": {"latestRolledoutRevision": "r"}}}
    stored = convert(service(B, {"predictor": {"sklearn": {}, "timeout": 9}}, status), A)
    new = service(A, {"default": {"predictor": {"sklearn": {"storageUri": "gs://m2"}}}}, stored["status"])
    keep_record(new, stored)
    after = convert(new, B)
    assert after["spec"]["predictor"] == {"sklearn": {"storageUri": "gs://m2"}, "timeout": 9}
    assert after["status"] == status


def test_who_brings_a_record_decides_about_spec_and_not_about_status() -> None:
    def read(timeout: int, revision: str) -> Obj:
        status = {"components": {"predictor": {"latestRolledoutRevision": revision}}}
        return convert(service(B, {"predictor": {"sklearn": {}, "timeout": timeout}}, status), A)

    new = read(5, "old")
    keep_record(new, read(9, "new"))
    after = convert(new, B)
    assert after["spec"]["predictor"]["timeout"] == 5
    assert after["status"]["components"]["predictor"]["latestRolledoutRevision"] == "new"


# Whatever comes


def test_what_cannot_be_converted_is_named() -> None:
    with pytest.raises(ValidationError, match=r"apiVersion: serving\.kubeflow\.org/v9 cannot be converted"):
        convert(v1beta1(), "serving.kubeflow.org/v9")
    with pytest.raises(ValidationError, match="apiVersion: None"):
        convert({"kind": "InferenceService"}, B)
    with pytest.raises(ValidationError, match="kind: want InferenceService, got Pod"):
        convert({**v1beta1(), "kind": "Pod"}, A)


def test_an_object_that_is_in_that_version_already_is_copied() -> None:
    before = service(A, {"canary": CANARY}, **{RECORD: "x"})
    after = convert(before, A)
    assert after == before
    assert after is not before


NAMES = ["spec", "status", "default", "predictor", "sklearn", "containers", "custom", "container", "components", "url"]
ODD = st.recursive(
    ANYTHING,
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(st.sampled_from([A, B]), ODD, ODD)
def test_any_types_convert_and_come_back(version: str, spec: Any, status: Any) -> None:
    before = {**service(version), "spec": spec, "status": status, "more": [1]}
    given_ = codec.canonical(before)
    assert said(both(before)[1]) == given_
    assert codec.canonical(before) == given_


POINTERS = st.sampled_from(
    ["", "x", "/spec", "/spec/predictor/containers/0", "/spec/predictor/containers/-1", "/status"]
)
CHANGES = st.dictionaries(POINTERS, ANYTHING, max_size=3)
PARTS = st.fixed_dictionaries({}, optional={"add": CHANGES, "drop": CHANGES, "digest": st.just("0")})
RECORDS = st.fixed_dictionaries({}, optional={"spec": PARTS, "status": PARTS, "too_large": st.integers(0, 1)})


@given(services("v1alpha2") | services("v1beta1"), RECORDS | ANYTHING, RECORDS | ANYTHING)
def test_whatever_the_record_says_there_is_an_answer(before: Obj, one: Any, two: Any) -> None:
    before["metadata"]["annotations"] = {RECORD: json.dumps({"v1alpha2": one, "v1beta1": two})}
    with suppress(ValidationError):
        assert convert(before, OTHER[before["apiVersion"]])
