"""The ConfigMap that tells a multi-model server's agent which models to load: one JSON list, `models.json`.

    [{"modelName": "a", "modelSpec": {"storageUri": "gs://b/a", "framework": "sklearn", "memory": "1Gi"}}]

It is the record of what is loaded. Entries are in order of name.

Upstream: kserve/kserve v0.5.1 `pkg/modelconfig/configmap.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from kfs.api.constants import INFERENCE_SERVICE
from kfs.api.names import model_config_name
from kfs.manager.errors import DecodeError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.kinds import CONFIG_MAP
from kfs.manager.objects.quantity import Quantity, canonical_quantity
from kfs.manager.objects.tree import labels, mapping, name, namespace, owner_reference

if TYPE_CHECKING:
    from kfs.api.trainedmodel import ModelSpec
    from kfs.manager.objects.tree import Frozen, Obj

MODELS_FILE: Final = "models.json"
# A ConfigMap holds 1 MiB; some of it is left for what others may put beside our file.
MODELS_LIMIT_BYTES: Final = 1_000_000

Entries = Mapping[str, "Obj"]
"""What is loaded: each model's entry, by name."""


def config_map(isvc: Frozen, entries: Entries) -> Obj:
    """The model ConfigMap of an InferenceService."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": model_config_name(name(isvc)),
            "namespace": namespace(isvc),
            "labels": dict(labels(isvc)),
            "ownerReferences": [owner_reference(isvc, INFERENCE_SERVICE)],
        },
        "data": {MODELS_FILE: write_entries(entries)},
    }


def read_entries(config: Frozen) -> dict[str, Obj]:
    """The entries of a model ConfigMap, by model name.

    Raises:
        ValidationError: the file is no list of models; the message says where it is and what to do.
    """
    text = mapping(config, "data").get(MODELS_FILE) or "[]"
    where = f"{MODELS_FILE} in ConfigMap {namespace(config)}/{name(config)}"
    try:
        listed = codec.loads(text)
    except DecodeError as error:
        raise ValidationError(f"{where}: {error}; mend it, or set it to []", field=MODELS_FILE) from error
    if not isinstance(listed, list) or not all(isinstance(e, dict) and "modelName" in e for e in listed):
        raise ValidationError(f"{where} is no list of models; mend it, or set it to []", field=MODELS_FILE)
    return {str(entry["modelName"]): entry for entry in listed}


def write_entries(entries: Entries) -> str:
    """The file: every entry, in order of model name."""
    return codec.dumps([entries[key] for key in sorted(entries)]).decode()


def entry(model: str, spec: ModelSpec) -> Obj:
    """A model's entry."""
    return {
        "modelName": model,
        "modelSpec": {
            "storageUri": spec.storage_uri,
            "framework": spec.framework,
            "memory": canonical_quantity(spec.memory),
        },
    }


def memory_of(found: Frozen) -> Fraction:
    """The bytes that an entry asks for; none when it does not say."""
    try:
        return Quantity.parse(mapping(found, "modelSpec").get("memory")).amount
    except ValidationError:
        return Fraction(0)
