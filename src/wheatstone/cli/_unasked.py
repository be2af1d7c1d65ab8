"""Options that are not given, at no cost.

typer loads pydantic (a tenth of a second) to check the value of an option, also where there is none: of `--help`, in
every command. A list of runs should not wait for that. typer has no setting for it, so this reaches into it: where a
later release has no such method, options are checked as it does.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperOption

_checked: Any = getattr(TyperOption, "process_value", None)


def _process_value(self: TyperOption, ctx: Any, value: Any) -> Any:
    """As typer's, which gives None for None where an option may be left out."""
    if value is not None or self.required or self.multiple:
        return _checked(self, ctx, value)
    return None if self.callback is None else self.callback(ctx, self, None)


def leave_unasked() -> None:
    """From now on, options that are not given are not checked."""
    if _checked is not None:
        TyperOption.process_value = _process_value
