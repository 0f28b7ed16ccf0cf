"""The fixture `control_plane`, on offer to every project that has kfs installed.

pytest loads this module in each of its runs, so what the fixture needs is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfs.manager.testing.envtest import ControlPlane


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """etcd and kube-apiserver, running for the whole session; see `kfs.manager.testing.envtest.ControlPlane`.

    When they are not at hand they are built first, which takes minutes and shows its progress. When that
    fails, so do the tests that ask for this fixture: a test that did not run shows nothing.
    """
    from kfs.manager.testing.binaries import ControlPlaneUnavailable, find_binaries
    from kfs.manager.testing.envtest import ControlPlane, ControlPlaneError

    try:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            binaries = find_binaries()
        running = ControlPlane(binaries=binaries)
        running.start()
    except (ControlPlaneUnavailable, ControlPlaneError) as error:
        raise pytest.fail.Exception(f"no control plane: {error}", pytrace=False) from None
    try:
        yield running
    finally:
        running.stop()
