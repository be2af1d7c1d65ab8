"""What a neuron does in running text beside what the model then predicts: the observations that calibration is made of.

One observation is one position of a text: the neuron's activation there, the probability that the model gives a token
as the next one, whether that token is its first choice, and the probability it would give with the neuron set to some
value. Observations of many texts, from wherever they come, are joined and then put into bins by `calibrate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.models import Neuron, Replace, ResidualModel, Streams, Tokens

_TOKENS = 512
"""Tokens that are run together; each takes a row of vocab numbers."""


@dataclass(frozen=True, eq=False)
class Observations(Brief):
    """A neuron and a token at positions of texts.

    Args:
        activations: of the neuron.
        probabilities: of the token as the next one.
        first: whether it is the model's first choice.
        changed: the same probability with the neuron set; NaN where that was not run.
        texts: number of the text that each position is in; positions of one text are not independent.
    """

    activations: Float[Tensor, " place"]
    probabilities: Float[Tensor, " place"]
    first: Bool[Tensor, " place"]
    changed: Float[Tensor, " place"]
    texts: Int[Tensor, " place"]

    @classmethod
    def join(cls, parts: Sequence[Observations]) -> Observations:
        """All together; the texts of one part are taken to be others than those of the next."""
        numbered: list[Tensor] = []
        offset = 0
        for part in parts:
            numbered.append(part.texts + offset)
            offset += int(part.texts.max()) + 1 if len(part.texts) else 0
        return cls(
            activations=torch.cat([part.activations for part in parts]),
            probabilities=torch.cat([part.probabilities for part in parts]),
            first=torch.cat([part.first for part in parts]),
            changed=torch.cat([part.changed for part in parts]),
            texts=torch.cat(numbered),
        )


def observe(
    model: ResidualModel,
    neuron: Neuron,
    token: int,
    tokens: Tokens,
    *,
    set_to: float | None = 0.0,
    report: Reporter = silent,
) -> Observations:
    """Reads a neuron and a token's probability at every position of some texts.

    Args:
        model: the model.
        neuron: which.
        token: whose probability as the next token is read.
        tokens: the texts.
        set_to: value that the neuron is set to in the changed run, at all positions at once; 0 ablates it. None runs
            nothing.
        report: progress callback.

    When this misleads: set at all positions, a neuron also acts through what later positions read of earlier ones.
    Zero need not be a value that the neuron often has.
    """
    each = max(1, _TOKENS // tokens.width)
    parts: list[Observations] = []
    for start in range(0, tokens.batch, each):
        report("reading texts", start, tokens.batch)
        rows = tokens.rows(slice(start, start + each))
        found = model.neurons(rows, layers=[neuron.layer], all_positions=True)
        inside = torch.arange(rows.width, device=rows.ids.device) < rows.lengths[:, None]
        log_probabilities = found.logits.float().log_softmax(-1)
        changed = torch.full(inside.shape, torch.nan)
        if set_to is not None:
            replaced = Replace(at=str(neuron), value=torch.full((1, 1), set_to))
            run = model.forward_with(rows, [replaced], all_positions=True)
            changed = run.logits.float().log_softmax(-1)[..., token].exp()
        parts.append(
            Observations(
                activations=found.activations[neuron.layer][..., neuron.index].float()[inside].cpu(),
                probabilities=log_probabilities[..., token].exp()[inside].cpu(),
                first=(found.logits.argmax(-1) == token)[inside].cpu(),
                changed=changed[inside].cpu(),
                texts=inside.nonzero()[:, 0].cpu(),
            )
        )
    report("reading texts", tokens.batch, tokens.batch)
    return Observations.join(parts)


def doses(
    model: ResidualModel,
    neuron: Neuron,
    tokens: Tokens,
    values: Sequence[float],
    *,
    position: int = -1,
    plain: Streams | None = None,
) -> Float[Tensor, "value batch vocab"]:
    """Probabilities of the next token with a neuron set to each of some values: the dose and its response.

    Args:
        model: the model.
        neuron: which.
        tokens: the prompts.
        values: of its activation.
        position: where it is set, counted from each prompt's end.
        plain: the prompts' plain run, where it is there already.
    """
    block, plain = model.blocks[neuron.layer], plain or model.streams(tokens)
    own = model.neurons(tokens, layers=[neuron.layer]).activations[neuron.layer]
    steps, lengths = torch.arange(tokens.width, device=own.device), tokens.lengths[:, None].to(own.device)
    wanted = torch.tensor(values, dtype=own.dtype, device=own.device)[:, None, None]
    changes = torch.where(steps == lengths + position, wanted - own[..., neuron.index], 0)
    with block.present():
        written = block.neuron_changes(own, [neuron.index] * len(values), changes)
    nodes = [model.graph.mlp_nodes(neuron.layer).start] * len(values)
    return model.patched_logits(plain, nodes, written).float().softmax(-1).cpu()
