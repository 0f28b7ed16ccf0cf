"""Stand-ins for the CRDs of Knative Serving and Istio: any field is accepted and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.manager.client import Client, PatchType
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION, Kind, ObjectKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kfs.manager.objects.tree import Obj

KNATIVE_SERVICE = Kind("serving.knative.dev", "v1", "Service", "services")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1alpha3", "VirtualService", "virtualservices")

STAND_INS = (
    KNATIVE_SERVICE,
    Kind("serving.knative.dev", "v1", "Configuration", "configurations"),
    Kind("serving.knative.dev", "v1", "Revision", "revisions"),
    Kind("serving.knative.dev", "v1", "Route", "routes"),
    VIRTUAL_SERVICE,
)


def custom_resource_definition(kind: Kind) -> Obj:
    """A CRD without a schema for one version of a kind; Knative's kinds have a status subresource, Istio's none."""
    version: dict[str, Any] = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    if kind.group == KNATIVE_SERVICE.group:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITION.api_version,
        "kind": CUSTOM_RESOURCE_DEFINITION.kind,
        "metadata": {"name": kind.resource},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
            },
            "versions": [version],
        },
    }


async def install(client: Client, kinds: Iterable[Kind] = STAND_INS) -> None:
    """Create the stand-in CRDs that the server does not have; real ones are left alone."""
    for kind in kinds:
        key = ObjectKey("", kind.resource)
        if await client.get(CUSTOM_RESOURCE_DEFINITION, key) is None:
            crd = custom_resource_definition(kind)
            await client.patch(
                CUSTOM_RESOURCE_DEFINITION, key, crd, type=PatchType.APPLY, field_manager="kfs-dataplane"
            )
