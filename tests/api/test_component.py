"""Taking a component apart."""

from __future__ import annotations

import pytest

from kfs.api.component import parse_component
from kfs.manager.errors import ValidationError
from tests.samples import isvc


def test_our_fields_the_server_and_the_pod_are_told_apart() -> None:
    server = {"storageUri": "s3://b/k", "protocolVersion": "v2", "image": "i:1", "env": [{"name": "A"}]}
    predictor = parse_component(
        isvc(spec={"predictor": {"minReplicas": 2, "sklearn": server, "nodeSelector": {"zone": "a"}}}),
        "predictor",
    )
    assert predictor is not None
    assert predictor.extension.min_replicas == 2
    assert predictor.pod == {"nodeSelector": {"zone": "a"}}
    found = predictor.implementation()
    assert (found.field, found.at) == ("sklearn", "spec.predictor.sklearn")
    assert found.spec.storage_uri == "s3://b/k"
    assert found.container == {"image": "i:1", "env": [{"name": "A"}]}


def test_a_custom_container_names_its_model_in_a_variable() -> None:
    env = [{"name": "A", "value": "b"}, {"name": "STORAGE_URI", "value": "s3://b/k"}]
    predictor = parse_component(isvc(spec={"predictor": {"containers": [{"image": "i", "env": env}]}}), "predictor")
    assert predictor is not None
    assert predictor.implementation().field == "containers"
    assert predictor.implementation().spec.storage_uri == "s3://b/k"


def test_the_predictor_is_always_there_and_the_others_only_when_given() -> None:
    found = isvc(spec={"transformer": None})
    assert parse_component(found, "predictor") is not None
    assert parse_component(found, "transformer") is None
    assert parse_component(found, "explainer") is None


PREDICTORS = "[SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, PMML, LightGBM, PodSpec]"


@pytest.mark.parametrize(
    ("type_", "tree", "message"),
    [
        ("predictor", {}, f"Exactly one of {PREDICTORS} must be specified in PredictorSpec"),
        ("predictor", {"sklearn": None}, f"Exactly one of {PREDICTORS} must be specified in PredictorSpec"),
        (
            "predictor",
            {"sklearn": {}, "onnx": {}},
            f"Exactly one of {PREDICTORS} must be specified in PredictorSpec",
        ),
        ("predictor", {"sklearn": {}, "containers": [{}]}, "Exactly one of"),
        ("transformer", {}, "Exactly one of [PodSpec] must be specified in TransformerSpec"),
        (
            "explainer",
            {"alibi": {}, "aix": {}},
            "Exactly one of [Alibi, AIX, ART, PodSpec] must be specified in",
        ),
    ],
)
def test_exactly_one_implementation(type_: str, tree: object, message: str) -> None:
    component = parse_component(isvc(spec={type_: tree}), type_)  # type: ignore[arg-type]
    assert component is not None
    with pytest.raises(ValidationError) as caught:
        component.implementation()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ([], "spec"),
        ({"predictor": ["sklearn"]}, "spec.predictor"),
        ({"predictor": {"sklearn": "x"}}, "spec.predictor.sklearn"),
        ({"predictor": {"sklearn": {"storageUri": 1}}}, "spec.predictor.sklearn.storageUri"),
        ({"predictor": {"minReplicas": "two"}}, "spec.predictor.minReplicas"),
        ({"predictor": {"logger": {"mode": 1}}}, "spec.predictor.logger.mode"),
        ({"predictor": {"containers": ["x"]}}, "spec.predictor.containers[0]"),
    ],
)
def test_a_wrong_type_names_its_field(spec: object, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_component(isvc(spec=spec), "predictor")
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
