"""How each model server is configured and run."""

from __future__ import annotations

import pytest

from kfs.api.frameworks import FRAMEWORKS, Model
from kfs.api.v1beta1 import FrameworkSpec
from kfs.manager.errors import ConfigError
from tests.samples import MODEL, config

SKLEARN = FRAMEWORKS["sklearn"]


@pytest.mark.parametrize(
    ("spec", "version", "protocol"),
    [
        (FrameworkSpec(), "0.5", "v1"),
        (FrameworkSpec(protocol_version="v2"), "0.2.1", "v2"),
        (FrameworkSpec(protocol_version="v9"), "0.5", "v9"),
        (FrameworkSpec(runtime_version="mine", protocol_version="v2"), "mine", "v2"),
    ],
)
def test_defaults_follow_the_protocol(spec: FrameworkSpec, version: str, protocol: str) -> None:
    assert SKLEARN.defaults(spec, config()) == {
        "name": "kfserving-container",
        "runtimeVersion": version,
        "protocolVersion": protocol,
    }


def test_the_v1_server_takes_arguments_before_the_users_own() -> None:
    model = Model("m", FrameworkSpec(storage_uri=MODEL), {"args": ["--x=1"], "env": [{"name": "A"}]})
    assert SKLEARN.container(model, config()) == {
        "name": "kfserving-container",
        "image": "sklearnserver:0.5",
        "args": ["--model_name=m", "--model_dir=/mnt/models", "--http_port=8080", "--x=1"],
        "env": [{"name": "A"}],
    }


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
    model = Model("m", FrameworkSpec(), {"args": own}, concurrency)
    assert SKLEARN.container(model, config())["args"][3:] == workers


@pytest.mark.parametrize(
    ("uri", "variables"),
    [
        (MODEL, {"MLSERVER_MODEL_NAME": "m", "MLSERVER_MODEL_URI": "/mnt/models"}),
        (None, {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}),
    ],
)
def test_the_v2_server_takes_variables_after_the_users_own(uri: str | None, variables: dict[str, str]) -> None:
    model = Model("m", FrameworkSpec(storage_uri=uri, protocol_version="v2"), {"env": [{"name": "A", "value": "b"}]})
    container = SKLEARN.container(model, config())
    assert container["image"] == "mlserver:0.2.1"
    assert "args" not in container
    assert container["env"][0] == {"name": "A", "value": "b"}
    assert {e["name"]: e["value"] for e in container["env"][1:]} == {
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "9000",
        "MODELS_DIR": "/mnt/models",
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
        **variables,
    }


def test_an_unknown_protocol_is_served_as_v2_in_v1s_version() -> None:
    spec = FrameworkSpec(protocol_version="v9")
    assert SKLEARN.container(Model("m", spec, {}), config())["image"] == "mlserver:0.5"


def test_the_users_image_wins() -> None:
    nothing = config(predictors={})
    model = Model("m", FrameworkSpec(runtime_version="1"), {"image": "mine:2"})
    assert SKLEARN.container(model, nothing)["image"] == "mine:2"


@pytest.mark.parametrize("sklearn", [{}, {"v1": {"image": "i"}}, {"v1": {"defaultImageVersion": "1"}}])
def test_a_server_that_is_not_configured_says_what_to_set(sklearn: object) -> None:
    with pytest.raises(ConfigError, match=r"set image and defaultImageVersion of sklearn\.v1"):
        SKLEARN.container(Model("m", FrameworkSpec(), {}), config(predictors={"sklearn": sklearn}))


@pytest.mark.parametrize(
    ("spec", "many"),
    [
        (FrameworkSpec(protocol_version="v2"), True),
        (FrameworkSpec(protocol_version="v2", storage_uri=MODEL), False),
        (FrameworkSpec(), False),
        (FrameworkSpec(protocol_version="v9"), False),
    ],
)
def test_many_models_when_configured_and_without_one_of_its_own(spec: FrameworkSpec, many: bool) -> None:
    assert SKLEARN.is_multi_model(spec, config()) is many
