"""What is kept of one layer's neurons while texts go by: moments, a histogram, the ends, and one example of each bin.

The moments are those of all positions so far, joined piece by piece: with n, mean and Mp = Σ (x − mean)^p of a piece B
and of all before it A, d = mean_B − mean_A and n = n_A + n_B,

    mean = mean_A + d n_B / n
    M2   = M2_A + M2_B + d² n_A n_B / n
    M3   = M3_A + M3_B + d³ n_A n_B (n_A − n_B) / n² + 3 d (n_A M2_B − n_B M2_A) / n
    M4   = M4_A + M4_B + d⁴ n_A n_B (n_A² − n_A n_B + n_B²) / n³
           + 6 d² (n_A² M2_B + n_B² M2_A) / n² + 4 d (n_A M3_B − n_B M3_A) / n

so that no large sums are subtracted from each other. Sums over one piece are float32, everything else float64.

Source: Pébay 2008, Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical
Moments (SAND2008-6212), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone.neurons._scan_bins import BINS, bins_of

PLACE_BITS = 40
"""Of a key, the lower bits: where in the texts. The upper ones are its rank in the draw."""
_NEVER = torch.iinfo(torch.int64).max
_MANY = 8
_ROWS = 128
"""Positions that are worked on together on the CPU, so that what is made of them stays in its cache."""


@final
class LayerStatistics:
    """Running statistics of the neurons of one layer.

    Args:
        neurons: how many.
        top: examples kept at either end.
        device: where the layer runs.

    `arrays` has by name: `moments` [4, neuron] (mean, M2, M3, M4), `histogram` [bin, neuron], `end` [2, top, neuron]
    (the strongest activations, and the most negative with their sign turned round, descending; −inf where there is
    none), `end_key` [2, top, neuron], `drawn` and `drawn_key` [bin, neuron] (an example of each bin). A key's lower
    `PLACE_BITS` bits say where an example is.
    """

    def __init__(self, neurons: int, top: int, device: torch.device | str = "cpu") -> None:
        self.count = 0
        self.arrays = {
            "moments": torch.zeros(4, neurons, dtype=torch.float64, device=device),
            "histogram": torch.zeros(BINS, neurons, dtype=torch.int64, device=device),
            "end": torch.full((2, top, neurons), -torch.inf, device=device),
            "end_key": torch.full((2, top, neurons), _NEVER, device=device),
            "drawn": torch.zeros(BINS, neurons, device=device),
            "drawn_key": torch.full((BINS, neurons), _NEVER, device=device),
        }

    def restore(self, arrays: Mapping[str, Tensor], count: int) -> None:
        """Goes on from what was saved."""
        self.count = count
        for name, array in self.arrays.items():
            array.copy_(arrays[name])

    def see(self, activations: Float[Tensor, "window pos neuron"], keys: Int[Tensor, "window pos"]) -> None:
        """Takes in what the neurons did in some windows.

        Args:
            activations: all of them of real tokens.
            keys: of each place; those with the smallest are drawn.
        """
        activations = activations.float()
        self._see_moments(activations)
        self._see_ends(activations, keys)
        self._see_bins(activations, keys.flatten())

    def _see_moments(self, x: Float[Tensor, "window pos neuron"]) -> None:
        added = x.shape[0] * x.shape[1]
        mean = x.sum((0, 1)).div_(added)
        sums = torch.zeros(3, x.shape[-1], dtype=torch.float64, device=x.device)
        for block in self._blocks(x):
            apart = block - mean
            squares = apart * apart
            sums[0] += squares.sum((0, 1))
            sums[1] += (squares * apart).sum((0, 1))
            sums[2] += squares.mul_(squares).sum((0, 1))
        before, total = self.count, self.count + added
        old_mean, old2, old3, old4 = self.arrays["moments"].clone()
        new2, new3, new4 = sums
        d = mean.double() - old_mean
        both = before * added / total
        self.arrays["moments"].copy_(
            torch.stack(
                [
                    old_mean + d * (added / total),
                    old2 + new2 + d**2 * both,
                    old3 + new3 + d**3 * both * ((before - added) / total)
                    + 3 * d * (before * new2 - added * old2) / total,
                    old4 + new4 + d**4 * both * ((before**2 - before * added + added**2) / total**2)
                    + 6 * d**2 * (before**2 * new2 + added**2 * old2) / total**2
                    + 4 * d * (before * new3 - added * old3) / total,
                ]
            )
        )  # fmt: skip
        self.count = total

    def _see_ends(self, x: Float[Tensor, "window pos neuron"], keys: Int[Tensor, "window pos"]) -> None:
        """The strongest of each window against those kept so far."""
        neurons = torch.arange(x.shape[-1], device=x.device)
        for end, (best, extreme) in enumerate(((x.amax(1), x.max), (x.amin(1).neg_(), x.min))):
            held, held_key = self.arrays["end"][end], self.arrays["end_key"][end]
            top = len(held)
            values, which = torch.cat([held, best]).topk(top, dim=0)
            new = which >= top
            if not new.any():
                continue
            window, neuron = (which - top)[new], neurons.expand(which.shape)[new]
            if _MANY * len(window) > best.numel():  # as in the first windows: cheaper to look at all
                position = extreme(1).indices[window, neuron]
            else:
                found = x[window, :, neuron]
                position = (found if end == 0 else -found).argmax(-1)
            placed = held_key.gather(0, which.clamp_max(top - 1))
            placed[new] = keys[window, position]
            held.copy_(values)
            held_key.copy_(placed)

    def _see_bins(self, x: Float[Tensor, "window pos neuron"], keys: Int[Tensor, " place"]) -> None:
        """Counts, and in each bin the place of smallest key so far: a uniform draw."""
        histogram, drawn = self.arrays["histogram"], self.arrays["drawn_key"]
        start, before, one = 0, drawn.clone(), torch.ones(1, dtype=torch.int64, device=x.device)
        for block in self._blocks(x):
            bins = bins_of(block).flatten(0, 1).long()
            own = keys[start : start + len(bins), None]
            start += len(bins)
            histogram.scatter_add_(0, bins, one.expand_as(bins))
            drawn.scatter_reduce_(0, bins, own.expand_as(bins), "amin")
        bin_, neuron = (drawn != before).nonzero(as_tuple=True)
        ordered, order = keys.sort()
        row = order[torch.searchsorted(ordered, drawn[bin_, neuron])]
        self.arrays["drawn"][bin_, neuron] = x[row // x.shape[1], row % x.shape[1], neuron]

    def _blocks(self, x: Float[Tensor, "window pos neuron"]) -> tuple[Tensor, ...]:
        return x.split(max(1, _ROWS // x.shape[1])) if x.device.type == "cpu" else (x,)
