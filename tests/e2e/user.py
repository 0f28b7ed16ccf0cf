"""What a user does with the official client, in one namespace."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s
from kubernetes.client.exceptions import ApiException

from kfs.api.constants import INFERENCE_SERVICE, KNATIVE_SERVICE, VIRTUAL_SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfs.manager.objects.kinds import Kind

PATIENCE_S = 30.0
CHILDREN = (KNATIVE_SERVICE, VIRTUAL_SERVICE)
_IDENTITY = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "namespace",
        "lastTransitionTime",
        "observedGeneration",
        "dataplane.kfs/template",
    }
)


def sklearn(name: str = "iris", **predictor: Any) -> dict[str, Any]:
    """An InferenceService with a scikit-learn model."""
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"name": name},
        "spec": {"predictor": {"sklearn": {"storageUri": "gs://models/iris"}, **predictor}},
    }


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition gives something true, and that."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)
    return found


@dataclass
class User:
    """The official client, and the namespace in which it works."""

    api: k8s.ApiClient
    namespace: str

    @property
    def core(self) -> k8s.CoreV1Api:
        """The core group's API."""
        return k8s.CoreV1Api(self.api)

    def create(self, obj: dict[str, Any], kind: Kind = INFERENCE_SERVICE) -> dict[str, Any]:
        """Create a custom object."""
        api = k8s.CustomObjectsApi(self.api)
        return _tree(api.create_namespaced_custom_object(kind.group, kind.version, self.namespace, kind.plural, obj))

    def get(self, name: str, kind: Kind = INFERENCE_SERVICE) -> dict[str, Any] | None:
        """A custom object, or None."""
        api = k8s.CustomObjectsApi(self.api)
        try:
            return _tree(api.get_namespaced_custom_object(kind.group, kind.version, self.namespace, kind.plural, name))
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def patch(self, name: str, patch: dict[str, Any], kind: Kind = INFERENCE_SERVICE, sub: str = "") -> None:
        """Merge-patch a custom object, or its status."""
        api = k8s.CustomObjectsApi(self.api)
        call = api.patch_namespaced_custom_object_status if sub == "status" else api.patch_namespaced_custom_object
        call(kind.group, kind.version, self.namespace, kind.plural, name, patch)

    def delete(self, name: str, kind: Kind = INFERENCE_SERVICE) -> None:
        """Delete a custom object."""
        api = k8s.CustomObjectsApi(self.api)
        api.delete_namespaced_custom_object(kind.group, kind.version, self.namespace, kind.plural, name)

    def is_ready(self, name: str) -> bool:
        """Whether the InferenceService is Ready."""
        conditions = ((self.get(name) or {}).get("status") or {}).get("conditions") or []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def wait_ready(self, name: str) -> None:
        """Wait until the InferenceService is Ready."""
        eventually(lambda: self.is_ready(name), f"{name} is Ready")

    def events(self, name: str) -> list[str]:
        """Type, reason and message of the Events about an object."""
        selector = f"involvedObject.name={name}"
        found = self.core.list_namespaced_event(self.namespace, field_selector=selector).items
        return [f"{e.type} {e.reason}: {e.message}" for e in found]

    def state(self, name: str) -> dict[str, Any]:
        """The InferenceService and its children, without what tells one run from another."""
        found = {str(kind): self.get(child, kind) for kind, child in self._names(name)}
        return _tree(without_identity({**found, "Service.v1": self.service(name)}, name))

    def specs(self, name: str) -> dict[str, Any]:
        """As `state`, without what status says."""
        state = self.state(name)
        return {kind: {k: v for k, v in (obj or {}).items() if k != "status"} for kind, obj in state.items()}

    def _names(self, name: str) -> list[tuple[Kind, str]]:
        return [
            (INFERENCE_SERVICE, name),
            (KNATIVE_SERVICE, f"{name}-predictor-default"),
            (VIRTUAL_SERVICE, name),
        ]

    def service(self, name: str) -> Any:
        """The core Service of a name as JSON, or None."""
        try:
            return self.api.sanitize_for_serialization(self.core.read_namespaced_service(name, self.namespace))
        except ApiException as error:
            if error.status != 404:
                raise
            return None


def _tree(answer: Any) -> dict[str, Any]:
    assert isinstance(answer, dict)
    return answer


def without_identity(value: Any, name: str) -> Any:
    """A tree without uids, versions and times, in which `name` reads NAME."""
    if isinstance(value, dict):
        return {k: without_identity(v, name) for k, v in value.items() if k not in _IDENTITY}
    if isinstance(value, list):
        return [without_identity(v, name) for v in value]
    return value.replace(name, "NAME") if isinstance(value, str) else value
