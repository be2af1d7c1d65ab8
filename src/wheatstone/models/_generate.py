"""Generation under interventions, with the keys and values of earlier positions kept.

Sampling adds Gumbel noise to the logits divided by the temperature and takes the largest, which draws from their
softmax. The noise of a step depends on the seed and the step alone: runs with and without interventions draw with the
same noise, so that what differs between their texts comes from the interventions.

Source: Gumbel-max sampling, Maddison et al. 2014 (arXiv 1411.0030).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from wheatstone._bounds import SEED, TEMPERATURE
from wheatstone._errors import RequestError
from wheatstone._view import Tabular
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import Intervention
from wheatstone.models._record import record
from wheatstone.models._tokens import Tokens

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, repr=False)
class Generation(Tabular):
    """What a model wrote after some prompts.

    Args:
        prompts: as the model reads them, special tokens included.
        texts: what follows each.
        ids: the same as token ids.
    """

    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]

    def to_arrow(self) -> pa.Table:
        import pyarrow as pa

        return pa.table({"prompt": self.prompts, "text": self.texts, "ids": self.ids})

    def _title(self) -> str:
        return f"continuations of {len(self.texts)} prompt{'s' * (len(self.texts) != 1)}"

    def __str__(self) -> str:
        return "\n\n".join(prompt + text for prompt, text in zip(self.prompts, self.texts, strict=True))


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: that logits are divided by; 0 takes the likeliest token.
        seed: of the noise; it has no effect at temperature 0.

    Raises:
        RequestError: one of them is out of range.
    """

    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        TEMPERATURE.check("a temperature", self.temperature)
        SEED.check("a seed", self.seed)

    def chooser(self) -> Callable[[Float[Tensor, " vocab"]], int]:
        """Chooses one token after the other of one text."""
        noise = torch.Generator().manual_seed(self.seed)

        def choose(logits: Float[Tensor, " vocab"]) -> int:
            if not self.temperature:
                return int(logits.argmax())
            uniform = torch.rand(len(logits), generator=noise, dtype=torch.float64)
            gumbel = -(-uniform.clamp_min(torch.finfo(torch.float64).tiny).log()).log()
            return int((logits.double().cpu() / self.temperature + gumbel).argmax())

        return choose


Written = Callable[[int, int], object]
"""Called with the number of the prompt and the id of a token, as soon as it is chosen."""


def generated(
    model: Decoder,
    prompts: Tokens,
    new: int,
    interventions: Sequence[Intervention],
    *,
    cache: bool,
    sampling: Sampling,
    written: Written,
) -> Generation:
    """See `ResidualModel.generate`."""
    longest = int(prompts.lengths.max())
    if not 1 <= new <= model.context - longest:
        raise RequestError(
            expected=f"a number of new tokens from 1 to {model.context - longest}: {model.id} reads at most "
            f"{model.context} and the longest prompt has {longest}",
            got=str(new),
            do="choose one of these",
        )
    rows = zip(prompts.ids.tolist(), prompts.lengths.tolist(), strict=True)
    before = [row[:length] for row, length in rows]
    after = [
        _continued(model, row, new, interventions, cache, sampling, lambda token, at=at: written(at, token))
        for at, row in enumerate(before)
    ]
    return Generation(tuple(map(model.written, before)), tuple(map(model.written, after)), tuple(map(tuple, after)))


def _continued(
    model: Decoder,
    ids: list[int],
    new: int,
    interventions: Sequence[Intervention],
    cache: bool,
    sampling: Sampling,
    written: Callable[[int], object],
) -> list[int]:
    """The continuation of one prompt, up to the token that ends a text."""
    # Above the switch of its rotary tables, a longer text turns its earlier keys too: nothing can be kept.
    switched = model.rotary.last is not None and len(ids) + new > model.rotary.last
    # Without a config, sliding layers keep all keys as the others do: masks then have one column for each position.
    past = DynamicCache() if cache and not switched else None
    prompt, ends, choose = Tokens.of([ids], model.device), end_tokens(model), sampling.chooser()
    found: list[int] = []
    while len(found) < new and not (found and found[-1] in ends):
        tokens = Tokens.of([ids + found], model.device)
        run = record(
            model, tokens, cache=False, all_positions=False, interventions=interventions, prompt=prompt, past=past
        )
        found.append(choose(run.logits[0]))
        written(found[-1])
    return found


def end_tokens(model: Decoder) -> set[int]:
    """Tokens at which a model's own settings end a text; none where it has no such settings.

    Args:
        model: the model.
    """
    config = getattr(model.module, "generation_config", None)
    ends = getattr(config, "eos_token_id", None)
    return set() if ends is None else {ends} if isinstance(ends, int) else set(ends)
