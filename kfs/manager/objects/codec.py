"""JSON in and out, and JSON trees to typed records; the only place that knows msgspec's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from kfs.manager.errors import DecodeError, ValidationError

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_ordered = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()


def dumps(value: Any) -> bytes:
    """Compact JSON."""
    return _encoder.encode(value)


def canonical(value: Any) -> bytes:
    """Compact JSON with sorted keys: equal trees give equal bytes."""
    return _ordered.encode(value)


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """JSON to a tree.

    Raises:
        DecodeError: the text is not JSON, and the message gives the byte position; or it is nested too deeply.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(str(error)) from error


def loads_object(data: bytes | bytearray | memoryview | str) -> Obj:
    """JSON to a tree that must be an object.

    Raises:
        DecodeError: not JSON, or JSON of another type.
    """
    value = loads(data)
    if not isinstance(value, dict):
        raise DecodeError(f"Expected a JSON object, got {type(value).__name__}")
    return cast("Obj", value)


def convert(tree: Any, record: type[T], at: str = "") -> T:
    """A JSON tree as a typed record; unknown fields are ignored.

    `at` is where the tree lies in its object (`spec.predictor`): it prefixes the field's path in
    the message.

    Raises:
        ValidationError: a field has the wrong type; the message names the field and both types.
    """
    try:
        return msgspec.convert(tree, record)
    except msgspec.ValidationError as error:
        text = str(error)
        message, _, where = text.partition(" - at `$")
        field = (at + where.rstrip("`")).lstrip(".")
        raise ValidationError(f"{field}: {message}" if field else message, field=field) from error


def copied(tree: T) -> T:
    """A deep copy of a JSON tree: fresh dicts and lists."""
    return cast("T", msgspec.to_builtins(tree))


def builtins(record: Any) -> Any:
    """A typed record as a JSON tree of fresh dicts and lists."""
    # Through JSON: msgspec's own conversion leaves tuples as they are.
    return _decoder.decode(_encoder.encode(record))
