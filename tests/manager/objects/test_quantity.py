"""Quantities: Kubernetes' canonical forms, and what must hold for all of them."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfs.manager.errors import ValidationError
from kfs.manager.objects.quantity import Quantity, canonical_quantity, same_quantity

CANONICAL = {
    "0": "0",
    "1": "1",
    "0.1": "100m",
    "1.0": "1",
    "1000m": "1",
    "1500m": "1500m",
    "1000": "1k",
    "1024": "1024",
    "1000000": "1M",
    "1Gi": "1Gi",
    "1024Mi": "1Gi",
    "1000Mi": "1000Mi",
    "1.5Gi": "1536Mi",
    "0.5Ki": "512",
    "1.3Ki": "1331200m",
    "1e3": "1e3",
    "12e3": "12e3",
    "1E": "1E",
    "-1Ki": "-1Ki",
    "+2": "2",
    ".5": "500m",
    "5.": "5",
    "1n": "1n",
    "0.1n": "1n",
}


@pytest.mark.parametrize(("text", "canonical"), CANONICAL.items(), ids=CANONICAL)
def test_canonical_form(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


@pytest.mark.parametrize(("value", "canonical"), [(1, "1"), (0.1, "100m"), (2000, "2k")])
def test_json_numbers(value: float, canonical: str) -> None:
    assert canonical_quantity(value) == canonical


@pytest.mark.parametrize("text", ["", "lots", "1 ", " 1", "1Zi", "Gi", "1.2.3", "--1", "1e", "1ee3", "\u0661"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="quantit"):
        canonical_quantity(text)


@pytest.mark.parametrize("value", [None, True, [], {}])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        canonical_quantity(value)


quantities = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    st.decimals(0, 10**9, allow_nan=False, places=3).map(lambda d: format(d, "f")),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-3"]),
)


@given(quantities)
def test_canonical_form_keeps_the_amount_and_is_a_fixed_point(text: str) -> None:
    canonical = canonical_quantity(text)
    assert Quantity.parse(canonical).amount == Quantity.parse(text).amount
    assert canonical_quantity(canonical) == canonical
    assert same_quantity(text, canonical)


@given(quantities)
def test_amounts_are_whole_billionths(text: str) -> None:
    assert (Quantity.parse(text).amount / Fraction(1, 10**9)).denominator == 1


@given(st.text())
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    with contextlib.suppress(ValidationError):
        canonical_quantity(text)
