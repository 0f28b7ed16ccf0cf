"""Defaults and rules of v1alpha2, with the original's messages."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.api import inferenceservice
from kfs.api.constants import CONVERSION_ANNOTATION
from kfs.api.inferenceservice_v1alpha2 import default, validate
from kfs.api.ownership import owner_of
from kfs.manager.errors import ConfigError, ValidationError
from kfs.manager.objects.tree import Obj, mapping
from tests import samples
from tests.samples import config

RECONCILER = "serving.kubeflow.org/reconciler"
RESOURCES = {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}}
SKLEARN = {"sklearn": {"storageUri": "gs://m"}}
ONE_PREDICTOR = (
    "Exactly one of [Custom, ONNX, Tensorflow, Triton, SKLearn, XGBoost, LightGBM] must be specified in PredictorSpec"
)


def isvc(predictor: Any = None, *, owner: str | None = None, name: str = "m", **spec: Any) -> Obj:
    """An InferenceService v1alpha2 with a predictor, and whatever else its spec has."""
    metadata: Obj = {"name": name, "namespace": "ns"}
    if owner is not None:
        metadata["annotations"] = {RECONCILER: owner}
    endpoint = {} if predictor is None else {"default": {"predictor": predictor}}
    return {
        "apiVersion": "serving.kubeflow.org/v1alpha2",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {**endpoint, **spec},
    }


def predictor(server: Obj, owner: str | None = None) -> Any:
    """The defaulted predictor of an InferenceService that names this server."""
    return default(isvc(server, owner=owner), config())["spec"]["default"]["predictor"]


# Defaults

GPU = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
ON_GPU = {"limits": {**RESOURCES["limits"], "nvidia.com/gpu": "1"}, "requests": RESOURCES["requests"]}
DEFAULTS: list[tuple[str, Obj, Obj]] = [
    ("sklearn", {}, {"runtimeVersion": "0.5"}),
    ("sklearn", {"runtimeVersion": "v7"}, {}),
    ("xgboost", {}, {"runtimeVersion": "0.6", "nthread": 1}),
    ("lightgbm", {"nthread": 3}, {"runtimeVersion": "3"}),
    ("tensorflow", {}, {"runtimeVersion": "1.14"}),
    ("tensorflow", GPU, {"runtimeVersion": "1.14-gpu", "resources": ON_GPU}),
    ("triton", {}, {"runtimeVersion": "20.08"}),
    ("onnx", {}, {"runtimeVersion": "v1"}),
    ("pmml", {}, {"runtimeVersion": "2"}),
    ("pytorch", {}, {"runtimeVersion": "", "modelClassName": "PyTorchModel"}),
    ("pytorch", {"modelClassName": "Net"}, {"runtimeVersion": ""}),
]


@pytest.mark.parametrize(("field", "given", "wanted"), DEFAULTS)
def test_defaults_of_a_predictor(field: str, given: Obj, wanted: Obj) -> None:
    assert predictor({field: given}) == {field: {"resources": RESOURCES, **given, **wanted}}


def test_threads_follow_the_requested_cpus_in_what_v1alpha2_runs() -> None:
    server = {"xgboost": {"resources": {"requests": {"cpu": "1500m"}}}}
    assert predictor(server)["xgboost"]["nthread"] == 2
    assert "nthread" not in predictor(server, owner="v1beta1")["xgboost"]


def test_defaults_of_every_component_of_both_endpoints() -> None:
    custom = {"custom": {"container": {"image": "i", "resources": {"limits": {"cpu": 0.5}}}}}
    endpoint = {"predictor": SKLEARN, "transformer": custom, "explainer": {"alibi": {"type": "AnchorText"}}}
    spec = default(isvc(default=endpoint, canary=endpoint), config())["spec"]
    assert spec["default"] == spec["canary"]
    assert spec["canary"]["transformer"]["custom"]["container"] == {
        "image": "i",
        "resources": {"limits": {"cpu": "500m", "memory": "2Gi"}, "requests": RESOURCES["requests"]},
    }
    assert spec["canary"]["explainer"]["alibi"] == {
        "type": "AnchorText",
        "runtimeVersion": "0.5",
        "resources": RESOURCES,
    }


def test_defaulting_twice_is_defaulting_once() -> None:
    once = default(isvc({"xgboost": {}}, canary={"predictor": {"pytorch": {}}}), config())
    assert default(once, config()) == once


@pytest.mark.parametrize("endpoint", [{}, {"predictor": {}}, {"predictor": {"onnx": {}, **SKLEARN}}])
def test_what_validation_refuses_has_no_defaults(endpoint: Any) -> None:
    assert default(isvc(default=endpoint), config())["spec"] == {"default": endpoint}


@pytest.mark.parametrize(
    ("broken", "key"),
    [({"predictors": {"onnx": {"image": "i"}}}, "predictors"), ({"predictors": "{"}, "predictors")],
)
def test_a_version_that_is_not_configured_is_our_error(broken: Any, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        default(isvc({"onnx": {}}), config(**broken))


def test_the_empty_version_stays_where_v1beta1_takes_over() -> None:
    after = inferenceservice.default(samples.isvc({"runtimeVersion": ""}), config())
    assert after["spec"]["predictor"]["sklearn"]["runtimeVersion"] == ""


# Who looks after it


@pytest.mark.parametrize(("written", "owner"), [(None, "v1alpha2"), ("v1beta1", "v1beta1"), ("v1alpha2", "v1alpha2")])
def test_a_new_object_is_stamped_unless_its_author_did(written: str | None, owner: str) -> None:
    after = default(isvc(SKLEARN, owner=written), config())
    assert owner_of(after) == mapping(after, "metadata", "annotations")[RECONCILER] == owner


def test_an_object_that_is_there_is_not_stamped() -> None:
    stored = isvc(SKLEARN)
    assert "annotations" not in default(isvc(SKLEARN), config(), stored)["metadata"]
    assert owner_of(stored) == "v1beta1"


@pytest.mark.parametrize("value", ["", "v1", "V1beta1"])
def test_other_controllers_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match=rf'reconciler\]: "{value}" is no controller; write v1alpha2 or v1beta1'):
        validate(isvc(SKLEARN, owner=value))


def test_v1beta1_has_the_same_controllers_and_record() -> None:
    with pytest.raises(ValidationError, match="is no controller"):
        inferenceservice.validate(samples.isvc(annotations={RECONCILER: "v1"}))
    with pytest.raises(ValidationError, match="cannot be read"):
        inferenceservice.validate(samples.isvc(annotations={CONVERSION_ANNOTATION: "{"}))


# Rules


def custom(**container: Any) -> Obj:
    return {"custom": {"container": {"name": "kfserving-container", "image": "i", **container}}}


CONTAINER = "Custom container validation error: "
REFUSED: dict[str, tuple[Obj, str]] = {
    "no default": (isvc(), ONE_PREDICTOR),
    "no predictor": (isvc(default={}), ONE_PREDICTOR),
    "no server": (isvc({}), ONE_PREDICTOR),
    "two servers": (isvc({**SKLEARN, "onnx": {}}), ONE_PREDICTOR),
    "empty canary": (isvc(SKLEARN, canary={}), ONE_PREDICTOR),
    "empty transformer": (
        isvc(default={"predictor": SKLEARN, "transformer": {}}),
        "Exactly one of [Custom, Feast] must be specified in TransformerSpec",
    ),
    "empty explainer": (
        isvc(default={"predictor": SKLEARN, "explainer": {}}),
        "Exactly one of [Custom, Alibi, AIX] must be specified in ExplainerSpec",
    ),
    "name": (isvc(SKLEARN, name="2m"), 'The InferenceService "2m" is invalid: a InferenceService name must'),
    "parallelism": (isvc({**SKLEARN, "parallelism": -1}), "Parallelism cannot be less than 0."),
    "least": (isvc({**SKLEARN, "minReplicas": -1}), "MinReplicas cannot be less than 0."),
    "most": (isvc({**SKLEARN, "maxReplicas": -1}), "MaxReplicas cannot be less than 0."),
    "least and most": (
        isvc({**SKLEARN, "minReplicas": 4, "maxReplicas": 2}),
        "MinReplicas cannot be greater than MaxReplicas.",
    ),
    "logger": (isvc({**SKLEARN, "logger": {}}), "Invalid logger type"),
    "uri": (isvc({"sklearn": {"storageUri": "zz://x"}}), "storageUri, must be one of: [gs://, s3://"),
    "explainer's uri": (
        isvc(default={"predictor": SKLEARN, "explainer": {"aix": {"storageUri": "zz://x"}}}),
        "storageUri, must be one of: [gs://, s3://",
    ),
    "onnx": (
        isvc({"onnx": {"storageUri": "gs://b/m.pt"}}),
        "Expected storageUri file extension: .onnx but got .pt",
    ),
    "tensorflow without GPU": (
        isvc({"tensorflow": {"runtimeVersion": "1-gpu"}}),
        "Tensorflow RuntimeVersion is GPU enabled but GPU resources are not requested. ",
    ),
    "pytorch on a GPU": (
        isvc({"pytorch": {"runtimeVersion": "1", **GPU}}),
        "PyTorch RuntimeVersion is not GPU enabled but GPU resources are requested. ",
    ),
    "no container": (isvc({"custom": {}}), CONTAINER + "missing field(s): image"),
    "volumes": (
        isvc(custom(volumeMounts=[{"name": "v", "mountPath": "/v"}])),
        CONTAINER + "missing field(s): volumeMounts[0].readOnly\n"
        "volumeMount has no matching volume: volumeMounts[0].name",
    ),
    "terminal": (isvc(custom(tty=True, stdin=True)), CONTAINER + "must not set the field(s): stdin, tty"),
    "reserved": (
        isvc(custom(name="queue-proxy", env=[{"name": "PORT", "value": "1"}])),
        CONTAINER + '"PORT" is a reserved environment variable: env[0].name\n'
        '"queue-proxy" is a reserved container name: name',
    ),
    "container's name": (
        isvc(custom(name="x", env=[{"name": "STORAGE_URI", "value": "gs://m"}])),
        CONTAINER + 'container name must be "kfserving-container"',
    ),
    "percent without canary": (
        isvc(SKLEARN, owner="v1alpha2", canaryTrafficPercent=5),
        "Canary must be specified when CanaryTrafficPercent > 0.",
    ),
    "percent": (
        isvc(SKLEARN, owner="v1alpha2", canary={"predictor": SKLEARN}, canaryTrafficPercent=101),
        "TrafficPercent must be between [0, 100].",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_breaks_a_rule_is_refused_with_the_originals_message(case: str) -> None:
    tree, message = REFUSED[case]
    with pytest.raises(ValidationError) as refused:
        validate(tree)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("percent", [0, 20, 100])
def test_canaries_are_taken(percent: int) -> None:
    assert validate(isvc(SKLEARN, owner="v1alpha2", canary={"predictor": SKLEARN}, canaryTrafficPercent=percent)) == []


def test_no_canary_is_needed_for_v1beta1s_percent() -> None:
    assert validate(isvc(SKLEARN, canaryTrafficPercent=30)) == []
    assert validate(isvc(SKLEARN, owner="v1alpha2", canaryTrafficPercent=0)) == []


def test_bringing_a_canary_to_v1beta1_is_warned_of_once() -> None:
    without, with_ = isvc(SKLEARN), isvc(SKLEARN, canary={"predictor": SKLEARN})
    [warning] = validate(with_, without)
    assert warning.startswith("spec.canary: does nothing while v1beta1's controller looks after")
    assert validate(with_, with_) == []
    assert validate(isvc(SKLEARN, owner="v1alpha2", canary={"predictor": SKLEARN}), without) == []


def test_pytorch_without_a_version_is_warned_of() -> None:
    [warning] = validate(isvc({"pytorch": {}}))
    assert warning.startswith("spec.default.predictor.pytorch.runtimeVersion: has no default in v1alpha2")
    assert validate(isvc({"pytorch": {"runtimeVersion": "v7"}})) == []


@pytest.mark.parametrize("spec", ["x", {"default": []}, {"default": {"predictor": {"sklearn": {"storageUri": 1}}}}])
def test_a_wrong_type_is_refused_and_named(spec: Any) -> None:
    tree = {**isvc(), "spec": spec}
    for judge in (validate, lambda tree: default(tree, config())):
        with pytest.raises(ValidationError, match="spec"):
            judge(tree)
