"""Every object that `--install` makes sure of, and how each is looked after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from kfs.install.webhooks import CONTROL_PLANE_LABEL, InstallOptions, conversion, webhook_configurations
from kfs.manager.objects import codec
from kfs.manager.objects.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, NAMESPACE, Kind

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

CRDS: Final = ("inferenceservices", "trainedmodels")
CONFIGURATION: Final = "configmap"
# The manager's own pods must not wait for its webhooks; this is how the pod mutator knows the namespace.
CONTROL_PLANE: Final = "kfserving-controller-manager"


class Care(Enum):
    """Whose an object is once it is there."""

    USERS = "created when it is absent, never changed"
    SHARED = "our fields are applied, others' stay"
    OURS = "replaced as a whole"


@dataclass(frozen=True)
class Manifest:
    """An object that should be there."""

    kind: Kind
    desired: Obj
    care: Care


def manifests(options: InstallOptions) -> list[Manifest]:
    """All objects, in the order in which they depend on one another."""
    namespace = {
        "apiVersion": NAMESPACE.api_version,
        "kind": NAMESPACE.kind,
        "metadata": {"name": options.namespace, "labels": {CONTROL_PLANE_LABEL: CONTROL_PLANE}},
    }
    crds = [_shipped(f"crds/{name}.json") for name in CRDS]
    for crd in crds:
        if "conversion" in crd["spec"]:
            crd["spec"]["conversion"] = conversion(options)
    configuration = _shipped(f"{CONFIGURATION}.json")
    configuration["metadata"]["namespace"] = options.namespace
    return [
        Manifest(NAMESPACE, namespace, Care.USERS),
        *(Manifest(CUSTOM_RESOURCE_DEFINITION, crd, Care.SHARED) for crd in crds),
        Manifest(CONFIG_MAP, configuration, Care.USERS),
        *(Manifest(kind, obj, Care.OURS) for kind, obj in webhook_configurations(options)),
    ]


def _shipped(path: str) -> Obj:
    return codec.loads_object(files("kfs.install").joinpath(path).read_bytes())
