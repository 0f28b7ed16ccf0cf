"""Bring a cluster to the state that kfs needs, writing only what is missing or different.

Everything is read at once, compared as a whole and then written. A digest in an annotation would spare
comparing the CRDs, but would not notice that somebody edited one; and comparing takes milliseconds.

Upstream: kubernetes-sigs/controller-runtime `pkg/envtest/crd.go` for waiting until a CRD is established.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kfs.install.manifests import Care, Manifest, manifests
from kfs.install.webhooks import InstallOptions
from kfs.manager.client import Applied, Client, PatchType
from kfs.manager.clock import backoff
from kfs.manager.errors import AlreadyExists, Conflict, Forbidden, KfsError, NotFound, ServerError, TooManyRequests
from kfs.manager.objects.kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE, Kind
from kfs.manager.objects.tree import clone, key_of, sequence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from kfs.manager.objects.tree import Frozen

__all__ = ["InstallError", "InstallOptions", "Installed", "ensure", "install"]

log = logging.getLogger(__name__)

T = TypeVar("T")

FIELD_MANAGER: Final = "kfs"
ESTABLISHED_S: Final = 30.0
ATTEMPTS: Final = 3


class InstallError(KfsError):
    """The cluster could not be brought to the wanted state; the message says what to do about it."""


@dataclass(frozen=True)
class Installed:
    """What was done about one object."""

    kind: Kind
    name: str
    done: Applied


async def install(client: Client, options: InstallOptions) -> list[Installed]:
    """Make sure of every object; returns what was done about each. Makes no write when nothing differs.

    `client` must read from the server, not from a cache. When it returns, the CRDs' kinds are being served.

    Raises:
        InstallError: a right is missing, or a CRD does not get established; the message names the remedy.
        ApiError, TransportError: from the server.
    """
    return await ensure(client, manifests(options))


async def ensure(client: Client, wanted: Sequence[Manifest]) -> list[Installed]:
    """Make sure of these objects; as `install`, for others than all of ours."""
    observed = await _together([_read(client, manifest) for manifest in wanted])
    pairs = list(zip(wanted, observed, strict=True))
    first = await _together([_ensure(client, m, o) for m, o in pairs if m.kind == NAMESPACE])
    others = await _together([_ensure(client, m, o) for m, o in pairs if m.kind != NAMESPACE])
    return [*first, *others]


async def _ensure(client: Client, manifest: Manifest, observed: Frozen | None) -> Installed:
    kind, name = manifest.kind, str(key_of(manifest.desired))
    done = await _settle(client, manifest, observed)
    if kind == CUSTOM_RESOURCE_DEFINITION and (done != Applied.UNCHANGED or not _established(observed)):
        await _wait_until_served(client, manifest)
    if done != Applied.UNCHANGED:
        log.info("installed", extra={"kind": kind.kind, "object": name, "done": done.value})
    return Installed(kind, name, done)


async def _settle(client: Client, manifest: Manifest, observed: Frozen | None) -> Applied:
    kind, desired = manifest.kind, manifest.desired
    for _ in range(ATTEMPTS):
        if observed is not None and (manifest.care == Care.USERS or covers(observed, desired)):
            return Applied.UNCHANGED
        try:
            if manifest.care == Care.SHARED:
                await _apply(client, manifest)
            elif observed is None:
                await _allowed("create", kind, client.create(kind, desired))
            else:
                replaced = {**clone(observed), "webhooks": desired["webhooks"]}
                await _allowed("update", kind, client.update(kind, replaced))
        except (AlreadyExists, Conflict):
            # Somebody else, perhaps another replica, wrote it in the meantime: look again.
            observed = await _read(client, manifest)
        else:
            return Applied.CREATED if observed is None else Applied.UPDATED
    raise InstallError(
        f"{kind.kind} {key_of(desired)} was changed by somebody else {ATTEMPTS} times in a row;"
        " find out who else writes it, or start again"
    )


async def _apply(client: Client, manifest: Manifest) -> None:
    applied = client.patch(
        manifest.kind,
        key_of(manifest.desired),
        manifest.desired,
        type=PatchType.APPLY,
        field_manager=FIELD_MANAGER,
        force=True,
    )
    await _allowed("patch", manifest.kind, applied)


async def _wait_until_served(client: Client, manifest: Manifest) -> None:
    """Wait until the API server answers for the new kind, which it does once the CRD is established.

    Asking for one object of it is cheap; each reading of a large CRD takes the server a tenth of a second, in
    which it does not get the CRD established.
    """
    kind = _defined_kind(manifest.desired)
    try:
        async with asyncio.timeout(ESTABLISHED_S):
            for delay in backoff(0.02, 1.0):
                try:
                    await _allowed("list", kind, client.list(kind, "default", fields="metadata.name=none"))
                except NotFound:
                    await asyncio.sleep(delay)
                except (ServerError, TooManyRequests):
                    # The kind is there; objects that an older install stored may need the conversion webhook first.
                    return
                else:
                    return
    except TimeoutError:
        conditions = sequence(await _read(client, manifest) or {}, "status", "conditions")
        said = [f"{c.get('type')}={c.get('status')}: {c.get('message')}" for c in conditions]
        raise InstallError(
            f"CRD {key_of(manifest.desired)} is not established after {ESTABLISHED_S:.0f} s"
            f" ({'; '.join(said) or 'the API server says nothing of it'}); when a name is taken, delete the"
            " CRD that has it, else look into the API server's log"
        ) from None


def _defined_kind(crd: Frozen) -> Kind:
    spec = crd["spec"]
    [version] = [v["name"] for v in spec["versions"] if v["storage"]]
    return Kind(spec["group"], version, spec["names"]["kind"], spec["names"]["plural"])


def _established(crd: Frozen | None) -> bool:
    conditions = sequence(crd or {}, "status", "conditions")
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def covers(observed: Any, desired: Any) -> bool:
    """Whether an object on the server says all that we want it to say.

    What the server or others added beside it does not matter, except inside a CRD's schema, where it changes
    what the schema means. A missing field says the same as null, false, zero or an empty one.
    """
    if isinstance(desired, Mapping) and desired:
        if not isinstance(observed, Mapping):
            return False
        return all(
            observed.get(key) == value if key == "openAPIV3Schema" else covers(observed.get(key), value)
            for key, value in desired.items()
        )
    if isinstance(desired, list) and desired:
        if not isinstance(observed, list) or len(observed) != len(desired):
            return False
        return all(covers(o, d) for o, d in zip(observed, desired, strict=True))
    return bool(observed == desired) or (not observed and not desired)


async def _read(client: Client, manifest: Manifest) -> Frozen | None:
    return await _allowed("get", manifest.kind, client.get(manifest.kind, key_of(manifest.desired)))


async def _allowed(verb: str, kind: Kind, answer: Awaitable[T]) -> T:
    try:
        return await answer
    except Forbidden as error:
        raise InstallError(
            f"installing needs the right to {verb} {kind.resource}: {error}. Grant it to this user by a"
            " ClusterRole, or let an administrator install once and start without --install"
        ) from error


async def _together(steps: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once. Each comes to its end, so that no write is cut off; then the first error is raised."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_outcome(step)) for step in steps]
    outcomes = [task.result() for task in running]
    for outcome in outcomes:
        if isinstance(outcome, KfsError):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, KfsError)]


async def _outcome(step: Coroutine[Any, Any, T]) -> T | KfsError:
    try:
        return await step
    except KfsError as error:
        return error
