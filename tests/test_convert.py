"""`kfs convert`: what comes out, what is reported, and what is refused."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfs.cli import main
from kfs.convert import convert_files

if TYPE_CHECKING:
    from pathlib import Path

A, B = "serving.kubeflow.org/v1alpha2", "serving.kubeflow.org/v1beta1"
OLD = f"""
apiVersion: {A}
kind: InferenceService
metadata: {{name: m, namespace: ns, creationTimestamp: 2026-01-01T00:00:00Z}}
spec:
  default: {{predictor: {{xgboost: {{storageUri: gs://m, nthread: 4}}}}}}
  canary: {{predictor: {{xgboost: {{storageUri: gs://m2}}}}}}
"""
NEW = {"apiVersion": B, "kind": "InferenceService", "metadata": {"name": "n"}, "spec": {"predictor": {"onnx": {}}}}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}


def run(text: str) -> tuple[int, list[Any], str]:
    """The exit status, the documents and the report."""
    out, report = io.StringIO(), io.StringIO()
    status = convert_files(["-"], io.StringIO(text), out, report)
    return status, list(yaml.safe_load_all(out.getvalue())), report.getvalue()


def test_any_mix_comes_out_in_the_other_version() -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [NEW, POD]}
    status, (old, new, many), report = run(f"{OLD}\n---\n---\n{json.dumps(NEW)}\n---\n{json.dumps(listed)}")
    assert status == 0
    assert (old["apiVersion"], new["apiVersion"]) == (B, A)
    assert old["spec"] == {"predictor": {"xgboost": {"storageUri": "gs://m"}}}
    assert old["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert many["items"] == [new, POD]
    assert report.splitlines() == [
        "-: InferenceService ns/m: v1alpha2 -> v1beta1, carried in the annotation: /spec/canary,"
        " /spec/default/predictor/xgboost/nthread"
        " (v1beta1's controller, to which this object belongs when it is applied, runs no such canary)",
        "-: InferenceService n: v1beta1 -> v1alpha2, nothing to carry along",
        "-: InferenceService n: v1beta1 -> v1alpha2, nothing to carry along",
        "-: Pod p: is no InferenceService, passed on as it is",
    ]


def test_there_and_back_is_the_same() -> None:
    _, there, _ = run(OLD)
    _, [back], _ = run(yaml.safe_dump_all(there))
    assert back["spec"] == yaml.safe_load(OLD)["spec"]
    assert back["metadata"].keys() == {"name", "namespace", "creationTimestamp"}


def test_a_list_of_one_kind_changes_with_its_items() -> None:
    items = [{"metadata": {"name": "m"}, "spec": {"default": {"predictor": {"onnx": {}}}}}]
    _, [listed], _ = run(json.dumps({"apiVersion": A, "kind": "InferenceServiceList", "items": items}))
    assert (listed["apiVersion"], listed["kind"]) == (B, "InferenceServiceList")
    assert listed["items"][0] == {**NEW, "metadata": {"name": "m"}}


BIG = {"predictor": {"custom": {"container": {"image": "x" * 200_000}}}}
REFUSED = {
    "no YAML": ("a: [", "-: cannot be read: while parsing"),
    "no object": ("[1]", "-: document 2: must be an object, but is list"),
    "no version": (json.dumps({**NEW, "apiVersion": "serving.kubeflow.org/v2"}), "-: n: apiVersion serving.kubeflow"),
    "items": (json.dumps({"kind": "List", "items": ["x"]}), "-: items[0]: must be an object, but is str"),
    "too big": (json.dumps({**NEW, "apiVersion": A, "spec": {"canary": BIG}}), "-: n: metadata.annotations[internal"),
    "too big the other way": (
        json.dumps({**NEW, "spec": {"predictor": {"volumes": [{"name": "x" * 200_000}]}}}),
        "-: n: what v1alpha2 cannot say takes 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_holds_everything_back(case: str) -> None:
    text, message = REFUSED[case]
    status, out, report = run(f"{OLD}\n---\n{text}")
    assert (status, out) == (1, [])
    lines = report.splitlines()
    assert any(line.startswith(message) for line in lines), lines
    assert lines[-1] == "nothing was output, since not everything could be converted"


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(OLD)
    assert main(["convert", "-f", str(file)]) == 0
    printed = capsys.readouterr()
    assert yaml.safe_load(printed.out)["apiVersion"] == B
    assert printed.err.startswith(f"{file}: InferenceService ns/m: v1alpha2 -> v1beta1")
    assert main(["convert", "-f", str(tmp_path / "missing")]) == 1
    assert "cannot be read: " in capsys.readouterr().err
