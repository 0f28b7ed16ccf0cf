"""The reconciler against a server: whose children it writes and deletes, and what it tells when it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kfs.api.constants import INFERENCE_SERVICE, KNATIVE_SERVICE, VIRTUAL_SERVICE
from kfs.manager.errors import Conflict, Forbidden, ServerError
from kfs.manager.objects import codec
from kfs.manager.objects.kinds import SERVICE, Kind
from kfs.manager.testing.fake_api import FakeApi
from tests.controllers.reconciling import knative_says, put_config, put_services, running
from tests.samples import isvc

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

pytestmark = pytest.mark.looptime

PREDICTOR = "m-predictor-default"
CHILDREN = [(KNATIVE_SERVICE, PREDICTOR), (SERVICE, "m"), (VIRTUAL_SERVICE, "m")]
OTHERS: list[tuple[list[Obj], str]] = [
    ([], "nobody"),
    ([{"kind": "Deployment", "name": "d", "uid": "u", "controller": True}], "Deployment d"),
    ([{"kind": "InferenceService", "name": "other", "uid": "u", "controller": True}], "InferenceService other"),
    # Owned, but not controlled.
    ([{"kind": "InferenceService", "name": "m", "uid": "u"}], "nobody"),
]


def server() -> FakeApi:
    api = FakeApi()
    put_config(api)
    put_services(api, "m")
    return api


def foreign(kind: Kind, name: str, owners: list[Obj]) -> Obj:
    return {"metadata": {"name": name, "namespace": "ns", "ownerReferences": owners}, "spec": {"theirs": True}}


@pytest.mark.parametrize(("owners", "whose"), OTHERS)
@pytest.mark.parametrize(("kind", "name"), CHILDREN)
async def test_what_belongs_to_somebody_else_is_refused_and_left_alone(
    kind: Kind, name: str, owners: list[Obj], whose: str
) -> None:
    """Fails on the original, which overwrites it (difference 6)."""
    api = server()
    before = api.put(kind, foreign(kind, name, owners))
    async with running(api) as world:
        if kind != KNATIVE_SERVICE:
            await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", PREDICTOR))
            knative_says(api, "m")
        await world.until(lambda: world.events("InternalError"))
        message = (
            f"{kind.kind} {name} exists and is controlled by {whose};"
            " delete or rename it, so that InferenceService m can create its own"
        )
        failing = "PredictorReady" if kind == KNATIVE_SERVICE else "IngressReady"
        assert world.events("InternalError")[0] == message
        assert world.condition(failing) == ("False", "NotOwned", message)
        assert world.condition("Ready") == ("False", "NotOwned", message)
        assert api.get(kind, "ns", name) == before
        # Freed, it is created.
        api.remove(kind, "ns", name)
        await world.until(lambda: (api.get(kind, "ns", name) or {}).get("metadata", {}).get("ownerReferences"))
        assert api.get(kind, "ns", name) != before


@pytest.mark.parametrize(("kind", "name"), CHILDREN)
async def test_what_an_earlier_one_of_the_same_name_left_is_taken_over(kind: Kind, name: str) -> None:
    api = server()
    left = {"apiVersion": "serving.kubeflow.org/v1alpha2", "kind": "InferenceService", "name": "m", "uid": "gone"}
    api.put(kind, foreign(kind, name, [{**left, "controller": True}]))
    async with running(api) as world:
        await world.until(lambda: "kfserving-container" in str(api.get(KNATIVE_SERVICE, "ns", PREDICTOR)))
        knative_says(api, "m")
        await world.until(lambda: world.condition("Ready")[0] == "True")
        (owner,) = (api.get(kind, "ns", name) or {})["metadata"]["ownerReferences"]
        assert owner["uid"] == (api.get(INFERENCE_SERVICE, "ns", "m") or {})["metadata"]["uid"]
        assert world.events("InternalError") == []


def with_transformer(api: FakeApi) -> None:
    tree = isvc()
    del tree["metadata"]["uid"]
    tree["spec"]["transformer"] = {"containers": [{"image": "t"}]}
    api.put(INFERENCE_SERVICE, tree)


def ready(api: FakeApi, component: str) -> None:
    """Have Knative say that a component is ready."""
    name = f"m-{component}-default"
    service = api.get(KNATIVE_SERVICE, "ns", name) or {}
    status = {
        "conditions": [{"type": t, "status": "True"} for t in ("Ready", "RoutesReady", "ConfigurationsReady")],
        "url": f"http://{name}.ns.example.com",
        "observedGeneration": service["metadata"]["generation"],
    }
    api.put(KNATIVE_SERVICE, {**service, "status": status})


def without_transformer(api: FakeApi) -> None:
    tree = api.get(INFERENCE_SERVICE, "ns", "m") or {}
    del tree["spec"]["transformer"]
    api.put(INFERENCE_SERVICE, tree)


async def test_a_removed_transformer_is_deleted_after_the_routes_have_moved() -> None:
    """Fails on the original, which leaves it behind (difference 4)."""
    api = FakeApi()
    put_config(api)
    with_transformer(api)
    async with running(api) as world:
        await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", "m-transformer-default"))
        ready(api, "predictor")
        ready(api, "transformer")
        await world.until(lambda: world.condition("Ready")[0] == "True")
        doomed = (api.get(KNATIVE_SERVICE, "ns", "m-transformer-default") or {})["metadata"]["uid"]
        api.fail_next("DELETE", "m-transformer-default", ServerError("boom", code=500))
        done = len(api.calls)
        without_transformer(api)
        await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", "m-transformer-default") is None)
        writes = [c for c in api.calls[done:] if c.method in ("PUT", "DELETE")]
        assert [f"{c.method} {c.path.rpartition('/')[2]}" for c in writes] == [
            "PUT m",
            "PUT status",
            "DELETE m-transformer-default",
            "DELETE m-transformer-default",
        ]
        assert all(
            codec.loads(c.body or b"")["preconditions"] == {"uid": doomed} for c in writes if c.method == "DELETE"
        )
        assert world.condition("TransformerReady") == ("", "", "")
        assert world.condition("Ready")[0] == "True"


@pytest.mark.parametrize(
    ("method", "path", "failing", "reason"),
    [
        ("POST", "serving.knative.dev", "PredictorReady", "ServiceFailed"),
        ("POST", "/api/v1/namespaces/ns/services", "IngressReady", "ServiceFailed"),
        ("POST", "virtualservices", "IngressReady", "VirtualServiceFailed"),
    ],
)
async def test_a_failing_write_reaches_status_and_events(method: str, path: str, failing: str, reason: str) -> None:
    """Fails on the original, which returns before it writes the status (difference 8)."""
    api = server()
    api.fail_next(method, path, Forbidden("no quota", code=403), times=9)
    async with running(api) as world:
        if failing == "IngressReady":
            await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", PREDICTOR))
            knative_says(api, "m")
        await world.until(lambda: world.condition(failing)[0] == "False" and world.events("InternalError"))
        assert world.condition(failing) == ("False", reason, "no quota")
        assert world.condition("Ready") == ("False", reason, "no quota")
        assert world.events("InternalError")[0] == "no quota"
        if failing == "PredictorReady":
            await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", PREDICTOR))
            knative_says(api, "m")
        await world.until(lambda: world.condition("Ready")[0] == "True")


async def test_after_a_conflict_the_newest_object_is_read_and_kept() -> None:
    """Fails on the original, which sends the same stale object again (difference 14)."""
    api = server()
    async with running(api) as world:
        await world.until(lambda: api.get(KNATIVE_SERVICE, "ns", PREDICTOR))
        knative_says(api, "m")
        await world.until(lambda: world.condition("Ready")[0] == "True")
        api.fail_next("PUT", PREDICTOR, Conflict("changed", code=409))
        reads = len([c for c in api.calls if c.method == "GET" and c.path.endswith(PREDICTOR)])
        tree = api.get(INFERENCE_SERVICE, "ns", "m") or {}
        tree["spec"]["predictor"]["minReplicas"] = 3
        api.put(INFERENCE_SERVICE, tree)

        def scaled() -> Any:
            return "'autoscaling.knative.dev/minScale': '3'" in str(api.get(KNATIVE_SERVICE, "ns", PREDICTOR))

        await world.until(scaled)
        assert len([c for c in api.calls if c.method == "GET" and c.path.endswith(PREDICTOR)]) == reads + 1
        assert world.events("InternalError") == []
