"""How each model server is configured and run."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.api.component import parse_component
from kfs.api.frameworks import FRAMEWORKS
from kfs.api.servers import ModelServer, server_of
from kfs.manager.errors import ConfigError, ValidationError
from tests.samples import MODEL, config, isvc

GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
CLASS = {"modelClassName": "Net"}


def server(field: str, tree: Any, **extension: Any) -> ModelServer:
    found = isvc(spec={"predictor": {field: tree, **extension}})
    component = parse_component(found, "predictor")
    assert component is not None
    return server_of(found, component)


@pytest.mark.parametrize(
    ("field", "tree", "version", "protocol"),
    [
        ("sklearn", {}, "0.5", "v1"),
        ("sklearn", {"protocolVersion": "v2"}, "0.2.1", "v2"),
        ("sklearn", {"protocolVersion": "v9"}, "0.5", "v9"),
        ("sklearn", {"runtimeVersion": "mine", "protocolVersion": "v2"}, "mine", "v2"),
        ("sklearn", GPU, "0.5", "v1"),
        ("xgboost", {}, "0.6", "v1"),
        ("xgboost", {"protocolVersion": "v2"}, "0.2.1", "v2"),
        ("pytorch", CLASS, "1", "v1"),
        ("pytorch", {**CLASS, **GPU}, "1-gpu", "v1"),
        ("pytorch", {}, "0.3", "v1"),
        ("pytorch", GPU, "0.3-gpu", "v1"),
        ("pytorch", {**CLASS, "protocolVersion": "v2"}, "0.3", "v2"),
        ("pytorch", {**CLASS, "protocolVersion": "v9"}, "1", "v9"),
        ("tensorflow", {}, "1.14", None),
        ("tensorflow", GPU, "1.14-gpu", None),
        ("tensorflow", {"protocolVersion": "v2"}, "1.14", None),
        ("triton", {}, "20.08", None),
        ("onnx", {}, "v1", None),
        ("pmml", {}, "2", None),
        ("lightgbm", {}, "3", None),
    ],
)
def test_defaults_follow_protocol_and_hardware(field: str, tree: Any, version: str, protocol: str | None) -> None:
    expected = {"name": "kfserving-container", "runtimeVersion": version}
    if protocol is not None:
        expected["protocolVersion"] = protocol
    assert server(field, tree).defaults(config()) == expected


KFSERVER = ["--model_name=m", "--model_dir=/mnt/models", "--http_port=8080"]
CPUS = {"resources": {"limits": {"cpu": "2500m"}}}


@pytest.mark.parametrize(
    ("field", "tree", "image", "args"),
    [
        ("sklearn", {}, "sklearnserver:0.5", KFSERVER),
        ("xgboost", {}, "xgbserver:0.6", [*KFSERVER, "--nthread=0"]),
        ("xgboost", CPUS, "xgbserver:0.6", [*KFSERVER, "--nthread=3"]),
        ("lightgbm", CPUS, "lgbserver:3", [*KFSERVER, "--nthread=3"]),
        ("pmml", {}, "pmmlserver:2", KFSERVER),
        (
            "pytorch",
            CLASS,
            "torch1:1",
            ["--model_name=m", "--model_class_name=Net", "--model_dir=/mnt/models", "--http_port=8080"],
        ),
        *(
            (
                "pytorch",
                tree,
                "torchserve:0.3",
                [
                    "torchserve",
                    "--start",
                    "--model-store=/mnt/models/model-store",
                    "--ts-config=/mnt/models/config/config.properties",
                ],
            )
            for tree in ({}, {**CLASS, "protocolVersion": "v2"})
        ),
        # As in the original, a protocol that nobody knows is served as v2 in v1's version.
        (
            "pytorch",
            {**CLASS, "protocolVersion": "v9"},
            "torchserve:1",
            [
                "torchserve",
                "--start",
                "--model-store=/mnt/models/model-store",
                "--ts-config=/mnt/models/config/config.properties",
            ],
        ),
        (
            "tensorflow",
            {},
            "tfserving:1.14",
            [
                "--port=9000",
                "--rest_api_port=8080",
                "--model_name=m",
                "--model_base_path=/mnt/models",
                "--rest_api_timeout_in_ms=60000",
            ],
        ),
        (
            "triton",
            {"storageUri": MODEL},
            "triton:20.08",
            [
                "tritonserver",
                "--model-store=/mnt/models",
                "--grpc-port=9000",
                "--http-port=8080",
                "--allow-grpc=true",
                "--allow-http=true",
            ],
        ),
        (
            "onnx",
            {"storageUri": "s3://b/dir"},
            "onnxruntime:v1",
            ["--model_path=/mnt/models/model.onnx", "--http_port=8080", "--grpc_port=9000"],
        ),
        (
            "onnx",
            {"storageUri": "s3://b/dir/my.x.onnx"},
            "onnxruntime:v1",
            ["--model_path=/mnt/models/my.x.onnx", "--http_port=8080", "--grpc_port=9000"],
        ),
    ],
)
def test_arguments_come_before_the_users_own(field: str, tree: Any, image: str, args: list[str]) -> None:
    own = {"args": ["--x=1"], "env": [{"name": "A"}]}
    container = server(field, {**tree, **own}).container(config())
    assert container["name"] == "kfserving-container"
    assert container["image"] == image
    assert container["args"] == [*args, "--x=1"]
    assert container["env"] == [{"name": "A"}]
    assert container.get("command") == (["/usr/bin/tensorflow_model_server"] if field == "tensorflow" else None)


@pytest.mark.parametrize(
    ("concurrency", "own", "workers"),
    [
        (None, [], []),
        (4, [], ["--workers=4"]),
        (0, [], ["--workers=0"]),
        (4, ["--workers=3"], ["--workers=3"]),
        (4, ["--workers", "3"], ["--workers", "3"]),
    ],
)
def test_workers_follow_concurrency_unless_set(concurrency: int | None, own: list[str], workers: list[str]) -> None:
    found = server("sklearn", {"args": own}, containerConcurrency=concurrency)
    assert found.container(config())["args"][3:] == workers


def test_one_worker_a_gpu() -> None:
    found = server("pytorch", {**CLASS, **GPU, "args": ["--workers=3"]}, containerConcurrency=4)
    assert found.container(config())["args"][4:] == ["--workers=1", "--workers=3"]


@pytest.mark.parametrize(
    ("tree", "concurrency", "last"),
    [
        ({"storageUri": MODEL}, 4, "--http-thread-count=4"),
        ({"storageUri": MODEL}, 0, "--allow-http=true"),
        ({}, None, "--model-control-mode=explicit"),
        ({}, 4, "--model-control-mode=explicit"),
    ],
)
def test_triton_loads_on_demand_without_a_model(tree: Any, concurrency: int | None, last: str) -> None:
    found = server("triton", tree, containerConcurrency=concurrency)
    assert found.container(config())["args"][-1] == last


def test_tensorflow_takes_the_timeout_that_was_asked_for() -> None:
    assert "--rest_api_timeout_in_ms=7000" in server("tensorflow", {}, timeout=7).container(config())["args"]


@pytest.mark.parametrize("field", ["sklearn", "xgboost"])
@pytest.mark.parametrize(
    ("uri", "variables"),
    [
        (MODEL, {"MLSERVER_MODEL_NAME": "m", "MLSERVER_MODEL_URI": "/mnt/models"}),
        (None, {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}),
    ],
)
def test_mlserver_takes_variables_after_the_users_own(field: str, uri: str | None, variables: dict[str, str]) -> None:
    tree = {"storageUri": uri, "protocolVersion": "v2", "env": [{"name": "A", "value": "b"}]}
    container = server(field, tree).container(config())
    assert container["image"] == "mlserver:0.2.1"
    assert "args" not in container
    assert container["env"][0] == {"name": "A", "value": "b"}
    implementation = {"sklearn": "mlserver_sklearn.SKLearnModel", "xgboost": "mlserver_xgboost.XGBoostModel"}
    assert {e["name"]: e["value"] for e in container["env"][1:]} == {
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
        "MODELS_DIR": "/mnt/models",
        "MLSERVER_MODEL_IMPLEMENTATION": implementation[field],
        **variables,
    }


def test_an_unknown_protocol_is_served_as_v2_in_v1s_version() -> None:
    assert server("sklearn", {"protocolVersion": "v9"}).container(config())["image"] == "mlserver:0.5"


@pytest.mark.parametrize("field", FRAMEWORKS)
def test_the_users_image_needs_no_configuration(field: str) -> None:
    nothing = config(predictors={})
    found = server(field, {"image": "mine:2"})
    assert found.container(nothing)["image"] == "mine:2"
    assert "runtimeVersion" not in found.defaults(nothing)


@pytest.mark.parametrize(
    ("field", "tree", "settings", "what"),
    [
        ("sklearn", {}, {}, r"set image of sklearn\.v1"),
        ("sklearn", {}, {"v1": {"image": "i"}}, r"set defaultImageVersion of sklearn\.v1"),
        ("sklearn", {"protocolVersion": "v2"}, {"v1": {"image": "i"}}, r"set image of sklearn\.v2"),
        ("pmml", {}, {"image": "i"}, "set defaultImageVersion of pmml"),
        ("tensorflow", GPU, {"image": "i"}, "set defaultGpuImageVersion of tensorflow"),
    ],
)
def test_a_server_that_is_not_configured_says_what_to_set(field: str, tree: Any, settings: Any, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        server(field, tree).container(config(predictors={field: settings}))


@pytest.mark.parametrize(
    ("field", "tree", "many"),
    [
        ("sklearn", {"protocolVersion": "v2"}, True),
        ("sklearn", {"protocolVersion": "v2", "storageUri": MODEL}, False),
        ("sklearn", {}, False),
        ("sklearn", {"protocolVersion": "v9"}, False),
        ("triton", {}, True),
        ("triton", {"storageUri": MODEL}, False),
        ("onnx", {}, False),
    ],
)
def test_many_models_when_configured_and_without_one_of_its_own(field: str, tree: Any, many: bool) -> None:
    assert server(field, tree).is_multi_model(config()) is many


@pytest.mark.parametrize(
    ("field", "tree", "protocol"),
    [
        ("sklearn", {"protocolVersion": "v2"}, "v2"),
        ("pytorch", {}, "v1"),
        ("triton", {}, "v2"),
        ("tensorflow", {"protocolVersion": "v2"}, "v1"),
    ],
)
def test_the_protocol_of_the_answers(field: str, tree: Any, protocol: str) -> None:
    assert server(field, tree).protocol == protocol


NOT_GPU = "RuntimeVersion is not GPU enabled but GPU resources are requested. "
GPU_ONLY = "RuntimeVersion is GPU enabled but GPU resources are not requested. "


@pytest.mark.parametrize(
    ("field", "tree", "message"),
    [
        ("pytorch", {**GPU, "runtimeVersion": "1"}, f"PyTorch {NOT_GPU}"),
        ("pytorch", {"runtimeVersion": "1-gpu"}, f"PyTorch {GPU_ONLY}"),
        (
            "tensorflow",
            {**GPU, "runtimeVersion": "1"},
            f"Tensorflow {NOT_GPU}Tensorflow RuntimeVersion must contain -gpu",
        ),
        (
            "tensorflow",
            {"runtimeVersion": "1-gpu"},
            f"Tensorflow {GPU_ONLY}Tensorflow RuntimeVersion must not contain -gpu",
        ),
        ("pytorch", {"protocolVersion": "v2"}, "Invalid inference protocol version"),
        ("onnx", {"storageUri": "s3://b/m.pt"}, "Expected storageUri file extension: '.onnx' but got '.pt'"),
        ("onnx", {"storageUri": "s3://b/m."}, "Expected storageUri file extension: '.onnx' but got '.'"),
    ],
)
def test_what_a_server_cannot_serve_is_refused(field: str, tree: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        server(field, tree).check()
    assert str(caught.value) == message
    assert caught.value.field.startswith(f"spec.predictor.{field}.")


@pytest.mark.parametrize(
    ("field", "tree"),
    [
        ("sklearn", {"runtimeVersion": "1-gpu"}),
        ("tensorflow", {**GPU, "runtimeVersion": "1-gpu"}),
        ("onnx", {"storageUri": "s3://b.c/m/"}),
        ("onnx", {"storageUri": "s3://b.c/m.onnx"}),
    ],
)
def test_what_a_server_can_serve_is_accepted(field: str, tree: Any) -> None:
    server(field, tree).check()


def test_a_protocol_without_effect_is_warned_about() -> None:
    (warning,) = server("tensorflow", {"protocolVersion": "v2"}).oddities()
    assert warning == 'spec.predictor.tensorflow.protocolVersion: "v2" is ignored; tensorflow always answers as v1'
    assert server("triton", {"protocolVersion": "v2"}).oddities() == []
