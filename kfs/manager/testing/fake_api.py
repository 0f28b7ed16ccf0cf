"""An API server in memory, as a `Transport`: for tests of reconcilers, and of what goes wrong on the way.

It keeps what controllers rely on: resourceVersions, conflicts, generations, status as a subresource,
finalizers, deletion preconditions, watches that resume, bookmarks and expired versions. It has no schemas,
defaulting, admission or access control: for those run the test on a real control plane (`envtest`).

Faults are scripted: `fail_next` answers calls with errors, `cut_watches` breaks connections, `forget_history`
makes running versions too old, `hide` removes a kind as if its CRD were not installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from kfs.manager.client.calls import Call, PatchType
from kfs.manager.client.transport import Reply
from kfs.manager.errors import KfsError, TransportError, api_error
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Obj, clone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kfs.manager.objects.kinds import Kind

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SERVER_SET = frozenset({"uid", "creationTimestamp", "deletionTimestamp", "generation"})


@dataclass(frozen=True)
class _Target:
    """What a path names: a collection such as `apis/g/v/plural`, a namespace, perhaps a name and a subresource."""

    collection: str
    namespace: str
    name: str
    subresource: str

    @classmethod
    def parse(cls, path: str) -> _Target:
        parts = [unquote(p) for p in path.strip("/").split("/")]
        head, rest = (parts[:2], parts[2:]) if parts[0] == "api" else (parts[:3], parts[3:])
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, "", "")[:3]
        return cls("/".join([*head, plural]), namespace, name, subresource)


@dataclass
class _Watch:
    target: _Target
    match: Callable[[Obj], bool]
    lines: asyncio.Queue[bytes | BaseException | None] = field(default_factory=asyncio.Queue)


class FakeApi:
    """The server. `calls` lists what was asked, `writes()` what would have changed something."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._version = 100
        self._oldest = 0
        self._uids = itertools.count(1)
        self._objects: dict[tuple[str, str, str], Obj] = {}
        self._history: list[tuple[int, str, _Target, Obj]] = []
        self._watches: list[_Watch] = []
        self._faults: list[tuple[Callable[[Call], bool], KfsError]] = []
        self._hidden: set[str] = set()

    # The test's side

    def writes(self) -> list[str]:
        """Method and path of each call that writes, in order."""
        return [f"{c.method} {c.path}" for c in self.calls if c.method in WRITES]

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """Store an object as it is, status included, without a call; as another client would."""
        meta = obj["metadata"]
        target = _Target.parse(kind.path(meta.get("namespace", ""), meta["name"]))
        stored = clone({"apiVersion": kind.api_version, "kind": kind.kind, **obj})
        return clone(self._store(target, stored, self._find(target)))

    def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """What is stored, without a call."""
        found = self._find(_Target.parse(kind.path(namespace, name)))
        return clone(found) if found is not None else None

    def all(self, kind: Kind) -> list[Obj]:
        """Everything of a kind that is stored, without a call."""
        return [clone(obj) for _, obj in self._in(_Target.parse(kind.path()))]

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Take an object away at once, without a call."""
        target = _Target.parse(kind.path(namespace, name))
        if (found := self._find(target)) is not None:
            self._drop(target, found)

    def fail_next(self, method: str, part_of_path: str, error: KfsError, times: int = 1) -> None:
        """Answer the next calls of that method, and with that in their path, with an error."""
        self._faults += [(lambda c: c.method == method and part_of_path in c.path, error)] * times

    def cut_watches(self) -> None:
        """Break every open watch as a lost connection does."""
        for watch in self._watches:
            watch.lines.put_nowait(TransportError("connection reset"))

    def forget_history(self) -> None:
        """Compact: whoever resumes from a version before now is told that it is gone."""
        self._oldest = self._version
        self._history.clear()

    def hide(self, kind: Kind) -> None:
        """Answer as if the kind's CRD were not installed, until `show`."""
        self._hidden.add(_Target.parse(kind.path()).collection)

    def show(self, kind: Kind) -> None:
        """Undo `hide`."""
        self._hidden.discard(_Target.parse(kind.path()).collection)

    def bookmark(self) -> None:
        """Send every open watch a bookmark."""
        for watch in self._watches:
            obj = {"metadata": {"resourceVersion": str(self._version)}}
            watch.lines.put_nowait(codec.dumps({"type": "BOOKMARK", "object": obj}))

    # The transport's side

    async def send(self, call: Call) -> Reply:
        """Answer a call as the API server would; see `Transport.send`."""
        await asyncio.sleep(0)
        self._check(call)
        target = _Target.parse(call.path)
        match call.method:
            case "GET" if target.name:
                return _reply(200, self._existing(target))
            case "GET":
                selected = _selector(call)
                items = [obj for t, obj in self._in(target) if selected(obj)]
                return _reply(200, {"metadata": {"resourceVersion": str(self._version)}, "items": items})
            case "POST":
                return _reply(201, self._create(target, codec.loads_object(call.body or b"")))
            case "PUT":
                return _reply(200, self._update(target, codec.loads_object(call.body or b"")))
            case "PATCH":
                return _reply(200, self._patch(target, call))
            case _:
                return _reply(200, self._delete(target, codec.loads_object(call.body or b"{}")))

    @contextlib.asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; see `Transport.stream`."""
        await asyncio.sleep(0)
        self._check(call)
        since = int(call.query.get("resourceVersion") or self._version)
        if since < self._oldest:
            raise _error(410, "Expired", f"too old resource version: {since} ({self._oldest})")
        watch = _Watch(_Target.parse(call.path), _selector(call))
        for version, type_, target, obj in self._history:
            if version > since:
                self._offer(watch, type_, target, obj)
        self._watches.append(watch)
        try:
            yield self._lines(watch)
        finally:
            self._watches.remove(watch)

    async def _lines(self, watch: _Watch) -> AsyncIterator[bytes]:
        while (line := await watch.lines.get()) is not None:
            if isinstance(line, BaseException):
                raise line
            yield line

    def _check(self, call: Call) -> None:
        self.calls.append(call)
        for fault in self._faults:
            if fault[0](call):
                self._faults.remove(fault)
                raise fault[1]
        if _Target.parse(call.path).collection in self._hidden:
            raise _error(404, "NotFound", "the server could not find the requested resource")

    # Storage

    def _find(self, target: _Target) -> Obj | None:
        return self._objects.get((target.collection, target.namespace, target.name))

    def _existing(self, target: _Target) -> Obj:
        found = self._find(target)
        if found is None:
            raise _error(404, "NotFound", f'{target.collection.rpartition("/")[2]} "{target.name}" not found')
        return found

    def _in(self, target: _Target) -> Iterator[tuple[tuple[str, str, str], Obj]]:
        for at, obj in self._objects.items():
            if at[0] == target.collection and target.namespace in ("", at[1]):
                yield at, obj

    def _create(self, target: _Target, obj: Obj) -> Obj:
        meta = obj["metadata"]
        if not meta.get("name"):
            meta["name"] = f"{meta['generateName']}{next(self._uids):05d}"
        target = _Target(target.collection, target.namespace, meta["name"], "")
        if self._find(target) is not None:
            raise _error(409, "AlreadyExists", f'{target.collection} "{target.name}" already exists')
        obj.pop("status", None)
        meta.pop("resourceVersion", None)
        if target.namespace:
            meta["namespace"] = target.namespace
        return self._store(target, obj, None)

    def _update(self, target: _Target, obj: Obj) -> Obj:
        current = self._existing(target)
        wanted = obj["metadata"].get("resourceVersion")
        if wanted and wanted != current["metadata"]["resourceVersion"]:
            raise _error(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on "{target.name}": the object has been modified',
            )
        if target.subresource == "status":
            merged = {**clone(current), "status": obj.get("status")}
        else:
            merged = {**obj, "status": clone(current).get("status")}
            merged["metadata"] |= {k: v for k, v in current["metadata"].items() if k in SERVER_SET}
        return self._store(target, {k: v for k, v in merged.items() if v is not None}, current)

    def _patch(self, target: _Target, call: Call) -> Obj:
        body = codec.loads_object(call.body or b"")
        current = self._find(target)
        if current is None:
            if call.content_type == PatchType.APPLY.value:
                return self._create(target, body)
            self._existing(target)
        return self._update(target, _merge(current, body))

    def _delete(self, target: _Target, options: Obj) -> Obj:
        current = self._existing(target)
        meta = current["metadata"]
        for name, wanted in (options.get("preconditions") or {}).items():
            if meta.get(name) != wanted:
                raise _error(409, "Conflict", f"Precondition failed: {name} is {meta.get(name)}, not {wanted}")
        if meta.get("finalizers"):
            if meta.get("deletionTimestamp"):
                return current
            return self._store(
                target, _merge(current, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), current
            )
        self._drop(target, current)
        return {"kind": "Status", "status": "Success"}

    def _store(self, target: _Target, obj: Obj, current: Obj | None) -> Obj:
        meta = obj["metadata"]
        if current is None:
            meta.setdefault("uid", f"uid-{next(self._uids)}")
            meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
            meta["generation"] = 1
        else:
            meta |= {k: v for k, v in current["metadata"].items() if k in SERVER_SET and k not in meta}
        if current is None:
            pass
        elif {**obj, "metadata": None} == {**current, "metadata": None} and _same_metadata(meta, current["metadata"]):
            return current
        elif _spec(obj) != _spec(current):
            meta["generation"] = current["metadata"]["generation"] + 1
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self._drop(target, obj)
            return obj
        self._version += 1
        meta["resourceVersion"] = str(self._version)
        self._objects[target.collection, target.namespace, target.name] = obj
        self._publish("ADDED" if current is None else "MODIFIED", target, obj)
        return obj

    def _drop(self, target: _Target, obj: Obj) -> None:
        self._version += 1
        del self._objects[target.collection, target.namespace, target.name]
        self._publish("DELETED", target, _merge(obj, {"metadata": {"resourceVersion": str(self._version)}}))

    def _publish(self, type_: str, target: _Target, obj: Obj) -> None:
        self._history.append((self._version, type_, target, clone(obj)))
        for watch in self._watches:
            self._offer(watch, type_, target, obj)

    def _offer(self, watch: _Watch, type_: str, target: _Target, obj: Obj) -> None:
        same = watch.target.collection == target.collection and watch.target.namespace in (
            "",
            target.namespace,
        )
        if same and watch.match(obj):
            watch.lines.put_nowait(codec.dumps({"type": type_, "object": obj}))


def _reply(status: int, body: Any) -> Reply:
    return Reply(status, codec.dumps(body))


def _error(code: int, reason: str, message: str) -> KfsError:
    return api_error(code, {"kind": "Status", "code": code, "reason": reason, "message": message})


def _spec(obj: Obj) -> Obj:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}


def _same_metadata(a: Obj, b: Obj) -> bool:
    server_set = ("resourceVersion", "generation")
    return {k: v for k, v in a.items() if k not in server_set} == {k: v for k, v in b.items() if k not in server_set}


def _merge(target: Any, patch: Obj) -> Obj:
    merged: Obj = clone(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key), value)
        else:
            merged[key] = value
    return merged


def _selector(call: Call) -> Callable[[Obj], bool]:
    wanted = [part.partition("=") for part in call.query.get("labelSelector", "").split(",") if part]
    name = call.query.get("fieldSelector", "").removeprefix("metadata.name=")

    def matches(obj: Obj) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(labels.get(k) == v for k, _, v in wanted) and name in ("", obj["metadata"]["name"])

    return matches
