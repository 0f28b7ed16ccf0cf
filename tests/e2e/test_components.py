"""Transformers, explainers, canaries and other people's objects, on a real API server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client as k8s

from kfs.api.constants import KNATIVE_SERVICE, VIRTUAL_SERVICE
from tests.e2e.user import eventually, sklearn

if TYPE_CHECKING:
    from tests.e2e.user import User

pytestmark = pytest.mark.usefixtures("manager", "dataplane")


def backends(user: User) -> list[str]:
    routes = ((user.get("iris", VIRTUAL_SERVICE) or {}).get("spec") or {}).get("http") or []
    return [route["route"][0]["headers"]["request"]["set"]["Host"].split("-")[1] for route in routes]


def traffic(user: User) -> list[tuple[str, int]]:
    service: Any = user.get("iris-predictor-default", KNATIVE_SERVICE) or {}
    return [(t.get("revisionName", "latest"), t["percent"]) for t in service["spec"]["traffic"]]


def is_gone(user: User, name: str) -> bool:
    return user.get(name, KNATIVE_SERVICE) is None


def test_components_come_and_go(user: User) -> None:
    """Fails on the original, which leaves a removed component behind (difference 4)."""
    service = sklearn()
    service["spec"] |= {
        "transformer": {"containers": [{"image": "t"}]},
        "explainer": {"alibi": {"type": "AnchorText"}},
    }
    user.create(service)
    user.wait_ready("iris")
    assert backends(user) == ["explainer", "transformer"]
    user.patch("iris", {"spec": {"transformer": None, "explainer": None}})
    for component in ("transformer", "explainer"):
        eventually(partial(is_gone, user, f"iris-{component}-default"), f"the {component} is gone")
    assert backends(user) == ["predictor"]
    status = (user.get("iris") or {})["status"]
    assert {c["type"] for c in status["conditions"]} == {
        "IngressReady",
        "PredictorConfigurationReady",
        "PredictorReady",
        "PredictorRouteReady",
        "Ready",
    }
    assert set(status["components"]) == {"predictor"}
    assert user.is_ready("iris")


def test_a_canary_and_its_rollback(user: User) -> None:
    """Fails on the original, where the new revision has all traffic for a moment (difference 9)."""
    user.create(sklearn())
    user.wait_ready("iris")
    first = "iris-predictor-default-00001"
    predictor = (user.get("iris") or {})["status"]["components"]["predictor"]
    assert predictor["latestRolledoutRevision"] == first
    model = {"sklearn": {"storageUri": "gs://models/iris2"}}
    user.patch("iris", {"spec": {"predictor": {"canaryTrafficPercent": 10, **model}}})
    eventually(lambda: traffic(user) != [("latest", 100)], "the split")
    assert traffic(user) == [("latest", 10), (first, 90)]
    user.patch("iris", {"spec": {"predictor": {"canaryTrafficPercent": 0}}})
    eventually(lambda: traffic(user) == [("latest", 0), (first, 100)], "the rollback")
    user.patch("iris", {"spec": {"predictor": {"canaryTrafficPercent": None}}})
    eventually(lambda: traffic(user) == [("latest", 100)], "the promotion")


def test_a_service_of_somebody_else_is_left_alone(user: User) -> None:
    """Fails on the original, which overwrites it (difference 6)."""
    spec = k8s.V1ServiceSpec(type="ExternalName", external_name="theirs.example.com")
    theirs = k8s.V1Service(metadata=k8s.V1ObjectMeta(name="iris"), spec=spec)
    user.core.create_namespaced_service(user.namespace, theirs)
    user.create(sklearn())
    refusal = "Warning InternalError: Service iris exists and is controlled by nobody"
    eventually(lambda: any(e.startswith(refusal) for e in user.events("iris")), "the warning")
    conditions = (user.get("iris") or {})["status"]["conditions"]
    assert [(c["status"], c["reason"]) for c in conditions if c["type"] == "IngressReady"] == [("False", "NotOwned")]
    assert user.service("iris")["spec"]["externalName"] == "theirs.example.com"
    user.core.delete_namespaced_service("iris", user.namespace)
    user.wait_ready("iris")
