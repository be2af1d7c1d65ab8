"""The prompts a verb was given: one pair in options, or many in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wheatstone._errors import PromptError, RequestError

if TYPE_CHECKING:
    from wheatstone.tasks import PromptPair


def pairs_of(
    prompt: str | None,
    counterfactual: str | None,
    answers: list[str] | None,
    distractors: list[str] | None,
    file: Path | None,
) -> list[PromptPair]:
    """The prompt pairs of the options `--prompt … --distractor`, or of a JSON Lines file of records.

    Raises:
        PromptError: a record is not one.
        RequestError: some of the options are missing, or both ways are used.
    """
    given = [prompt, counterfactual, answers]
    if file is not None:
        if any(given):
            raise RequestError(
                expected="either --prompts or --prompt, --counterfactual and --answer",
                got="both",
                do="leave one of them out",
            )
        return _read(file)
    if not all(given):
        names = ("--prompt", "--counterfactual", "--answer")
        missing = [name for name, value in zip(names, given, strict=True) if not value]
        raise RequestError(
            expected="--prompt, --counterfactual and --answer",
            got=f"no {' and no '.join(missing)}",
            do="give all three, or a file of pairs with --prompts",
        )
    from pydantic import ValidationError

    from wheatstone.tasks import PromptPair

    try:
        return [
            PromptPair(
                prompt=prompt or "",
                counterfactual=counterfactual or "",
                answers=tuple(answers or ()),
                distractors=tuple(distractors or ()),
            )
        ]
    except ValidationError as error:
        raise PromptError(expected="texts that are not empty", got="an empty one", do="write a prompt") from error


def _read(file: Path) -> list[PromptPair]:
    from pydantic import ValidationError

    from wheatstone.tasks import PromptPair

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            expected="a JSON Lines file in UTF-8", got=f"{file}: {error}", do="check the path and the encoding"
        ) from error
    pairs: list[PromptPair] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                pairs.append(PromptPair.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                raise PromptError(
                    expected="records {prompt, counterfactual, answers, distractors}",
                    got=f"{file} line {number}: {first['msg']} {'.'.join(map(str, first['loc']))}".rstrip(),
                    do="mend the line",
                ) from error
    if not pairs:
        raise PromptError(
            expected="at least one record", got=f"{file}, which has none", do="write a prompt pair a line"
        )
    return pairs
