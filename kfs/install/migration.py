"""Objects that older installs stored as v1alpha2, rewritten as v1beta1; then the CRD is told that none is left.

An object is stored in the version of its last write, whatever the CRD says since. While `status.storedVersions` names
a version it cannot be taken out of the CRD, and each reading of such an object asks the conversion webhook.

Each object is touched by an empty patch of its status: the API server stores it anew because its bytes differ, and asks
no admission webhook, whose rules of today an old object may break. Nothing is remembered but in the cluster: who is
interrupted starts again, and what is rewritten already costs no write.

Upstream: kubernetes-sigs/kube-storage-version-migrator `pkg/migrator/core.go`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kfs.manager.clock import backoff
from kfs.manager.errors import Forbidden, KfsError, NotFound
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION, Kind, ObjectKey
from kfs.manager.objects.tree import key_of, resource_version, sequence

if TYPE_CHECKING:
    from kfs.manager.client import Client
    from kfs.manager.runnables import Started

log = logging.getLogger(__name__)

# Enough to keep a server busy, and little beside what its other clients ask for.
AT_ONCE: Final = 8
RETRY_S: Final = (1.0, 60.0)


@dataclass(frozen=True)
class StorageMigration:
    """A runnable that migrates `kind` to its version, as often as it takes, and then ends.

    It needs the conversion webhook, so it comes after that. `client` reads from the server.
    """

    client: Client
    kind: Kind

    async def run(self, started: Started) -> None:
        """Migrate. What fails is tried again later; a missing right is told and left at that."""
        started()
        for delay in backoff(*RETRY_S):
            try:
                touched = await migrate(self.client, self.kind)
            except Forbidden as error:
                log.error(
                    "storage is not migrated: grant the right, or let an administrator install once",
                    extra={"kind": self.kind.kind, "error": str(error)},
                )
                return
            except KfsError as error:
                log.warning(
                    "storage is not migrated yet",
                    extra={"kind": self.kind.kind, "error": str(error), "retry_after_s": round(delay, 1)},
                )
                await asyncio.sleep(delay)
            else:
                if touched is not None:
                    log.info("storage migrated", extra={"kind": str(self.kind), "objects": touched})
                return


async def migrate(client: Client, kind: Kind) -> int | None:
    """Bring all objects of a kind to its version in storage; how many were looked at, None when there was no need.

    Raises:
        KfsError: one could not be read or written. Those before are done; calling again goes on with the others.
    """
    key = ObjectKey("", kind.resource)
    definition = await client.get(CUSTOM_RESOURCE_DEFINITION, key)
    if definition is None or set(sequence(definition, "status", "storedVersions")) <= {kind.version}:
        return None
    keys = [key_of(obj) for obj in await client.list(kind)]
    waiting = iter(keys)
    failures: list[KfsError] = []

    async def touch() -> None:
        # Shared: each takes the next that nobody has taken, until one fails.
        for each in waiting:
            try:
                with suppress(NotFound):
                    await client.patch(kind, each, {}, subresource="status")
            except KfsError as error:
                failures.append(error)
            if failures:
                return

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(AT_ONCE, len(keys))):
            tasks.create_task(touch())
    if failures:
        raise failures[0]
    # Refused when the definition has changed meanwhile: then it may say something else about storage.
    done = {
        "metadata": {"resourceVersion": resource_version(definition)},
        "status": {"storedVersions": [kind.version]},
    }
    await client.patch(CUSTOM_RESOURCE_DEFINITION, key, done, subresource="status")
    return len(keys)
