"""Whatever the CRD's schema accepts is refused by name, or reaches a fixed point in one pass."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from kfs.api.component import COMPONENTS
from kfs.api.inferenceservice import default, validate
from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec
from tests.controllers.world import World, knative_key
from tests.crd_values import specs
from tests.samples import config, isvc

CONFIG = config()


def accepted(spec: Any) -> Any:
    """The InferenceService as it is stored; None when a webhook refuses it."""
    try:
        found = default(isvc(spec=spec), CONFIG)
        assert default(found, CONFIG) == found
        warnings = validate(found)
    except ValidationError as refusal:
        if not refusal.field.startswith("spec."):
            raise
        return None
    assert all(warning.startswith("spec.") for warning in warnings)
    return codec.loads(codec.dumps(found))


def as_go_writes(value: Any) -> Any:
    """A tree after a round through Go types: empty fields are gone."""
    if isinstance(value, dict):
        written = {k: as_go_writes(v) for k, v in value.items()}
        return {k: v for k, v in written.items() if v not in (None, "", {}, [])}
    return [as_go_writes(v) for v in value] if isinstance(value, list) else value


@settings(suppress_health_check=list(HealthCheck))
@given(specs())
def test_refused_by_name_or_settled_in_one_pass(spec: Any) -> None:
    tree = accepted(spec)
    if tree is None:
        return
    world = World(tree, CONFIG)
    for ready in ("Unknown", "True", "False"):
        planned, written = world.one_pass()
        assert planned.failure is None
        assert written
        assert world.one_pass()[1] == []
        world.children = {key: as_go_writes(child) for key, child in world.children.items()}
        assert world.one_pass()[1] == []
        for component in COMPONENTS:
            if knative_key(component) in world.children:
                world.play(component, ready=ready)
