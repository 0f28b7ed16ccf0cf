"""Conversion: objects of one version of a kind to another version of it.

Upstream: kubernetes/apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go` for what the API
server expects: as many objects as it sent, in their order, with kind, name, namespace and uid unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import Frozen, Obj, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ConversionHandler = Callable[[Frozen, str], Obj]
"""Converts one object to the given `apiVersion`. Pure: the same input gives the same output.

Raising `ValidationError` refuses the whole review, with the error's message.
"""

# A list of thousands of objects must not keep the loop from answering others.
SLICE_S = 0.01


async def convert_all(handler: ConversionHandler, objects: Sequence[Frozen], api_version: str) -> list[Frozen]:
    """The objects in `api_version`; those which are in it already are passed on as they are.

    Raises:
        ValidationError: an object cannot be converted; the message begins with its namespace and name.
    """
    loop = asyncio.get_running_loop()
    slice_end = loop.time() + SLICE_S
    converted: list[Frozen] = []
    for obj in objects:
        if obj.get("apiVersion") == api_version:
            converted.append(obj)
            continue
        try:
            converted.append(handler(obj, api_version))
        except ValidationError as error:
            raise ValidationError(f"{key_of(obj)}: {error}", field=error.field) from error
        if loop.time() > slice_end:
            await asyncio.sleep(0)
            slice_end = loop.time() + SLICE_S
    return converted
