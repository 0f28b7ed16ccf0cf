"""Where the API server is and who we are: kubeconfig, or the Pod's ServiceAccount.

Upstream: kubernetes-sigs/controller-runtime `pkg/client/config/config.go` for the order of
places: the flag, then KUBECONFIG, then in-cluster, then `~/.kube/config`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kfs.manager.errors import ConfigError
from kfs.manager.objects import codec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")

# The kubelet replaces a projected token long before it ends; reading it again once a minute is enough.
TOKEN_MAX_AGE_S = 60.0


@dataclass(frozen=True)
class Connection:
    """An API server and how to be known by it.

    `authorization(fresh)` gives the Authorization header's value, or an empty string; with
    `fresh` it logs in anew (the server refused the last one).
    """

    server: str
    tls: ssl.SSLContext | bool
    authorization: Callable[[bool], Awaitable[str]]
    server_name: str = ""
    proxy: str = ""


async def connect(
    kubeconfig: str = "", context: str = "", *, service_account: Path = SERVICE_ACCOUNT_DIR
) -> Connection:
    """The connection that flag, environment or Pod name; `service_account` is where a Pod finds its own.

    Raises:
        ConfigError: nothing usable; the message says what was tried and what to pass.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG", "")
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and (service_account / "token").exists()
    if not path and in_cluster:
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        return _in_cluster(os.environ["KUBERNETES_SERVICE_HOST"], port, service_account)
    if not path and not (Path.home() / ".kube" / "config").exists():
        raise ConfigError(
            "no API server: not running in a Pod with a ServiceAccount, KUBECONFIG is not set and "
            "~/.kube/config does not exist; pass --kubeconfig FILE"
        )
    return await _from_kubeconfig(path, context)


def _in_cluster(host: str, port: str, service_account: Path) -> Connection:
    token = service_account / "token"
    host = f"[{host}]" if ":" in host else host
    cached, read_at = "", float("-inf")

    async def authorization(fresh: bool) -> str:
        nonlocal cached, read_at
        now = asyncio.get_running_loop().time()
        if fresh or now - read_at > TOKEN_MAX_AGE_S:
            cached, read_at = f"Bearer {token.read_text().strip()}", now
        return cached

    tls = ssl.create_default_context(cafile=str(service_account / "ca.crt"))
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return Connection(f"https://{host}:{port}", tls, authorization)


async def _from_kubeconfig(path: str, context: str) -> Connection:
    found = await _load(path, context)
    current, logins = str(found["authorization"]), 1
    renewing = asyncio.Lock()

    async def authorization(fresh: bool) -> str:
        nonlocal current, logins
        if fresh:
            # When a token ends, all requests under way are refused at once: one login serves them all.
            known = logins
            async with renewing:
                if logins == known:
                    current = str((await _load(path, context))["authorization"])
                    logins += 1
        return current

    return Connection(
        str(found["server"]).rstrip("/"),
        _tls(found),
        authorization,
        server_name=str(found["server_name"]),
        proxy=str(found["proxy"]),
    )


async def _load(path: str, context: str) -> dict[str, object]:
    command = [sys.executable, "-m", "kfs.manager.kubeconfig"]
    command += ["--kubeconfig", path] if path else []
    command += ["--context", context] if context else []
    # Python's -P would hide the package when it is run from a checkout; the child gets our own path instead.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
    )
    out, err = await child.communicate()
    if child.returncode:
        reason = err.decode(errors="replace").strip().splitlines()
        where = f"kubeconfig {path or '(default)'}" + (f", context {context}" if context else "")
        raise ConfigError(f"{where}: {reason[-1] if reason else 'cannot be read'}")
    return codec.loads_object(out)


def _tls(found: dict[str, object]) -> ssl.SSLContext | bool:
    if not str(found["server"]).startswith("https"):
        return False
    tls = ssl.create_default_context(cadata=str(found["ca"]) or None)
    # kube-apiserver's own self-signed certificates lack what Python 3.13 asks of a chain by default.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not found["verify"]:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    if found["certificate"]:
        # The ssl module loads a client certificate from a file only.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
            pem.write(f"{found['certificate']}\n{found['key']}\n")
            pem.flush()
            tls.load_cert_chain(pem.name)
    return tls
