"""The time that work will still take, for the progress display."""

from __future__ import annotations

from datetime import timedelta

from rich.progress import ProgressColumn, Task
from rich.text import Text


class TimeLeft(ProgressColumn):
    """The time left at the pace so far; rich's own looks back 30 seconds, and a relation of a study takes minutes.

    Work that goes on has `begun` with some of it done, which says nothing of the pace.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left = "-:--:--"
        gained = task.completed - task.fields.get("begun", 0)
        if task.total is not None and gained > 0 and task.elapsed is not None:
            left = str(timedelta(seconds=int(task.elapsed * max(0.0, task.total - task.completed) / gained)))
        return Text(left, style="progress.remaining")
