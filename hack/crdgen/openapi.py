"""The structure of Kubernetes' pod types, taken from its OpenAPI document.

Kept are facts: names, types, formats, which fields are required, how lists and maps merge. Left out are the
descriptions, which are Kubernetes' prose and would make the CRD larger than etcd takes; the defaults, which
are the API server's to fill in; and enumerations, since they grow: a value that only a newer Kubernetes knows
is for that Kubernetes to judge.
"""

from __future__ import annotations

from typing import Any

from kfs.api.records import CONTAINER, POD_SPEC, QUANTITY, RESOURCES

Node = dict[str, Any]

ROOTS = (POD_SPEC, CONTAINER, RESOURCES, QUANTITY)
# An embedded object's metadata, of which the API server knows better than any schema what it may hold.
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

_REF = "#/components/schemas/"
_FACTS = (
    "type",
    "format",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)


def extract(document: Node) -> dict[str, Node]:
    """The definitions that pods need, each with its structure only, by name.

    `document` is Kubernetes' `/openapi/v3/api/v1`. A reference to another definition is `{"$ref": name}`.

    Raises:
        ValueError: the document is not that one.
    """
    schemas = document.get("components", {}).get("schemas", {})
    found: dict[str, Node] = {}
    wanted = list(ROOTS)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        if name not in schemas:
            raise ValueError(f"{name} is not in the document; give the OpenAPI v3 document of api/v1")
        found[name] = {"type": "object"} if name == OBJECT_META else _structure(schemas[name])
        wanted += _references(found[name])
    return dict(sorted(found.items()))


def _structure(node: Node) -> Node:
    if (name := _reference(node)) is not None:
        return {"$ref": name}
    kept: Node = {fact: node[fact] for fact in _FACTS if fact in node}
    for part in ("items", "additionalProperties"):
        if isinstance(node.get(part), dict):
            kept[part] = _structure(node[part])
    if "properties" in node:
        kept["properties"] = {field: _structure(inner) for field, inner in sorted(node["properties"].items())}
    return kept


def _reference(node: Node) -> str | None:
    # A reference with a description or a default beside it is wrapped: {"allOf": [{"$ref": ...}], ...}.
    for candidate in (node, *node.get("allOf", ())):
        if "$ref" in candidate:
            return str(candidate["$ref"]).removeprefix(_REF)
    return None


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [name for inner in node.values() for name in _references(inner)]
    return []
