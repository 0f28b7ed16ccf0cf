"""Plays Knative Serving: each Knative Service gets the status that a healthy Knative would give it.

Upstream: knative/serving `pkg/reconciler/service`, `pkg/apis/serving/v1/service_lifecycle.go`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfs.dataplane.crds import KNATIVE_SERVICE
from kfs.manager.clock import Clock, timestamp
from kfs.manager.controller.builder import Host, controller_for
from kfs.manager.objects import codec
from kfs.manager.objects.equality import semantic_equal
from kfs.manager.objects.tree import Frozen, Obj, clone, generation, mapping, name, namespace, sequence

if TYPE_CHECKING:
    from kfs.manager.client import Client
    from kfs.manager.objects.kinds import ObjectKey

DOMAIN = "example.com"
FAIL_ANNOTATION = "dataplane.kfs/fail"
_TEMPLATE = "dataplane.kfs/template"
_CONDITIONS = ("ConfigurationsReady", "Ready", "RoutesReady")


@dataclass(frozen=True)
class Knative:
    """The reconciler: a new revision for each new template, ready at once.

    A template that carries the annotation `dataplane.kfs/fail` never gets ready; its value is the message.
    """

    client: Client
    clock: Clock
    domain: str = DOMAIN

    async def reconcile(self, key: ObjectKey) -> None:
        """Write the Knative Service's status, if it differs."""
        service = await self.client.get(KNATIVE_SERVICE, key)
        if service is None:
            return
        status = self._status(service)
        if not semantic_equal(status, mapping(service, "status")):
            await self.client.update(KNATIVE_SERVICE, {**clone(service), "status": status}, subresource="status")

    def _status(self, service: Frozen) -> Obj:
        before = mapping(service, "status")
        template = hashlib.sha256(codec.canonical(mapping(service, "spec", "template"))).hexdigest()[:16]
        revision = str(before.get("latestCreatedRevisionName") or "")
        if mapping(before, "annotations").get(_TEMPLATE) != template:
            number = int(revision.rpartition("-")[2] or 0) + 1
            revision = f"{name(service)}-{number:05d}"
        failure = mapping(service, "spec", "template", "metadata", "annotations").get(FAIL_ANNOTATION)
        ready = str(before.get("latestReadyRevisionName") or "") if failure else revision
        conditions = [self._condition(type_, failure, before) for type_ in _CONDITIONS]
        host = f"{name(service)}.{namespace(service)}"
        return {
            "annotations": {_TEMPLATE: template},
            "observedGeneration": generation(service),
            "conditions": conditions,
            "latestCreatedRevisionName": revision,
            **({"latestReadyRevisionName": ready} if ready else {}),
            "url": f"http://{host}.{self.domain}",
            "address": {"url": f"http://{host}.svc.cluster.local"},
            "traffic": [
                self._traffic(target, service, ready or revision) for target in sequence(service, "spec", "traffic")
            ],
        }

    def _condition(self, type_: str, failure: str | None, before: Frozen) -> Obj:
        found: Obj = {"type": type_, "status": "False" if failure else "True"}
        if failure:
            found |= {"reason": "RevisionFailed", "message": failure}
        known: Frozen = next((c for c in sequence(before, "conditions") if c["type"] == type_), {})
        same = all(known.get(key) == found.get(key) for key in ("status", "reason", "message"))
        return {**found, "lastTransitionTime": known["lastTransitionTime"] if same else timestamp(self.clock.now())}

    def _traffic(self, target: Frozen, service: Frozen, revision: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "revisionName": target.get("revisionName") or revision,
            "latestRevision": bool(target.get("latestRevision")),
            "percent": target.get("percent", 0),
        }
        if tag := target.get("tag"):
            found |= {"tag": tag, "url": f"http://{tag}-{name(service)}.{namespace(service)}.{self.domain}"}
        return found


def add_knative(host: Host, client: Client, clock: Clock) -> None:
    """Have the manager play Knative."""
    controller_for(host, KNATIVE_SERVICE, name="knative").complete(Knative(client, clock).reconcile)
