"""The ConfigMap's sections: what they say, and who fails when one is bad."""

from __future__ import annotations

import pytest

from kfs.api.config import Config, parse_config
from kfs.manager.errors import ConfigError
from tests.samples import config, config_data


def test_every_section_is_read() -> None:
    found = config(
        predictors={
            "sklearn": {"v1": {"image": "sk", "defaultImageVersion": "1", "multiModelServer": True}},
            "tensorflow": {"image": "tf", "defaultGpuImageVersion": "1-gpu", "defaultTimeout": "60"},
        },
        explainers={"alibi": {"image": "alibi", "defaultImageVersion": "1"}},
        transformers={"feast": {"image": "feast"}},
        credentials={
            "s3": {"s3AccessKeyIDName": "id", "s3UseHttps": "0"},
            "gcs": {"gcsCredentialFileName": "f"},
        },
    )
    assert found.problems == {}
    sklearn, tensorflow = found.predictors.sklearn, found.predictors.tensorflow
    assert sklearn.v1 is not None
    assert (sklearn.v1.image, sklearn.v1.multi_model_server, sklearn.v2) == ("sk", True, None)
    assert tensorflow is not None
    assert (tensorflow.default_gpu_image_version, tensorflow.default_timeout) == ("1-gpu", "60")
    assert found.explainers.alibi is not None
    assert found.transformers.feast is not None
    assert (found.credentials.s3.access_key_id_name, found.credentials.s3.use_https) == ("id", "0")
    assert found.credentials.gcs.credential_file_name == "f"
    assert found.ingress.local_gateway == "knative-serving/local"
    assert found.logger.default_url == "http://sink"
    assert (found.agent.image, found.batcher.image) == ("agent:1", "agent:1")


def test_resources_are_spelt_canonically() -> None:
    assert config().storage_initializer.resources() == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "100Mi"},
    }


def test_unknown_keys_and_fields_are_ignored() -> None:
    found = config(nobody="{", predictors={"sklearn": {"v1": {"supportedFrameworks": ["sklearn"]}}, "new": 1})
    assert found.problems == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("predictors", "{,", 'key "predictors" of inferenceservice-config is bad: JSON is malformed'),
        ("predictors", "{,", "(byte 1)"),
        ("predictors", "[]", "is bad: Expected a JSON object"),
        ("predictors", {"sklearn": {"v1": {"image": 5}}}, "sklearn.v1.image: Expected `str`, got `int`"),
        ("predictors", {"tensorflow": {"defaultTimeout": "soon"}}, "tensorflow.defaultTimeout"),
        (
            "ingress",
            {"ingressGateway": "g"},
            "Invalid ingress config, ingressGateway and ingressService are",
        ),
        ("ingress", None, 'key "ingress" of inferenceservice-config is missing; add it'),
        ("agent", None, 'key "agent" of inferenceservice-config is missing; add it'),
        (
            "storageInitializer",
            {"cpuLimit": "1", "cpuRequest": "1", "memoryLimit": "lots", "memoryRequest": "1Gi"},
            'Failed to parse resource configuration for "storageInitializer": "quantities'
            " must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\"",
        ),
    ],
)
def test_a_bad_section_names_the_key_and_the_place(key: str, value: object, message: str) -> None:
    assert message in config(**{key: value}).problems[key]


def test_a_bad_section_fails_only_who_needs_it() -> None:
    found = config(predictors="{")
    assert found.ingress.ingress_gateway == "knative-serving/gateway"
    with pytest.raises(ConfigError, match="predictors"):
        _ = found.predictors


def test_an_empty_config_map_has_empty_optional_sections() -> None:
    found = parse_config({})
    assert found.predictors.sklearn.v1 is None
    assert set(found.problems) == {"storageInitializer", "ingress", "logger", "batcher", "agent"}


def test_a_bad_section_keeps_its_last_good_self() -> None:
    good = config()
    bad = parse_config(config_data(predictors="{", ingress={"ingressGateway": "new/g", "ingressService": "s"}))
    found = bad.or_else(good)
    assert found.problems == {}
    assert found.predictors == good.predictors
    assert found.ingress.ingress_gateway == "new/g"
    assert bad.or_else(Config()).problems == bad.problems
