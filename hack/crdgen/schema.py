"""Structural schemas from the API's typed records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hack.crdgen.kubernetes import PRESERVE
from kfs.api.records import CONTAINER, KUBERNETES_TYPE, POD_SPEC

if TYPE_CHECKING:
    from hack.crdgen.kubernetes import KubernetesTypes

Node = dict[str, Any]

# The original's CRD has no such fields, and Knative refuses them unless told otherwise.
_NOT_OURS_TO_GIVE = frozenset({"initContainers", "ephemeralContainers"})


class Schemas:
    """Schemas of records, with the fields of the Kubernetes types that share their objects."""

    def __init__(self, kubernetes: KubernetesTypes) -> None:
        self._kubernetes = kubernetes

    def of(self, record: type[msgspec.Struct]) -> Node:
        """The schema of a record; a field without a default is required."""
        return self._node(msgspec.inspect.type_info(record))

    def _node(self, info: msgspec.inspect.Type) -> Node:
        match info:
            case msgspec.inspect.Metadata(type=inner, extra_json_schema=extra_schema, extra=extra):
                marked = (extra or {}).get(KUBERNETES_TYPE)
                return {
                    **(self._kubernetes.schema(marked) if marked else self._node(inner)),
                    **(extra_schema or {}),
                }
            case msgspec.inspect.UnionType(types=types):
                [inner] = [t for t in types if not isinstance(t, msgspec.inspect.NoneType)]
                return self._node(inner)
            case msgspec.inspect.StrType():
                return {"type": "string"}
            case msgspec.inspect.BoolType():
                return {"type": "boolean"}
            case msgspec.inspect.IntType():
                return {"type": "integer", "format": "int64"}
            case msgspec.inspect.VarTupleType(item_type=item):
                return {"type": "array", "items": self._node(item)}
            case msgspec.inspect.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._node(value)}
            case msgspec.inspect.StructType():
                return self._object(info)
        raise TypeError(f"no schema is known for {info}")

    def _object(self, info: msgspec.inspect.StructType) -> Node:
        own = {field.encode_name: self._node(field.type) for field in info.fields}
        schema: Node = {"type": "object", "properties": own}
        if required := sorted(field.encode_name for field in info.fields if field.required):
            schema["required"] = required
        shared = getattr(info.cls, "inline", None)
        if shared is None:
            return schema
        # What Kubernetes requires of a container or a pod has a default here, so nothing of it is required.
        theirs = self._kubernetes.schema(shared)["properties"]
        if shared == POD_SPEC:
            theirs = {key: node for key, node in theirs.items() if key not in _NOT_OURS_TO_GIVE}
        schema["properties"] = {**theirs, **own}
        # A component drops what it does not name, as the original does; a container keeps what a newer
        # Kubernetes may know.
        if shared == CONTAINER:
            schema[PRESERVE] = True
        return schema
