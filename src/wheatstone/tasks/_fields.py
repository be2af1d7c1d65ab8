"""The names of columns that records may have, in this project and in public data sets, and what their cells hold.

| data set | names |
|---|---|
| EAP, EAP-IG | `clean`, `corrupted`, and `label`, `correct_idx`, `country_idx` … (token ids or years) |
| auto-circuit, ACDC | `clean`, `corrupt`, `answers`, `wrong_answers` |
| feature-circuits | `clean_prefix`, `patch_prefix`, `clean_answer`, `patch_answer` |
| function vectors | `input`, `output` |
| LAMA, ParaRel | `sub_label`, `obj_label`, `template` |
| known_1000 | `subject`, `attribute`, `template`, `prompt` |
| CounterFact | `requested_rewrite` {`subject`, `prompt`, `target_true`} |
"""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Mapping, Sequence
from typing import Any, cast

from wheatstone._errors import PromptError
from wheatstone._json import parse_json
from wheatstone.tasks._rows import Row

PROMPT = ("prompt", "clean", "clean_prompt", "clean_prefix")
COUNTERFACTUAL = (
    "counterfactual",
    "corrupted",
    "corrupt",
    "patch",
    "corrupted_prompt",
    "corrupt_prompt",
    "patch_prompt",
    "corrupted_prefix",
    "corrupt_prefix",
    "patch_prefix",
)
ANSWERS = (
    "answers",
    "answer",
    "object",
    "target",
    "clean_answers",
    "clean_answer",
    "output",
    "obj_label",
    "attribute",
    "target_true",
)
DISTRACTORS = (
    "distractors",
    "distractor",
    "wrong_answers",
    "wrong_answer",
    "corrupted_answers",
    "corrupted_answer",
    "corrupt_answers",
    "corrupt_answer",
    "patch_answers",
    "patch_answer",
)
ANSWER_IDS = ("correct_idx", "answers_idx", "country_idx", "clean_answer_idx", "target_idx")
DISTRACTOR_IDS = (
    "incorrect_idx",
    "corrupted_answers_idx",
    "corrupted_country_idx",
    "corrupted_answer_idx",
    "foil_idx",
)
LABEL = ("label",)
SUBJECT = ("subject", "input", "sub_label")
TEMPLATE = ("template", "pattern")

UNDERSTOOD = (
    f"pairs: {'/'.join(PROMPT)}, {'/'.join(COUNTERFACTUAL)}, and {'/'.join((*ANSWERS, *ANSWER_IDS, *LABEL))} "
    f"(optional: {'/'.join((*DISTRACTORS, *DISTRACTOR_IDS))}, spans, subject, split); "
    f"or facts: {'/'.join(SUBJECT)}, {'/'.join(ANSWERS)}, and {'/'.join((*PROMPT[:1], *TEMPLATE))} or --template"
)
"""Every name, for an error."""
_MOST_NAMED = 20
_LONGEST_LIST = 100_000
"""Characters of a list that is written in a cell."""
_NO_COMMA = re.compile("['\"]\\s+['\"]")
"""What texts look like that no comma separates."""
_NAN = {"nan", "NaN", "<NA>"}
"""How pandas writes a missing value."""


def check_columns(name: str, rows: Sequence[Row]) -> None:
    """Refuses a file in which no record has the columns of a pair or of a fact.

    Raises:
        PromptError: with the columns that were found and those that are understood.
    """
    if not rows or any(lacking(row) is None for row in rows):
        return
    raise PromptError(
        expected=f"records with columns that are understood ({UNDERSTOOD})",
        got=f"{name} with {found(column for row in rows for column in row.fields)}: {lacking(rows[0])}",
        do="rename the columns; docs/tasks.md has an example of every form",
    )


def lacking(row: Row) -> str | None:
    """What a record lacks to be a pair or a fact, by its columns; None where it has everything."""
    if column_of(row, COUNTERFACTUAL) is not None:
        wanted = {"prompt": PROMPT, "answer": (*ANSWERS, *ANSWER_IDS, *LABEL)}
    elif column_of(row, SUBJECT) is not None:
        wanted = {"answer": ANSWERS}
    else:
        return "neither a counterfactual nor a subject"
    missing = [kind for kind, names in wanted.items() if column_of(row, names) is None]
    return f"no {' and no '.join(missing)}" if missing else None


def found(names: Any) -> str:
    """The columns that were found, in words."""
    listed = list(dict.fromkeys(map(str, names)))
    if not listed:
        return "no columns"
    shown = ", ".join(repr(name[:40]) for name in listed[:_MOST_NAMED])
    more = f" and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return f"the column{'s' if len(listed) > 1 else ''} {shown}{more}"


def column_of(row: Row, names: Sequence[str]) -> str | None:
    """The first of these columns that the row has: the first with a value, else the first that is empty."""
    here = [name for name in names if name in row.fields]
    return next((name for name in here if not _missing(row.fields[name])), here[0] if here else None)


def value_of(row: Row, names: Sequence[str]) -> Any:
    """The value of the first of these columns that has one; None where the row has none of the columns.

    Raises:
        ValueError: it has one of the columns, and the cell is empty.
    """
    name = column_of(row, names)
    if name is None:
        return None
    value = row.fields[name]
    if _missing(value):
        word = "NaN" if _not_a_number(value) else "empty"
        raise ValueError(f"{name!r} is {word}; write its value, or remove the record")
    return value


def optional_of(row: Row, names: Sequence[str]) -> Any:
    """As `value_of`, with None for an empty cell."""
    name = column_of(row, names)
    return None if name is None or _missing(row.fields[name]) else row.fields[name]


def text_of(row: Row, names: Sequence[str]) -> str | None:
    """A column of texts; None where the row has no such column.

    Raises:
        ValueError: the cell is empty, or holds something else than a text.
    """
    value = value_of(row, names)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{column_of(row, names)!r} is {_kind(value)}; write a text")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """A cell of one or more texts: a text, a number, a list of these, or a list written as text.

    Raises:
        ValueError: it holds something else.
    """
    if isinstance(value, str):
        parsed = listed(value)
        if parsed is None:
            return (value,)
        value = parsed
    if not isinstance(value, list):
        return (_text(name, value),)
    return tuple(_text(name, each) for each in value)


def ids(name: str, value: Any) -> list[int]:
    """A cell of one or more token ids.

    Raises:
        ValueError: it holds something else.
    """
    parsed = listed(value) if isinstance(value, str) else None
    each = parsed if parsed is not None else value if isinstance(value, list) else [value]
    return [_whole(name, one) for one in each]


def listed(text: str) -> list[Any] | None:
    """The list that a text holds, as JSON or as Python writes it (a tuple of texts too); None where it holds none.

    Raises:
        ValueError: it looks like a list and cannot be read as one.
    """
    inside = text.strip()
    if not inside.startswith(("[", "(")) or inside[-1:] != {"[": "]", "(": ")"}[inside[0]] or len(inside) < 2:
        return None
    if len(inside) > _LONGEST_LIST:
        raise ValueError(f"a list of {len(inside):,} characters, more than {_LONGEST_LIST:,}; shorten it")
    if inside[0] == "(":
        return _python_tuple(inside)
    try:
        value = parse_json(inside)
    except ValueError:
        try:
            value = ast.literal_eval(inside)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise ValueError(f'{inside[:40]!r} is no list; write it as ["a", "b"]') from None
        # Python joins texts that no comma separates, and NumPy writes its arrays of texts so.
        if _NO_COMMA.search(inside) and _strings(inside) > len(value):
            raise ValueError(
                f'{inside[:40]!r} has texts without a comma between them; write it as ["a", "b"]'
            ) from None
    return value if isinstance(value, list) else None


def _python_tuple(text: str) -> list[Any] | None:
    """The texts of a tuple that Python wrote; None of any other text in parentheses, such as an answer (A)."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if not isinstance(value, tuple):
        return None
    each = list(cast("tuple[Any, ...]", value))
    return each if each and all(isinstance(one, str) for one in each) else None


def _strings(text: str) -> int:
    """How many string literals Python reads in a text."""
    try:
        return sum(one.type == tokenize.STRING for one in tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return 0


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record's fields under plain names: without spaces around them, in lower case, CounterFact's edit unpacked."""
    plain = {str(name).strip().lower(): value for name, value in fields.items()}
    rewrite = plain.pop("requested_rewrite", None)
    if isinstance(rewrite, dict):
        plain = {**plain, **{str(name): value for name, value in rewrite.items()}}
    return plain


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("str"), str):  # CounterFact's {"str": …, "id": …}
        return value["str"]
    if isinstance(value, float) and value.is_integer():  # a whole number, in a column that has gaps
        return str(int(value))
    if isinstance(value, bool) or not isinstance(value, str | int | float) or _not_a_number(value):
        raise ValueError(f"{name!r} holds {_kind(value)}; write a text, a number or a list of these")
    return str(value)


def _whole(name: str, value: Any) -> int:
    try:
        number = float(value) if not isinstance(value, bool | list | dict) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer() or abs(number) > 2**53:
        raise ValueError(f"{name!r} holds {_kind(value)}, which is no token id; write a whole number")
    return int(number)


def _kind(value: Any) -> str:
    if _not_a_number(value):
        return "NaN"
    kinds = {bool: "a truth value", dict: "an object", list: "a list", str: "the text"}
    word = kinds.get(type(value), "the value")
    return word if isinstance(value, dict | list) else f"{word} {str(value)[:40]!r}"


def _missing(value: Any) -> bool:
    empty = value is None or (isinstance(value, str) and not value.strip()) or value in ([], ())
    return empty or _not_a_number(value)


def _not_a_number(value: Any) -> bool:
    return (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, str) and value in _NAN)
