"""Reads a kubeconfig with kubernetes_asyncio and prints what a client needs, as JSON.

Runs as a program of its own (`python -m kfs.manager.kubeconfig [--kubeconfig F] [--context C]`):
importing kubernetes_asyncio keeps 64 MiB for as long as the process lives, and it is needed for a
moment only. Standard output is a pipe to the parent; the JSON holds credentials.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path


async def load(kubeconfig: str | None, context: str | None) -> dict[str, object]:
    """Server, TLS material (PEM text) and token of a kubeconfig's context, exec plugins run."""
    from kubernetes_asyncio import client, config

    found = client.Configuration()
    await config.load_kube_config(kubeconfig, context, client_configuration=found, persist_config=False)

    def pem(path: str | None) -> str:
        return Path(path).read_text() if path else ""

    token = found.api_key.get("BearerToken", "")
    return {
        "server": found.host,
        "ca": pem(found.ssl_ca_cert),
        "certificate": pem(found.cert_file),
        "key": pem(found.key_file),
        "verify": bool(found.verify_ssl),
        "server_name": getattr(found, "tls_server_name", None) or "",
        "proxy": getattr(found, "proxy", None) or "",
        "authorization": token,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig")
    parser.add_argument("--context")
    options = parser.parse_args()
    try:
        found = asyncio.run(load(options.kubeconfig, options.context))
    except Exception as error:
        # Whatever a plugin or the parser raises: the parent shows one line of it.
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
