"""From Knative's status to ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kfs.api.status import keep_times, mark_ingress, propagate, read_status, transition
from kfs.api.v1beta1 import ComponentStatus, InferenceServiceStatus
from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec
from tests.samples import NOW, isvc, knative_status

EMPTY = InferenceServiceStatus()
REVISION = "m-predictor-default-00001"


def conditions(status: InferenceServiceStatus) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, c.reason, c.severity) for c in status.conditions}


def test_silence_leaves_no_trace() -> None:
    assert propagate(EMPTY, "predictor", {}, NOW) == EMPTY


def test_a_ready_service() -> None:
    status = propagate(EMPTY, "predictor", knative_status(), NOW)
    assert codec.loads(codec.dumps(status.components["predictor"])) == {
        "latestReadyRevision": REVISION,
        "latestCreatedRevision": REVISION,
        "latestRolledoutRevision": REVISION,
        "traffic": [{"latestRevision": True, "percent": 100, "revisionName": REVISION}],
        "url": "http://m-predictor-default.ns.example.com",
        "address": {"url": "http://m-predictor-default.ns.svc.cluster.local"},
    }
    assert conditions(status) == {
        "PredictorConfigurationReady": ("True", "", "Info"),
        "PredictorReady": ("True", "", ""),
        "PredictorRouteReady": ("True", "", "Info"),
        "Ready": ("Unknown", "", ""),
    }
    assert conditions(mark_ingress(status, "True", NOW))["Ready"] == ("True", "", "")


@pytest.mark.parametrize(("ready", "reason"), [("Unknown", "Deploying"), ("False", "RevisionMissing")])
def test_an_unready_service_says_why(ready: str, reason: str) -> None:
    status = propagate(EMPTY, "predictor", knative_status(ready, reason=reason), NOW)
    assert conditions(status)["Ready"] == (ready, reason, "")
    assert conditions(status)["PredictorReady"] == (ready, reason, "")
    assert status.components["predictor"].url == ""


def test_each_condition_follows_its_own_source() -> None:
    """Fails on the original, which has routes and configurations crossed (difference 13)."""
    said = [
        {"type": "RoutesReady", "status": "False", "reason": "R"},
        {"type": "ConfigurationsReady", "status": "True"},
    ]
    for component, route, configuration in (
        ("predictor", "PredictorRouteReady", "PredictorConfigurationReady"),
        ("transformer", "TransformerRouteReady", "TransformerConfigurationeReady"),
        ("explainer", "ExplainerRoutesReady", "ExplainerConfigurationReady"),
    ):
        found = conditions(propagate(EMPTY, component, {"conditions": said}, NOW))  # type: ignore[arg-type]
        assert found == {route: ("False", "R", "Info"), configuration: ("True", "", "Info")}


def test_the_last_fully_rolled_out_revision_is_remembered() -> None:
    status = propagate(EMPTY, "predictor", knative_status(), NOW)
    second = propagate(status, "predictor", knative_status(revision=2), NOW).components["predictor"]
    assert (second.latest_rolledout_revision, second.previous_rolledout_revision) == (
        "m-predictor-default-00002",
        REVISION,
    )
    split = knative_status(revision=2)
    split["traffic"][0]["percent"] = 20
    partial = propagate(status, "predictor", split, NOW).components["predictor"]
    assert (partial.latest_rolledout_revision, partial.previous_rolledout_revision) == (REVISION, "")


def test_a_service_that_starts_anew_keeps_what_is_still_known() -> None:
    ready = mark_ingress(propagate(EMPTY, "predictor", knative_status(), NOW), "True", NOW)
    status = propagate(ready, "predictor", {}, NOW)
    found = status.components["predictor"]
    assert (found.latest_created_revision, found.latest_ready_revision, found.traffic) == ("", "", ())
    assert (found.url, found.latest_rolledout_revision) == (
        "http://m-predictor-default.ns.example.com",
        REVISION,
    )
    assert status.conditions == ready.conditions


def test_a_condition_that_ends_as_it_began_keeps_its_time() -> None:
    later = NOW + timedelta(hours=1)
    failing = knative_status("False", reason="RevisionFailed")

    def one_pass(status: InferenceServiceStatus, at: Any) -> InferenceServiceStatus:
        return mark_ingress(propagate(status, "predictor", failing, at), "False", at, reason="Not created")

    before = one_pass(EMPTY, NOW)
    after = one_pass(before, later)
    assert after.conditions != before.conditions
    assert keep_times(before.conditions, after.conditions) == before.conditions


def test_a_status_is_read_back_as_it_was_written() -> None:
    status = propagate(EMPTY, "predictor", knative_status("False", reason="R", message="m"), NOW)
    assert read_status(isvc(status=codec.builtins(status))) == status
    assert read_status(isvc()) == EMPTY
    assert read_status(isvc(status={"url": None, "components": {"predictor": {"url": None}}})).components == {
        "predictor": ComponentStatus()
    }


def test_a_status_of_wrong_type_names_the_field() -> None:
    with pytest.raises(ValidationError, match=r"status\.components"):
        read_status(isvc(status={"components": []}))


def test_readiness_changes_are_told_once() -> None:
    unready = propagate(EMPTY, "predictor", knative_status(), NOW)
    ready = mark_ingress(unready, "True", NOW)
    assert transition("m", EMPTY, unready) is None
    assert transition("m", ready, ready) is None
    assert transition("m", unready, ready) == (
        "Normal",
        "InferenceServiceReady",
        "InferenceService [m] is Ready",
    )
    assert transition("m", ready, unready) == (
        "Warning",
        "InferenceServiceNotReady",
        "InferenceService [m] is no longer Ready",
    )
