"""The manager is killed around each of its writes: started again, it always arrives at the same state."""

from __future__ import annotations

import itertools
import signal
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.e2e.proxy import KillingProxy
from tests.e2e.stack import ManagerProcess, manager_process
from tests.e2e.user import User, eventually, sklearn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfs.manager.testing.envtest import ControlPlane

pytestmark = [pytest.mark.usefixtures("dataplane"), pytest.mark.timeout(600)]


@dataclass
class World:
    """Who takes part: a user, the manager, and the proxy between it and the API server."""

    user: User
    proxy: KillingProxy
    manager: ManagerProcess

    def crash(self, n: int, *, after: bool, act: Callable[[], object]) -> None:
        """Do something, have the manager die at its n-th write because of it, and start it again."""
        self.proxy.arm(n, after=after, kill=self.manager.kill)
        act()
        eventually(lambda: not self.manager.ready(), f"the manager dies {'after' if after else 'before'} write {n}")
        self.proxy.disarm()
        self.manager.start()

    def writes_of(self, act: Callable[[], object], done: Callable[[], bool]) -> list[str]:
        """What the manager writes because of something, without crashes."""
        self.proxy.disarm()
        act()
        eventually(done, "it is done")
        return list(self.proxy.writes)


@pytest.fixture
def world(user: User, control_plane: ControlPlane) -> Iterator[World]:
    proxy = KillingProxy(control_plane)
    with proxy.serve(control_plane.folder) as kubeconfig, manager_process(kubeconfig) as manager:
        yield World(user, proxy, manager)


def test_every_write_to_ready_and_to_gone(world: World) -> None:
    user = world.user
    create = partial(user.create, sklearn("reference"))
    to_ready = world.writes_of(create, lambda: user.is_ready("reference"))
    expected = user.state("reference")
    to_gone = world.writes_of(partial(user.delete, "reference"), lambda: user.get("reference") is None)
    assert len(to_ready) >= 4
    assert to_gone

    for n, after in itertools.product(range(1, len(to_ready) + 1), (False, True)):
        name = f"killed-{'after' if after else 'before'}-{n}"
        world.crash(n, after=after, act=partial(user.create, sklearn(name)))
        eventually(partial(same, user, name, expected), f"the state of a run without a crash; {to_ready[n - 1]}")

    for n, after in itertools.product(range(1, len(to_gone) + 1), (False, True)):
        name = f"deleted-{'after' if after else 'before'}-{n}"
        user.create(sklearn(name))
        user.wait_ready(name)
        world.crash(n, after=after, act=partial(user.delete, name))
        eventually(partial(gone, user, name), f"gone as without a crash at {to_gone[n - 1]}")


def test_the_first_signal_waits_for_work_under_way_and_the_second_does_not(world: World) -> None:
    answer = threading.Event()
    stuck = threading.Event()

    def hang() -> None:
        stuck.set()
        answer.wait(60)

    # The first write hangs in the proxy: the manager has to wait for it.
    world.proxy.arm(1, after=False, kill=hang)
    world.user.create(sklearn())
    assert stuck.wait(30)
    world.manager.signal(signal.SIGTERM)
    assert world.manager.wait(1) is None
    world.manager.signal(signal.SIGTERM)
    assert world.manager.wait(5) == 128 + signal.SIGTERM
    answer.set()


def same(user: User, name: str, expected: object) -> bool:
    return user.state(name) == expected


def gone(user: User, name: str) -> bool:
    return user.get(name) is None
