"""Runs the manager; the wiring is in `kfs.app`."""

import sys

from kfs.cli import manager

if __name__ == "__main__":
    sys.exit(manager(sys.argv[1:], prog="python -m cmd.manager"))
