"""Values that the shipped CRD's schema accepts, drawn from the schema itself."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

CRD = Path(__file__).resolve().parents[1] / "kfs" / "install" / "crds" / "inferenceservices.json"

IMPLEMENTATIONS = {
    "predictor": ["sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "pmml", "lightgbm", "containers"],
    "transformer": ["containers"],
    "explainer": ["alibi", "aix", "art", "containers"],
}
# Texts that mean something somewhere: names, flags, addresses, versions, protocols.
_TEXTS = ["", "a", "v1", "v2", "kfserving-container", "STORAGE_URI", "--workers", "x-gpu", "PyTorchModel", "all", "é"]
_TEXTS += ["gs://b/m", "s3://b/m.onnx", "hdfs://n/m", "gs:/b", "pvc://c/p", "nvidia.com/gpu", "cpu", "--http_port=1"]
_QUANTITIES = ["1", "0.1", "2500m", "1Gi", "1024Mi", "+1", "1e3", "1E3", "1e1.5", ".5", "-2", "0", "1n"]
_INT32 = st.integers(-(2**31), 2**31 - 1)
_NUMBERS = st.sampled_from([-1, 0, 1, 2, 8080]) | _INT32
_FEW = 3


@cache
def spec_schema(version: str = "v1beta1") -> Any:
    """The schema of an InferenceService's spec."""
    (found,) = [v for v in json.loads(CRD.read_text())["spec"]["versions"] if v["name"] == version]
    return found["schema"]["openAPIV3Schema"]["properties"]["spec"]


@st.composite
def specs(draw: st.DrawFn) -> Any:
    """A spec of v1beta1. Most have one implementation for each component, as users write them; some have not."""
    found: Any = {}
    for component, fields in IMPLEMENTATIONS.items():
        if component != "predictor" and draw(st.booleans()):
            continue
        schema = spec_schema()["properties"][component]
        field = draw(st.sampled_from(fields))
        others = {k: v for k, v in schema["properties"].items() if k not in fields}
        tree = draw(values({**schema, "properties": others}))
        tree[field] = draw(values(schema["properties"][field]))
        if draw(st.integers(0, 9)) == 0:
            tree |= draw(values(schema))
        found[component] = tree
    return found


@st.composite
def values(draw: st.DrawFn, schema: Any) -> Any:
    """A value of a structural schema; of an object's optional fields, a few."""
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if schema.get("x-kubernetes-int-or-string"):
        texts = _QUANTITIES if "pattern" in schema else ["http", "0", "8080"]
        return draw(st.sampled_from(texts) | _NUMBERS)
    kind = schema.get("type", "object")
    if kind == "object":
        return draw(_objects(schema))
    if kind == "array":
        return draw(st.lists(values(schema.get("items", {})), max_size=2))
    return draw(
        {
            "string": st.sampled_from(_TEXTS),
            "integer": _NUMBERS,
            "number": _NUMBERS,
            "boolean": st.booleans(),
        }[kind]
    )


@st.composite
def _objects(draw: st.DrawFn, schema: Any) -> Any:
    properties = schema.get("properties", {})
    found: Any = {}
    if isinstance(extra := schema.get("additionalProperties"), dict):
        for key in draw(st.lists(st.sampled_from(_TEXTS), max_size=2, unique=True)):
            found[key] = draw(values(extra))
    optional = sorted(properties.keys() - set(schema.get("required", ())))
    chosen = draw(st.lists(st.sampled_from(optional), max_size=_FEW, unique=True)) if optional else []
    for key in [*schema.get("required", ()), *chosen]:
        found[key] = draw(values(properties[key]))
    if schema.get("x-kubernetes-preserve-unknown-fields") and draw(st.integers(0, 19)) == 0:
        found["fromTheFuture"] = draw(st.sampled_from([None, {}, [], 0, "x", {"a": [None]}]))
    return found
