"""What `hack/generate` made is up to date, and fit for an API server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hack.crdgen.openapi import extract
from kfs.api.config import parse_config
from kfs.install.manifests import CRDS, manifests
from kfs.install.webhooks import InstallOptions
from kfs.manager.objects.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
# etcd's default limit for a request is 1.5 MiB, and an update holds the managed fields as well.
MOST_BYTES = 900 * 1024

Node = dict[str, Any]


def shipped_crds() -> list[Node]:
    found = [m.desired for m in manifests(InstallOptions()) if m.kind == CUSTOM_RESOURCE_DEFINITION]
    assert len(found) == len(CRDS)
    return found


def version_schemas() -> Iterator[tuple[str, Node]]:
    for crd in shipped_crds():
        for version in crd["spec"]["versions"]:
            yield f"{crd['metadata']['name']}/{version['name']}", version["schema"]["openAPIV3Schema"]


def nodes(schema: Node) -> Iterator[Node]:
    yield schema
    for inner in (
        *schema.get("properties", {}).values(),
        *(schema[part] for part in ("items", "additionalProperties") if part in schema),
    ):
        yield from nodes(inner)


def at(version: str, *path: str) -> Node:
    node = dict(version_schemas())[version]
    for field in path:
        node = node["items"] if field == "[]" else node["properties"][field]
    return node


PREDICTOR = ("inferenceservices.serving.kubeflow.org/v1beta1", "spec", "predictor")


def test_everything_generated_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "hack/generate", "--check"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_yaml_and_package_data_say_the_same() -> None:
    for crd in shipped_crds():
        written = yaml.load((ROOT / f"config/crd/{_file(crd)}").read_bytes(), yaml.CSafeLoader)
        written["spec"].pop("conversion", None)
        crd["spec"].pop("conversion", None)
        assert written == crd


def _file(crd: Node) -> str:
    return f"{crd['spec']['group']}_{crd['spec']['names']['plural']}.yaml"


def test_crds_are_small_enough_for_etcd() -> None:
    for crd in shipped_crds():
        assert len(json.dumps(crd)) < MOST_BYTES


@pytest.mark.parametrize(("version", "schema"), list(version_schemas()))
def test_schemas_are_structural_and_fill_nothing_in(version: str, schema: Node) -> None:
    for node in nodes(schema):
        assert not {"$ref", "default", "nullable", "oneOf", "allOf"} & node.keys()
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node)
        known = node.get("properties", {}).keys()
        assert set(node.get("required", ())) <= known
        if node.get("x-kubernetes-list-type") == "map":
            assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"])


def test_kubernetes_fields_are_listed_kept_and_not_described() -> None:
    container = at(*PREDICTOR, "containers", "[]")
    assert {"image", "env", "resources", "ports"} <= container["properties"].keys()
    for node in nodes(container):
        assert "description" not in node
        assert ("properties" in node) == (node.get("x-kubernetes-preserve-unknown-fields") is True)


def test_our_fields_stand_beside_those_of_a_container_and_a_pod() -> None:
    server, predictor = at(*PREDICTOR, "sklearn"), at(*PREDICTOR)
    assert {"storageUri", "runtimeVersion", "protocolVersion", "env"} <= server["properties"].keys()
    assert server["x-kubernetes-preserve-unknown-fields"] is True
    assert {"minReplicas", "sklearn", "serviceAccountName", "volumes"} <= predictor["properties"].keys()
    # A misspelt field of a component is dropped, not kept: kubectl says so.
    assert "x-kubernetes-preserve-unknown-fields" not in predictor
    assert not {"initContainers", "ephemeralContainers"} & predictor["properties"].keys()
    assert "required" not in {**server, **predictor}


def test_only_v1beta1_names_the_logger_modes() -> None:
    assert at(*PREDICTOR, "logger", "mode")["enum"] == ["all", "request", "response"]
    v1alpha2 = ("inferenceservices.serving.kubeflow.org/v1alpha2", "spec", "default", "predictor")
    assert "enum" not in at(*v1alpha2, "logger", "mode")


def test_the_shipped_configuration_makes_sense() -> None:
    [configuration] = [m.desired for m in manifests(InstallOptions("ns")) if m.kind == CONFIG_MAP]
    assert configuration["metadata"]["namespace"] == "ns"
    config = parse_config(configuration["data"])
    assert config.predictors.sklearn.v1 is not None
    assert config.predictors.sklearn.v1.image == "gcr.io/kfserving/sklearnserver"


def test_an_extract_keeps_structure_alone() -> None:
    prefix = "io.k8s.api.core.v1."
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    reference = {"allOf": [{"$ref": f"#/components/schemas/{prefix}Container"}], "default": {}}
    schemas = {
        f"{prefix}PodSpec": {
            "description": "prose",
            "properties": {"containers": {"type": "array", "items": reference, "description": "prose"}},
            "type": "object",
        },
        f"{prefix}Container": {
            "properties": {"imagePullPolicy": {"type": "string", "default": "Always", "enum": ["Always"]}},
            "type": "object",
        },
        f"{prefix}ResourceRequirements": {"type": "object"},
        f"{prefix}Unrelated": {"type": "object"},
        quantity: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    }
    assert extract({"components": {"schemas": schemas}}) == {
        f"{prefix}Container": {"type": "object", "properties": {"imagePullPolicy": {"type": "string"}}},
        f"{prefix}PodSpec": {
            "type": "object",
            "properties": {"containers": {"type": "array", "items": {"$ref": f"{prefix}Container"}}},
        },
        f"{prefix}ResourceRequirements": {"type": "object"},
        quantity: {},
    }
    with pytest.raises(ValueError, match="OpenAPI v3 document of api/v1"):
        extract({"definitions": {}})
