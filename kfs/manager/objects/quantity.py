"""Resource quantities (`500m`, `2Gi`, `1e3`) and their canonical form.

Upstream: kubernetes/apimachinery `pkg/api/resource/quantity.go`, `suffix.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

from kfs.manager.errors import ValidationError

FORMAT_RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_RULE = "unable to parse quantity's suffix"

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIX = {v: k for k, v in _BINARY.items()}
_DECIMAL_SUFFIX = {v: k for k, v in _DECIMAL.items()}
_SHAPE = re.compile(r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)([eEinumkKMGTP]*[-+]?[0-9]*)\Z", re.ASCII)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,3})\Z", re.ASCII)
_NANO = Fraction(1, 10**9)
_BINARY_FLOOR = 1024


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact amount and the family of suffixes in which it was written.

    `family` is "binary" (Ki, Mi, ...), "decimal" (n, u, m, k, M, ...) or "exponent" (e3).
    Amounts finer than a billionth are rounded away from zero, as Kubernetes does.
    """

    amount: Fraction
    family: str

    @classmethod
    def parse(cls, text: Any) -> Quantity:
        """A quantity from a string, or from a JSON number.

        Raises:
            ValidationError: not a quantity; the message is Kubernetes' own.
        """
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValidationError(FORMAT_RULE)
        return _parse(str(text))

    def __str__(self) -> str:
        return _format(self)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Quantity:
    found = _SHAPE.match(text)
    if not found:
        raise ValidationError(FORMAT_RULE)
    sign, digits, suffix = found.groups()
    if suffix in _BINARY:
        family, scale = "binary", Fraction(1024) ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        family, scale = "decimal", Fraction(10) ** _DECIMAL[suffix]
    elif exponent := _EXPONENT.match(suffix):
        family, scale = "exponent", Fraction(10) ** int(exponent[1])
    else:
        raise ValidationError(SUFFIX_RULE)
    nanos = ceil(Fraction(digits.rstrip(".") or "0") * scale / _NANO)
    amount = nanos * _NANO
    return Quantity(-amount if sign == "-" else amount, family)


def _format(quantity: Quantity) -> str:
    amount = quantity.amount
    if amount == 0:
        return "0"
    if quantity.family == "binary" and amount.denominator == 1 and abs(amount) >= _BINARY_FLOOR:
        whole, power = int(amount), 0
        while whole % 1024 == 0 and power < max(_BINARY_SUFFIX):
            whole, power = whole // 1024, power + 1
        return f"{whole}{_BINARY_SUFFIX.get(power, '')}"
    whole, power = int(amount / _NANO), -9
    while whole % 1000 == 0 and (power < max(_DECIMAL_SUFFIX) or quantity.family == "exponent"):
        whole, power = whole // 1000, power + 3
    if quantity.family == "exponent":
        return f"{whole}e{power}" if power else str(whole)
    return f"{whole}{_DECIMAL_SUFFIX[power]}"


def canonical_quantity(text: Any) -> str:
    """The canonical spelling: `0.1` gives `100m`, `1024Mi` gives `1Gi`, the number 1 gives `1`.

    Raises:
        ValidationError: not a quantity.
    """
    return str(Quantity.parse(text))


def same_quantity(a: Any, b: Any) -> bool:
    """Whether two spellings mean the same amount; anything that is no quantity equals nothing."""
    try:
        return Quantity.parse(a).amount == Quantity.parse(b).amount
    except ValidationError:
        return False
