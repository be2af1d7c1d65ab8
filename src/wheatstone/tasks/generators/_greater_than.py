"""Greater-than: a war that began in 1732 ended in a later year."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About
from wheatstone.tasks.generators._generator import Generator, listed, placed, single_tokens

_NOUNS = listed("lasting")
_FORM = "The {noun} lasted from the year {century}{year:02d} to the year {century}"


def year_answers(model: ResidualModel, prompt: str, year: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may follow a century, and what may not, when the years must be later than `year`.

    The model is asked for one token. Where a tokenizer writes two digits as one token, these are the years after
    `year`, and the others. Where it writes each digit by itself, they are tens digits: larger ones are right,
    smaller ones wrong, and the same tens digit, which both earlier and later years begin with, counts for neither.

    Args:
        model: whose tokens are asked for.
        prompt: ends in the century's two digits.
        year: 0 to 99.

    Returns:
        Texts of the tokens that only later years begin with, and of those that only other years begin with.
    """
    ids = model.encode(prompt)
    tokens = [(model.encode(f"{prompt}{other:02d}")[len(ids) :] or [-1])[0] for other in range(100)]
    later, others = set(tokens[year + 1 :]), set(tokens[: year + 1])
    right, wrong = (sorted(mine - {-1}) for mine in (later - others, others - later))
    return tuple(model.decode(right)), tuple(model.decode(wrong))


def _make(model: ResidualModel, nouns: Sequence[str], draw: Random) -> PromptPair | None:
    noun, century, year = draw.choice(nouns), draw.randint(11, 17), draw.randint(2, 98)
    prompt, counterfactual = (_FORM.format(noun=noun, century=century, year=start) for start in (year, 1))
    right, wrong = year_answers(model, prompt, year)
    if not right or not wrong:
        return None
    start = f"{century}{year:02d}"
    return PromptPair(
        prompt=prompt,
        counterfactual=counterfactual,
        answers=right,
        distractors=wrong,
        spans=placed(prompt, ("noun", noun), ("year", start), ("century", str(century)))
        | {"YY": (prompt.index(start) + 2, prompt.index(start) + 4)},
    )


GREATER_THAN = Generator(
    About(
        name="greater-than",
        kind="generated",
        description="A span of years ends later than it begins; in the counterfactual it begins in the year 01.",
        templates=(_FORM,),
        provenance=("Sentence after Hanna et al., arXiv 2305.00586; the list of nouns by this project.",),
        licence="Apache-2.0",
        metric="prob_diff",
    ),
    words=lambda model: single_tokens(model, _NOUNS),
    make=_make,
)
