"""What Knative fills into a Service is no difference; whatever else differs is.

tests/data/knative-defaults-*.jsonl is what the real SetDefaults of Knative Serving v0.18.3 and v0.42.2 made of the
Services in `knative_services`; `hack/record-knative-defaults` writes it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kfs.manager.objects.equality import differences
from kfs.manager.objects.tree import clone
from tests.api.knative_services import OPERATORS, edited, merged, services

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("0.18", "newest")
# Fields that a version does not know make it refuse a Service.
MISSING: dict[str, set[str]] = {"0.18": {"grpc-probe", "pod-security"}, "newest": set()}


def recorded(version: str) -> list[dict[str, Any]]:
    lines = (ROOT / "tests" / "data" / f"knative-defaults-{version}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_service_was_recorded(version: str) -> None:
    names = {(line["operator"], line["name"]) for line in recorded(version)}
    assert names == {(o, s) for o in OPERATORS for s in services() if s not in MISSING[version]}


CASES = [
    pytest.param(line, id=f"{version}-{line['operator']}-{line['name']}")
    for version in VERSIONS
    for line in recorded(version)
]


@pytest.mark.parametrize("line", CASES)
def test_a_service_as_knative_stores_it_is_as_we_want_it(line: dict[str, Any]) -> None:
    sent = services()[line["name"]]
    for wanted, stored in ((sent, line["created"]), (edited(sent), line["updated"])):
        before = clone(stored)
        assert differences(merged(stored, wanted), stored) == []
        assert stored == before


POD_EDITS: dict[str, Any] = {
    "enableServiceLinks": True,
    "timeoutSeconds": 77,
    "containerConcurrency": 5,
    "serviceAccountName": "other",
}
CONTAINER_EDITS: dict[str, Any] = {
    "image": "other:1",
    "env": [{"name": "X", "value": "1"}],
    "ports": [{"containerPort": 1234, "protocol": "TCP"}],
    "securityContext": {"allowPrivilegeEscalation": True},
    "livenessProbe": {"httpGet": {"port": 1}},
    "resources": {"limits": {"cpu": "9"}},
    "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1, "failureThreshold": 9},
}


def stored_plain(version: str) -> Obj:
    return next(
        clone(line["created"])
        for line in recorded(version)
        if (line["operator"], line["name"]) == ("as-installed", "plain")
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("field", [*POD_EDITS, *(f"containers.{field}" for field in CONTAINER_EDITS)])
def test_an_edit_is_repaired(version: str, field: str) -> None:
    stored = stored_plain(version)
    template = clone(stored["spec"]["template"])
    if field == "enableServiceLinks":
        # Filled in on create only: what the edit replaced cannot be told any more.
        template["spec"].pop(field, None)
    pod = stored["spec"]["template"]["spec"]
    if field.startswith("containers."):
        pod = pod["containers"][0]
    pod[field.removeprefix("containers.")] = {**POD_EDITS, **CONTAINER_EDITS}[field.removeprefix("containers.")]
    repaired = merged(stored, services()["plain"])
    assert differences(repaired, stored)
    assert differences(repaired["spec"]["template"], template) == []


def test_the_protocol_that_the_newest_crd_fills_in_is_no_difference() -> None:
    stored = stored_plain("newest")
    port = {"containerPort": 9000}
    stored["spec"]["template"]["spec"]["containers"][0]["ports"] = [{**port, "protocol": "TCP"}]
    assert differences(merged(stored, services()["port"]), stored) == []
    stored["spec"]["template"]["spec"]["containers"][0]["ports"] = [{**port, "protocol": "UDP"}]
    assert differences(merged(stored, services()["port"]), stored) != []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_what_is_recorded_is_still_so(tmp_path: Path) -> None:
    subprocess.run([ROOT / "hack" / "record-knative-defaults", tmp_path], check=True)
    for path in tmp_path.iterdir():
        assert path.read_text() == (ROOT / "tests" / "data" / path.name).read_text()
    assert len(list(tmp_path.iterdir())) == len(VERSIONS)
