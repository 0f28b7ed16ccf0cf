"""The project's CRDs, made of the records' schemas.

Upstream: kserve/kserve v0.5.1 `config/crd` for names, printer columns and versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfs.api import trainedmodel, v1alpha2, v1beta1
from kfs.api.constants import GROUP
from kfs.install.webhooks import InstallOptions, conversion

if TYPE_CHECKING:
    from hack.crdgen.schema import Schemas

Node = dict[str, Any]
Column = tuple[str, str, str]

_URL: Column = ("URL", "string", ".status.url")
_READY: Column = ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status")
_AGE: Column = ("Age", "date", ".metadata.creationTimestamp")
_PREVIOUS = ".status.components.predictor.traffic[?(@.tag=='prev')]"
_LATEST = ".status.components.predictor.traffic[?(@.latestRevision==true)]"

_V1BETA1_COLUMNS: tuple[Column, ...] = (
    _URL,
    _READY,
    ("Prev", "integer", f"{_PREVIOUS}.percent"),
    ("Latest", "integer", f"{_LATEST}.percent"),
    ("PrevRolledoutRevision", "string", f"{_PREVIOUS}.revisionName"),
    ("LatestReadyRevision", "string", f"{_LATEST}.revisionName"),
    _AGE,
)
_V1ALPHA2_COLUMNS: tuple[Column, ...] = (
    _URL,
    _READY,
    ("Default Traffic", "integer", ".status.traffic"),
    ("Canary Traffic", "integer", ".status.canaryTraffic"),
    _AGE,
)


def custom_resource_definitions(schemas: Schemas) -> list[Node]:
    """The CRDs as they are applied, with the default address of the conversion webhook."""
    service_description = "A trained model that is served: a predictor, and if wanted a transformer and an explainer."
    services = _definition("InferenceService", "isvc")
    services["spec"] |= {
        "conversion": conversion(InstallOptions()),
        "versions": [
            _version(
                "v1alpha2",
                schemas.of(v1alpha2.InferenceServiceSpec),
                schemas.of(v1alpha2.InferenceServiceStatus),
                service_description,
                _V1ALPHA2_COLUMNS,
                storage=False,
            ),
            _version(
                "v1beta1",
                schemas.of(v1beta1.InferenceServiceSpec),
                schemas.of(v1beta1.InferenceServiceStatus),
                service_description,
                _V1BETA1_COLUMNS,
            ),
        ],
    }
    models = _definition("TrainedModel", "tm")
    models["spec"]["versions"] = [
        _version(
            "v1alpha1",
            schemas.of(trainedmodel.TrainedModelSpec),
            schemas.of(trainedmodel.TrainedModelStatus),
            "A model that the server of an InferenceService loads beside others.",
            (_URL, _READY, _AGE),
        )
    ]
    return [services, models]


def _definition(kind: str, short_name: str) -> Node:
    singular = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": f"{singular}s",
                "shortNames": [short_name],
                "singular": singular,
            },
            # CRDs that the original's v1beta1 manifest created say true, which v1 allows no new schema to.
            "preserveUnknownFields": False,
            "scope": "Namespaced",
        },
    }


def _version(
    name: str,
    spec: Node,
    status: Node,
    description: str,
    columns: tuple[Column, ...],
    *,
    storage: bool = True,
) -> Node:
    schema = {
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {**spec, "description": "What is asked for."},
            "status": {**status, "description": "What has become of it, as kfs last saw it."},
        },
    }
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": title, "type": kind, "jsonPath": path} for title, kind, path in columns],
        "schema": {"openAPIV3Schema": schema},
    }
