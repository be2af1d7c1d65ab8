"""The tokens by which an answer is scored, in either case and after a quotation mark, and whether it is then written.

Logits are compared at an answer's first token. Many answers begin alike (" R" begins Ringgit and Rupee), so what the
model then writes, by the rule of `_written`, says whether a fact is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from wheatstone._errors import PromptError
from wheatstone.mechanisms._written import continued, is_word, says, text_after
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair, encode

_WRITTEN = 8
"""Tokens that a model writes, at least."""
_MARKS = 3
"""Marks in a row that are passed over."""


class BegunFact(NamedTuple):
    """A fact that the model begins right and ends otherwise: a row of begun_facts.parquet.

    Args:
        prompt: the prompt.
        answer: the answer whose first token is the model's top token.
        written: what the model writes, each token its top one.
    """

    prompt: str
    answer: str
    written: str


def in_any_case(model: ResidualModel, pair: PromptPair) -> PromptPair:
    """The pair with each answer in small letters and with a capital too, where no distractor begins so."""
    taken = {model.continuation(text)[0] for text in pair.distractors}
    spelled = [text for answer in pair.answers for text in (answer, answer.lower(), _capital(answer))]
    fit = [text for text in spelled if model.continuation(text)[0] not in taken and _spelt(model, text)]
    return pair.model_copy(update={"answers": tuple(dict.fromkeys((*pair.answers, *fit)))})


def _capital(text: str) -> str:
    start = len(text) - len(text.lstrip())
    return text[: start + 1].upper() + text[start + 1 :]


def _spelt(model: ResidualModel, text: str) -> bool:
    """Whether the tokens say the text; an unknown word has the token of all unknown words."""
    return model.written(model.continuation(text)).strip() == text.strip()


def begun_otherwise(model: ResidualModel, pairs: Sequence[PromptPair]) -> Iterator[BegunFact]:
    """Of facts whose top token begins an answer, those that the model ends otherwise."""
    written = texts_written(model, pairs)
    for pair, (tokens, text) in zip(pairs, written, strict=True):
        begun = [answer for answer in pair.answers if model.continuation(answer)[0] == tokens[0]]
        if begun and not says(text, pair.answers):
            yield BegunFact(pair.prompt, begun[0], text)


def texts_written(model: ResidualModel, pairs: Sequence[PromptPair]) -> list[tuple[tuple[int, ...], str]]:
    """What a model writes after each prompt, as tokens and as text: eight tokens, or as the longest answer needs."""
    longest = max((len(model.continuation(text)) for pair in pairs for text in pair.answers), default=0)
    written = continued(model, [pair.prompt for pair in pairs], max(_WRITTEN, longest + 2))
    return [(tokens, text_after(model, pair.prompt, tokens)) for pair, tokens in zip(pairs, written, strict=True)]


def after_marks(model: ResidualModel, pairs: Sequence[PromptPair]) -> list[PromptPair]:
    """The pairs, where the model's first tokens are no words (a quotation mark) with these behind the prompt.

    The answer then follows the mark without a space. A prompt that cannot be asked so, as its tokens would change,
    stays as it is.
    """
    made = list(pairs)
    for _ in range(_MARKS):
        tops = continued(model, [pair.prompt for pair in made], 1)
        texts = [text_after(model, pair.prompt, top) for pair, top in zip(made, tops, strict=True)]
        at = [place for place, text in enumerate(texts) if text.strip() and not is_word(text)]
        for place in at:
            made[place] = _behind(model, made[place], texts[place])
        if not at:
            break
    return made


def _behind(model: ResidualModel, pair: PromptPair, mark: str) -> PromptPair:
    bare = pair.model_copy(
        update={
            "prompt": pair.prompt + mark,
            "counterfactual": pair.counterfactual + mark,
            "answers": tuple(text.strip() for text in pair.answers),
            "distractors": tuple(text.strip() for text in pair.distractors),
        }
    )
    try:
        encode(model, [bare])
    except PromptError:
        return pair
    return bare
