"""How the requests of one component are split between its revisions.

Only from what is there: the Knative Service as it is stored, and the revisions that its status told of.

Upstream: kserve/kserve v0.5.1
`pkg/controller/v1beta1/inferenceservice/reconcilers/knative/ksvc_reconciler.go`.

Differs: the original splits once the new revision is ready, which by then has had all traffic (difference 9); here the
split is in the same update that brings the revision. After a rollback the original gives a changed model's traffic
to the revision that was rolled back (difference 10); here the old one keeps it until the new one is ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kfs.api.v1beta1 import ComponentStatus
from kfs.manager.objects.tree import generation, mapping, sequence

if TYPE_CHECKING:
    from kfs.manager.objects.tree import Frozen, Obj

PREVIOUS_TAG: Final = "prev"


@dataclass(frozen=True)
class Rollout:
    """What the user wants of a rollout, and how far it has come.

    `percent` is the newest revision's share, None when no canary is asked for. `status` has the revisions that
    once got all traffic.
    """

    percent: int | None
    status: ComponentStatus

    def traffic(self, observed: Frozen, *, changes_template: bool) -> list[Obj]:
        """The traffic targets of a Knative Service that exists.

        `changes_template`: the update that this is for changes the template, so it brings a new revision.
        """
        pinned = pinned_revision(observed)
        in_flight = changes_template or not _has_settled(observed)
        if self.percent is None:
            rolled_back = pinned != "" and pinned == self.status.previous_rolledout_revision
            return split(0, pinned) if rolled_back and in_flight else all_to_latest()
        newest_is_out = not in_flight and self._rolled_out(observed)
        if pinned:
            done = self.percent == 100 and newest_is_out
            return all_to_latest() if done else split(self.percent, pinned)
        if self.percent == 100:
            return all_to_latest()
        # The newest revision has had all traffic already: this is a rollback to the one before.
        before = self.status.previous_rolledout_revision if newest_is_out else self.status.latest_rolledout_revision
        return split(self.percent, before) if before else all_to_latest()

    def _rolled_out(self, observed: Frozen) -> bool:
        return self.status.latest_rolledout_revision == _status(observed, "latestCreatedRevisionName")


NO_CANARY: Final = Rollout(None, ComponentStatus())


def all_to_latest() -> list[Obj]:
    """All traffic to whatever revision is the newest that is ready."""
    return [{"latestRevision": True, "percent": 100}]


def split(percent: int, previous: str) -> list[Obj]:
    """`percent` of the traffic to the newest revision that is ready, the rest to the one named."""
    return [
        {"latestRevision": True, "percent": percent},
        {"latestRevision": False, "percent": 100 - percent, "revisionName": previous, "tag": PREVIOUS_TAG},
    ]


def pinned_revision(observed: Frozen) -> str:
    """The revision that the traffic of a Knative Service names; empty when it names none."""
    named = (mapping({"target": t}, "target").get("revisionName") for t in sequence(observed, "spec", "traffic"))
    return next((str(name) for name in named if name), "")


def _has_settled(observed: Frozen) -> bool:
    """Whether Knative has seen the template as it is, and the revision that it made is ready."""
    seen = mapping(observed, "status").get("observedGeneration", generation(observed))
    created = _status(observed, "latestCreatedRevisionName")
    return seen == generation(observed) and created == _status(observed, "latestReadyRevisionName")


def _status(observed: Frozen, field: str) -> str:
    return str(mapping(observed, "status").get(field) or "")
