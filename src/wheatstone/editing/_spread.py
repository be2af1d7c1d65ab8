"""Facts written into several layers, each taking its share of what is still missing.

Values z are searched at the last layer. From the first layer to the last, with the earlier ones already written,

    r = (z − h) / (layers left),   Δ = Σ over facts of r ωᵀ

h is the residual stream at the subject's last token as it now is, ω what a method makes of the layer's keys.

Source: MEMIT, Meng et al. 2022 (arXiv 2210.07229), section 4.3 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone._progress import Reporter
from wheatstone.editing._asked import Asked
from wheatstone.editing._contexts import in_contexts, keys_of
from wheatstone.editing._delta import Delta
from wheatstone.editing._edit import Edit
from wheatstone.editing._passes import at, mlp_inside
from wheatstone.editing._statistics import KeyStatistics, key_statistics
from wheatstone.editing._value import ValueSearch, search_value
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel, Tokens

KeyWeights = Callable[
    [KeyStatistics, Float[Tensor, "neuron fact"], Float[Tensor, "neuron earlier"]], Float[Tensor, "neuron fact"]
]
"""ω of each fact: (statistics, the facts' keys, keys of earlier edits of this matrix) -> that."""


def spread_edit(
    model: ResidualModel,
    name: str,
    requests: Sequence[Asked],
    settings: Mapping[str, Any],
    weights: KeyWeights,
    *,
    layers: Sequence[int],
    search: ValueSearch,
    contexts: int,
    value_contexts: int,
    tokens: int | None,
    before: Sequence[Edit],
    report: Reporter,
) -> Edit:
    """Writes facts into layers.

    Raises:
        ModelError: what the MLP writes is normed or scaled, so that a share of it is not a share of the stream.
    """
    if model.family.mlp_output_norm or model.family.residual_multiplier:
        raise ModelError(
            expected=f"MLPs that write as they are: {name} shares a change of the residual stream among layers",
            got=f"family {model.family.name}, which norms or scales what they write",
            do="use rome, r-rome or a fine-tuning method",
        )
    places = [down_projection(model, layer) for layer in layers]
    statistics = key_statistics(model, layers, tokens=tokens, report=report)
    each = [in_contexts(model, request, contexts) for request in requests]
    goals: list[Tensor] = []
    losses: list[float] = []
    for number, (request, rows) in enumerate(zip(requests, each, strict=True)):
        report("searching values", number, len(requests))
        value = search_value(model, layers[-1], rows[: 1 + value_contexts], search)
        goals.append(stream_at(model, request, layers[-1]) + value.change)
        losses.append(value.loss)
    report("searching values", len(requests), len(requests))
    deltas: dict[str, Delta] = {}
    kept: dict[str, Tensor] = {}
    with ExitStack() as written:
        for left, where in zip(range(len(places), 0, -1), places, strict=True):
            keys = torch.stack([keys_of(model, where.layer, rows).double().mean(0).cpu() for rows in each], 1)
            streams = [stream_at(model, request, layers[-1]) for request in requests]
            missing = torch.stack(goals, 1).double().cpu() - torch.stack(streams, 1).double().cpu()
            earlier = [edit.keys[where.name].double() for edit in before if where.name in edit.keys]
            past = torch.cat(earlier, 1) if earlier else keys[:, :0]
            omega = weights(statistics[where.layer], keys, past)
            kept[where.name] = keys.float()
            deltas[where.name] = where.write((missing / left).float(), omega.float())
            one = {where.name: deltas[where.name]}
            written.enter_context(Edit.of(model, name, [], {}, one).applied(model))
    notes = [note for layer in layers for note in statistics[layer].notes]
    notes.append(f"values found, mean −log P(target) {sum(losses) / len(losses):.3f}")
    asked_for = [request.request for request in requests]
    return Edit.of(model, name, asked_for, {**settings, "layers": list(layers)}, deltas, keys=kept, notes=notes)


def stream_at(model: ResidualModel, request: Asked, layer: int) -> Float[Tensor, " d_model"]:
    """The residual stream after a layer at the subject's last token."""
    tokens = Tokens.of([request.prompt], model.device)
    _, projected, middle = mlp_inside(model, tokens, layer)
    whole = middle + model.blocks[layer].mlp_written(projected)
    return at(whole, torch.tensor([request.key_at], device=whole.device))[0]
