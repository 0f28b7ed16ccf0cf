"""`kfs convert`: InferenceServices in files, from each version to the other, without a server.

The converted documents go to standard output, as YAML; what became of each object to standard error. When anything
cannot be converted nothing is output, since a part of it might be applied.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from kfs.api.constants import GROUP, INFERENCE_SERVICE, INFERENCE_SERVICE_V1ALPHA2
from kfs.api.conversion import carried, convert, overflow
from kfs.api.ownership import owner_of
from kfs.manager.errors import DecodeError, KfsError, ValidationError
from kfs.manager.objects import codec
from kfs.manager.objects.tree import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from kfs.manager.objects.tree import Frozen, Obj

_OTHER: Final[Mapping[str, str]] = {
    INFERENCE_SERVICE.api_version: INFERENCE_SERVICE_V1ALPHA2.api_version,
    INFERENCE_SERVICE_V1ALPHA2.api_version: INFERENCE_SERVICE.api_version,
}
_LIST: Final = "List"


class _Loader(yaml.SafeLoader):
    """Reads YAML as JSON has it: a date is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def main(arguments: Sequence[str], prog: str = "kfs convert") -> int:
    """Convert files; the exit status, 1 when something cannot be converted."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Convert InferenceServices between v1alpha2 and v1beta1, each to the other version. What the other"
        " version cannot say is carried in an annotation, from which it comes back.",
    )
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="YAML or JSON documents, lists among them; - is standard input; may be given again",
    )
    files = parser.parse_args(arguments).filename
    return convert_files(files, sys.stdin, sys.stdout, sys.stderr)


def convert_files(files: Sequence[str], stdin: TextIO, out: TextIO, report: TextIO) -> int:
    """As `main`, with streams of one's own; the exit status."""
    converted: list[Obj] = []
    failed = False
    for file in files:
        try:
            text = stdin.read() if file == "-" else _read(file)
            converted += [_converted(document, file, report) for document in documents(text)]
        except KfsError as error:
            report.write(f"{file}: {error}\n")
            failed = True
    if failed:
        report.write("nothing was output, since not everything could be converted\n")
        return 1
    yaml.dump_all(converted, out, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True)
    return 0


def documents(text: str) -> list[Obj]:
    """The documents of a text; those that are empty are left out.

    Raises:
        DecodeError: it is neither YAML nor JSON, or a document is no object.
    """
    try:
        # Through JSON, so that there is nothing in them that JSON does not have.
        found = [
            codec.loads(codec.dumps(document)) for document in yaml.load_all(text, _Loader) if document is not None
        ]
    except (yaml.YAMLError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DecodeError(f"cannot be read: {' '.join(str(error).split())}") from error
    for i, document in enumerate(found, 1):
        if not isinstance(document, dict):
            raise DecodeError(f"document {i}: must be an object, but is {type(document).__name__}")
    return found


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DecodeError(f"cannot be read: {error}") from error


def _converted(document: Obj, file: str, report: TextIO) -> Obj:
    kind, items = str(document.get("kind") or ""), document.get("items")
    if not kind.endswith(_LIST) or not isinstance(items, list):
        return _one(document, file, report)
    # The items of a list of one kind need not repeat what they are.
    own = {} if kind == _LIST else {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix(_LIST)}
    for i, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise ValidationError(f"items[{i}]: must be an object, but is {type(item).__name__}")
    after = {**document, "items": [_one({**own, **item}, file, report) for item in items]}
    if own and own["kind"] == INFERENCE_SERVICE.kind:
        after["apiVersion"] = _OTHER.get(str(own["apiVersion"]), own["apiVersion"])
    return after


def _one(obj: Obj, file: str, report: TextIO) -> Obj:
    api_version = str(obj.get("apiVersion"))
    named = f"{file}: {obj.get('kind')} {key_of(obj)}"
    if not api_version.startswith(f"{GROUP}/") or obj.get("kind") != INFERENCE_SERVICE.kind:
        report.write(f"{named}: is no InferenceService, passed on as it is\n")
        return obj
    target = _OTHER.get(api_version)
    if target is None:
        raise ValidationError(f"{key_of(obj)}: apiVersion {api_version} is none of {', '.join(_OTHER)}")
    try:
        after = convert(obj, target)
    except ValidationError as error:
        raise ValidationError(f"{key_of(obj)}: {error}", field=error.field) from error
    if size := overflow(after):
        raise ValidationError(
            f"{key_of(obj)}: what {_version(target)} cannot say takes {size} bytes, more than an annotation holds"
        )
    report.write(f"{named}: {_version(api_version)} -> {_version(target)}, {_told(after)}\n")
    return after


def _told(after: Frozen) -> str:
    pointers = carried(after)
    if not pointers:
        return "nothing to carry along"
    told = f"carried in the annotation: {', '.join(pointers)}"
    if "/spec/canary" in pointers and owner_of(after) == INFERENCE_SERVICE.version:
        told += " (v1beta1's controller, to which this object belongs when it is applied, runs no such canary)"
    return told


def _version(api_version: str) -> str:
    return api_version.rpartition("/")[2]
