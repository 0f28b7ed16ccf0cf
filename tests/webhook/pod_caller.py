"""Asks the pod webhook, in front of an API server that holds ServiceAccounts and Secrets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from kfs.manager.client import LiveClient
from kfs.manager.objects.kinds import SECRET, SERVICE_ACCOUNT
from kfs.manager.testing.fake_api import FakeApi
from kfs.manager.webhook.admission import AdmissionRequest, AdmissionResponse
from kfs.webhook.pods import pod_mutator
from tests.samples import config

if TYPE_CHECKING:
    from kfs.api.config import Config

INTERNAL: Final = "internal.serving.kubeflow.org/"
LOGGER: Final = {f"{INTERNAL}logger": "true"}


async def ask(tree: Any, settings: Config | None = None, api: FakeApi | None = None) -> AdmissionResponse:
    handler = pod_mutator(lambda: settings or config(), LiveClient(api or FakeApi()))
    return await handler(AdmissionRequest(uid="u", operation="CREATE", namespace="ns", object=tree))


def server_with(*missing: str, **secrets: Any) -> FakeApi:
    """An API server whose ServiceAccounts name Secrets; those given with their data exist."""
    api = FakeApi()
    references = [{"name": name} for name in (*missing, *secrets)]
    for account in ("default", "mine"):
        api.put(SERVICE_ACCOUNT, {"metadata": {"namespace": "ns", "name": account}, "secrets": references})
    for name, values in secrets.items():
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
        api.put(SECRET, {"metadata": {"namespace": "ns", "name": name}, "data": encoded})
    return api
