"""A real control plane starts, serves, restarts, and leaves nothing behind however its starter ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from kfs.manager.errors import ConfigError
from kfs.manager.testing.binaries import ControlPlaneBinaries
from kfs.manager.testing.envtest import ControlPlane, ControlPlaneError

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 30.0


def core(kubeconfig: Path) -> Any:
    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


def namespaces(kubeconfig: Path) -> set[str]:
    return {item.metadata.name for item in core(kubeconfig).list_namespace().items}


def refusal(kubeconfig: Path) -> str:
    """What the server says to a user who may not list namespaces."""
    with pytest.raises(client.ApiException) as refused:
        namespaces(kubeconfig)
    message: str = json.loads(str(refused.value.body))["message"]
    return message


def processes_in(folder: Path) -> list[int]:
    """Process ids of all that run in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def left_behind(folder: Path) -> bool:
    return folder.exists() or bool(processes_in(folder))


def test_fixture_serves_an_api(control_plane: ControlPlane) -> None:
    assert {"default", "kube-system"} <= namespaces(control_plane.kubeconfig)


def test_users_have_their_names_and_groups_and_no_rights() -> None:
    audit_policy = {"omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}
    with ControlPlane(users={"reader": ["qa", "dev"]}, audit_policy=audit_policy) as control_plane:
        assert 'User "reader" cannot list' in refusal(control_plane.user("reader"))
        with pytest.raises(ConfigError, match="there are admin, reader"):
            control_plane.user("writer")
        core(control_plane.kubeconfig).create_namespaced_service_account("default", {"metadata": {"name": "robot"}})
        request = core(control_plane.kubeconfig).create_namespaced_service_account_token(
            "robot", "default", {"spec": {}}
        )
        robot = control_plane.kubeconfig_for("robot", request.status.token)
        assert 'User "system:serviceaccount:default:robot" cannot list' in refusal(robot)
        events = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
        refusals = [event for event in events if event["responseStatus"]["code"] == 403]
        refused = {event["user"]["username"]: event["user"]["groups"] for event in refusals}
        assert refused["reader"] == ["qa", "dev", "system:authenticated"]
        assert "system:serviceaccount:default:robot" in refused


def test_the_api_server_restarts_at_the_same_address_and_a_folder_keeps_its_objects(tmp_path: Path) -> None:
    with ControlPlane(folder=tmp_path) as control_plane:
        kubeconfig, url = control_plane.kubeconfig, control_plane.url
        core(kubeconfig).create_namespace({"metadata": {"name": "kept"}})
        control_plane.restart_api_server()
        assert control_plane.url == url
        assert "kept" in namespaces(kubeconfig)
    assert processes_in(tmp_path) == []
    with ControlPlane(folder=tmp_path) as control_plane:
        assert "kept" in namespaces(control_plane.kubeconfig)


async def test_nothing_is_left_when_the_block_ends_with_an_error() -> None:
    folders = []

    async def fail() -> None:
        async with ControlPlane() as control_plane:
            folders.append(control_plane.folder)
            assert len(processes_in(control_plane.folder)) == 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not left_behind(folders[0])


async def test_nothing_is_left_when_the_start_is_cancelled(tmp_path: Path) -> None:
    async def start() -> None:
        async with ControlPlane(folder=tmp_path):
            pytest.fail("started before it was cancelled")

    starting = asyncio.create_task(start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_when_the_starter_dies(number: str) -> None:
    script = (
        "import signal, time\n"
        "from kfs.manager.testing.envtest import ControlPlane\n"
        # A shell starts what runs in its background with SIGINT ignored, and so would everything below it be.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with ControlPlane() as control_plane:\n"
        "    print(control_plane.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as starter:
        assert starter.stdout is not None
        folder = Path(starter.stdout.readline().decode().strip())
        assert len(processes_in(folder)) == 4
        starter.send_signal(signal.Signals[number])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left_behind(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_behind(folder)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    flags = ["--no-such-flag=1"]
    with pytest.raises(ControlPlaneError, match=r"(?s)kube-apiserver ended with status 1.*no-such-flag"):
        ControlPlane(folder=tmp_path, api_server_flags=flags).start()
    assert processes_in(tmp_path) == []


def test_a_port_that_stays_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        taken = occupant.getsockname()[1]
        with pytest.raises(ControlPlaneError, match=f"127.0.0.1:{taken}: bind: address already in use"):
            ControlPlane(folder=tmp_path, api_server_flags=[f"--secure-port={taken}"]).start()
    assert processes_in(tmp_path) == []


def test_a_binary_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    binaries = ControlPlaneBinaries.in_folder(tmp_path)
    with pytest.raises(ControlPlaneError, match=f"etcd did not start: .*{tmp_path}/etcd"):
        ControlPlane(binaries=binaries, folder=tmp_path / "data").start()
