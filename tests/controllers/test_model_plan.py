"""Which models are loaded, and what each is told, as pure functions of what there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.api.modelconfig import config_map, read_entries, write_entries
from kfs.controllers.model_plan import ModelPlan, Parent, plan_models, plan_orphans
from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Obj, name

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 2**30
PARENT = Parent(
    name="m",
    ready=True,
    multi_model=True,
    protocol="v1",
    url="http://m.ns.example.com",
    address="http://m.ns.svc.cluster.local",
    memory=Fraction(2 * GIB),
)


def model(
    named: str, memory: str = "256Mi", *, age: int = 0, deleting: bool = False, claimed: bool = False, **extra: Any
) -> Obj:
    metadata: Obj = {
        "name": named,
        "namespace": "ns",
        "generation": 1,
        "creationTimestamp": f"2026-01-01T00:00:{age:02d}Z",
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    if deleting or claimed:
        metadata |= {"finalizers": ["trainedmodel.finalizer"], "labels": {"inferenceservice": "m"}}
    spec = {
        "inferenceService": "m",
        "model": {"storageUri": f"gs://b/{named}", "framework": "sklearn", "memory": memory},
    }
    return {"metadata": metadata, "spec": spec, **extra}


def loaded(*names: str, memory: str = "256Mi") -> dict[str, Obj]:
    spec = {"framework": "sklearn", "memory": memory}
    return {n: {"modelName": n, "modelSpec": {"storageUri": f"gs://b/{n}", **spec}} for n in names}


def conditions(planned: ModelPlan, named: str) -> dict[str, str]:
    return {c.type: c.status for m, s in planned.statuses for c in s.conditions if name(m) == named}


def test_a_ready_server_loads_what_fits_and_says_where() -> None:
    planned = plan_models(PARENT, [model("b"), model("a")], {}, [], NOW)
    assert sorted(planned.entries or {}) == ["a", "b"]
    assert {name(m) for m in planned.claim} == {"a", "b"}
    assert conditions(planned, "a") == {"InferenceServiceReady": "True", "Ready": "True"}
    urls = {name(m): s.url for m, s in planned.statuses}
    assert urls == {n: f"http://m.ns.example.com/v1/models/{n}:predict" for n in "ab"}


def test_protocol_v2_has_its_own_paths() -> None:
    [(_, status)] = plan_models(replace(PARENT, protocol="v2"), [model("a")], {}, [], NOW).statuses
    assert status.address is not None
    assert status.address.url == "http://m.ns.svc.cluster.local/v2/models/a/infer"


def test_an_unready_server_loads_nothing_new_and_keeps_what_it_has() -> None:
    planned = plan_models(replace(PARENT, ready=False), [model("new"), model("old")], loaded("old"), [], NOW)
    assert planned.entries is None
    assert conditions(planned, "new") == {"InferenceServiceReady": "False", "Ready": "False"}
    assert conditions(planned, "old") == {"InferenceServiceReady": "False", "Ready": "False"}
    urls = {name(m): s.url for m, s in planned.statuses}
    assert urls["new"] == ""
    assert urls["old"]


def test_a_server_for_one_model_loads_none_and_says_so() -> None:
    planned = plan_models(replace(PARENT, multi_model=False), [model("a")], None, [], NOW)
    assert planned.entries is None
    assert planned.claim == []
    assert conditions(planned, "a") == {"IsMMSPredictor": "False", "InferenceServiceReady": "True", "Ready": "False"}
    assert planned.statuses[0][1].url == ""


def test_memory_goes_to_the_oldest_and_the_others_learn_how_much_is_free() -> None:
    models = [model("late", "1Gi", age=2), model("first", "1.5Gi", age=1), model("small", "512Mi", age=3)]
    planned = plan_models(PARENT, models, {}, [], NOW)
    assert sorted(planned.entries or {}) == ["first", "small"]
    refused = next(s for m, s in planned.statuses if name(m) == "late")
    [said] = [c for c in refused.conditions if c.type == "MemoryResourceAvailable"]
    assert said.status == "False"
    assert "has 0 bytes of its predictor's memory limit free" in said.message


def test_what_is_loaded_is_never_evicted() -> None:
    over = loaded("a", "b", "c", memory="1Gi")
    planned = plan_models(PARENT, [model(n, "1Gi", claimed=True) for n in "abc"], over, [], NOW)
    assert planned.entries is None
    assert all(conditions(planned, n)["Ready"] == "True" for n in "abc")


def test_a_model_is_loaded_when_room_appears() -> None:
    full = loaded("a", memory="2Gi")
    waiting = plan_models(PARENT, [model("a", "2Gi"), model("b", "1Gi")], full, [], NOW)
    assert conditions(waiting, "b")["MemoryResourceAvailable"] == "False"
    [status] = [codec.builtins(s) for m, s in waiting.statuses if name(m) == "b"]
    after = plan_models(PARENT, [model("a", "2Gi", deleting=True), model("b", "1Gi", status=status)], full, [], NOW)
    assert list(after.entries or {}) == ["b"]
    assert conditions(after, "b") == {"InferenceServiceReady": "True", "Ready": "True"}
    assert [name(m) for m in after.release] == ["a"]


def test_a_full_config_map_takes_no_more() -> None:
    huge = loaded(*(f"m{i:05d}" for i in range(11_000)), memory="1")
    planned = plan_models(replace(PARENT, memory=None), [model("new")], huge, [], NOW)
    assert planned.entries is None
    assert conditions(planned, "new")["MemoryResourceAvailable"] == "False"


def test_an_edit_of_the_uri_is_written() -> None:
    stale = loaded("a")
    stale["a"]["modelSpec"]["storageUri"] = "gs://b/old"
    assert (plan_models(PARENT, [model("a")], stale, [], NOW).entries or {})["a"]["modelSpec"][
        "storageUri"
    ] == "gs://b/a"


def test_a_model_that_moved_to_another_server_is_unloaded_and_strangers_stay() -> None:
    planned = plan_models(PARENT, [], loaded("moved", "stranger"), ["moved"], NOW)
    assert list(planned.entries or {}) == ["stranger"]


def test_a_lost_config_map_is_made_again() -> None:
    planned = plan_models(PARENT, [model("a", claimed=True)], None, [], NOW)
    assert list(planned.entries or {}) == ["a"]


def test_models_without_a_server_are_let_go() -> None:
    planned = plan_orphans([model("a", deleting=True), model("b")], loaded("a", "stranger"))
    assert list(planned.entries or {}) == ["stranger"]
    assert [name(m) for m in planned.release] == ["a"]


models = st.lists(
    st.builds(
        model,
        st.sampled_from(["a", "b", "c", "d", "e"]),
        st.sampled_from(["1", "512Mi", "1Gi", "3Gi"]),
        age=st.integers(0, 9),
        deleting=st.booleans(),
    ),
    max_size=5,
    unique_by=name,
)
parents = st.builds(
    replace,
    st.just(PARENT),
    ready=st.booleans(),
    multi_model=st.booleans(),
    memory=st.sampled_from([None, Fraction(GIB)]),
)
configs = st.none() | st.lists(st.sampled_from(["a", "b", "x"]), unique=True).map(lambda n: loaded(*n))


@given(parents, models, configs)
def test_a_second_pass_has_nothing_to_do(parent: Parent, them: list[Obj], config: dict[str, Obj] | None) -> None:
    first = plan_models(parent, them, config, [], NOW)
    for found in first.claim:
        them[[name(m) for m in them].index(name(found))] |= {"metadata": {**found["metadata"], **claimed_metadata()}}
    statuses = {name(m): codec.builtins(s) for m, s in first.statuses}
    released = {name(m) for m in first.release}
    after = [{**m, **({"status": statuses[name(m)]} if name(m) in statuses else {})} for m in them]
    after = [m for m in after if name(m) not in released]
    entries = first.entries if first.entries is not None else config
    assert plan_models(parent, after, entries, [], datetime(2027, 1, 1, tzinfo=UTC)) == ModelPlan()


def claimed_metadata() -> Obj:
    return {"finalizers": ["trainedmodel.finalizer"], "labels": {"inferenceservice": "m"}}


@given(models)
def test_the_file_is_read_as_it_was_written_in_order_of_name(them: list[Obj]) -> None:
    entries = plan_models(replace(PARENT, memory=None), them, {}, [], NOW).entries or {}
    isvc = {"metadata": {"name": "m", "namespace": "ns", "uid": "u"}}
    assert read_entries(config_map(isvc, entries)) == entries
    assert [e["modelName"] for e in codec.loads(write_entries(entries))] == sorted(entries)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"name": "a"}]'])
def test_a_file_that_somebody_broke_is_named(text: str) -> None:
    broken = {"metadata": {"name": "modelconfig-m-0", "namespace": "ns"}, "data": {"models.json": text}}
    with pytest.raises(ValidationError, match=r"models\.json in ConfigMap ns/modelconfig-m-0"):
        read_entries(broken)
