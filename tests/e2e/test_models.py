"""TrainedModels on a real API server: loading, readiness, namespaces, and a parent that goes while nobody looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client as k8s
from kubernetes.client.exceptions import ApiException

from kfs.api.constants import TRAINED_MODEL
from tests.e2e.user import User, eventually, sklearn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack import ManagerProcess

pytestmark = pytest.mark.usefixtures("multi_model", "dataplane")


@pytest.fixture(scope="module")
def multi_model(api_client: k8s.ApiClient, manager: ManagerProcess) -> Iterator[None]:
    """sklearn's servers take many models; the configuration is as before afterwards."""
    core, where = k8s.CoreV1Api(api_client), ("inferenceservice-config", "kfserving-system")
    config: Any = core.read_namespaced_config_map(*where)
    predictors = json.loads(config.data["predictors"])
    for protocol in predictors["sklearn"].values():
        protocol["multiModelServer"] = True
    core.patch_namespaced_config_map(*where, {"data": {"predictors": json.dumps(predictors)}})
    yield
    core.patch_namespaced_config_map(*where, {"data": {"predictors": config.data["predictors"]}})


def server(name: str = "m") -> dict[str, Any]:
    found = sklearn(name)
    found["spec"] = {"predictor": {"sklearn": {}}}
    return found


def model(name: str = "a", memory: str = "1Mi", uri: str = "gs://b/a") -> dict[str, Any]:
    spec = {"storageUri": uri, "framework": "sklearn", "memory": memory}
    return {
        "apiVersion": TRAINED_MODEL.api_version,
        "kind": TRAINED_MODEL.kind,
        "metadata": {"name": name},
        "spec": {"inferenceService": "m", "model": spec},
    }


def ready(user: User, name: str = "a") -> str:
    status = (user.get(name, TRAINED_MODEL) or {}).get("status") or {}
    return next((c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"), "")


def loaded(user: User) -> list[str]:
    config: Any = user.core.read_namespaced_config_map("modelconfig-m-0", user.namespace)
    return [entry["modelName"] for entry in json.loads(config.data["models.json"])]


@pytest.fixture
def other(api_client: k8s.ApiClient, user: User) -> User:
    """A user in another namespace."""
    body: Any = {"metadata": {"name": f"{user.namespace}-other"}}
    k8s.CoreV1Api(api_client).create_namespace(body)
    return User(api_client, f"{user.namespace}-other")


def test_models_come_and_go(user: User) -> None:
    user.create(server())
    user.wait_ready("m")
    for name in ("b", "a"):
        user.create(model(name), TRAINED_MODEL)
    eventually(lambda: ready(user, "a") == ready(user, "b") == "True", "both are Ready")
    assert loaded(user) == ["a", "b"]
    user.delete("b", TRAINED_MODEL)
    eventually(lambda: user.get("b", TRAINED_MODEL) is None, "b is gone")
    assert loaded(user) == ["a"]


def test_deleting_one_of_two_namesakes_leaves_the_other_s_models(user: User, other: User) -> None:
    for each in (user, other):
        each.create(server())
        each.wait_ready("m")
        each.create(model(), TRAINED_MODEL)
        eventually(lambda each=each: ready(each) == "True", "the model is Ready")  # type: ignore[misc]
    other.delete("m")
    eventually(lambda: other.get("a", TRAINED_MODEL) is None, "the models of the deleted one are gone")
    assert ready(user) == "True"
    assert loaded(user) == ["a"]


def test_readiness_follows_the_parent(user: User) -> None:
    user.create(server())
    user.wait_ready("m")
    user.create(model(), TRAINED_MODEL)
    eventually(lambda: ready(user) == "True", "the model is Ready")
    fail = {"metadata": {"annotations": {"dataplane.kfs/fail": "out of memory"}}}
    user.patch("m", fail)
    eventually(lambda: ready(user) == "False", "the model is not Ready while its parent is not")
    assert loaded(user) == ["a"]
    user.patch("m", {"metadata": {"annotations": {"dataplane.kfs/fail": None}}})
    eventually(lambda: ready(user) == "True", "the model is Ready again")


def test_a_parent_that_goes_while_the_manager_is_down_takes_its_models(user: User, manager: ManagerProcess) -> None:
    user.create(server())
    user.wait_ready("m")
    user.create(model(), TRAINED_MODEL)
    eventually(lambda: ready(user) == "True", "the model is Ready")
    manager.kill()
    user.delete("m")
    assert user.get("a", TRAINED_MODEL) is not None
    manager.start()
    eventually(lambda: user.get("m") is None and user.get("a", TRAINED_MODEL) is None, "both are gone")


def test_a_model_without_a_parent_goes(user: User) -> None:
    user.create(model(), TRAINED_MODEL)
    eventually(lambda: user.get("a", TRAINED_MODEL) is None, "the model is gone")


REFUSED = {
    "uri": (model(uri="ftp://x"), "storageUri field is invalid"),
    "name": (model("a.b"), "is invalid: a Trained Model name"),
}


@pytest.mark.parametrize(("obj", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_models_are_refused(user: User, obj: dict[str, Any], says: str) -> None:
    with pytest.raises(ApiException) as refusal:
        user.create(obj, TRAINED_MODEL)
    assert says in json.loads(refusal.value.body or "{}")["message"]
