"""Progress: a line on a terminal, and silence everywhere else."""

from __future__ import annotations

import io

import pytest

from pyposefast import progress
from pyposefast.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_REFRESH_S", 0.0)


def test_a_pipe_gets_nothing() -> None:
    pipe = io.StringIO()
    with Progress(3, "pictures", stream=pipe) as bar:
        bar.add(3)
        bar.clear()
    assert pipe.getvalue() == ""


@pytest.mark.usefixtures("_at_once")
def test_a_terminal_gets_a_line_that_is_wiped_in_the_end() -> None:
    terminal = Terminal()
    with Progress(4, "pictures", stream=terminal) as bar:
        bar.add()
        bar.add(3)
    lines = terminal.getvalue().split("\r\x1b[K")
    assert lines[1].startswith("[#######.....................] 1/4 pictures, ")
    assert lines[2].startswith("[############################] 4/4 pictures, ")
    assert lines[2].endswith(" 0:00 left")
    assert lines[-1] == ""
    assert "\n" not in terminal.getvalue()


@pytest.mark.usefixtures("_at_once")
def test_without_a_total_there_is_a_count() -> None:
    terminal = Terminal()
    Progress(None, "frames", stream=terminal).add(7)
    assert "7 frames, " in terminal.getvalue()


@pytest.mark.usefixtures("_at_once")
def test_more_than_was_promised_is_no_error() -> None:
    terminal = Terminal()
    Progress(2, "frames", stream=terminal).add(5)
    assert "5/2 frames" in terminal.getvalue()


def test_it_is_not_shown_more_often_than_people_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_REFRESH_S", 3600.0)
    terminal = Terminal()
    bar = Progress(1000, "pictures", stream=terminal)
    for _ in range(1000):
        bar.add()
    assert terminal.getvalue().count("\r") <= 1


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_times(seconds: float, text: str) -> None:
    assert progress._time(seconds) == text
