"""List, then watch, for ever: one collection as an endless stream of steps.

    list ──> Listed ──> watch ──> Upserted / Removed ──┐
     ^                    ^                            │
     │ 410, gone          └── closed, silent, broken ──┘ (resume from the last version)

Failures never end the stream: they are backed off and reported as `Failed`.

Upstream: kubernetes/client-go `tools/cache/reflector.go`; kube-rs/kube `kube-runtime/src/watcher.rs`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfs.manager.client import calls
from kfs.manager.client.client import LIST_PAGE, list_items
from kfs.manager.clock import backoff
from kfs.manager.errors import ApiError, DecodeError, Gone, KfsError, NotFound, TransportError, api_error
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj, resource_version

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kfs.manager.client.transport import Transport
    from kfs.manager.objects.kinds import Kind

log = logging.getLogger(__name__)

# client-go's figures (reflector.go): 800 ms doubling to 30 s; watches end after 5 to 10 minutes.
BACKOFF_INITIAL_S = 0.8
BACKOFF_LIMIT_S = 30.0
WATCH_MIN_S = 300
# A watch that ends sooner without an event is a failure, not a time-out: back off instead of spinning.
WATCH_TOO_SHORT_S = 1.0
# A kind that does not exist yet is asked for at most this often: its CRD may be installed any moment.
MISSING_RETRY_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Listed:
    """The whole collection, as of `version`."""

    items: list[Obj]
    version: str


@dataclass(frozen=True, slots=True)
class Upserted:
    """An object was created or changed."""

    object: Obj


@dataclass(frozen=True, slots=True)
class Removed:
    """An object was deleted; this is its last state."""

    object: Obj


@dataclass(frozen=True, slots=True)
class Alive:
    """The watch heard from the server, which had nothing to tell: a bookmark, everything up to `version` was seen."""

    version: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt failed; another follows after `retry_s`. `missing`: the server knows no such kind."""

    error: KfsError
    retry_s: float
    missing: bool


Step = Listed | Upserted | Removed | Alive | Failed


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind: a namespace (empty: all), label and field selectors as the server reads them."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""


async def follow(transport: Transport, kind: Kind, selection: Selection) -> AsyncGenerator[Step, None]:
    """The collection's steps, for ever; stop by closing the generator or cancelling the task."""
    version = ""
    # Whether the server has shown anything since the last list.
    heard = False
    delays = backoff(BACKOFF_INITIAL_S, BACKOFF_LIMIT_S)
    while True:
        try:
            if not version:
                listed = await _list(transport, kind, selection)
                version, heard = listed.version, False
                yield listed
            async with aclosing(_watch(transport, kind, selection, version)) as steps:
                async for step in steps:
                    version = step.version if isinstance(step, Alive) else resource_version(step.object)
                    heard, delays = True, backoff(BACKOFF_INITIAL_S, BACKOFF_LIMIT_S)
                    yield step
        except (ApiError, TransportError, DecodeError) as error:
            gone, missing = isinstance(error, Gone), isinstance(error, NotFound)
            if gone or missing:
                version = ""
            if gone and heard:
                # Too old to resume: what happened meanwhile shows in a new list. Not twice at once, though: a server
                # that calls its newest version too old would be asked for ever.
                log.info("watch expired, listing again", extra={"resource": kind.resource})
                heard = False
                continue
            delay = min(next(delays), MISSING_RETRY_LIMIT_S) if missing else next(delays)
            if isinstance(error, ApiError) and error.retry_after_s is not None:
                delay = max(delay, error.retry_after_s)
            yield Failed(error, delay, missing)
            await asyncio.sleep(delay)


async def _list(transport: Transport, kind: Kind, selection: Selection) -> Listed:
    items: list[Obj] = []
    continue_ = ""
    while True:
        call = calls.list_page(
            kind,
            selection.namespace,
            labels=selection.labels,
            fields=selection.fields,
            limit=LIST_PAGE,
            continue_=continue_,
        )
        page = codec.loads_object((await transport.send(call)).body)
        items += list_items(kind, page)
        continue_ = str((page.get("metadata") or {}).get("continue") or "")
        if not continue_:
            return Listed(items, resource_version(page))


async def _watch(
    transport: Transport, kind: Kind, selection: Selection, version: str
) -> AsyncGenerator[Upserted | Removed | Alive, None]:
    timeout_s = int(WATCH_MIN_S * (1 + random.random()))
    call = calls.watch(kind, selection.namespace, version, timeout_s, labels=selection.labels, fields=selection.fields)
    loop = asyncio.get_running_loop()
    opened_at, events = loop.time(), 0
    async with transport.stream(call) as lines:
        async for line in lines:
            events += 1
            yield _step(kind, codec.loads_object(line))
    if not events and loop.time() - opened_at < WATCH_TOO_SHORT_S:
        raise TransportError(f"watch of {kind.resource}: closed at once by the server")


def _step(kind: Kind, event: Frozen) -> Upserted | Removed | Alive:
    obj = event.get("object")
    if not isinstance(obj, dict):
        raise DecodeError(f"watch of {kind.resource}: an event without an object")
    match event.get("type"):
        case "ADDED" | "MODIFIED":
            return Upserted(obj)
        case "DELETED":
            return Removed(obj)
        case "BOOKMARK":
            return Alive(resource_version(obj))
        case "ERROR":
            raise api_error(int(obj.get("code") or 500), obj)
        case other:
            raise DecodeError(f"watch of {kind.resource}: an event of unknown type {other!r}")
