"""Which of the two controllers an InferenceService belongs to: its reconciler annotation says so.

An object without the annotation belongs to v1beta1. Whoever changes it hands the object over.

Differs: the original ships two controllers and wires one (difference 12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from kfs.api.constants import RECONCILER_ANNOTATION
from kfs.manager.errors import ValidationError
from kfs.manager.objects.tree import mapping

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen

Owner = Literal["v1alpha2", "v1beta1"]
V1ALPHA2: Final = "v1alpha2"
V1BETA1: Final = "v1beta1"
OWNERS: Final[tuple[Owner, ...]] = (V1ALPHA2, V1BETA1)


def owner_of(isvc: Frozen) -> Owner:
    """The version whose controller looks after an InferenceService of either version."""
    return V1ALPHA2 if mapping(isvc, "metadata", "annotations").get(RECONCILER_ANNOTATION) == V1ALPHA2 else V1BETA1


def check_owner(isvc: Frozen) -> None:
    """Refuse an annotation that names no controller.

    Raises:
        ValidationError: its value is unknown; the message says which there are.
    """
    named = mapping(isvc, "metadata", "annotations").get(RECONCILER_ANNOTATION, V1BETA1)
    if named not in OWNERS:
        field = f"metadata.annotations[{RECONCILER_ANNOTATION}]"
        raise ValidationError(f'{field}: "{named}" is no controller; write {" or ".join(OWNERS)}', field=field)
