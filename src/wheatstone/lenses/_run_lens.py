"""The logit lens on one run: what the residual stream would answer after every layer.

`wheatstone.lenses.logit_lens` reads every sublayer and averages over the prompts of a circuit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from wheatstone._errors import RequestError
from wheatstone._view import Tabular
from wheatstone.models import ModelRun, ResidualModel
from wheatstone.runs import Table

if TYPE_CHECKING:
    import pyarrow as pa


class LensLayer(NamedTuple):
    """What the residual stream would answer after some layers.

    Args:
        prompt: which, from 0.
        layer: how many layers have run; 0 for the embeddings alone.
        rank: of the answer, 1 for the top; ties count against it.
        probability: of the answer.
        top: the most likely token.
        top_probability: its probability.
        others: the next most likely tokens, in order.
    """

    prompt: int
    layer: int
    rank: int
    probability: float
    top: str
    top_probability: float
    others: list[str]


@dataclass(frozen=True, repr=False)
class LogitLens(Tabular):
    """The logit lens on some prompts.

    Args:
        answers: the token whose rank is read, of each prompt.
        rows: prompt by prompt, layer by layer.
    """

    answers: tuple[str, ...]
    rows: tuple[LensLayer, ...]

    def to_arrow(self) -> pa.Table:
        return Table.of(LensLayer, self.rows).to_arrow()

    def _title(self) -> str:
        return f"logit lens, ranks of {', '.join(map(repr, self.answers[:4]))}"


def run_lens(run: ModelRun, answer: str | int | None = None, *, position: int = -1, top: int = 5) -> LogitLens:
    """Reads the residual stream after every layer as if it were the last, through the final norm and unembedding.

    Args:
        run: of a model called on texts, with its places kept.
        answer: a text whose first token is followed, its leading space included, or a token's id; by default the token
            that the model itself finds most likely, prompt by prompt.
        position: after which token of each prompt; negative ones count from each prompt's end.
        top: tokens to list at each layer.

    Raises:
        RequestError: the run kept no places, a text without a token, or a position or number of tokens that is not
            there.

    When this misleads: a middle layer is read as if it were the last one. A token that ranks low there may be present
    in a form that only later layers read; a high rank does not say that later layers use it.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """
    model = run.model
    assert isinstance(model, ResidualModel)
    if not 1 <= top <= model.vocabulary:
        raise RequestError(
            expected=f"a number of tokens from 1 to {model.vocabulary}", got=str(top), do="choose one of these"
        )
    streams = run.residual[:, torch.arange(run.tokens.batch), run.at(position)]
    likeliest = run.last(position).argmax(-1).tolist()
    token = run.first_token(answer) if isinstance(answer, str) else answer
    answers = likeliest if token is None else [token] * run.tokens.batch
    found: list[LensLayer] = []
    for prompt, stream in enumerate(streams.unbind(1)):
        logits = model.unembed(stream).double()
        probabilities, own = logits.softmax(-1), logits[:, answers[prompt]]
        best = probabilities.topk(top)
        ranks, chances = (logits >= own[:, None]).sum(-1).tolist(), probabilities[:, answers[prompt]].tolist()
        for layer, (ids, values) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True)):
            first, *others = model.decode(ids)
            found.append(LensLayer(prompt, layer, ranks[layer], chances[layer], first, values[0], others))
    return LogitLens(tuple(model.decode(answers)), tuple(found))
