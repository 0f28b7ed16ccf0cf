"""Every way to log in, against a real API server: what a kubeconfig may hold, and a Pod's ServiceAccount."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kfs.manager.client import HttpTransport, LiveClient
from kfs.manager.errors import ConfigError, Unauthorized
from kfs.manager.login import connect
from kfs.manager.metrics import Metrics
from kfs.manager.objects.kinds import NAMESPACE
from kfs.manager.testing.envtest import ControlPlane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Tree = dict[str, Any]


@asynccontextmanager
async def client(kubeconfig: Path | str = "", **options: Any) -> AsyncIterator[LiveClient]:
    transport = HttpTransport(await connect(str(kubeconfig), **options), Metrics())
    try:
        yield LiveClient(transport)
    finally:
        await transport.close()


def kubeconfig(folder: Path, cluster: Tree, user: Tree) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(document))
    return path


def trusted(control_plane: ControlPlane) -> Tree:
    authority = base64.b64encode(control_plane.ca_file.read_bytes()).decode()
    return {"server": control_plane.url, "certificate-authority-data": authority}


async def assert_works(path: Path) -> None:
    async with client(path) as live:
        assert len(await live.list(NAMESPACE)) >= 1


async def test_token_and_ca_data(control_plane: ControlPlane, tmp_path: Path) -> None:
    await assert_works(kubeconfig(tmp_path, trusted(control_plane), {"token": control_plane.token}))


async def test_ca_file(control_plane: ControlPlane, tmp_path: Path) -> None:
    cluster = {"server": control_plane.url, "certificate-authority": str(control_plane.ca_file)}
    await assert_works(kubeconfig(tmp_path, cluster, {"token": control_plane.token}))


async def test_insecure_skip_tls_verify(control_plane: ControlPlane, tmp_path: Path) -> None:
    cluster = {"server": control_plane.url, "insecure-skip-tls-verify": True}
    await assert_works(kubeconfig(tmp_path, cluster, {"token": control_plane.token}))


async def test_exec_plugin_is_run_again_when_its_token_is_refused(control_plane: ControlPlane, tmp_path: Path) -> None:
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import json, pathlib\n"
        f"used = pathlib.Path({str(tmp_path / 'used')!r})\n"
        f"token = {control_plane.token!r} if used.exists() else 'stale'\n"
        "used.touch()\n"
        f"print(json.dumps({{**{credential!r}, 'status': {{'token': token}}}}))\n"
    )
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(plugin)],
        "interactiveMode": "Never",
    }
    await assert_works(kubeconfig(tmp_path, trusted(control_plane), {"exec": run}))


async def test_requests_that_are_refused_together_log_in_once(control_plane: ControlPlane, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import json, pathlib\n"
        f"runs = pathlib.Path({str(tmp_path / 'runs')!r})\n"
        "token = runs.read_text() + '*' if runs.exists() else '*'\n"
        "runs.write_text(token)\n"
        "kind = {'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential'}\n"
        "print(json.dumps({**kind, 'status': {'token': token}}))\n"
    )
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(plugin)],
        "interactiveMode": "Never",
    }
    connection = await connect(str(kubeconfig(tmp_path, trusted(control_plane), {"exec": run})))
    renewed = await asyncio.gather(*(connection.authorization(True) for _ in range(5)))
    assert renewed == ["Bearer **"] * 5
    assert await connection.authorization(True) == "Bearer ***"


async def test_client_certificate(tmp_path: Path) -> None:
    authority, certificate, key = client_certificate(tmp_path)
    with ControlPlane(api_server_flags=[f"--client-ca-file={authority}"]) as control_plane:
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        await assert_works(kubeconfig(tmp_path, trusted(control_plane), user))


async def test_service_account_of_a_pod(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(control_plane.token)
    (tmp_path / "ca.crt").write_bytes(control_plane.ca_file.read_bytes())
    host, _, port = control_plane.url.removeprefix("https://").partition(":")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    async with client(service_account=tmp_path) as live:
        assert await live.list(NAMESPACE)
        # The kubelet has replaced the token, and the old one does not hold any more.
        (tmp_path / "token").write_text("revoked")
        assert await live.list(NAMESPACE)


async def test_an_unknown_token_is_told_apart(control_plane: ControlPlane, tmp_path: Path) -> None:
    async with client(kubeconfig(tmp_path, trusted(control_plane), {"token": "nobody's"})) as live:
        with pytest.raises(Unauthorized):
            await live.list(NAMESPACE)


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        await connect(str(tmp_path / "nowhere"))


async def test_a_context_that_is_not_there_is_named(control_plane: ControlPlane) -> None:
    with pytest.raises(ConfigError, match="elsewhere"):
        await connect(str(control_plane.kubeconfig), "elsewhere")


async def test_nothing_to_go_by_says_what_to_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="--kubeconfig"):
        await connect()


def client_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it for a member of system:masters, made by openssl as administrators do."""
    ca, ca_key, key, request, certificate = (folder / n for n in ("ca.crt", "ca.key", "u.key", "u.csr", "u.crt"))
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    steps: tuple[list[str | Path], ...] = (
        [*new, "-x509", "-days", "1", "-subj", "/CN=clients", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/O=system:masters/CN=someone", "-keyout", key, "-out", request],
        [
            *("openssl", "x509", "-req", "-days", "1", "-in", request, "-CA", ca, "-CAkey", ca_key),
            *("-CAcreateserial", "-out", certificate),
        ],
    )
    for step in steps:
        subprocess.run(step, check=True, capture_output=True)
    return ca, certificate, key
