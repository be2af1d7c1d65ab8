"""When a model says an answer: in either case, and to its end.

A fact counts as right by the answer's first token. Many answers begin alike (" R" begins Ringgit and Rupee), so what
the model goes on to write, each token its top one, says whether it really had that answer in mind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from wheatstone.models import ResidualModel, Tokens
from wheatstone.tasks import PromptPair


class BegunFact(NamedTuple):
    """A fact that the model begins right and ends otherwise: a row of begun_facts.parquet.

    Args:
        prompt: the prompt.
        answer: the answer whose first token is the model's top token.
        written: what the model goes on to write, as many tokens, each its top token.
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


def continued(model: ResidualModel, prompts: Sequence[str], count: int) -> list[tuple[int, ...]]:
    """What a model goes on to write after each prompt: so many tokens, each its top one."""
    texts = [model.encode(prompt) for prompt in prompts]
    starts = [len(tokens) for tokens in texts]
    for _ in range(count):
        tops = model.forward(Tokens.of(texts, model.device)).logits.argmax(-1).tolist()
        texts = [[*tokens, top] for tokens, top in zip(texts, tops, strict=True)]
    return [tuple(tokens[start:]) for tokens, start in zip(texts, starts, strict=True)]


def begun_otherwise(model: ResidualModel, pairs: Sequence[PromptPair]) -> Iterator[BegunFact]:
    """Of facts whose top token begins an answer, those that the model ends otherwise."""
    answers = [{tuple(model.continuation(text)): text for text in pair.answers} for pair in pairs]
    longest = max((len(tokens) for of in answers for tokens in of), default=0)
    for pair, of, tokens in zip(
        pairs, answers, continued(model, [pair.prompt for pair in pairs], longest), strict=True
    ):
        begun = [text for answer, text in of.items() if answer[:1] == tokens[:1]]
        if begun and not any(tokens[: len(answer)] == answer for answer in of):
            yield BegunFact(pair.prompt, begun[0], model.written(tokens))
