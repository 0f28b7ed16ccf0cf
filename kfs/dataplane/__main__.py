"""`python -m kfs.dataplane --kubeconfig FILE`: install the stand-in CRDs, then play Knative until interrupted."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

from kfs.dataplane import crds
from kfs.dataplane.knative import add_knative
from kfs.manager.client import HttpTransport
from kfs.manager.login import connect
from kfs.manager.manager import Manager
from kfs.manager.metrics import Metrics


async def run(kubeconfig: str) -> None:
    """Play the data plane of one API server until cancelled."""
    metrics = Metrics()
    transport = HttpTransport(await connect(kubeconfig), metrics)
    try:
        manager = Manager(transport, metrics=metrics)
        await crds.install(manager.live)
        add_knative(manager, manager.client, manager.clock)
        await manager.run()
    finally:
        await transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m kfs.dataplane", description=__doc__)
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="kubeconfig of the API server")
    with suppress(KeyboardInterrupt):
        asyncio.run(run(parser.parse_args().kubeconfig))
