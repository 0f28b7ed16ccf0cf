"""The defaulting and validating webhooks, through their handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.errors import ConfigError
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse
from kfs.webhook.inferenceservices import defaulter, validator
from tests.samples import config, defaulted, isvc

if TYPE_CHECKING:
    from kfs.api.config import Config


def request(tree: Any, operation: Any = "CREATE") -> AdmissionRequest:
    return AdmissionRequest(uid="u", operation=operation, namespace="ns", name="m", object=tree)


async def default(tree: Any, settings: Config | None = None) -> AdmissionResponse:
    return await defaulter(lambda: settings or config())(request(tree))


async def test_defaults_are_answered_as_a_patch() -> None:
    tree = isvc({})
    response = await default(tree)
    assert response.allowed
    after = jsonpatch.apply_patch(tree, list(response.patch or ()))
    assert after["spec"]["predictor"]["sklearn"] == defaulted()
    assert (await default(after)).patch is None


@pytest.mark.parametrize("spec", [["x"], {"predictor": ["sklearn"]}, {"predictor": {"minReplicas": "two"}}])
async def test_a_wrong_type_is_a_bad_request_that_names_the_field(spec: Any) -> None:
    response = await default(isvc(spec=spec))
    assert (response.allowed, response.code) == (False, 400)
    assert response.message.startswith("spec")


async def test_bad_configuration_is_our_error_and_names_the_key() -> None:
    response = await default(isvc({}), config(predictors="{,"))
    assert (response.allowed, response.code) == (False, 500)
    assert 'key "predictors" of inferenceservice-config is bad: JSON is malformed' in response.message


async def test_missing_configuration_is_our_error() -> None:
    def missing() -> Config:
        raise ConfigError("ConfigMap ns/inferenceservice-config does not exist")

    response = await defaulter(missing)(request(isvc({})))
    assert (response.code, response.message) == (500, "ConfigMap ns/inferenceservice-config does not exist")


async def test_what_keeps_the_rules_is_allowed() -> None:
    response = await validator()(request(isvc()))
    assert (response.allowed, response.warnings) == (True, ())


async def test_what_is_odd_is_allowed_with_a_warning() -> None:
    response = await validator()(request(isvc({**defaulted(), "protocolVersion": "v9"})))
    assert response.allowed
    assert response.warnings == (
        'spec.predictor.sklearn.protocolVersion: "v9" is unknown and served as v2; use v1 or v2',
    )


async def test_what_breaks_a_rule_is_denied_with_its_message() -> None:
    tree = isvc(spec={"predictor": {"minReplicas": -1, "sklearn": {}}})
    response = await validator()(request(tree, "UPDATE"))
    assert (response.allowed, response.code) == (False, 403)
    assert response.message == "MinReplicas cannot be less than 0."


async def test_no_rule_holds_an_object_that_is_going_away() -> None:
    tree = isvc(spec={"predictor": ["x"]}, deletionTimestamp="2026-01-01T00:00:00Z")
    for handler in (defaulter(lambda: config(predictors="{")), validator()):
        assert (await handler(request(tree, "UPDATE"))).allowed
        assert (await handler(request(None, "DELETE"))).allowed


# fmt: off
FIELDS = [
    "predictor", "transformer", "explainer", "sklearn", "xgboost", "alibi", "containers", "resources",
    "limits", "requests", "cpu", "env", "name", "value", "args", "image", "minReplicas", "logger", "mode",
    "batcher", "storageUri", "protocolVersion", "runtimeVersion", "volumes", "emptyDir", "sizeLimit",
    "overhead", "ports", "readinessProbe", "config", "STORAGE_URI",
]
# fmt: on
TEXTS = st.sampled_from(["", "v1", "1Gi", "gs://b/k", "STORAGE_URI"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | TEXTS,
    lambda trees: st.lists(trees, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), trees, max_size=5),
    max_leaves=25,
)
SERVERS = st.dictionaries(st.sampled_from(FIELDS), TREES, max_size=6)
SPECS = TREES | st.fixed_dictionaries({"predictor": st.fixed_dictionaries({"sklearn": SERVERS})})


@given(SPECS)
async def test_any_spec_gets_an_answer(spec: Any) -> None:
    tree = isvc(spec=spec)
    for handler in (defaulter(config), validator()):
        response = await handler(request(tree))
        assert response.allowed or response.message


@given(SPECS)
async def test_defaulting_twice_is_defaulting_once(spec: Any) -> None:
    tree = isvc(spec=spec)
    response = await default(tree)
    if response.allowed:
        after = jsonpatch.apply_patch(tree, list(response.patch or ()))
        assert (await default(after)).patch is None
