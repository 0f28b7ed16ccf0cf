"""Every generated file and its text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hack.crdgen.definitions import custom_resource_definitions
from hack.crdgen.kubernetes import KubernetesTypes
from hack.crdgen.schema import Schemas
from kfs.install.manifests import CONFIGURATION
from kfs.install.webhooks import InstallOptions, webhook_configurations
from kfs.manager.objects import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

KUBERNETES_TYPES = Path(__file__).parent / "kubernetes.json"
_CONFIG_MAP = Path("config/configmap/inferenceservice.yaml")
_HEADER = "# Made by hack/generate; do not edit.\n"


def artifacts(root: Path) -> dict[Path, str]:
    """The text of each generated file, by its path under `root`.

    Sources: the API's records, the extract of Kubernetes' types, the table of webhooks and the ConfigMap.
    """
    types = KubernetesTypes(json.loads(KUBERNETES_TYPES.read_bytes()))
    made: dict[Path, str] = {}
    for crd in custom_resource_definitions(Schemas(types)):
        names = crd["spec"]["names"]
        made[root / f"config/crd/{crd['spec']['group']}_{names['plural']}.yaml"] = _yaml(crd)
        made[root / f"kfs/install/crds/{names['plural']}.json"] = _json(crd)
    made[root / "config/webhook/manifests.yaml"] = _yaml(*(obj for _, obj in webhook_configurations(InstallOptions())))
    configuration = yaml.load((root / _CONFIG_MAP).read_bytes(), yaml.CSafeLoader)
    made[root / f"kfs/install/{CONFIGURATION}.json"] = _json(configuration)
    return made


def one_line_each(definitions: Mapping[str, Any]) -> str:
    """JSON with one line for each key, so that a change shows which definition it is in."""
    lines = (f"{json.dumps(name)}: {json.dumps(definition)}" for name, definition in definitions.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _json(obj: Any) -> str:
    return codec.canonical(_without_nulls(obj)).decode() + "\n"


def _yaml(*documents: Any) -> str:
    # By way of JSON, so that no part is the same object twice: YAML would write a reference to it.
    fresh = [json.loads(_json(document)) for document in documents]
    text: str = yaml.dump_all(fresh, Dumper=yaml.CSafeDumper, sort_keys=True, width=100)
    return _HEADER + text


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(v) for v in value]
    return value
