"""Several counterfactuals for each prompt: other prompts of the same list; and means over them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from jaxtyping import Float

from wheatstone.models import ResidualModel, continued
from wheatstone.tasks._encode import Encoded, encode
from wheatstone.tasks._pair import PromptPair


def several_counterfactuals(
    model: ResidualModel, pairs: Sequence[PromptPair], *, most: int, seed: int = 0
) -> list[PromptPair]:
    """Pairs each prompt with further counterfactuals, which are other prompts of the list.

    What a circuit needs in order to tell France from Japan is not all that it needs to say French: a circuit that is
    found, or judged, with one counterfactual for each prompt depends on which one that is.

    A prompt serves as another's counterfactual if it has the same tokens everywhere but in the subject, as many of
    them, and answers with other first tokens.

    Args:
        model: whose tokenizer aligns the prompts.
        pairs: prompts with one counterfactual each.
        most: counterfactuals of a prompt, at least 1: its own, and others drawn at random.
        seed: of the draw.

    Returns:
        The pairs, all of one prompt next to each other, its own first. A prompt that few others fit has fewer than
        `most`; a task whose prompts differ in more than their subject is returned as it is.
    """
    draw = Random(seed)
    encoded = encode(model, pairs)
    frames = [_framed(ids, subject) for ids, subject in _subjects(encoded)]
    firsts = _firsts(encoded)
    alike: dict[tuple[int, ...], list[int]] = {}
    for index, frame in enumerate(frames):
        alike.setdefault(frame, []).append(index)
    found: list[PromptPair] = []
    for index, pair in enumerate(pairs):
        fit = [
            pairs[other]
            for other in alike[frames[index]]
            if not firsts[other] & firsts[index] and pairs[other].prompt not in (pair.prompt, pair.counterfactual)
        ]
        chosen = draw.sample(fit, min(len(fit), most - 1))
        found += [pair, *(_against(pair, other) for other in chosen)]
    return found


def counterfactuals_among(
    model: ResidualModel, prompt: str, answers: Sequence[str], pairs: Sequence[PromptPair]
) -> list[PromptPair]:
    """Pairs one prompt with those prompts of a task that can be its counterfactuals.

    They have the same tokens everywhere but in their subject, as many of them, and answers with other first tokens.

    Args:
        model: whose tokenizer aligns the prompts.
        prompt: the prompt; it need not be one of the task's.
        answers: right continuations.
        pairs: of the task.

    Returns:
        One pair for each of these prompts, in their order, with its answers as distractors.
    """
    ours, encoded = model.encode(prompt), encode(model, pairs)
    right = {continued(model, prompt, answer)[0] for answer in answers}
    found: dict[str, PromptPair] = {}
    for pair, (ids, subject), firsts in zip(pairs, _subjects(encoded), _firsts(encoded), strict=True):
        if ids != ours and _framed(ids, subject) == _framed(ours, subject) and not firsts & right:
            found.setdefault(
                pair.prompt,
                PromptPair(prompt=prompt, counterfactual=pair.prompt, answers=tuple(answers), distractors=pair.answers),
            )
    return list(found.values())


def _subjects(encoded: Encoded) -> list[tuple[list[int], tuple[int, int]]]:
    """Tokens of every prompt, and where its subject is."""
    tokens = encoded.clean
    rows = zip(tokens.ids.tolist(), tokens.lengths.tolist(), encoded.span("subject").tolist(), strict=True)
    return [(ids[:length], (start, end)) for ids, length, (start, end) in rows]


def _framed(ids: Sequence[int], subject: tuple[int, int]) -> tuple[int, ...]:
    """Tokens with -1 in place of those of the subject."""
    start, end = subject
    return (*ids[:start], *[-1] * len(ids[start:end]), *ids[end:])


def _firsts(encoded: Encoded) -> list[set[int]]:
    """First tokens of every prompt's answers."""
    return [{token for token in row if token >= 0} for row in encoded.answers.tolist()]


def _against(pair: PromptPair, other: PromptPair) -> PromptPair:
    return pair.model_copy(update={"counterfactual": other.prompt, "distractors": other.answers})


def mean_by_prompt(
    pairs: Sequence[PromptPair], values: Float[np.ndarray, "row pair"]
) -> Float[np.ndarray, "row prompt"]:
    """Means over the pairs of one prompt: prompts are the independent units, not their counterfactuals.

    Args:
        pairs: what the values are of.
        values: one for each pair.

    Returns:
        One for each different prompt, in the order in which they first come.
    """
    number = {prompt: index for index, prompt in enumerate(dict.fromkeys(pair.prompt for pair in pairs))}
    whose = np.array([number[pair.prompt] for pair in pairs])
    total = np.zeros((len(values), len(number)))
    np.add.at(total.T, whose, values.T)
    return total / np.bincount(whose)
