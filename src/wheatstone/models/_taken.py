"""What is at a place in one run, as an intervention on another."""

from __future__ import annotations

from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import Positions, Replace, located
from wheatstone.models._model_run import ModelRun
from wheatstone.models._named_positions import numbered
from wheatstone.models._places import place_of
from wheatstone.models._tokens import Tokens


def taken_from(model: Decoder, tokens: Tokens, source: ModelRun, at: str, positions: Positions) -> Replace:
    """Puts what a source has at a place in place of what prompts have there.

    Args:
        model: the model.
        tokens: the prompts.
        source: one prompt, or as many.
        at: the place.
        positions: counted in each prompt and in its source alike; all by default.

    Raises:
        RequestError: the source has another number of prompts, or prompts and source do not line up.
    """
    value, others = source[at], source.tokens
    if others.batch not in (1, tokens.batch):
        raise RequestError(
            expected=f"one source, or one for each of {tokens.batch} prompts",
            got=str(others.batch),
            do="give one source, or as many as prompts",
        )
    if bool((others.lengths == tokens.lengths).all()):
        return Replace(at=at, value=value, positions=positions)
    if positions is None or place_of(model, at).kind == "pattern":
        raise RequestError(
            expected="a prompt and a source of the same number of tokens",
            got=f"{tokens.lengths.tolist()} and {others.lengths.tolist()} tokens",
            do="name the positions to take, such as positions=-1, or reword one of them",
        )
    return Replace(at=at, value=_moved(model, tokens, value, others, positions), positions=positions)


def _moved(model: Decoder, tokens: Tokens, value: Tensor, others: Tokens, positions: Positions) -> Tensor:
    """A source's values where the prompts have the same positions."""
    into, out_of = (located(numbered(model, each, positions), each) for each in (tokens, others))
    moved = value.new_zeros(tokens.batch, tokens.width, *value.shape[2:])
    for row in range(tokens.batch):
        other = min(row, others.batch - 1)
        if len(into[row]) != len(out_of[other]):
            raise RequestError(
                expected=f"as many positions in prompt {row} as in its source",
                got=f"{len(into[row])} and {len(out_of[other])}",
                do="give positions that both have",
            )
        moved[row, into[row]] = value[other, out_of[other]]
    return moved
