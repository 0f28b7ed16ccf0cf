"""Defaults and rules of an InferenceService."""

from __future__ import annotations

from typing import Any

import pytest

from kfs.api.inferenceservice import default, validate
from kfs.manager.errors import ConfigError, ValidationError
from kfs.manager.objects.tree import clone
from tests.samples import MODEL, config, defaulted, isvc


def predictor(**fields: Any) -> Any:
    return isvc(spec={"predictor": {"sklearn": {**defaulted(), "storageUri": MODEL}, **fields}})


def test_an_empty_server_gets_every_default() -> None:
    given = isvc({})
    before = clone(given)
    assert default(given, config())["spec"] == {"predictor": {"sklearn": defaulted()}}
    assert given == before


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"limits": {"cpu": "2", "nvidia.com/gpu": 1}, "requests": {"cpu": 0.5}},
            {
                "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"},
                "requests": {"cpu": "500m", "memory": "2Gi"},
            },
        ),
        (
            {"limits": {"memory": "1024Mi"}},
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}},
        ),
        (
            {"limits": None, "claims": [{"name": "c"}]},
            {**defaulted()["resources"], "claims": [{"name": "c"}]},
        ),
        (None, defaulted()["resources"]),
    ],
)
def test_resources_are_filled_in_and_spelt_canonically(resources: Any, expected: Any) -> None:
    after = default(isvc({"resources": resources}), config())
    assert after["spec"]["predictor"]["sklearn"]["resources"] == expected


def test_quantities_around_the_server_are_spelt_canonically_too() -> None:
    after = default(
        predictor(
            overhead={"cpu": 0.1},
            initContainers=[{"resources": {"limits": {"cpu": "1000m"}}}],
            volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}}],
        ),
        config(),
    )["spec"]["predictor"]
    assert after["overhead"] == {"cpu": "100m"}
    assert after["initContainers"] == [{"resources": {"limits": {"cpu": "1"}}}]
    assert after["volumes"] == [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]


def test_defaulting_again_changes_nothing() -> None:
    once = default(isvc({"protocolVersion": "v2", "resources": {"limits": {"cpu": 1}}}), config())
    assert default(once, config()) == once


@pytest.mark.parametrize("spec", [{}, {"predictor": {}}, {"predictor": {"sklearn": {}, "onnx": {}}}])
def test_without_exactly_one_server_nothing_is_set(spec: Any) -> None:
    assert default(isvc(spec=spec), config())["spec"] == spec


@pytest.mark.parametrize(
    ("server", "field"),
    [
        ({"resources": {"limits": {"cpu": "lots"}}}, "spec.predictor.sklearn.resources.limits.cpu"),
        ({"resources": "big"}, "spec.predictor.sklearn.resources"),
        ({"runtimeVersion": 1}, "spec.predictor.sklearn.runtimeVersion"),
    ],
)
def test_a_wrong_type_or_quantity_names_its_field(server: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        default(isvc(server), config())
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_no_defaults_without_configuration() -> None:
    with pytest.raises(ConfigError, match="predictors"):
        default(isvc({}), config(predictors="{"))


@pytest.mark.parametrize("name", ["x", "ab--c", "m2", "a" * 60])
def test_good_names(name: str) -> None:
    assert validate(isvc(name=name)) == []


@pytest.mark.parametrize("name", ["my.model", "1model", "a-", "", "A", "a_b", "a\n"])
def test_bad_names(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(isvc(name=name))
    message = str(caught.value)
    assert message.startswith(f'The InferenceService "{name}" is invalid: a InferenceService name must consist of')
    assert message.endswith(
        """lower case alphanumeric characters or '-', and must start with alphabetical character."""
        """ (e.g. "my-name" or "abc-123", regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"""
    )


GOOD_URIS = [
    None,
    "",
    "s3://b/k",
    "pvc://claim/dir",
    "file:///m",
    "https://x.blob.core.windows.net/c/b",
    "https://host/m.tar.gz",
    "http://host/m.zip",
    "/mnt/local",
    "relative/dir",
]
BAD_URIS = ["hdfs://n/m", "ftp://h/m", "https://blob.core.windows.net/c", "S3://b/k"]


@pytest.mark.parametrize("uri", GOOD_URIS)
def test_good_storage_uris(uri: str | None) -> None:
    assert validate(isvc({**defaulted(), "storageUri": uri})) == []


@pytest.mark.parametrize("uri", BAD_URIS)
def test_bad_storage_uris(uri: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(isvc({**defaulted(), "storageUri": uri}))
    assert str(caught.value) == (
        "storageUri, must be one of: [gs://, s3://, pvc://, file://, https://, http://] or match"
        " https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path."
        f" StorageUri [{uri}] is not supported."
    )


@pytest.mark.parametrize("uri", ["://x", "gs:/b"])
def test_a_path_that_looks_like_a_uri_is_warned_about(uri: str) -> None:
    (warning,) = validate(isvc({**defaulted(), "storageUri": uri}))
    assert warning.startswith("spec.predictor.sklearn.storageUri: ")


def test_an_unknown_protocol_is_warned_about() -> None:
    (warning,) = validate(isvc({**defaulted(), "protocolVersion": "v9"}))
    assert warning == 'spec.predictor.sklearn.protocolVersion: "v9" is unknown and served as v2; use v1 or v2'


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"containerConcurrency": -1}, "Parallelism cannot be less than 0."),
        ({"minReplicas": -1}, "MinReplicas cannot be less than 0."),
        ({"maxReplicas": -1}, "MaxReplicas cannot be less than 0."),
        ({"minReplicas": 3, "maxReplicas": 2}, "MinReplicas cannot be greater than MaxReplicas."),
        ({"logger": {}}, "Invalid logger type"),
        ({"logger": {"mode": "some"}}, "Invalid logger type"),
        (
            {"canaryTrafficPercent": 120},
            "spec.predictor.canaryTrafficPercent must be between 0 and 100, but is 120",
        ),
        (
            {"canaryTrafficPercent": -5},
            "spec.predictor.canaryTrafficPercent must be between 0 and 100, but is -5",
        ),
        ({"containers": [{"image": "i"}]}, "Exactly one of"),
    ],
)
def test_bad_extensions(fields: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(predictor(**fields))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "fields",
    [
        {"minReplicas": 0},
        {"minReplicas": 2, "maxReplicas": 0},
        {"minReplicas": 2, "maxReplicas": 2},
        {"maxReplicas": 1},
        {"containerConcurrency": 0, "timeout": 5},
        {"canaryTrafficPercent": 0},
        {"canaryTrafficPercent": 100},
        {"logger": {"mode": "all"}, "batcher": {}},
    ],
)
def test_good_extensions(fields: Any) -> None:
    assert validate(predictor(**fields)) == []
