"""The product's commands, as `cmd/` is in the Go project: `python -m cmd.manager`.

From the repository's root this package hides the standard library's `cmd`, which pdb and through it pytest
import. So every name that is not a command here is the standard library's.
"""

from __future__ import annotations

import sysconfig
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType


@cache
def _standard_library() -> ModuleType:
    """The standard library's `cmd`, loaded by path since its name is taken."""
    spec = spec_from_file_location(__name__, Path(sysconfig.get_path("stdlib")) / "cmd.py")
    if spec is None or spec.loader is None:
        raise ImportError("the standard library's cmd.py cannot be loaded", name=__name__)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def __getattr__(name: str) -> Any:
    return getattr(_standard_library(), name)
