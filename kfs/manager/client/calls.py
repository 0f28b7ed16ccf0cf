"""One HTTP request to the API server as a value. Pure: nothing here is sent.

Upstream: kube-rs/kube `kube-core/src/request.rs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfs.manager.objects.kinds import Kind, ObjectKey

JSON = "application/json"


class PatchType(Enum):
    """How the server reads a patch; the value is its content type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `method` and `path` as HTTP has them, `query` without empty values."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = JSON

    @property
    def target(self) -> str:
        """Path and query string."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def get(kind: Kind, key: ObjectKey) -> Call:
    """Read one object, at its newest."""
    return Call("GET", kind.path(*key))


def list_page(
    kind: Kind, namespace: str, *, labels: str = "", fields: str = "", limit: int = 0, continue_: str = ""
) -> Call:
    """One page of a collection; `limit` 0 asks for all of it."""
    query = _query(
        labelSelector=labels,
        fieldSelector=fields,
        limit=str(limit) if limit else "",
        **{"continue": continue_},
    )
    return Call("GET", kind.path(namespace), query)


def watch(
    kind: Kind, namespace: str, resource_version: str, timeout_s: int, *, labels: str = "", fields: str = ""
) -> Call:
    """Follow a collection from `resource_version` on, with bookmarks; the server ends it after `timeout_s`."""
    query = _query(
        watch="true",
        allowWatchBookmarks="true",
        resourceVersion=resource_version,
        timeoutSeconds=str(timeout_s),
        labelSelector=labels,
        fieldSelector=fields,
    )
    return Call("GET", kind.path(namespace), query)


def create(kind: Kind, obj: Frozen, *, dry_run: bool = False) -> Call:
    """Create `obj` in its own namespace."""
    return Call("POST", kind.path(key_of(obj).namespace), _dry_run(dry_run), codec.dumps(obj))


def update(kind: Kind, obj: Frozen, subresource: str = "", *, dry_run: bool = False) -> Call:
    """Replace `obj`, or its subresource; refused as a conflict unless its resourceVersion is the newest."""
    return Call("PUT", kind.path(*key_of(obj), subresource), _dry_run(dry_run), codec.dumps(obj))


def patch(
    kind: Kind,
    key: ObjectKey,
    body: Any,
    type_: PatchType,
    *,
    subresource: str = "",
    field_manager: str = "",
    force: bool = False,
    dry_run: bool = False,
) -> Call:
    """Change parts of an object."""
    query = _query(fieldManager=field_manager, force="true" if force else "") | _dry_run(dry_run)
    return Call("PATCH", kind.path(*key, subresource), query, codec.dumps(body), type_.value)


def delete(kind: Kind, key: ObjectKey, *, uid: str = "", resource_version: str = "", propagation: str = "") -> Call:
    """Delete an object; refused as a conflict when it is not the one meant by uid or resourceVersion."""
    preconditions = _query(uid=uid, resourceVersion=resource_version)
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if preconditions:
        options["preconditions"] = preconditions
    if propagation:
        options["propagationPolicy"] = propagation
    return Call("DELETE", kind.path(*key), body=codec.dumps(options))


def selector(labels: Mapping[str, str] | str) -> str:
    """A label selector as the server reads it; a mapping means equality of each."""
    if isinstance(labels, str):
        return labels
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items()))


def _query(**values: str) -> dict[str, str]:
    return {k: v for k, v in values.items() if v}


def _dry_run(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
