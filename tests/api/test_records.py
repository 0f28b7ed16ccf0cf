"""Our fields out of a tree that Kubernetes shares: nothing lost, nothing misread."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.api import trainedmodel, v1alpha2, v1beta1
from kfs.api.records import own_fields
from kfs.api.v1beta1 import AlibiSpec, ComponentExtension, FrameworkSpec, Logger, PredictorSpec
from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec

AT = "spec.predictor"


def test_a_component_is_our_fields_its_servers_and_a_pod() -> None:
    server = {"storageUri": "gs://m", "env": [{"name": "A", "value": "1"}]}
    tree = {"minReplicas": 0, "logger": {"mode": "all"}, "sklearn": server, "serviceAccountName": "sa"}

    predictor, rest = own_fields(tree, PredictorSpec, AT)

    assert predictor == PredictorSpec(min_replicas=0, logger=Logger(mode="all"))
    assert rest == {"sklearn": server, "serviceAccountName": "sa"}


def test_a_server_is_our_fields_and_a_container() -> None:
    tree = {"storageUri": "gs://m", "image": "i", "resources": {"limits": {"cpu": "1"}}, "from": "the future"}

    spec, container = own_fields(tree, FrameworkSpec, f"{AT}.sklearn")

    assert spec == FrameworkSpec(storage_uri="gs://m")
    assert container == {"image": "i", "resources": {"limits": {"cpu": "1"}}, "from": "the future"}


def test_null_means_absent() -> None:
    tree = {"minReplicas": None, "logger": {"mode": None, "url": "http://s"}, "sklearn": None}
    predictor, rest = own_fields(tree, PredictorSpec, AT)
    assert predictor == PredictorSpec(logger=Logger(url="http://s"))
    assert rest == {"sklearn": None}


@pytest.mark.parametrize(
    ("tree", "record", "field"),
    [
        ({"minReplicas": "two"}, ComponentExtension, "spec.predictor.minReplicas"),
        ({"logger": {"url": 1}}, ComponentExtension, "spec.predictor.logger.url"),
        ({"storageUri": ["gs://m"]}, FrameworkSpec, "spec.predictor.storageUri"),
        ({"config": {"a": 1}}, AlibiSpec, "spec.predictor.config[...]"),
        (["sklearn"], ComponentExtension, "spec.predictor"),
        (None, ComponentExtension, "spec.predictor"),
    ],
)
def test_a_wrong_type_is_refused_with_the_path(tree: Any, record: type[msgspec.Struct], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        own_fields(tree, record, AT)
    assert refused.value.field == field
    assert field in str(refused.value)


EXTENSIONS: Any = st.from_type(ComponentExtension)
POD_FIELDS: Any = st.dictionaries(
    st.sampled_from(["containers", "serviceAccountName", "volumes", "sklearn", "fromTheFuture"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)


@given(extension=EXTENSIONS, pod=POD_FIELDS)
def test_nothing_is_lost_between_the_two_halves(extension: ComponentExtension, pod: dict[str, Any]) -> None:
    tree = {**codec.builtins(extension), **pod}
    assert own_fields(tree, ComponentExtension, AT) == (extension, pod)


@pytest.mark.parametrize("module", [v1beta1, v1alpha2, trainedmodel])
def test_every_field_says_what_it_is(module: Any) -> None:
    records = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    ]
    fields = [(record, field) for record in records for field in msgspec.structs.fields(record)]
    assert fields
    for record, field in fields:
        info = msgspec.inspect.type_info(field.type)
        described = isinstance(info, msgspec.inspect.Metadata) and info.extra_json_schema
        assert described, f"{record.__name__}.{field.name} has no description"
        assert described["description"].endswith(".")
