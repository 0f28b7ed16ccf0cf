"""Kubernetes' types as structural schemas, the form that CRDs take: no references, nothing but structure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from hack.crdgen.openapi import OBJECT_META
from kfs.api.records import CONTAINER, QUANTITY

if TYPE_CHECKING:
    from collections.abc import Mapping

Node = dict[str, Any]

INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
PRESERVE = "x-kubernetes-preserve-unknown-fields"

# As controller-gen writes it; the text is part of an error message that users see.
QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

# Lists that server-side apply merges item by item: those in which Kubernetes refuses two items with the same
# key, and requires the key. Others are replaced as a whole: env may hold a name twice, the key of ports has a
# default, which this schema has not, and a container's name is not required here.
_MERGED = {
    "resourceClaims": ["name"],
    "schedulingGates": ["name"],
    "topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
    "volumeDevices": ["devicePath"],
    "volumeMounts": ["mountPath"],
    "volumes": ["name"],
}


# Required by Kubernetes, but not here: the defaulter names containers, and probes without a port were always
# accepted.
_OPTIONAL = {
    CONTAINER: frozenset({"name"}),
    "io.k8s.api.core.v1.HTTPGetAction": frozenset({"port"}),
    "io.k8s.api.core.v1.TCPSocketAction": frozenset({"port"}),
}


class KubernetesTypes:
    """Schemas of the types in an extract of Kubernetes' OpenAPI document."""

    def __init__(self, definitions: Mapping[str, Node]) -> None:
        self._definitions = definitions
        self.schema = cache(self._schema)

    def _schema(self, name: str) -> Node:
        """The structural schema of a type.

        Every object keeps fields that it does not name: a newer Kubernetes may know them.
        """
        if name == QUANTITY:
            return {**_int_or_string(), "pattern": QUANTITY_PATTERN}
        if name == INT_OR_STRING:
            return _int_or_string()
        if name == OBJECT_META:
            return {"type": "object", PRESERVE: True}
        definition = self._definitions[name]
        optional = _OPTIONAL.get(name, frozenset())
        required = [field for field in definition.get("required", ()) if field not in optional]
        schema = self._expand(definition)
        return {**schema, "required": required} if required else schema

    def _expand(self, node: Node, field: str = "") -> Node:
        if "$ref" in node:
            return self.schema(node["$ref"])
        schema: Node = {key: node[key] for key in ("type", "format") if key in node}
        if node.get("x-kubernetes-map-type") == "atomic":
            schema["x-kubernetes-map-type"] = "atomic"
        if "properties" in node:
            schema["properties"] = {key: self._expand(inner, key) for key, inner in node["properties"].items()}
            schema[PRESERVE] = True
        if "additionalProperties" in node:
            schema["additionalProperties"] = self._expand(node["additionalProperties"])
        if "items" in node:
            schema["items"] = self._expand(node["items"])
        if field in _MERGED:
            schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": _MERGED[field]}
        return schema


def _int_or_string() -> Node:
    return {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
