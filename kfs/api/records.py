"""Typed records of our own fields, next to Kubernetes' fields in the same JSON object.

A model server in an InferenceService is a `Container` with a few fields of ours between Kubernetes' own, and
a component is a `PodSpec` in the same way. A record declares our fields, and in the class variable `inline`
the Kubernetes type it shares its object with; that type's fields stay in the JSON tree. A field that is a
Kubernetes type as a whole is a tree as well, marked by `kubernetes`. The CRDs' schemas are generated from all
of this.
"""

from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from kfs.manager.errors import ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Obj

CONTAINER: Final = "io.k8s.api.core.v1.Container"
POD_SPEC: Final = "io.k8s.api.core.v1.PodSpec"
RESOURCES: Final = "io.k8s.api.core.v1.ResourceRequirements"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"

KUBERNETES_TYPE: Final = "kubernetes"

Record = TypeVar("Record", bound=msgspec.Struct)


def kubernetes(type_name: str, description: str = "") -> msgspec.Meta:
    """The mark of a field that is a Kubernetes type, by its name in Kubernetes' OpenAPI document."""
    return msgspec.Meta(description=description or None, extra={KUBERNETES_TYPE: type_name})


def own_fields(tree: Any, record: type[Record], at: str) -> tuple[Record, Obj]:
    """Our fields of a JSON object as a record, and the rest of the object as a tree.

    `at` is where the object lies (`spec.predictor`). A field whose record shares its object with a Kubernetes
    type (a model server in a component) is left in the rest, for a call of its own; in the record it has its
    default. A null means that the field is absent, as in Go.

    Raises:
        ValidationError: the tree is no object, or a field of ours has the wrong type; the message names it.
    """
    if not isinstance(tree, Mapping):
        message = f"{at}: must be an object, but is {type(tree).__name__}"
        raise ValidationError(message, field=at)
    names = _own_names(record)
    own = {key: _without_nulls(value) for key, value in tree.items() if key in names and value is not None}
    rest = {key: value for key, value in tree.items() if key not in names}
    return codec.convert(own, record, at), rest


@cache
def _own_names(record: type[msgspec.Struct]) -> frozenset[str]:
    fields = msgspec.structs.fields(record)
    return frozenset(field.encode_name for field in fields if not _shares_its_object(field.type))


def _shares_its_object(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Annotated:
        return _shares_its_object(get_args(hint)[0])
    if origin in (Union, UnionType):
        return any(_shares_its_object(arg) for arg in get_args(hint))
    return hasattr(hint, "inline")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value
