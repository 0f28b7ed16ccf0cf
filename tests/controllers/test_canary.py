"""The canary rule, from observed state only, and rollouts from their first to their last step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.v1beta1 import ComponentStatus
from kfs.controllers.canary import Rollout
from kfs.controllers.plan import Observed, plan
from kfs.manager.objects import codec
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.tree import clone
from tests.samples import NOW, config, defaulted, isvc

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

ALL = [{"latestRevision": True, "percent": 100}]


def pinned(percent: int, revision: str) -> list[Any]:
    return [
        {"latestRevision": True, "percent": percent},
        {"latestRevision": False, "percent": 100 - percent, "revisionName": revision, "tag": "prev"},
    ]


def service(traffic: Any = ALL, *, created: str = "r2", ready: str = "r2", seen: int = 1) -> Obj:
    return {
        "metadata": {"generation": 1},
        "spec": {"traffic": traffic},
        "status": {
            "latestCreatedRevisionName": created,
            "latestReadyRevisionName": ready,
            "observedGeneration": seen,
        },
    }


OUT = ComponentStatus(latest_rolledout_revision="r2", previous_rolledout_revision="r1")
FIRST = ComponentStatus(latest_rolledout_revision="r1")
BOTH = (False, True)


@pytest.mark.parametrize("changes", BOTH)
@pytest.mark.parametrize("percent", [0, 20, 100])
def test_without_a_known_revision_nothing_is_named(percent: int, changes: bool) -> None:
    found = Rollout(percent, ComponentStatus()).traffic({"spec": {"traffic": ALL}}, changes_template=changes)
    assert found == ALL


@pytest.mark.parametrize("changes", BOTH)
@pytest.mark.parametrize("status", [OUT, FIRST, ComponentStatus()])
@pytest.mark.parametrize("percent", [0, 30])
def test_a_name_that_is_pinned_stays_and_the_split_changes(
    percent: int, status: ComponentStatus, changes: bool
) -> None:
    found = Rollout(percent, status).traffic(service(pinned(10, "r1")), changes_template=changes)
    assert found == pinned(percent, "r1")


def test_a_changed_template_is_split_in_the_same_update() -> None:
    """Fails on the original, which gives the new revision all traffic first (difference 9)."""
    assert Rollout(10, OUT).traffic(service(), changes_template=True) == pinned(10, "r2")


def test_the_same_template_is_a_rollback() -> None:
    assert Rollout(10, OUT).traffic(service(), changes_template=False) == pinned(10, "r1")
    assert Rollout(10, FIRST).traffic(service(created="r1", ready="r1"), changes_template=False) == ALL


@pytest.mark.parametrize(
    "observed",
    [service(created="r2", ready="r1"), service(created="r1", ready="r1", seen=0)],
)
def test_a_rollout_that_is_under_way_is_no_rollback(observed: Any) -> None:
    """The percent came after the change of the template: its revision has not had all traffic yet."""
    status = ComponentStatus(latest_rolledout_revision="r1", previous_rolledout_revision="r0")
    assert Rollout(10, status).traffic(observed, changes_template=False) == pinned(10, "r1")


def test_all_of_it_needs_no_name_once_it_has_come() -> None:
    assert Rollout(100, FIRST).traffic(service(pinned(10, "r1")), changes_template=False) == pinned(100, "r1")
    assert Rollout(100, OUT).traffic(service(pinned(100, "r1")), changes_template=False) == ALL
    assert Rollout(100, OUT).traffic(service(), changes_template=True) == ALL


@pytest.mark.parametrize("traffic", [ALL, pinned(10, "r1"), pinned(0, "r1"), pinned(0, "else"), [{}], None, "x"])
def test_without_a_percent_all_goes_to_the_newest(traffic: Any) -> None:
    assert Rollout(None, OUT).traffic(service(traffic), changes_template=False) == ALL


def test_after_a_rollback_the_old_revision_serves_until_a_new_one_is_ready() -> None:
    """Fails on the original, which returns to the revision that was rolled back (difference 10)."""
    rollback = Rollout(None, OUT)
    assert rollback.traffic(service(pinned(20, "r1")), changes_template=True) == pinned(0, "r1")
    assert rollback.traffic(service(pinned(0, "r1"), seen=0), changes_template=False) == pinned(0, "r1")
    assert rollback.traffic(service(pinned(0, "r1"), created="r3"), changes_template=False) == pinned(0, "r1")
    assert rollback.traffic(service(pinned(0, "r1"), created="r3", ready="r3"), changes_template=False) == ALL


class Knative:
    """An InferenceService, its Knative Service, and Knative itself: a new revision for each new template."""

    def __init__(self) -> None:
        self.isvc = isvc()
        self.service: Obj | None = None
        self.revision = 0
        self.ready = 0

    def settle(self) -> None:
        """Passes until one writes nothing."""
        for _ in range(5):
            if not self.one_pass():
                return
        raise AssertionError("no fixed point")

    def one_pass(self) -> bool:
        planned = plan(self.isvc, config(), Observed({"predictor": self.service} if self.service else {}), NOW)
        child, wrote = planned.children[0], False
        wanted = child.desired if self.service is None else child.merge(self.service)
        if self.service is None or not semantic_equal(wanted, self.service):
            if self.service is None or wanted["spec"]["template"] != self.service["spec"]["template"]:
                self.revision += 1
            self.service = clone(wanted)
            self.service["metadata"]["generation"] = self.service["metadata"].get("generation", 0) + 1
            wrote = True
        status = codec.loads(codec.dumps(planned.status))
        wrote |= not semantic_equal(status, self.isvc.get("status"))
        self.isvc["status"] = status
        return wrote

    def deploy(self, *, ready: bool = True) -> None:
        """Knative takes in the Service; the newest revision becomes ready or fails."""
        assert self.service is not None
        self.ready = self.revision if ready else self.ready
        latest = f"m-predictor-default-{self.ready:05d}"
        state = "True" if ready else "False"
        self.service["status"] = {
            "observedGeneration": self.service["metadata"]["generation"],
            "conditions": [{"type": "Ready", "status": state}],
            "latestCreatedRevisionName": f"m-predictor-default-{self.revision:05d}",
            "latestReadyRevisionName": latest,
            "url": "http://m-predictor-default.ns.example.com",
            "traffic": [{"revisionName": latest, **target} for target in self.service["spec"]["traffic"]],
        }

    def ask(self, model: str | None = None, **fields: Any) -> None:
        predictor = self.isvc["spec"]["predictor"]
        if model is not None:
            predictor["sklearn"] = {**defaulted(), "storageUri": f"s3://models/{model}"}
        predictor.update(fields)
        self.isvc["metadata"]["generation"] += 1

    def share(self) -> dict[int, int]:
        """The traffic that each revision gets now, by its number."""
        assert self.service is not None
        found: dict[int, int] = {}
        for target in self.service["spec"]["traffic"]:
            number = int(target["revisionName"][-5:]) if target.get("revisionName") else self.ready
            found[number] = found.get(number, 0) + target["percent"]
        return {number: percent for number, percent in found.items() if percent}

    def step(self, *, ready: bool = True) -> dict[int, int]:
        self.deploy(ready=ready)
        self.settle()
        self.deploy(ready=ready)
        self.settle()
        return self.share()


def rolled_out(models: int = 1) -> Knative:
    world = Knative()
    for number in range(1, models + 1):
        world.ask(f"m{number}")
        world.settle()
        world.step()
    return world


def test_a_canary_from_start_to_promotion() -> None:
    world = rolled_out()
    world.ask("m2", canaryTrafficPercent=10)
    world.settle()
    assert world.share() == {1: 100}
    assert world.step(ready=False) == {1: 100}
    assert world.step() == {2: 10, 1: 90}
    world.ask(canaryTrafficPercent=60)
    world.settle()
    assert world.step() == {2: 60, 1: 40}
    world.ask("m3")
    world.settle()
    assert world.step() == {3: 60, 1: 40}
    world.ask(canaryTrafficPercent=None)
    world.settle()
    assert world.step() == {3: 100}
    assert world.isvc["status"]["components"]["predictor"]["latestRolledoutRevision"] == "m-predictor-default-00003"


def test_a_rollback_and_what_comes_after_it() -> None:
    world = rolled_out(2)
    world.ask(canaryTrafficPercent=0)
    world.settle()
    assert world.step() == {1: 100}
    world.ask("m3", canaryTrafficPercent=None)
    world.settle()
    assert world.share() == {1: 100}
    assert world.step(ready=False) == {1: 100}
    assert world.step() == {3: 100}


def test_one_rollout_after_the_other_by_percentages_alone() -> None:
    world = rolled_out()
    for number in (2, 3, 4):
        world.ask(f"m{number}", canaryTrafficPercent=10)
        world.settle()
        assert world.step() == {number: 10, number - 1: 90}
        world.ask(canaryTrafficPercent=100)
        world.settle()
        assert world.step() == {number: 100}


def test_a_canary_asked_for_while_a_rollout_is_under_way() -> None:
    world = rolled_out()
    world.ask("m2")
    world.settle()
    world.ask(canaryTrafficPercent=10)
    world.settle()
    assert world.share() == {1: 100}
    assert world.step() == {2: 10, 1: 90}


def test_a_first_revision_gets_everything() -> None:
    world = Knative()
    world.ask("m1", canaryTrafficPercent=20)
    world.settle()
    assert world.step() == {1: 100}
