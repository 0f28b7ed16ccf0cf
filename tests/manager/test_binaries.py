"""Where the control plane's binaries are looked for, and how they are built, with a stand-in for Go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kfs.manager.testing.binaries import ControlPlaneBinaries, ControlPlaneUnavailable, find_binaries

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("etcd", "kube-apiserver", "kubectl")

FAKE_GO = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$1 $2" in
"env GOVERSION") echo "${VERSION:-go1.24.0}" ;;
"mod download") echo '{"GoMod": "described"}' ;;
"mod edit") echo '{"Require": [
    {"Path": "k8s.io/api", "Version": "v0.0.0"},
    {"Path": "k8s.io/utils", "Version": "v0.0.0-20250604170112-4c0f3b243397"}]}' ;;
build*)
    cat go.mod >>"$CALLS"
    if [ -n "${BROKEN:-}" ]; then echo "no room on the disk" >&2; exit 3; fi
    while [ "$1" != -o ]; do shift; done
    echo "some/package" >&2
    echo "#!/bin/sh" >"$2"
    chmod +x "$2"
    ;;
esac
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache and the stand-in for Go."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    return {
        "PATH": f"{go.parent}:/usr/bin:/bin",
        "KFS_CACHE": str(tmp_path / "cache"),
        "CALLS": str(tmp_path / "calls"),
    }


def calls(environ: dict[str, str]) -> list[str]:
    return Path(environ["CALLS"]).read_text().splitlines()


def in_folder(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_assets_of_kubebuilder_come_first(tmp_path: Path) -> None:
    assets = in_folder(tmp_path / "assets", *NAMES)
    found = find_binaries({"KUBEBUILDER_ASSETS": str(assets)}, report=pytest.fail)
    assert found == ControlPlaneBinaries(assets / "etcd", assets / "kube-apiserver", assets / "kubectl")


def test_assets_that_lack_one_are_reported_and_passed_over(tmp_path: Path, environ: dict[str, str]) -> None:
    assets = in_folder(tmp_path / "assets", "etcd", "kubectl")
    reported: list[str] = []
    found = find_binaries(environ | {"KUBEBUILDER_ASSETS": str(assets)}, report=reported.append)
    assert reported[0] == f"KUBEBUILDER_ASSETS={assets} lacks kube-apiserver: looking in the cache instead"
    assert found.etcd.is_relative_to(environ["KFS_CACHE"])


def test_what_is_built_is_kept(environ: dict[str, str]) -> None:
    first = find_binaries(environ, report=lambda line: None)
    made = calls(environ)
    assert first.missing() == []
    assert find_binaries(environ, report=pytest.fail) == first
    assert calls(environ) == made


def test_staging_modules_are_replaced_by_their_releases(environ: dict[str, str]) -> None:
    find_binaries(environ, report=lambda line: None)
    assert "require k8s.io/kubernetes v1.34.2" in calls(environ)
    assert "replace k8s.io/api => k8s.io/api v0.34.2" in calls(environ)
    assert not any("replace k8s.io/utils" in line for line in calls(environ))


def test_two_at_once_build_once(environ: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "hack" / "control-plane"), "--json"]
    runs = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) for _ in range(2)]
    first, second = (run.communicate()[0] for run in runs)
    assert first == second != b""
    assert sum(line.startswith("build ") for line in calls(environ)) == len(NAMES)


def test_a_failed_build_says_why_and_leaves_nothing(environ: dict[str, str]) -> None:
    with pytest.raises(ControlPlaneUnavailable, match=r"(?s)status 3; .*KUBEBUILDER_ASSETS.*no room"):
        find_binaries(environ | {"BROKEN": "1"}, report=lambda line: None)
    assert [path.name for path in (Path(environ["KFS_CACHE"]) / "control-plane").iterdir()] == ["lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(ControlPlaneUnavailable, match=f"cannot build a control plane in {tmp_path}/cache"):
        find_binaries(environ, report=lambda line: None)


def test_the_script_prints_lines_for_a_shell(environ: dict[str, str]) -> None:
    script = 'eval "$(hack/control-plane)" && printf "%s\\n" "$ETCD" "$KUBE_APISERVER" "$KUBECTL"'
    output = subprocess.check_output(["sh", "-c", script], cwd=ROOT, env=environ, text=True)
    assert [Path(line).name for line in output.splitlines()] == list(NAMES)
