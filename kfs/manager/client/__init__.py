"""Talking to the API server.

Reading order: `calls` (a request as a value), `transport` (the only module that sends bytes), `client` (verbs on
objects), `apply` (the one way to write a child object).
"""

from kfs.manager.client.apply import Applied, apply, patch_finalizer
from kfs.manager.client.client import Client, LiveClient, PatchType, Reader, Writer
from kfs.manager.client.transport import HttpTransport, Transport

__all__ = [
    "Applied",
    "Client",
    "HttpTransport",
    "LiveClient",
    "PatchType",
    "Reader",
    "Transport",
    "Writer",
    "apply",
    "patch_finalizer",
]
