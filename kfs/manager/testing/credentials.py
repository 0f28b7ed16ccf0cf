"""Files by which a control plane knows its users and its users know it."""

from __future__ import annotations

import base64
import csv
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", newline="") as file:
        file.write(text)


def write_kubeconfig(path: Path, *, url: str, ca_file: Path, user: str, token: str) -> None:
    """Write a kubeconfig that stands alone: the CA (PEM) and the bearer token are in it."""
    cluster = {
        "server": url,
        "certificate-authority-data": base64.b64encode(ca_file.read_bytes()).decode(),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "envtest", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": user}}],
        "current-context": "envtest",
    }
    write_private(path, json.dumps(config, indent=2))


def write_tokens(path: Path, tokens: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> None:
    """Write kube-apiserver's token file from each user's token and groups."""
    write_private(path, "")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        for user, token in tokens.items():
            rows.writerow([token, user, user, *([",".join(groups[user])] if groups[user] else [])])


def private_key() -> str:
    """A new RSA key in PEM, as kube-apiserver reads it to sign ServiceAccount tokens."""
    # Loaded on use: it takes time, and finding a control plane does not need it.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
