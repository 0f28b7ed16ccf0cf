"""The manager is killed around each of its writes: started again, it always arrives at the same state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kfs.manager.testing.envtest import ControlPlane
from tests.e2e.proxy import KillingProxy
from tests.e2e.stack import ManagerProcess, manager_process
from tests.e2e.user import User, eventually, sklearn

pytestmark = [pytest.mark.usefixtures("dataplane"), pytest.mark.timeout(600)]


@pytest.fixture
def proxy(control_plane: ControlPlane) -> KillingProxy:
    return KillingProxy(control_plane)


@pytest.fixture
def behind_proxy(proxy: KillingProxy, user: User, control_plane: ControlPlane) -> Iterator[ManagerProcess]:
    with proxy.serve(control_plane.folder) as kubeconfig, manager_process(kubeconfig) as running:
        yield running


def own(writes: list[str]) -> list[str]:
    """Without Events, which are for people and may be lost."""
    return [write for write in writes if not write.endswith("/events")]


def settle(user: User, proxy: KillingProxy, name: str) -> None:
    user.wait_ready(name)
    eventually(lambda: proxy.writes[-1:] and proxy.writes[-1].endswith("/events"), "the Ready event was sent")


def test_every_write_to_ready_and_to_gone(user: User, proxy: KillingProxy, behind_proxy: ManagerProcess) -> None:
    manager = behind_proxy
    proxy.disarm()
    user.create(sklearn("reference"))
    settle(user, proxy, "reference")
    to_ready = own(proxy.writes)
    expected = user.state("reference")
    proxy.disarm()
    user.delete("reference")
    eventually(lambda: user.get("reference") is None, "the reference is gone")
    to_gone = own(proxy.writes)
    assert to_ready
    assert to_gone

    for n in range(1, len(to_ready) + 1):
        for after in (False, True):
            name = f"killed-{'after' if after else 'before'}-{n}"
            proxy.arm(n, after=after, kill=manager.kill)
            user.create(sklearn(name))
            eventually(lambda: not manager.ready(), f"the manager dies at write {n} ({to_ready[n - 1]})")
            proxy.disarm()
            manager.start()
            user.wait_ready(name)
            eventually(lambda name=name: user.state(name) == expected, f"the same state as without the crash at {n}")  # type: ignore[misc]

    for n in range(1, len(to_gone) + 1):
        for after in (False, True):
            name = f"deleted-{'after' if after else 'before'}-{n}"
            proxy.disarm()
            user.create(sklearn(name))
            settle(user, proxy, name)
            proxy.arm(n, after=after, kill=manager.kill)
            user.delete(name)
            eventually(lambda: not manager.ready(), f"the manager dies at write {n} ({to_gone[n - 1]})")
            proxy.disarm()
            manager.start()
            eventually(lambda name=name: user.get(name) is None, f"gone in spite of the crash at {n}")  # type: ignore[misc]
