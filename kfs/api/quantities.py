"""Quantities in an InferenceService's pod specs, in canonical spelling.

The original's defaulter decodes an object into Go types and writes it back, which respells every
quantity; what is stored must not depend on who defaulted it.

Upstream: kubernetes/api `core/v1/types.go` for where quantities are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.manager.errors import ValidationError
from kfs.manager.objects.quantity import canonical_quantity

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Obj

# Field and the field around it; the pod spec itself is "".
_MAPS = frozenset({("resources", "limits"), ("resources", "requests"), ("", "overhead")})
_SCALARS = frozenset({("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor")})


def canonical_quantities(pod: Obj, at: str) -> None:
    """Respell, in place, every quantity of a pod spec that lies at `at`.

    Raises:
        ValidationError: one is no quantity; the message names its field.
    """
    _respell(pod, "", at)


def _respell(value: Any, parent: str, at: str) -> None:
    if isinstance(value, list):
        for i, item in enumerate(value):
            _respell(item, "[]", f"{at}[{i}]")
    elif isinstance(value, dict):
        for key, found in value.items():
            here = f"{at}.{key}"
            if (parent, key) in _MAPS and isinstance(found, dict):
                value[key] = {name: _quantity(amount, f"{here}.{name}") for name, amount in found.items()}
            elif (parent, key) in _SCALARS and found is not None:
                value[key] = _quantity(found, here)
            else:
                _respell(found, key, here)


def _quantity(value: Any, at: str) -> str:
    try:
        return canonical_quantity(value)
    except ValidationError as error:
        raise ValidationError(f"{at}: {error}", field=at) from error
