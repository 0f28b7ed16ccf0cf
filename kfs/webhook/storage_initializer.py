"""The storage initializer: an init container that fetches the model before the server starts.

Knative Services may not have init containers, so an annotation on the revision asks for it.

Upstream: kserve/kserve v0.5.1 `pkg/webhook/admission/pod/storage_initializer_injector.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kfs.api.constants import (
    AGENT_ANNOTATION,
    CONTAINER_NAME,
    MODEL_MOUNT_PATH,
    STORAGE_URI_ANNOTATION,
    STORAGE_URI_ENV,
)
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import annotations as annotations_of
from kfs.manager.objects.tree import sequence
from kfs.webhook.containers import append, containers, copy_security_context, grant, named

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj
    from kfs.webhook.inputs import Inputs

INIT_CONTAINER_NAME: Final = "storage-initializer"
_MODEL_VOLUME: Final = "kfserving-provision-location"
_PVC_SCHEME: Final = "pvc://"
_PVC_VOLUME: Final = "kfserving-pvc-source"
_PVC_MOUNT_PATH: Final = "/mnt/pvc"


def wants_storage_initializer(pod: Frozen) -> bool:
    """Whether the pod asks for a model, does not have the init container yet, and no agent fetches models."""
    asked = annotations_of(pod)
    return (
        STORAGE_URI_ANNOTATION in asked
        and AGENT_ANNOTATION not in asked
        and named(sequence(pod, "spec", "initContainers"), INIT_CONTAINER_NAME) is None
    )


def inject_storage_initializer(pod: Obj, inputs: Inputs) -> None:
    """Add the init container, with its credentials, and the volumes that it shares with the server.

    Raises:
        ValidationError: the pod has no container for the model.
        ConfigError: section `storageInitializer` or `credentials` is bad.
    """
    if not wants_storage_initializer(pod):
        return
    settings = inputs.config.storage_initializer
    server = named(containers(pod), CONTAINER_NAME)
    if server is None:
        raise ValidationError(f"Invalid configuration: cannot find container: {CONTAINER_NAME}")

    source = annotations_of(pod)[STORAGE_URI_ANNOTATION]
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
    append(server, "volumeMounts", *mounts, {**model_mount, "readOnly": True})
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
    copy_security_context(server, init_container)
    append(pod["spec"], "volumes", *volumes)
    grant(inputs.access(), init_container, pod)
    append(pod["spec"], "initContainers", init_container)
