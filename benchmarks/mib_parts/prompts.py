"""Prompts of MIB's tasks: its data sets' rows, or any task of Wheatstone, tokenised as MIB's evaluation does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheatstone import PromptPair, load_task
from wheatstone._errors import PromptError
from wheatstone.models import ResidualModel
from wheatstone.records import Problem, content_of, read_rows

Fields = Mapping[str, Any]


def prompts_of(source: str, model: ResidualModel, *, split: str, most: int | None) -> list[PromptPair]:
    """Pairs that begin with the start token, as transformer-lens puts it before every prompt.

    Args:
        source: a file with rows of mib-bench's data sets (`ioi`, `copycolors_mcqa`, `arithmetic_…`, `arc_…`; JSON Lines
            or Parquet), or what `load_task` takes.
        model: whose tokenizer aligns prompts.
        split: of a task of Wheatstone; a file of MIB's rows is one split.
        most: pairs at most; None for all.

    Raises:
        PromptError: nothing can be used.
    """
    path = Path(source)
    rows = mib_pairs(path, model) if path.is_file() else None
    if rows is None:
        task = load_task(source, model, known=None, size=None if path.is_file() else 250)
        rows = list(getattr(task, split))
    return [_started(pair, model) for pair in rows[:most]]


def mib_pairs(path: Path, model: ResidualModel) -> list[PromptPair] | None:
    """Pairs of MIB's rows; None where the file has other columns.

    Raises:
        PromptError: none of the rows can be used.
    """
    problems = list[Problem]()
    rows, _ = read_rows(content_of(path), problems)
    kind = next((kind for kind in KINDS if rows and _COLUMNS[kind] in rows[0].fields), None)
    if kind is None:
        return None
    made = [KINDS[kind](row.fields, model) for row in rows]
    found = [pair for pair in made if pair and _length(pair.prompt, model) == _length(pair.counterfactual, model)]
    if len(found) < len(rows):
        print(f"{len(rows) - len(found)} of {len(rows)} rows left out, as MIB does, or for unequal lengths", flush=True)
    if not found:
        raise PromptError(
            expected="rows whose answer and prompt have as many tokens as their counterfactual's",
            got=f"none among {len(rows)} in {path}",
            do="check that the data set belongs to the model",
        )
    return found


def _ioi(row: Fields, model: ResidualModel) -> PromptPair | None:
    names = row["metadata"]
    ours, theirs, third = (f" {names[part]}" for part in ("indirect_object", "subject", "random_c"))
    if len({len(model.continuation(name)) for name in (ours, theirs, third)}) > 1:
        return None
    return _pair(row["prompt"], row["s2_io_flip_counterfactual"]["prompt"], ours, theirs)


def _choices(row: Fields, model: ResidualModel) -> PromptPair | None:
    other = row["symbol_counterfactual"]
    ours, theirs = (str(each["choices"]["label"][each["answerKey"]]) for each in (row, other))
    if len(model.continuation(ours)) != len(model.continuation(theirs)):
        return None
    return _pair(row["prompt"], other["prompt"], ours, theirs)


def _arithmetic(row: Fields, model: ResidualModel) -> PromptPair | None:
    other = row["random_counterfactual"]
    if other is None or other["prompt"] is None:
        return None
    ours, theirs = str(row["label"]), str(other["label"])
    if any(len(model.continuation(label)) != 1 for label in (ours, theirs)):
        return None
    return _pair(row["prompt"], other["prompt"], ours, theirs)


KINDS: dict[str, Callable[[Fields, ResidualModel], PromptPair | None]] = {
    "ioi": _ioi,
    "choices": _choices,
    "arithmetic": _arithmetic,
}
_COLUMNS = {
    "ioi": "s2_io_flip_counterfactual",
    "choices": "symbol_counterfactual",
    "arithmetic": "random_counterfactual",
}
"""The column by which each kind of row is recognised: its counterfactual."""


def _pair(prompt: str, counterfactual: str, answer: str, distractor: str) -> PromptPair | None:
    if answer == distractor:
        return None
    return PromptPair(prompt=prompt, counterfactual=counterfactual, answers=(answer,), distractors=(distractor,))


def _length(text: str, model: ResidualModel) -> int:
    return len(model.encode(text))


def _started(pair: PromptPair, model: ResidualModel) -> PromptPair:
    """The pair behind the start token, unless the tokenizer puts it there itself."""
    tokenizer: Any = model.tokenizer
    start = tokenizer.bos_token or tokenizer.eos_token
    if start is None or model.encode(pair.prompt)[0] == tokenizer.convert_tokens_to_ids(start):
        return pair
    texts: Sequence[str] = [f"{start}{text}" for text in (pair.prompt, pair.counterfactual)]
    return PromptPair(prompt=texts[0], counterfactual=texts[1], answers=pair.answers, distractors=pair.distractors)
