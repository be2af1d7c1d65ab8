"""Interventions made ready for one run: checked, sorted by place, and applied as the run comes by.

What the run keeps is noted at the same places, after the interventions there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad

from wheatstone._errors import RequestError
from wheatstone.models._block import QKV, Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import (
    AddScore,
    AtPlace,
    Intervention,
    KnockOutAttention,
    Positions,
    chosen,
)
from wheatstone.models._named_positions import numbered
from wheatstone.models._patterns import OnWeights
from wheatstone.models._places import Place, place_of
from wheatstone.models._tokens import Tokens


class Edits:
    """What some interventions do at each point of a run, and what the run keeps.

    Args:
        model: the model.
        tokens: the prompts.
        interventions: in the order in which they act.
        keep: kinds of place, with the layer, to note in `kept`.
        prompt: what positions are counted in where the run goes on after it; by default the tokens.
        start: positions before it are not in the run: their keys and values are in its cache.

    Raises:
        RequestError: a place or position that is not there.
    """

    def __init__(
        self,
        model: Decoder,
        tokens: Tokens,
        interventions: Sequence[Intervention],
        *,
        keep: Collection[tuple[str, int]] = (),
        prompt: Tokens | None = None,
        start: int = 0,
    ) -> None:
        self._model, self._tokens, self._start = model, tokens, start
        self._prompt = tokens if prompt is None else prompt
        self._keep = frozenset(keep)
        self.kept: dict[tuple[str, int], Tensor] = {}
        """What was at each place to keep, as it was used."""
        self._at: dict[tuple[str, int], list[tuple[Place, Bool[Tensor, "batch pos"], AtPlace]]] = defaultdict(list)
        self._cut: dict[int, Bool[Tensor, "batch head query key"]] = {}
        self._added: dict[int, Float[Tensor, "batch head query key"]] = {}
        for intervention in interventions:
            if isinstance(intervention, KnockOutAttention):
                self._add_cut(intervention)
            elif isinstance(intervention, AddScore):
                self._add_score(intervention)
            else:
                self._add_place(intervention)

    def _where(self, positions: Positions) -> Bool[Tensor, "batch pos"]:
        """Where positions lie among all tokens."""
        if positions is None:
            return chosen(None, self._tokens)
        where = chosen(numbered(self._model, self._prompt, positions), self._prompt)
        return pad(where, (0, self._tokens.width - self._prompt.width))

    def _add_place(self, intervention: AtPlace) -> None:
        place = place_of(self._model, intervention.at)
        where = self._where(intervention.positions)[:, self._start :]
        if where.any():
            self._at[place.kind, place.layer].append((place, where, intervention))

    def _add_cut(self, cut: KnockOutAttention) -> None:
        graph = self._model.graph
        heads = range(graph.heads) if cut.heads is None else cut.heads
        if not (0 <= cut.layer < graph.layers and all(0 <= head < graph.heads for head in heads)):
            raise RequestError(
                expected=f"a layer from 0 to {graph.layers - 1} and heads from 0 to {graph.heads - 1}",
                got=f"layer {cut.layer}, heads {list(heads)}",
                do="choose a layer and heads that the model has",
            )
        queries, keys = (self._where(positions) for positions in (cut.queries, cut.keys))
        which = torch.zeros(graph.heads, dtype=torch.bool, device=queries.device)
        which[list(heads)] = True
        pairs = which[:, None, None] & (queries[:, None, self._start :, None] & keys[:, None, None, :])
        before = self._cut.get(cut.layer)
        self._cut[cut.layer] = pairs if before is None else before | pairs

    def _add_score(self, added: AddScore) -> None:
        model, tokens = self._model, self._tokens
        layer, head = model.head(added.head)
        queries, keys = (self._where(positions) for positions in (added.queries, added.keys))
        where = (queries[:, self._start :, None] & keys[:, None, :]).to(added.value)
        scores = where.new_zeros(tokens.batch, model.graph.heads, *where.shape[1:])
        scores[:, head] = where * added.value.to(where.device).expand(tokens.batch)[:, None, None]
        before = self._added.get(layer)
        self._added[layer] = scores if before is None else before + scores

    @property
    def weights(self) -> bool:
        """Whether attention weights are changed or kept anywhere: transformers' eager attention alone has them."""
        return any(kind == "pattern" for kind, _ in (*self._at, *self._keep))

    def on(self, kind: str, layer: int) -> bool:
        """Whether any place of a kind is intervened on in a layer."""
        return (kind, layer) in self._at

    def visits(self, kind: str, layer: int) -> bool:
        """Whether any place of a kind is intervened on or kept in a layer."""
        return self.on(kind, layer) or (kind, layer) in self._keep

    def visit(self, kind: str, layer: int, value: Tensor) -> Tensor:
        """What is at a kind of place instead of a value, for all heads, groups or neurons at once."""
        for place, where, intervention in self._at.get((kind, layer), ()):
            whole = value if place.unit is None else value.select(place.axis, place.unit)
            # Positions are the prompt's, and so is the shape of a value for them: what was written since stays apart.
            more = 0 if intervention.positions is None else self._tokens.width - self._prompt.width
            before, later = whole.split([whole.shape[place.queries] - more, more], place.queries)
            shape = [1] * before.ndim
            shape[0], shape[place.queries] = before.shape[0], before.shape[place.queries]
            at = where[:, : shape[place.queries]].reshape(shape).to(before.device)
            after = torch.where(at, intervention.apply(before), before)
            after = torch.cat([after, later], place.queries) if more else after
            value = after if place.unit is None else value.select_scatter(after, place.axis, place.unit)
        if (kind, layer) in self._keep:
            self.kept[kind, layer] = value
        return value

    def parts(self, kind: str, layer: int, written: Float[Tensor, "part batch pos d_model"]) -> Tensor:
        """The same for what heads or experts write."""
        return self.visit(kind, layer, written.movedim(0, 2)).movedim(2, 0)

    def qkv(self, layer: int, qkv: QKV) -> QKV:
        """The same for queries, keys and values."""
        return QKV(*(self.visit(kind, layer, value) for kind, value in zip("qkv", qkv, strict=True)))

    def attend(self, block: Block, qkv: QKV, call: dict[str, Any]) -> Float[Tensor, "batch pos head_d_head"]:
        """Runs a layer's attention with knocked-out edges masked, scores added to, and its weights and z visited.

        Raises:
            RequestError: a query would have no key left.
        """
        layer = block.index
        if (cut := self._cut.get(layer)) is not None:
            call = without_attention(call, layer, cut.to(block.device))
        if (added := self._added.get(layer)) is not None:
            call = _with_scores(call, added.to(block.device, self._model.dtype))
        if self.visits("pattern", layer):
            with OnWeights(lambda weights: self.visit("pattern", layer, weights), self._model.dtype):
                z = block.attend(qkv, call)
        else:
            z = block.attend(qkv, call)
        return self.visit("z", layer, z.unflatten(-1, (block.heads, -1))).flatten(-2)

    @contextmanager
    def neurons(self, block: Block) -> Generator[None, None, None]:
        """While this lasts, the block's neurons are visited."""
        if not self.visits("n", block.index):
            yield
            return

        def edited(_module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            neurons = args[0].reshape(self._tokens.batch, self._tokens.width - self._start, -1)
            return (self.visit("n", block.index, neurons).view_as(args[0]),)

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
    if mask is not None:
        return mask
    queries, keys = like.shape[-2:]
    return torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril(keys - queries)
