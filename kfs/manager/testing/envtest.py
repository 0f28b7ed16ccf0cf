"""A real control plane as processes of this machine: etcd and kube-apiserver, for tests and demonstrations.

    async with ControlPlane() as control_plane:
        client = connect(control_plane.kubeconfig)

`with` does the same where there is no event loop. There is no scheduler, no kubelet and no controller
manager, so no garbage collector either: objects are stored, watched, validated and sent to webhooks, and that
is all.

Upstream: kubernetes-sigs/controller-runtime `pkg/envtest` for the idea and the flags.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import socket
import ssl
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kfs.manager.errors import ConfigError, KfsError
from kfs.manager.testing.binaries import ControlPlaneBinaries, find_binaries
from kfs.manager.testing.credentials import private_key, write_kubeconfig, write_private, write_tokens
from kfs.manager.testing.guard import GuardedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

START_SECONDS = 60.0
POLL_SECONDS = 0.05
PORT_ATTEMPTS = 5
LOG_LINES = 20

ADMIN = "admin"

# Both processes run in the control plane's folder, and sockets are named relative to it: the path of a socket
# may have 107 characters.
_ETCD_FLAGS = (
    "--name=envtest",
    "--data-dir=etcd",
    "--unsafe-no-fsync",
    "--log-level=warn",
    "--listen-client-urls=unix://etcd.sock:0",
    "--advertise-client-urls=unix://etcd.sock:0",
    "--listen-peer-urls=unix://peer.sock:0",
    "--initial-advertise-peer-urls=unix://peer.sock:0",
    "--initial-cluster=envtest=unix://peer.sock:0",
)

_API_SERVER_FLAGS = (
    "--etcd-servers=unix://etcd.sock:0",
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--cert-dir=certificates",
    "--token-auth-file=tokens.csv",
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-account-key-file=service-account.key",
    "--service-account-signing-key-file=service-account.key",
    # Nobody makes the default ServiceAccounts that this plugin demands for every pod.
    "--disable-admission-plugins=ServiceAccount",
    "--service-cluster-ip-range=10.0.0.0/24",
    # A loopback address is refused as the endpoint of the Service `kubernetes`, over and over, in the log.
    "--endpoint-reconciler-type=none",
    "--allow-privileged=true",
)

_AUDIT_FLAGS = (
    "--audit-policy-file=audit-policy.json",
    "--audit-log-path=audit.log",
    "--audit-log-mode=blocking-strict",
)


class ControlPlaneError(KfsError):
    """etcd or kube-apiserver did not start, or ended by itself; the message has the end of its log."""


class _PortTaken(ControlPlaneError):
    """Somebody took the port between our choosing it and kube-apiserver's listening on it."""


class ControlPlane:
    """etcd and kube-apiserver on loopback: a context manager, an asynchronous one, or `start` and `stop`.

    Both processes, and the folder when it is a temporary one, are gone after `stop`, and also when this
    process dies of anything, SIGKILL included. etcd listens on a socket in the folder only, without fsync.

    binaries: what to run; by default what `find_binaries` finds, which may have to build it for some minutes.
    folder: where to keep data, certificates and logs; by default a temporary folder. A folder that was used
        before brings its objects back, under a new port and with new tokens.
    users: names and groups of users besides `admin` of `system:masters`; see `user`.
    api_server_flags: more flags for kube-apiserver, as `--name=value`; of a repeated one the last counts.
    audit_policy: a Policy of `audit.k8s.io/v1`; events then go to `audit_log`, one JSON object a line, each
        before its request is answered.
    """

    def __init__(
        self,
        *,
        binaries: ControlPlaneBinaries | None = None,
        folder: Path | None = None,
        users: Mapping[str, Sequence[str]] | None = None,
        api_server_flags: Sequence[str] = (),
        audit_policy: Mapping[str, Any] | None = None,
    ) -> None:
        self._binaries = binaries
        self._given_folder = folder
        self._groups: dict[str, Sequence[str]] = {ADMIN: ("system:masters",), **(users or {})}
        self._audit_policy = audit_policy
        audit_flags = _AUDIT_FLAGS if audit_policy is not None else ()
        self._api_server_flags = (*_API_SERVER_FLAGS, *audit_flags, *api_server_flags)
        self._folder: Path | None = None
        self._port = 0
        self._tokens: dict[str, str] = {}
        self._etcd: GuardedProcess | None = None
        self._api_server: GuardedProcess | None = None

    @property
    def binaries(self) -> ControlPlaneBinaries:
        """The executables; on first use found and, if need be, built. Raises ControlPlaneUnavailable."""
        if self._binaries is None:
            self._binaries = find_binaries()
        return self._binaries

    @property
    def folder(self) -> Path:
        """Where data, certificates, kubeconfigs and logs are. Raises ConfigError when it is not running."""
        if self._folder is None:
            raise ConfigError("the control plane is not running: call start(), or use it in a `with` block")
        return self._folder

    @property
    def url(self) -> str:
        """kube-apiserver's address, `https://127.0.0.1:PORT`."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca_file(self) -> Path:
        """PEM file with the CA of kube-apiserver's certificate."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def token(self) -> str:
        """The bearer token of `admin`."""
        return self._tokens[ADMIN]

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig for `admin`, who may do everything."""
        return self.user(ADMIN)

    @property
    def audit_log(self) -> Path:
        """Where audit events go when there is an `audit_policy`."""
        return self.folder / "audit.log"

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of etcd and kube-apiserver, those that run."""
        running = {"etcd": self._etcd, "kube-apiserver": self._api_server}
        return {name: process.pid for name, process in running.items() if process is not None}

    def user(self, name: str) -> Path:
        """A kubeconfig for one of the `users`. Raises ConfigError for any other name."""
        if name not in self._groups:
            known = ", ".join(self._groups)
            raise ConfigError(f"no user {name!r}: name it in ControlPlane(users=...); there are {known}")
        return self.kubeconfig_for(name, self._tokens[name])

    def kubeconfig_for(self, name: str, token: str) -> Path:
        """Write a kubeconfig with that bearer token, such as one of a ServiceAccount's, and say where."""
        path = self.folder / f"{name.replace('/', '_')}.kubeconfig"
        write_kubeconfig(path, url=self.url, ca_file=self.ca_file, user=name, token=token)
        return path

    def start(self) -> None:
        """Start both processes and wait until requests are served, usually 3 to 5 seconds.

        Raises ControlPlaneError when they cannot be, and ControlPlaneUnavailable when there are no binaries.
        """
        if self._folder is not None:
            raise ConfigError("the control plane is running already: stop() it first")
        for attempt in range(PORT_ATTEMPTS):
            try:
                self._start_once()
            except _PortTaken:
                self.stop()
                if attempt + 1 == PORT_ATTEMPTS:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """Stop both processes and remove the temporary folder; nothing happens when there are none."""
        self.stop_api_server()
        if self._etcd is not None:
            self._etcd.stop()
            self._etcd = None
        if self._folder is not None and self._given_folder is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def stop_api_server(self) -> None:
        """Take kube-apiserver away; what is stored stays."""
        if self._api_server is not None:
            self._api_server.stop()
            self._api_server = None

    def start_api_server(self) -> None:
        """Bring kube-apiserver back at the same address and wait until it serves."""
        if self._api_server is not None:
            raise ConfigError("kube-apiserver is running already: use restart_api_server()")
        flags = [f"--secure-port={self._port}", *self._api_server_flags]
        self._api_server = self._run("kube-apiserver", self.binaries.kube_apiserver, flags)
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            for process in (self._etcd, self._api_server):
                if process is not None and (status := process.wait(POLL_SECONDS)) is not None:
                    raise _failure(process, f"ended with status {status}")
            if time.monotonic() > deadline:
                raise _failure(self._api_server, f"does not serve after {START_SECONDS:.0f} s")

    def restart_api_server(self) -> None:
        """Stop kube-apiserver, start it again at the same address; watches end, requests fail meanwhile."""
        self.stop_api_server()
        self.start_api_server()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.get_running_loop().run_in_executor(None, self.start)
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be interrupted: let it finish, then undo what it did.
            await asyncio.wait([starting])
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _start_once(self) -> None:
        etcd = self.binaries.etcd
        if self._given_folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kfs-envtest-"))
        else:
            self._folder = self._given_folder.absolute()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port = _free_port()
        self._tokens = {name: secrets.token_urlsafe(24) for name in self._groups}
        write_tokens(self._folder / "tokens.csv", self._tokens, self._groups)
        key = self._folder / "service-account.key"
        if not key.exists():
            write_private(key, private_key())
        if self._audit_policy is not None:
            policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **self._audit_policy}
            (self._folder / "audit-policy.json").write_text(json.dumps(policy))
        self._etcd = self._run("etcd", etcd, _ETCD_FLAGS, remove=self._given_folder is None)
        self.start_api_server()

    def _run(self, name: str, program: Path, flags: Sequence[str], *, remove: bool = False) -> GuardedProcess:
        log = self.folder / f"{name}.log"
        removed = self.folder if remove else None
        try:
            return GuardedProcess([str(program), *flags], folder=self.folder, log=log, remove=removed)
        except ChildProcessError as error:
            raise ControlPlaneError(str(error)) from error

    def _serves(self) -> bool:
        """Whether kube-apiserver is ready and has made the namespace that everybody expects."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            for path in ("/readyz", "/api/v1/namespaces/default"):
                request = urllib.request.Request(self.url + path, headers=headers)
                with urllib.request.urlopen(request, timeout=5, context=context):
                    pass
        except OSError:
            return False
        return True


def _failure(process: GuardedProcess, what: str) -> ControlPlaneError:
    """An error that says what is wrong and shows the end of the process's log."""
    output = process.output()
    error = _PortTaken if "address already in use" in output else ControlPlaneError
    tail = "\n".join(f"  {line}" for line in output.splitlines()[-LOG_LINES:])
    return error(f"{process.name} {what}; the end of its log:\n{tail}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
