"""The bars where someone sees them; their time left, on a clock of its own; lines where nobody does."""

from __future__ import annotations

import re
import time
from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

import wheatstone as ws
from wheatstone._bars import TimeLeft
from wheatstone._progress import EVERY, in_lines


@pytest.mark.parametrize(("seen", "shown"), [(True, ["scores 1/2", "search 3/4"]), (False, [])])
def test_every_stage_has_a_bar_where_someone_sees_it(
    seen: bool, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    screen = StringIO()
    with ws.progress(Console(file=screen, force_terminal=seen, no_color=True, width=80)) as report:
        for stage, done, total in (("scores", 1, 2), ("search", 4, 4), ("search", 3, 4)):  # begun again
            report(stage, done, total)
    lines = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines() if "left" in line]
    last = [" ".join([*line.split()[:1], *(word for word in line.split() if "/" in word)]) for line in lines]
    assert last[-2:] == shown
    assert bool(screen.getvalue()) == seen


def test_time_left_is_at_the_pace_so_far() -> None:
    clock = [0.0]
    progress = Progress(get_time=lambda: clock[0])
    number = progress.add_task("relations", total=4)
    (task,) = progress.tasks
    assert TimeLeft().render(task).plain == "-:--:--"
    for seconds, done, left in ((60.0, 1, "0:03:00"), (300.0, 2, "0:05:00"), (400.0, 4, "0:00:00")):
        clock[0] = seconds
        progress.update(number, completed=done)
        assert TimeLeft().render(task).plain == left
    clock[0] = 500.0
    progress.reset(number)
    clock[0] = 510.0
    progress.update(number, completed=2)
    assert TimeLeft().render(task).plain == "0:00:10"


def test_what_was_done_before_says_nothing_of_the_pace() -> None:
    clock = [0.0]
    progress = Progress(get_time=lambda: clock[0])
    number = progress.add_task("pairs", total=100, begun=90)
    (task,) = progress.tasks
    progress.update(number, completed=90)
    assert TimeLeft().render(task).plain == "-:--:--"
    clock[0] = 10.0
    progress.update(number, completed=92)
    assert TimeLeft().render(task).plain == "0:00:40"


def test_what_is_printed_in_the_block_goes_where_it_always_does(capsys: pytest.CaptureFixture[str]) -> None:
    with ws.progress(Console(file=StringIO(), force_terminal=True)) as report:
        report("scores", 1, 2)
        print("a result")
    assert capsys.readouterr().out == "a result\n"


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of short work; of long work the last stage that was reported."""
    clock, lines = [0.0], list[str]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    report = in_lines(lines.append)
    for seconds, done in ((0.0, 0), (EVERY - 1, 1), (EVERY, 2), (2 * EVERY - 1, 3), (2 * EVERY + 5, 4)):
        clock[0] = seconds
        report("pairs", done, 2000 if seconds <= EVERY else None)
    assert lines == ["pairs: 2 of 2,000 (30 s)", "pairs: 4 (65 s)"]
