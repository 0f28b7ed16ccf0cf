"""A control plane with stand-ins for Knative and Istio, a user's client, and the manager as a process."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client as k8s
from kubernetes import config as k8s_config

from kfs.dataplane.crds import STAND_INS, custom_resource_definition
from kfs.manager.testing.guard import GuardedProcess
from tests.e2e.stack import ROOT, ManagerProcess, manager_process, python
from tests.e2e.user import User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfs.manager.testing.envtest import ControlPlane


@pytest.fixture(scope="session")
def api_client(control_plane: ControlPlane) -> Iterator[k8s.ApiClient]:
    """The official client as `admin`; the stand-in CRDs are there and established."""
    with k8s_config.new_client_from_config(str(control_plane.kubeconfig)) as api:
        extensions = k8s.ApiextensionsV1Api(api)
        for kind in STAND_INS:
            crd: Any = custom_resource_definition(kind)
            extensions.create_custom_resource_definition(crd)
        yield api


@pytest.fixture
def user(api_client: k8s.ApiClient) -> User:
    """A user with a namespace of their own."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    body: Any = {"metadata": {"name": namespace}}
    k8s.CoreV1Api(api_client).create_namespace(body)
    return User(api_client, namespace)


@pytest.fixture(scope="session")
def dataplane(
    control_plane: ControlPlane, api_client: k8s.ApiClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Somebody who plays Knative, in a process of their own."""
    folder: Path = tmp_path_factory.mktemp("dataplane")
    command = python("kfs.dataplane", "--kubeconfig", str(control_plane.kubeconfig))
    process = GuardedProcess(command, folder=ROOT, log=folder / "dataplane.log")
    yield
    process.stop()


@pytest.fixture(scope="module")
def manager(control_plane: ControlPlane, api_client: k8s.ApiClient) -> Iterator[ManagerProcess]:
    """The manager, ready, for all tests of a module."""
    with manager_process(control_plane.kubeconfig) as running:
        yield running
