"""A guarded process can be watched and signalled, and its end is told."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from kfs.manager.testing.guard import GuardedProcess

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_SECONDS = 30.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_status_and_output_of_a_command_that_ends(tmp_path: Path, log: Path) -> None:
    log.write_text("of an earlier run\n")
    process = GuardedProcess(["sh", "-c", "echo out; echo err >&2; exit 7"], folder=tmp_path, log=log)
    assert process.wait(PATIENCE_SECONDS) == 7
    assert process.output() == "out\nerr\n"
    process.send_signal(signal.SIGTERM)
    process.stop()


def test_signals_reach_the_command_itself(tmp_path: Path, log: Path) -> None:
    process = GuardedProcess(["sleep", "600"], folder=tmp_path, log=log)
    assert process.wait(0) is None
    process.send_signal(signal.SIGKILL)
    assert process.wait(PATIENCE_SECONDS) == 128 + signal.SIGKILL
    process.stop()


def test_stop_lets_the_command_end_in_its_own_way_and_keeps_its_folder(tmp_path: Path, log: Path) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo $$; while :; do sleep 0.01; done"
    process = GuardedProcess(["sh", "-c", script], folder=tmp_path, log=log)
    while not process.output():
        assert process.wait(0.01) is None
    process.stop()
    assert process.wait(0) == 3
    assert process.output() == f"{process.pid}\nbye\n"


def test_stop_removes_the_folder_that_it_was_told_to(tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    GuardedProcess(["sleep", "600"], folder=folder, log=log, remove=folder).stop()
    assert not folder.exists()


def test_the_folder_of_a_command_that_ended_by_itself_stays(tmp_path: Path, log: Path) -> None:
    process = GuardedProcess(["true"], folder=tmp_path, log=log, remove=tmp_path)
    assert process.wait(PATIENCE_SECONDS) == 0
    process.stop()
    assert tmp_path.exists()


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path, log: Path) -> None:
    with pytest.raises(ChildProcessError, match=r"nothing did not start: .* No such file or directory"):
        GuardedProcess(["nothing"], folder=tmp_path, log=log)
