"""InferenceServices of both versions, generated from the CRD's schemas."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from kfs.install.installer import InstallOptions
from kfs.install.manifests import manifests
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION

Strategy = st.SearchStrategy[Any]

GROUP = "serving.kubeflow.org"
VERSIONS = ("v1alpha2", "v1beta1")
TEXTS = st.sampled_from(["", "a", "gs://b/m", "http://h:80", "https://u@h/p", "kfserving-container", "é~/"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def examples(least: int) -> int:
    """How many examples to generate: this many, or as many as the profile in use wants if that is more."""
    return max(least, settings.default.max_examples if settings.default else 0)


@cache
def _schema(version: str) -> dict[str, Any]:
    [crd, *_] = [m.desired for m in manifests(InstallOptions()) if m.kind == CUSTOM_RESOURCE_DEFINITION]
    [found] = [v["schema"]["openAPIV3Schema"] for v in crd["spec"]["versions"] if v["name"] == version]
    return dict(found["properties"])


def _names(schema: dict[str, Any]) -> set[str]:
    inner = [*schema.get("properties", {}).values(), schema.get("items", {})]
    return set(schema.get("properties", {})).union(*(_names(node) for node in inner if node))


@cache
def _ours() -> frozenset[str]:
    """Names of fields that both versions have, so that they come up more often than a pod's hundreds."""
    ours: set[str] = set.intersection(*(_names({"properties": _schema(version)}) for version in VERSIONS))
    return frozenset(ours | {"parallelism", "containerConcurrency", "nthread", "custom", "container", "containers"})


def _node(schema: dict[str, Any]) -> Strategy:
    match schema.get("type"):
        case "string":
            return TEXTS
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(-1, 101)
        case "array":
            return st.lists(st.deferred(lambda: _node(schema["items"])), max_size=2)
        case "object":
            return _object(schema)
        case _:
            return st.sampled_from([1, "1", "2Gi"])


def _object(schema: dict[str, Any]) -> Strategy:
    properties = schema.get("properties", {})
    if not properties:
        values = _node(schema["additionalProperties"]) if "additionalProperties" in schema else TEXTS
        names = st.sampled_from(["a", "cpu", "nvidia.com/gpu", "predictor", "transformer", "explainer"])
        return st.dictionaries(names, values, max_size=2)
    every = sorted(properties)
    often = [key for key in every if key in _ours()] or every
    chosen = st.lists(st.sampled_from(often) | st.sampled_from(every), max_size=5, unique=True)
    made: dict[str, Strategy] = {}

    @st.composite
    def some(draw: st.DrawFn) -> Any:
        keys = draw(chosen)
        for key in keys:
            if key not in made:
                made[key] = _node(properties[key])
        return {key: draw(made[key]) for key in keys}

    return some()


@cache
def fields(version: str, *path: str) -> Strategy:
    """Values of one field that the schema of a version allows."""
    node = {"properties": _schema(version)}
    for key in path:
        node = node["properties"][key]
    return _node(node)


def services(version: str) -> Strategy:
    """InferenceServices of a version: any spec and status that its schema allows."""
    metadata = st.fixed_dictionaries(
        {"name": st.just("m"), "namespace": st.just("ns")},
        optional={"annotations": st.dictionaries(st.sampled_from(["a", "b"]), TEXTS, min_size=1)},
    )
    return st.fixed_dictionaries(
        {"apiVersion": st.just(f"{GROUP}/{version}"), "kind": st.just("InferenceService"), "metadata": metadata},
        optional={"spec": fields(version, "spec"), "status": fields(version, "status")},
    )
