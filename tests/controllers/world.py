"""An InferenceService `ns/m` and its children, as a server would keep them, for tests of `plan` without a server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kfs.api.component import COMPONENTS
from kfs.api.constants import KNATIVE_SERVICE, VIRTUAL_SERVICE, ComponentType
from kfs.controllers.plan import Observed, Plan, plan
from kfs.manager.objects import codec
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.kinds import SERVICE, Kind
from kfs.manager.objects.tree import name
from tests.samples import NOW, config, isvc, knative_status

if TYPE_CHECKING:
    from kfs.api.config import Config
    from kfs.manager.objects.tree import Obj


def knative_key(component: ComponentType) -> tuple[Kind, str]:
    """Where `World.children` has the Knative Service of a component."""
    return KNATIVE_SERVICE, f"m-{component}-default"


PREDICTOR_SERVICE = knative_key("predictor")
ALIAS = (SERVICE, "m")
ROUTES = (VIRTUAL_SERVICE, "m")


class World:
    """`play` is what Knative says of a component."""

    def __init__(self, tree: Obj, settings: Config | None = None) -> None:
        self.isvc = tree
        self.config = settings or config()
        self.children: dict[tuple[Kind, str], Obj] = {}
        self.now: datetime = NOW

    def one_pass(self) -> tuple[Plan, list[str]]:
        """Plan and carry out; returns the plan and the resources written, each delete as `-NAME`."""
        self.now += timedelta(hours=1)
        found = {t: self.children[knative_key(t)] for t in COMPONENTS if knative_key(t) in self.children}
        planned = plan(self.isvc, self.config, Observed(found), self.now)
        written = []
        for child in planned.children:
            key = child.kind, name(child.desired)
            there = self.children.get(key)
            wanted = child.desired if there is None else child.merge(there)
            if there is None or not semantic_equal(wanted, there):
                self.children[key] = wanted
                written.append(child.kind.resource)
        status = codec.loads(codec.dumps(planned.status))
        if not semantic_equal(status, self.isvc.get("status")):
            self.isvc["status"] = status
            written.append("status")
        for removal in planned.removals:
            del self.children[KNATIVE_SERVICE, name(removal)]
            written.append(f"-{name(removal)}")
        return planned, written

    def play(self, component: ComponentType = "predictor", **said: Any) -> None:
        status = codec.dumps(knative_status(**said)).replace(b"-predictor-", f"-{component}-".encode())
        self.children[knative_key(component)]["status"] = codec.loads(status)

    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition, by type."""
        found = self.isvc["status"].get("conditions", ())
        return {c["type"]: (c.get("status", ""), c.get("reason", "")) for c in found}

    def backends(self) -> list[str]:
        """The components to which the routes lead, in order."""
        routes = self.children[ROUTES]["spec"]["http"]
        return [r["route"][0]["headers"]["request"]["set"]["Host"].split("-")[1] for r in routes]


def ready_world(tree: Obj | None = None) -> World:
    """A world in which Knative has said that every component is ready, and everything is written."""
    world = World(tree or isvc())
    world.one_pass()
    for component in COMPONENTS:
        if knative_key(component) in world.children:
            world.play(component)
    world.one_pass()
    return world
