"""A corpus scan of heads: where each looks in running text, and what it adds to the logit of the token that follows.

At every position but a window's first and last, of every head:

* its attention: the share that rests on the first token, and of the keys after it the shares on some places (the token
  itself, the one before, earlier copies of it, the tokens after those, ends of names) next to what even attention would
  give these places, had it the same share to spend; the same by the token that is looked at;
* its `effect`: what its write adds to the logit of the token that follows, less the mean over all tokens, through the
  final norm at its frozen scale; and its `attention`: the largest weight on a key after the first token. Of both the
  moments, a histogram, the strongest examples and one of each bin, as of a neuron's activation.

Memory does not grow with the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._errors import RunError
from wheatstone.lenses._names import name_ends
from wheatstone.lenses._readout import Readout
from wheatstone.models import ResidualModel, Tokens, stream_heads, wide
from wheatstone.neurons import CorpusScan, LayerStatistics, Window

PLACES = ("self", "previous", "copy", "after a copy", "name")
"""Keys, beside the first token, whose share is kept: of a query the token itself, the one before it, earlier tokens
like it, the tokens that follow these, and the last tokens of earlier names (`name_ends`), which are what most texts are
about. A key may be of several kinds."""
SIGNALS = ("effect", "attention")


@final
class HeadScan(CorpusScan):
    """Statistics of all heads over the windows seen so far.

    Args:
        model: the model.
        layers: whose heads; all by default.
        top: examples kept at either end of each signal, at most one of a window.
        width: most tokens of a window.
        seed: of the draw of one example a bin.
    """

    def __init__(
        self,
        model: ResidualModel,
        *,
        layers: Sequence[int] | None = None,
        top: int = 20,
        width: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__(model, width=width, seed=seed, together=1024)
        self.layers = tuple(range(model.graph.layers) if layers is None else layers)
        heads, vocab = model.graph.heads, len(model.unembedding.weight)
        self.signals = {
            layer: {name: LayerStatistics(heads, top, model.blocks[layer].device) for name in SIGNALS}
            for layer in self.layers
        }
        self.sums = {
            layer: {
                "first": torch.zeros(heads, dtype=torch.float64),
                "places": torch.zeros(heads, len(PLACES), dtype=torch.float64),
                "places_even": torch.zeros(heads, len(PLACES), dtype=torch.float64),
                "tokens": torch.zeros(heads, vocab),
                "tokens_even": torch.zeros(heads, vocab),
            }
            for layer in self.layers
        }
        weight = model.unembedding.weight
        # Of a stream that is not data, so that a scan that was stopped goes on with the same numbers.
        self._map = Readout.at(model, weight.new_ones(1, model.blocks[0].output_weight.shape[-1])).map
        self._mean = wide(weight).mean(0)

    @staticmethod
    def counted(window: Window) -> int:
        return max(0, len(window.ids) - 2)

    def state(self) -> dict[str, Tensor]:
        found = {
            f"a{layer}.{name}.{part}": array.cpu()
            for layer, signals in self.signals.items()
            for name, statistics in signals.items()
            for part, array in statistics.arrays.items()
        }
        return found | {f"a{layer}.{name}": array for layer, sums in self.sums.items() for name, array in sums.items()}

    def restore(self, arrays: Mapping[str, Tensor], windows: int, count: int) -> None:
        self.windows = windows
        for layer, signals in self.signals.items():
            for name, statistics in signals.items():
                parts = {part: arrays[f"a{layer}.{name}.{part}"] for part in statistics.arrays}
                statistics.restore(parts, count)
        for layer, sums in self.sums.items():
            for name, array in sums.items():
                found = arrays[f"a{layer}.{name}"]
                if found.shape != array.shape:
                    raise RunError(
                        expected=f"sums of the {len(PLACES)} kinds of place that this version counts",
                        got=f"{found.shape[-1]} of an earlier version",
                        do="delete the unfinished scan and begin again",
                    )
                array.copy_(found)

    def _run(self, tokens: Tokens, keys: Tensor, same: list[tuple[slice, int]]) -> None:
        same = [each for each in same if each[1] > 2]
        ids = tokens.ids.cpu()
        masks = [self._places(ids[rows, : length - 1]) for rows, length in same]

        def look(layer: int, weights: Tensor) -> None:
            if layer not in self.signals:
                return
            for (rows, length), mask in zip(same, masks, strict=True):
                # The first position sees itself alone, and nothing follows the last.
                seen = weights[rows, :, 1 : length - 1, : length - 1].float()
                self._add(layer, seen.cpu(), ids[rows, : length - 1], mask)
                strongest = seen[..., 1:].amax(-1).transpose(1, 2)
                own = keys[rows, 1 : length - 1].to(strongest.device)
                self.signals[layer]["attention"].see(strongest, own)

        given, stream = stream_heads(self.model, tokens, look)
        for rows, length in same:
            directions = self._directions(stream[rows, 1 : length - 1], ids[rows, 2:length])
            for layer, signals in self.signals.items():
                # What a head writes times a direction is its z times what the direction is to its output projection.
                block, z = self.model.blocks[layer], given[layer][rows, 1 : length - 1]
                read = directions.to(z.device) @ wide(block.head_weights).flatten(0, 1).T
                scaled = wide(z) * wide(block.output_scale(z))
                effect = (scaled * read).unflatten(-1, (block.heads, -1)).sum(-1)
                signals["effect"].see(effect, keys[rows, 1 : length - 1].to(effect.device))

    def _places(self, ids: Int[Tensor, "window key"]) -> Bool[Tensor, "window place query key"]:
        return places_of(ids, torch.tensor([name_ends(self.model.decode(row)) for row in ids.tolist()]))

    def _add(
        self,
        layer: int,
        seen: Float[Tensor, "window head query key"],
        ids: Int[Tensor, "window key"],
        mask: Bool[Tensor, "window place query key"],
    ) -> None:
        """The sums of one layer over windows of one length."""
        sums = self.sums[layer]
        first = seen[..., 0]
        sums["first"] += first.sum((0, 2), dtype=torch.float64)
        flat = mask.flatten(2).to(seen.dtype)
        sums["places"] += (seen.flatten(2) @ flat.mT).sum(0, dtype=torch.float64)
        # Query q has q keys after the first. Spread over them evenly, what is not on the first would be this on each.
        even = (1 - first) / torch.arange(1, seen.shape[2] + 1)
        sums["places_even"] += (even @ mask.sum(-1).to(seen.dtype).mT).sum(0, dtype=torch.float64)
        key_even = even.flip(-1).cumsum(-1).flip(-1)  # key k is seen by the queries from k on
        for name, values in (("tokens", seen[..., 1:].sum(2)), ("tokens_even", key_even)):
            sums[name].index_add_(1, ids[:, 1:].flatten(), values.transpose(0, 1).flatten(1))

    def _directions(
        self, stream: Float[Tensor, "window pos d_model"], following: Int[Tensor, "window pos"]
    ) -> Float[Tensor, "window pos d_model"]:
        """Whose product with a write is its part of the next token's logit, less the mean over all tokens."""
        # Readout fits the scale over the whole vocabulary, at the cost of the model itself. What the unembedding is
        # given is linear in the stream just as well.
        model, flat = self.model, stream.flatten(0, 1)
        linear = wide(flat) @ self._map
        scaled = wide(model.unembedded(flat)) - wide(model.unembedded(torch.zeros_like(flat[:1])))
        scale = (scaled * linear).sum(-1) / linear.square().sum(-1)
        rows = wide(model.unembedding.weight[following.to(stream.device)]) - self._mean
        return scale.view(stream.shape[:2])[..., None] * (rows @ self._map.T)


def places_of(
    ids: Int[Tensor, "window key"], names: Bool[Tensor, "window key"]
) -> Bool[Tensor, "window place query key"]:
    """Which keys are in which of the `PLACES` of each query, from the second token on; never the first key.

    Args:
        ids: the tokens.
        names: which of them are the last of a name.
    """
    at = torch.arange(ids.shape[1])
    query, key = at[1:, None], at[None]
    like = ids[:, None, :] == ids[:, 1:, None]
    copy = like & (key < query)
    after = torch.zeros_like(copy)
    after[..., 1:] = copy[..., :-1]
    name = names[:, None] & (key < query)
    found = torch.stack([(key == query).expand_as(like), (key == query - 1).expand_as(like), copy, after, name], 1)
    found[..., 0] = False
    return found
