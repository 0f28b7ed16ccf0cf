"""The Service and the VirtualService of an InferenceService."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.names import host_pattern
from kfs.controllers.ingress import (
    external_service,
    merge_external_service,
    merge_virtual_service,
    virtual_service,
)
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.tree import clone
from tests.samples import config, isvc

if TYPE_CHECKING:
    from kfs.api.constants import ComponentType

INGRESS = config().ingress
ONLY: list[ComponentType] = ["predictor"]
URL = "http://m.ns.example.com"


def test_the_service_is_an_alias_of_the_local_gateway() -> None:
    service = external_service(isvc(), INGRESS)
    assert (service["kind"], service["metadata"]["name"]) == ("Service", "m")
    assert service["spec"] == {
        "type": "ExternalName",
        "externalName": "local.istio-system.svc.cluster.local",
        "sessionAffinity": "None",
    }


def test_a_service_that_somebody_edited_is_restored() -> None:
    desired = external_service(isvc(), INGRESS)
    observed = clone(desired)
    observed["metadata"]["labels"] = {"theirs": "1"}
    assert semantic_equal(merge_external_service(observed, desired), observed)
    edited = {**observed, "spec": {"type": "ExternalName", "externalName": "elsewhere"}}
    assert merge_external_service(edited, desired) == {**observed, "spec": desired["spec"]}


def test_the_virtual_service_routes_by_host() -> None:
    found = virtual_service(isvc(), URL, INGRESS, ONLY)
    assert found["spec"] == {
        "hosts": ["m.ns.svc.cluster.local", "m.ns.example.com"],
        "gateways": ["knative-serving/local", "knative-serving/gateway"],
        "http": [
            {
                "match": [
                    {
                        "authority": {"regex": r"^m\.ns(\.svc(\.cluster\.local)?)?(?::\d{1,5})?$"},
                        "gateways": ["knative-serving/local"],
                    },
                    {
                        "authority": {"regex": r"^m\.ns\.example\.com(?::\d{1,5})?$"},
                        "gateways": ["knative-serving/gateway"],
                    },
                ],
                "route": [
                    {
                        "destination": {
                            "host": "local.istio-system.svc.cluster.local",
                            "port": {"number": 80},
                        },
                        "headers": {"request": {"set": {"Host": "m-predictor-default.ns.svc.cluster.local"}}},
                        "weight": 100,
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("url", "labels"),
    [
        ("http://m.ns.svc.cluster.local", {}),
        (URL, {"serving.knative.dev/visibility": "cluster-local"}),
    ],
)
def test_a_cluster_local_one_is_not_reachable_from_outside(url: str, labels: dict[str, str]) -> None:
    spec = virtual_service(isvc(labels=labels), url, INGRESS, ONLY)["spec"]
    assert (spec["hosts"], spec["gateways"]) == (["m.ns.svc.cluster.local"], ["knative-serving/local"])
    assert len(spec["http"][0]["match"]) == 1


def test_explanations_go_to_the_explainer_and_the_rest_to_the_transformer() -> None:
    explain, predict = virtual_service(isvc(), URL, INGRESS, ["predictor", "transformer", "explainer"])["spec"]["http"]
    assert [match["uri"] for match in explain["match"]] == [{"regex": r"^/v1/models/[\w-]+:explain$"}] * 2
    assert all("uri" not in match for match in predict["match"])
    assert [match["authority"] for match in explain["match"]] == [match["authority"] for match in predict["match"]]
    backends = [r["route"][0]["headers"]["request"]["set"]["Host"] for r in (explain, predict)]
    assert backends == [
        "m-explainer-default.ns.svc.cluster.local",
        "m-transformer-default.ns.svc.cluster.local",
    ]


def test_labels_and_annotations_reach_the_virtual_service() -> None:
    """Fails on the original, which writes them once and never again (difference 24)."""
    was: dict[str, Any] = {"labels": {"a": "1", "gone": "1"}, "annotations": {"x": "1", "gone": "1"}}
    observed = virtual_service(isvc(**was), URL, INGRESS, ONLY)
    observed["metadata"]["labels"]["theirs"] = "1"
    desired = virtual_service(
        isvc(labels={"a": "2"}, annotations={"x": "2", "serving.kubeflow.org/reconciler": "v1beta1"}),
        URL,
        INGRESS,
        ONLY,
    )
    merged = merge_virtual_service(observed, desired, was)
    assert merged["metadata"]["labels"] == {"a": "2", "theirs": "1"}
    assert merged["metadata"]["annotations"] == {"x": "2"}


def test_merging_what_is_as_wanted_changes_nothing() -> None:
    desired = virtual_service(isvc(labels={"a": "1"}), URL, INGRESS, ONLY)
    observed = {**clone(desired), "status": {"by": "istio"}}
    assert semantic_equal(merge_virtual_service(observed, desired, {}), observed)


@pytest.mark.parametrize(
    ("host", "matching", "other"),
    [
        (
            "m.ns.example.com",
            ["m.ns.example.com", "m.ns.example.com:80"],
            ["m.ns", "mxns.example.com", "m.ns.example.com:"],
        ),
        (
            "m-1.ns.svc.cluster.local",
            ["m-1.ns", "m-1.ns.svc", "m-1.ns.svc.cluster.local", "m-1.ns.svc:8080"],
            ["m-1.ns.cluster.local", "x.m-1.ns", "m-1.ns.svc.cluster.local.evil"],
        ),
    ],
)
def test_host_patterns(host: str, matching: list[str], other: list[str]) -> None:
    assert all(re.search(host_pattern(host), h) for h in matching)
    assert not any(re.search(host_pattern(host), h) for h in other)
