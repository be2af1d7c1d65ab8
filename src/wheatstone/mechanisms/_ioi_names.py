"""Prompts of indirect object identification beside their like with three other names (p_ABC).

Source: Wang et al. 2022 (arXiv 2211.00593), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wheatstone._errors import PromptError, RequestError
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair, encodes


def three_other_names(model: ResidualModel, pairs: Sequence[PromptPair], seed: int) -> list[PromptPair]:
    """The pairs with counterfactuals that name three others, drawn from the names of all pairs.

    Raises:
        PromptError: fewer than five names, or no draw that lines up with the prompt's tokens.
        RequestError: a pair without the spans.
    """
    names = sorted({text.strip() for pair in pairs for text in (*pair.answers, *pair.distractors)})
    draw, found = Random(seed), list[PromptPair]()
    for pair in pairs:
        lacking = [name for name in ("IO", "S1", "S2") if name not in pair.spans]
        if lacking:
            raise RequestError(
                expected="prompts with the spans IO, S1 and S2",
                got=f"{pair.prompt!r} without {', '.join(lacking)}",
                do="use the task ioi, or add spans to the records",
            )
        there = {pair.prompt[slice(*pair.spans[name])] for name in ("IO", "S1")}
        others = [name for name in names if name not in there]
        made = (_renamed(pair, draw.sample(others, 3)) for _ in range(20)) if len(others) >= 3 else ()
        fit = next((one for one in made if encodes(model, one)), None)
        if fit is None:
            raise PromptError(
                expected=f"three other names as long as those of {pair.prompt!r} in tokens",
                got=f"{len(others)} names to draw from",
                do="give prompts with more different names",
            )
        found.append(fit)
    return found


def _renamed(pair: PromptPair, others: Sequence[str]) -> PromptPair:
    text, spans = (
        pair.prompt,
        sorted((pair.spans[name], other) for name, other in zip(("IO", "S1", "S2"), others, strict=True)),
    )
    for (start, end), other in reversed(spans):
        text = text[:start] + other + text[end:]
    return pair.model_copy(update={"counterfactual": text})
