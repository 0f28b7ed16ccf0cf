"""How log lines look: constant messages, their fields beside them, as text or as JSON."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from kfs.manager.controller.controller import reconcile_fields
from kfs.manager.objects import codec

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str, style: str) -> None:
    """Send the process's logs to standard error at `level`; `style` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # aiohttp logs each request that a scanner breaks off at error level; our own handlers say what matters.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(reconcile_fields.get() or {})
    fields.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
    return fields


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line |= {
            k: v if isinstance(v, str | int | float | bool | list | None) else str(v)
            for k, v in _fields(record).items()
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return codec.dumps(line).decode()


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {k}={_quoted(v)}" for k, v in _fields(record).items())
        line = (
            f"{_time(record)} {record.levelname:<7} {record.name.removeprefix('kfs.')}: {record.getMessage()}{fields}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) else text
