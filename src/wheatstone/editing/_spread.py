"""Facts written into several layers, each taking its share of what is still missing.

Values z are searched at the last layer. From the first layer to the last, with the earlier ones already written,

    r = (z − h) / (layers left),   Δ = Σ over facts of r ωᵀ

h is the residual stream at the subject's last token as it now is, ω what a method makes of the layer's keys.

Source: MEMIT, Meng et al. 2022 (arXiv 2210.07229), section 4.3 and algorithm 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone._progress import Reporter, silent
from wheatstone.editing._asked import Asked
from wheatstone.editing._contexts import in_contexts, keys_of
from wheatstone.editing._delta import Delta
from wheatstone.editing._edit import Edit
from wheatstone.editing._passes import at, mlp_inside
from wheatstone.editing._statistics import KeyStatistics, key_statistics
from wheatstone.editing._tracing import traced_layer
from wheatstone.editing._value import ValueSearch, search_value
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel, Tokens


@dataclass(frozen=True, kw_only=True)
class SpreadEditor(ABC):
    """A method that writes facts into several layers; which ω it takes is left to it.

    Args:
        name: as in `METHODS`.
        layers: how many, the last of them the one that is traced or given.
        contexts: prefixes that keys are averaged over.
        value_contexts: of them, those values are searched in.
        search: of the values.
        tokens: of text for C; see `key_statistics`.
    """

    name: str
    layers: int = 3
    contexts: int = 5
    value_contexts: int = 3
    search: ValueSearch = field(default_factory=ValueSearch)
    tokens: int | None = None

    @property
    @abstractmethod
    def summary(self) -> str:
        """One sentence."""

    @abstractmethod
    def key_weights(
        self,
        statistics: KeyStatistics,
        keys: Float[Tensor, "neuron fact"],
        past: Float[Tensor, "neuron earlier"],
    ) -> Float[Tensor, "neuron fact"]:
        """ω of each fact.

        Args:
            statistics: of the layer.
            keys: of the facts.
            past: of earlier edits of the same matrix.
        """

    def settled(
        self,
        model: ResidualModel,
        contexts: Sequence[Sequence[Asked]],
        layer: int,
        changes: Sequence[Float[Tensor, " d_model"]],
        before: Sequence[Edit],
    ) -> list[Float[Tensor, " d_model"]]:
        """The values' changes as they are written; here, as they were found.

        Args:
            model: the model, with earlier edits in place.
            contexts: of each request, those its value was searched in.
            layer: where.
            changes: what was found.
            before: the edits that are in place.
        """
        del model, contexts, layer, before
        return list(changes)

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor`.

        Raises:
            ModelError: what the MLP writes is normed or scaled, so that a share of it is not a share of the stream.
        """
        if model.family.mlp_output_norm or model.family.residual_multiplier:
            raise ModelError(
                expected=f"MLPs that write as they are: {self.name} shares a change of the stream among layers",
                got=f"family {model.family.name}, which norms or scales what they write",
                do="use rome, r-rome or a fine-tuning method",
            )
        last = traced_layer(model, requests, report=report) if layer is None else layer
        layers = range(max(0, last - self.layers + 1), last + 1)
        places = [down_projection(model, layer) for layer in layers]
        statistics = key_statistics(model, layers, tokens=self.tokens, report=report)
        each = [in_contexts(model, request, self.contexts) for request in requests]
        searched = [rows[: 1 + self.value_contexts] for rows in each]
        changes: list[Tensor] = []
        losses: list[float] = []
        for number, rows in enumerate(searched):
            report("searching values", number, len(requests))
            value = search_value(model, last, rows, self.search)
            changes.append(value.change)
            losses.append(value.loss)
        report("searching values", len(requests), len(requests))
        changes = self.settled(model, searched, last, changes, before)
        goals = [stream_at(model, one, last) + change for one, change in zip(requests, changes, strict=True)]
        deltas: dict[str, Delta] = {}
        kept: dict[str, Tensor] = {}
        with ExitStack() as written:
            for left, where in zip(range(len(places), 0, -1), places, strict=True):
                keys = torch.stack([keys_of(model, where.layer, rows).double().mean(0).cpu() for rows in each], 1)
                streams = [stream_at(model, request, last) for request in requests]
                missing = torch.stack(goals, 1).double().cpu() - torch.stack(streams, 1).double().cpu()
                earlier = [edit.keys[where.name].double() for edit in before if where.name in edit.keys]
                past = torch.cat(earlier, 1) if earlier else keys[:, :0]
                omega = self.key_weights(statistics[where.layer], keys, past)
                kept[where.name] = keys.float()
                deltas[where.name] = where.write((missing / left).float(), omega.float())
                one = {where.name: deltas[where.name]}
                written.enter_context(Edit.of(model, self.name, [], {}, one).applied(model))
        notes = [note for layer in layers for note in statistics[layer].notes]
        notes.append(f"values found, mean −log P(target) {sum(losses) / len(losses):.3f}")
        asked_for = [request.request for request in requests]
        settings = asdict(self) | {"layers": list(layers)}
        return Edit.of(model, self.name, asked_for, settings, deltas, keys=kept, notes=notes)


def stream_at(model: ResidualModel, request: Asked, layer: int) -> Float[Tensor, " d_model"]:
    """The residual stream after a layer at the subject's last token."""
    tokens = Tokens.of([request.prompt], model.device)
    _, projected, middle = mlp_inside(model, tokens, layer)
    whole = middle + model.blocks[layer].mlp_written(projected)
    return at(whole, torch.tensor([request.key_at], device=whole.device))[0]
