"""Explainers, transformers and custom containers."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.api.component import parse_component
from kfs.api.inferenceservice import default, validate
from kfs.api.servers import ModelServer, server_of
from kfs.manager.errors import ConfigError, ValidationError
from tests.samples import MODEL, config, defaulted, isvc

RESOURCES = defaulted()["resources"]


def component(type_: Any, **tree: Any) -> Any:
    return isvc(spec={"predictor": {"sklearn": {**defaulted(), "storageUri": MODEL}}, type_: tree})


def server(type_: Any, **tree: Any) -> ModelServer:
    found = component(type_, **tree)
    parsed = parse_component(found, type_)
    assert parsed is not None
    return server_of(found, parsed)


@pytest.mark.parametrize(
    ("field", "tree", "image", "last"),
    [
        ("alibi", {"type": "AnchorText"}, "alibi:0.5", ["AnchorText"]),
        ("alibi", {}, "alibi:0.5", [""]),
        ("alibi", {"type": "AnchorTabular", "runtimeVersion": "9"}, "alibi:9", ["AnchorTabular"]),
        (
            "aix",
            {"type": "LimeImages", "config": {"b": "2", "a": "1"}},
            "aix:0.1",
            ["--explainer_type", "LimeImages", "--a", "1", "--b", "2"],
        ),
        ("art", {"type": "SquareAttack"}, "art:0.2", ["--adversary_type", "SquareAttack"]),
        (
            "art",
            {"type": "SquareAttack", "storageUri": "s3://e/x"},
            "art:0.2",
            ["--storage_uri", "/mnt/models", "--adversary_type", "SquareAttack"],
        ),
    ],
)
def test_an_explainer_is_told_whom_to_explain_and_how(field: str, tree: Any, image: str, last: list[str]) -> None:
    given = {**tree, "args": ["--own"], "resources": RESOURCES}
    assert server("explainer", **{field: given}).container(config()) == {
        "name": "kfserving-container",
        "image": image,
        "resources": RESOURCES,
        "args": [
            *("--model_name", "m", "--http_port", "8080", "--predictor_host", "m-predictor-default.ns"),
            *last,
            "--own",
        ],
    }


def test_arguments_of_the_users_win() -> None:
    own = ["--predictor_host=x", "--workers", "3"]
    found = server("explainer", alibi={"type": "AnchorText", "args": own}, containerConcurrency=4)
    assert found.container(config())["args"] == ["--model_name", "m", "--http_port", "8080", "AnchorText", *own]
    found = server("explainer", alibi={"type": "AnchorText"}, containerConcurrency=4)
    assert found.container(config())["args"][6:8] == ["--workers", "4"]


def test_only_alibi_keeps_the_users_container() -> None:
    own = {"image": "mine:1", "env": [{"name": "A", "value": "b"}]}
    alibi = server("explainer", alibi={"type": "AnchorText", **own}).container(config())
    assert (alibi["image"], alibi["env"]) == ("mine:1", own["env"])
    aix = server("explainer", aix={"type": "LimeImages", **own})
    assert aix.container(config())["image"] == "aix:0.1"
    assert "env" not in aix.container(config())
    assert aix.oddities() == [
        "spec.explainer.aix.env: is ignored by aix",
        "spec.explainer.aix.image: is ignored by aix",
    ]


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("alibi", "AnchorTabular, AnchorImages, AnchorText, Counterfactuals, Contrastive"),
        ("aix", "LimeImages"),
        ("art", "SquareAttack"),
    ],
)
def test_an_unknown_method_is_accepted_with_a_warning(field: str, known: str) -> None:
    (warning,) = validate(component("explainer", **{field: {"type": "Magic"}}))
    assert warning == f'spec.explainer.{field}.type: "Magic" is no method of {field}; it has {known}'


def test_an_explainer_that_is_not_configured_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="set image of aix"):
        server("explainer", aix={}).container(config(explainers={}))
    with pytest.raises(ConfigError, match="set defaultImageVersion of aix"):
        server("explainer", aix={}).defaults(config(explainers={"aix": {"image": "i"}}))


def test_no_address_fetches_nothing() -> None:
    """Fails on the original, whose Alibi is handed an empty address to fetch from."""
    assert server("explainer", alibi={"type": "AnchorText", "storageUri": ""}).storage_uri is None


@pytest.mark.parametrize(
    ("type_", "args"),
    [
        ("predictor", None),
        ("transformer", ["--model_name", "m", "--predictor_host", "m-predictor-default.ns", "--http_port", "8080"]),
        ("explainer", ["--model_name", "m", "--predictor_host", "m-predictor-default.ns", "--http_port", "8080"]),
    ],
)
def test_a_custom_container_is_told_whom_it_works_for(type_: str, args: Any) -> None:
    container = server(type_, containers=[{"image": "i", "name": "x"}]).container(config())
    assert container["name"] == "kfserving-container"
    assert container.get("args") == args


@pytest.mark.parametrize(
    ("type_", "added"), [("transformer", []), ("explainer", ["--http_port", "8080"]), ("predictor", [])]
)
def test_custom_arguments_win(type_: str, added: list[str]) -> None:
    own = ["--model_name", "x", "--predictor_host=y", "--http_port=1", "--workers=2"]
    found = server(type_, containers=[{"image": "i", "args": own}], containerConcurrency=4)
    assert found.container(config())["args"] == [*own, *added]


def test_workers_follow_concurrency() -> None:
    found = server("transformer", containers=[{"image": "i"}], containerConcurrency=4)
    assert found.container(config())["args"][-2:] == ["--workers", "4"]


@pytest.mark.parametrize("type_", ["predictor", "transformer", "explainer"])
def test_a_custom_container_gets_name_and_resources(type_: str) -> None:
    given = component(type_, containers=[{"image": "i"}, {"name": "side", "image": "s"}])
    first, second = default(given, config())["spec"][type_]["containers"]
    assert first == {"image": "i", "name": "kfserving-container", "resources": RESOURCES}
    assert second == {"name": "side", "image": "s"}


@pytest.mark.parametrize(
    ("tree", "set_"),
    [({"alibi": {}}, {"runtimeVersion": "0.5"}), ({"art": {"runtimeVersion": "x"}}, {"runtimeVersion": "x"})],
)
def test_defaults_of_an_explainer(tree: Any, set_: Any) -> None:
    (field,) = tree
    found = default(component("explainer", **tree), config())["spec"]["explainer"][field]
    assert found == {"name": "kfserving-container", "resources": RESOURCES, **set_}


@pytest.mark.parametrize("type_", ["transformer", "explainer", "predictor"])
def test_what_cannot_be_fetched_is_refused(type_: str) -> None:
    env = [{"name": "STORAGE_URI", "value": "hdfs://n/m"}]
    with pytest.raises(ValidationError, match=r"StorageUri \[hdfs://n/m\] is not supported"):
        validate(component(type_, containers=[{"image": "i", "env": env}]))


def test_fields_without_effect_are_warned_about() -> None:
    assert validate(component("transformer", containers=[{}], logger={"mode": "all"}, batcher={})) == [
        "spec.transformer.logger: works on predictors only",
        "spec.transformer.batcher: works on predictors only",
    ]
    assert validate(component("explainer", alibi={"type": "AnchorText"}, serviceAccountName="s")) == [
        "spec.explainer.serviceAccountName: is ignored beside alibi"
    ]
    assert validate(component("explainer", containers=[{}], serviceAccountName="s")) == []
