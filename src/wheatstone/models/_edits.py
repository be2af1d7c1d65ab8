"""Interventions made ready for one run: checked, sorted by place, and applied as the run comes by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wheatstone._errors import RequestError
from wheatstone.models._block import Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import AddScore, AtPlace, Intervention, KnockOutAttention, chosen
from wheatstone.models._neuron import Neuron, neuron_of
from wheatstone.models._tokens import Tokens


class Edits:
    """What some interventions do at each point of a run.

    Args:
        model: the model.
        tokens: the prompts.
        interventions: in the order in which they act.

    Raises:
        RequestError: a place or position that is not there.
    """

    def __init__(self, model: Decoder, tokens: Tokens, interventions: Sequence[Intervention]) -> None:
        self._model, self._tokens = model, tokens
        self._nodes: dict[int, list[AtPlace]] = defaultdict(list)
        self._neurons: dict[int, list[tuple[int, AtPlace]]] = defaultdict(list)
        self._cut: dict[int, Bool[Tensor, "batch head query key"]] = {}
        self._added: dict[int, Float[Tensor, "batch head query key"]] = {}
        for intervention in interventions:
            if isinstance(intervention, KnockOutAttention):
                self._add_cut(intervention)
            elif isinstance(intervention, AddScore):
                self._add_score(intervention)
            else:
                self._add_place(intervention)

    def _add_place(self, intervention: AtPlace) -> None:
        graph = self._model.graph
        chosen(intervention.positions, self._tokens)
        node = graph.node_index.get(graph.named(intervention.at))
        if (neuron := Neuron.find(intervention.at)) and neuron.layer < graph.layers:
            neuron_of(self._model, intervention.at)
            self._neurons[neuron.layer].append((neuron.index, intervention))
        elif node is not None:
            self._nodes[node].append(intervention)
        else:
            raise RequestError(
                expected=f"a node or neuron of {self._model.id}, such as a0.h0, m{graph.layers - 1} or m0.n5",
                got=repr(intervention.at),
                do="choose a place that the model has",
            )

    def _add_cut(self, cut: KnockOutAttention) -> None:
        graph = self._model.graph
        heads = range(graph.heads) if cut.heads is None else cut.heads
        if not (0 <= cut.layer < graph.layers and all(0 <= head < graph.heads for head in heads)):
            raise RequestError(
                expected=f"a layer from 0 to {graph.layers - 1} and heads from 0 to {graph.heads - 1}",
                got=f"layer {cut.layer}, heads {list(heads)}",
                do="choose a layer and heads that the model has",
            )
        queries, keys = (chosen(positions, self._tokens) for positions in (cut.queries, cut.keys))
        which = torch.zeros(graph.heads, dtype=torch.bool, device=queries.device)
        which[list(heads)] = True
        pairs = which[:, None, None] & (queries[:, None, :, None] & keys[:, None, None, :])
        before = self._cut.get(cut.layer)
        self._cut[cut.layer] = pairs if before is None else before | pairs

    def _add_score(self, added: AddScore) -> None:
        model, tokens = self._model, self._tokens
        layer, head = model.head(added.head)
        queries, keys = (chosen(positions, tokens) for positions in (added.queries, added.keys))
        where = (queries[:, :, None] & keys[:, None, :]).to(added.value)
        scores = where.new_zeros(tokens.batch, model.graph.heads, *where.shape[1:])
        scores[:, head] = where * added.value.to(where.device).expand(tokens.batch)[:, None, None]
        before = self._added.get(layer)
        self._added[layer] = scores if before is None else before + scores

    def on(self, nodes: slice) -> bool:
        """Whether any of some nodes is intervened on."""
        return any(nodes.start <= node < nodes.stop for node in self._nodes)

    def nodes(self, nodes: slice, written: Float[Tensor, "node batch pos d_model"]) -> Tensor:
        """What some nodes write instead."""
        if not self.on(nodes):
            return written
        return torch.stack([self.node(nodes.start + row, output) for row, output in enumerate(written)])

    def node(self, node: int, written: Float[Tensor, "batch pos d_model"]) -> Tensor:
        """What a node writes instead."""
        for intervention in self._nodes.get(node, ()):
            where = chosen(intervention.positions, self._tokens)[..., None].to(written.device)
            written = torch.where(where, intervention.apply(written), written)
        return written

    def call(self, layer: int, call: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the layer's attention, with knocked-out edges masked and scores added to.

        Raises:
            RequestError: a query would have no key left.
        """
        device = self._model.blocks[layer].device
        if (cut := self._cut.get(layer)) is not None:
            call = without_attention(call, layer, cut.to(device))
        if (added := self._added.get(layer)) is not None:
            call = _with_scores(call, added.to(device, self._model.dtype))
        return call

    @contextmanager
    def neurons(self, block: Block) -> Generator[None, None, None]:
        """While this lasts, the block's neurons are what the interventions make them."""
        edits = self._neurons.get(block.index)
        if edits is None:
            yield
            return

        def edited(_module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            neurons = args[0].reshape(self._tokens.batch, self._tokens.width, -1).clone()
            for index, intervention in edits:
                before = neurons[..., index]
                where = chosen(intervention.positions, self._tokens).to(before.device)
                neurons[..., index] = torch.where(where, intervention.apply(before), before)
            return (neurons.view_as(args[0]),)

        hook = block.neurons_in.register_forward_pre_hook(edited)
        try:
            yield
        finally:
            hook.remove()


def without_attention(call: dict[str, Any], layer: int, cut: Bool[Tensor, "batch #head query key"]) -> dict[str, Any]:
    """The arguments of a layer's attention with some edges masked.

    Raises:
        RequestError: a query would have no key left.
    """
    mask = _mask_of(call, cut)
    if mask.dtype == torch.bool:
        mask = allowed = mask & ~cut
    else:
        mask = mask.masked_fill(cut, torch.finfo(mask.dtype).min)
        allowed = mask > torch.finfo(mask.dtype).min / 2
    blind = (~allowed.any(-1)).nonzero().tolist()
    if blind:
        prompt, head, query = blind[0]
        raise RequestError(
            expected="at least one key left for every query",
            got=f"none for position {query} of prompt {prompt} in a{layer}.h{head}",
            do="leave a key in, or knock out the head at that position instead",
        )
    return {**call, "attention_mask": mask}


def _with_scores(call: dict[str, Any], added: Float[Tensor, "batch head query key"]) -> dict[str, Any]:
    """The arguments of a layer's attention with something added to its scores: transformers adds a mask of numbers."""
    mask = _mask_of(call, added)
    if mask.dtype == torch.bool:
        mask = added.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(added.dtype).min)
    hidden = mask <= torch.finfo(mask.dtype).min / 2  # the least number and a little less is minus infinity
    return {**call, "attention_mask": torch.where(hidden, mask, mask + added)}


def _mask_of(call: dict[str, Any], like: Float[Tensor, "*any query key"] | Bool[Tensor, "*any query key"]) -> Tensor:
    """The mask of a layer's attention; causal where transformers leaves it out."""
    mask: Tensor | None = call.get("attention_mask")
    return torch.ones(like.shape[-2:], dtype=torch.bool, device=like.device).tril() if mask is None else mask
