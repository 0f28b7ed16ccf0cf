"""The package `cmd` hides the standard library's module of that name without breaking who needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "statement",
    [
        "import cmd; assert cmd.__file__.endswith('cmd/__init__.py') and cmd.__path__",
        "import cmd; assert issubclass(cmd.Cmd, object) and cmd.PROMPT == '(Cmd) ' and 'a' in cmd.IDENTCHARS",
        "from cmd import *; assert Cmd.prompt == '(Cmd) '",
        "import cmd, pdb; assert issubclass(pdb.Pdb, cmd.Cmd)",
        "import cmd; assert not hasattr(cmd, 'no_such_name')",
    ],
)
def test_names_are_the_standard_library_s(statement: str) -> None:
    done = subprocess.run([sys.executable, "-c", statement], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
