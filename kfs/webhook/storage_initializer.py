"""The storage initializer: an init container that fetches the model before the server starts.

Knative Services may not have init containers, so an annotation on the revision asks for it.

Upstream: kserve/kserve v0.5.1 `pkg/webhook/admission/pod/storage_initializer_injector.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kfs.api.constants import (
    AGENT_ANNOTATION,
    CONTAINER_NAME,
    MODEL_MOUNT_PATH,
    STORAGE_URI_ANNOTATION,
    STORAGE_URI_ENV,
)
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import clone, mapping, sequence

if TYPE_CHECKING:
    from kfs.api.config import Config
    from kfs.manager.objects.tree import Obj

INIT_CONTAINER_NAME: Final = "storage-initializer"
_MODEL_VOLUME = "kfserving-provision-location"
_PVC_SCHEME = "pvc://"
_PVC_VOLUME = "kfserving-pvc-source"
_PVC_MOUNT_PATH = "/mnt/pvc"


def inject_storage_initializer(pod: Obj, config: Config) -> None:
    """Add the init container, its volumes and their mounts to a pod that asks for a model.

    Not when it is there already, nor when the agent fetches the models.

    Raises:
        ValidationError: the pod has no container for the model.
        ConfigError: section `storageInitializer` is bad.
    """
    asked = mapping(pod, "metadata", "annotations")
    source = asked.get(STORAGE_URI_ANNOTATION)
    if source is None or AGENT_ANNOTATION in asked:
        return
    if _named(sequence(pod, "spec", "initContainers"), INIT_CONTAINER_NAME) is not None:
        return
    settings = config.storage_initializer
    server = _named(sequence(pod, "spec", "containers"), CONTAINER_NAME)
    if server is None:
        raise ValidationError(f"Invalid configuration: cannot find container: {CONTAINER_NAME}")

    volumes: list[Obj] = []
    mounts: list[Obj] = []
    if source.startswith(_PVC_SCHEME):
        claim, _, path = source.removeprefix(_PVC_SCHEME).partition("/")
        source = f"{_PVC_MOUNT_PATH}/{path}"
        volumes.append({"name": _PVC_VOLUME, "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": _PVC_VOLUME, "mountPath": _PVC_MOUNT_PATH, "readOnly": True})
    volumes.append({"name": _MODEL_VOLUME, "emptyDir": {}})
    model_mount = {"name": _MODEL_VOLUME, "mountPath": MODEL_MOUNT_PATH}

    # What is fetched from a claim is linked, not copied: the server needs the claim as well.
    _append(server, "volumeMounts", *clone({"m": mounts})["m"], {**model_mount, "readOnly": True})
    for variable in sequence(server, "env"):
        if variable.get("name") == STORAGE_URI_ENV and variable.get("value"):
            variable["value"] = MODEL_MOUNT_PATH
    init_container = {
        "name": INIT_CONTAINER_NAME,
        "image": settings.image,
        "args": [source, MODEL_MOUNT_PATH],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, model_mount],
        "resources": settings.resources(),
    }
    if "securityContext" in server:
        init_container["securityContext"] = clone(mapping(server, "securityContext"))
    _append(pod["spec"], "volumes", *volumes)
    _append(pod["spec"], "initContainers", init_container)


def _named(containers: Any, name: str) -> Obj | None:
    return next((c for c in containers if isinstance(c, dict) and c.get("name") == name), None)


def _append(tree: Obj, field: str, *items: Obj) -> None:
    tree[field] = [*(tree.get(field) or ()), *items]
