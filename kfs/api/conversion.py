"""InferenceServices from one version to the other, without loss.

A table says what both versions can say (`conversion_tables`). What it leaves behind is found by converting the result
back and comparing; that is kept in an annotation of the result, and put back when the result is converted again:

    internal.serving.kubeflow.org/conversion-data:
      {"v1alpha2": {"spec": {"add": {"/spec/canary": {...}}}, "status": {"digest": "...", "add": {...}}}}

The name is that of the version whose data this is. Of the status it is put back only while what both versions say of
it has the digest that it had: a status written in between is the newer truth.

Upstream: kserve/kserve v0.5.1 `pkg/apis/serving/v1alpha2/inferenceservice_conversion.go`.

Differs: nothing is lost, and objects that were never defaulted convert too (difference 11).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from kfs.api.constants import CONVERSION_ANNOTATION, INFERENCE_SERVICE, INFERENCE_SERVICE_V1ALPHA2
from kfs.api.conversion_tables import TABLES, moved
from kfs.api.ownership import V1BETA1
from kfs.api.remainder import Remainder, complete, remainder
from kfs.manager.errors import DecodeError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import Frozen, Obj, annotations, clone

# An API server takes 256 KiB of annotations in all. Ours stay well below, and leave room for what kubectl adds.
RECORD_LIMIT_BYTES: Final = 128 * 1024
ANNOTATIONS_LIMIT_BYTES: Final = 240 * 1024

VERSIONS: Final[Mapping[str, str]] = {
    kind.api_version: kind.version for kind in (INFERENCE_SERVICE_V1ALPHA2, INFERENCE_SERVICE)
}
_OTHER: Final = {a: b for a in VERSIONS.values() for b in VERSIONS.values() if a != b}
_FIELD: Final = f"metadata.annotations[{CONVERSION_ANNOTATION}]"


class StatusRemainder(Remainder, frozen=True, omit_defaults=True):
    """`digest` is that of the status as both versions say it, in the words of the version that this belongs to."""

    digest: str = ""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one version says and the other cannot. `too_large`: bytes that it would have, when it does not fit."""

    spec: Remainder = Remainder()
    status: StatusRemainder = StatusRemainder()
    too_large: int = 0

    def __bool__(self) -> bool:
        return bool(self.spec or self.status or self.too_large)


def convert(isvc: Frozen, api_version: str) -> Obj:
    """An InferenceService in another `apiVersion`; a copy when it has that one already.

    Metadata stay as they are but for the annotation. Any spec and status convert, of whatever types they are.

    Raises:
        ValidationError: it is no InferenceService of a known version, or v1beta1 has no room for what it cannot say
            itself; or it was read as v1alpha2, which had no room, so that writing it back would lose something.
    """
    target, source = _version(api_version), _version(isvc.get("apiVersion"))
    if isvc.get("kind") != INFERENCE_SERVICE.kind:
        raise ValidationError(f"kind: want {INFERENCE_SERVICE.kind}, got {isvc.get('kind')}", field="kind")
    before = clone(isvc)
    if source == target:
        return before
    kept = _read(before, target)
    if target == V1BETA1 and kept.too_large:
        raise ValidationError(
            f"{_FIELD}: this object has more fields of its own in {target} than an annotation holds"
            f" ({kept.too_large} bytes), which writing it as {source} would lose: change it as {target}",
            field=_FIELD,
        )
    shared = moved(before, TABLES[target])
    complete(shared, kept.spec)
    if kept.status and kept.status.digest == _digest(shared):
        complete(shared, kept.status)
    others = {key: value for key, value in before.items() if key not in ("spec", "status")}
    after = {**others, "apiVersion": api_version, **shared}
    _write(after, source, _left(moved(after, TABLES[source]), before))
    return after


def carried(isvc: Frozen) -> list[str]:
    """The fields of the other version that an InferenceService's annotation holds, as JSON Pointers."""
    record = _read(isvc, _OTHER[_version(isvc.get("apiVersion"))])
    return [*record.spec.pointers(), *record.status.pointers()]


def overflow(isvc: Frozen) -> int:
    """Bytes of data of the other version for which an InferenceService has no room; 0 when all is there."""
    return _read(isvc, _OTHER[_version(isvc.get("apiVersion"))]).too_large


def keep_record(isvc: Obj, stored: Frozen) -> None:
    """Give `isvc`, which is to replace `stored`, the record that it may lack, in place.

    Somebody who replaces a whole object knows the fields of his version only; those of the other version are not his
    to remove. Of the status the stored record is always the true one, since only a status update changes a status.
    Both objects are in the same version.
    """
    other = _OTHER[_version(isvc.get("apiVersion"))]
    theirs, ours = _read(stored, other), _read(isvc, other)
    given = CONVERSION_ANNOTATION in annotations(isvc)
    if given and not ours:
        return
    record = msgspec.structs.replace(theirs, spec=ours.spec) if ours else theirs
    if record:
        _attach(isvc, codec.dumps({other: record}).decode())


def check_record(isvc: Frozen) -> None:
    """Refuse an annotation that cannot be read.

    Raises:
        ValidationError: somebody changed it; the message says what to do.
    """
    text = annotations(isvc).get(CONVERSION_ANNOTATION)
    if text is not None and _parse(text) is None:
        raise ValidationError(f"{_FIELD}: cannot be read; put back what was there, or remove it", field=_FIELD)


def _version(api_version: Any) -> str:
    if isinstance(api_version, str) and api_version in VERSIONS:
        return VERSIONS[api_version]
    known = " and ".join(VERSIONS)
    raise ValidationError(f"apiVersion: {api_version} cannot be converted, only {known} can", field="apiVersion")


def _left(said: Frozen, whole: Frozen) -> Record:
    def part(name: str) -> Remainder:
        return remainder(*({name: tree[name]} if name in tree else {} for tree in (said, whole)))

    status = part("status")
    if not status:
        return Record(part("spec"))
    return Record(part("spec"), StatusRemainder(status.drop, status.add, _digest(said)))


def _digest(isvc: Frozen) -> str:
    return hashlib.sha256(codec.canonical(isvc.get("status"))).hexdigest()[:16]


def _read(isvc: Frozen, version: str) -> Record:
    """The record of one version. What cannot be read counts as nothing: no list may fail because of it."""
    return (_parse(annotations(isvc).get(CONVERSION_ANNOTATION)) or {}).get(version, Record())


def _parse(text: Any) -> dict[str, Record] | None:
    try:
        return codec.convert(codec.loads(text), dict[str, Record]) if isinstance(text, str) else None
    except (DecodeError, ValidationError):
        return None


def _write(isvc: Obj, version: str, record: Record) -> None:
    """Replace the annotation, in place."""
    if not record:
        if CONVERSION_ANNOTATION in annotations(isvc):
            del isvc["metadata"]["annotations"][CONVERSION_ANNOTATION]
            if not isvc["metadata"]["annotations"]:
                del isvc["metadata"]["annotations"]
        return
    text = codec.dumps({version: record}).decode()
    size = len(text.encode())
    if size > (room := _room(isvc)):
        if version != V1BETA1:
            raise ValidationError(
                f"{_FIELD}: what v1beta1 cannot say takes {size} bytes, and there is room for {room}:"
                f" make {_largest(record)} smaller, or write the object as v1beta1",
                field=_FIELD,
            )
        # Refusing would make every list fail that this object is in.
        text = codec.dumps({version: Record(too_large=size)}).decode()
    _attach(isvc, text)


def _attach(isvc: Obj, text: str) -> None:
    metadata = isvc.get("metadata")
    if metadata is None:
        metadata = isvc["metadata"] = {}
    if not isinstance(metadata, dict):
        raise ValidationError("metadata: must be an object", field="metadata")
    if metadata.get("annotations") is None:
        metadata["annotations"] = {}
    if not isinstance(metadata["annotations"], dict):
        raise ValidationError("metadata.annotations: must be an object", field="metadata.annotations")
    metadata["annotations"][CONVERSION_ANNOTATION] = text


def _room(isvc: Frozen) -> int:
    others = (f"{key}{value}" for key, value in annotations(isvc).items() if key != CONVERSION_ANNOTATION)
    taken = len(CONVERSION_ANNOTATION) + sum(len(text.encode()) for text in others)
    return max(0, min(RECORD_LIMIT_BYTES, ANNOTATIONS_LIMIT_BYTES - taken))


def _largest(record: Record) -> str:
    entries: Iterable[tuple[str, Any]] = [*record.spec.add.items(), *record.status.add.items()]
    return max(entries, key=lambda entry: len(codec.dumps(entry[1])), default=("the object", None))[0]
