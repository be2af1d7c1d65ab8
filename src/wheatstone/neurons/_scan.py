"""A corpus scan: what every neuron does in running text, a batch of windows at a time, in memory that does not grow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone.models import ResidualModel, Tokens
from wheatstone.neurons._scan_layer import PLACE_BITS, LayerStatistics
from wheatstone.neurons._scan_windows import Window, ranks


class CorpusScan(ABC):
    """Statistics over the windows seen so far, of a model that reads them.

    Args:
        model: the model.
        width: most tokens of a window.
        seed: of the draw of one example a bin.
        together: tokens run at once on the CPU; on other devices a whole batch is.
    """

    layers: Any
    """The layers that are scanned."""

    def __init__(self, model: ResidualModel, *, width: int, seed: int, together: int) -> None:
        self.model, self.width, self.seed, self._together = model, width, seed, together
        self.windows = 0

    def see(self, windows: Sequence[Window]) -> None:
        """Takes in the next windows.

        Raises:
            ModelError: numbers that are not finite.
        """
        numbered = sorted(enumerate(windows, self.windows), key=lambda each: -len(each[1].ids))
        whole_batch = self.model.device.type != "cpu"
        start = 0
        while start < len(numbered):
            many = len(numbered) if whole_batch else max(1, self._together // len(numbered[start][1].ids))
            part = numbered[start : start + many]
            tokens = Tokens.of([window.ids for _, window in part], self.model.device)
            places = np.array([number for number, _ in part])[:, None] * self.width + np.arange(tokens.width)
            keys = torch.from_numpy(ranks(places, self.seed, 63 - PLACE_BITS) << PLACE_BITS | places)
            same: list[tuple[slice, int]] = []
            for length, run in groupby(len(window.ids) for _, window in part):
                first = same[-1][0].stop if same else 0
                same.append((slice(first, first + len(list(run))), length))
            self._run(tokens, keys, same)
            start += many
        self.windows += len(windows)

    @staticmethod
    @abstractmethod
    def counted(window: Window) -> int:
        """Positions of a window that statistics are made of."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that it has found, by layer and name."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, Tensor], windows: int, count: int) -> None:
        """Continues from a state, after `windows` windows with `count` counted positions."""

    @abstractmethod
    def _run(self, tokens: Tokens, keys: Tensor, same: list[tuple[slice, int]]) -> None:
        """One forward pass.

        Args:
            tokens: windows in falling order of their lengths.
            keys: [window, pos], a random rank and the place of every token.
            same: rows of each length.
        """


@final
class NeuronScan(CorpusScan):
    """Statistics of all neurons over the windows seen so far.

    The first position of a window is run but not counted: it has nothing before it, and many models keep activations
    there that are far larger than anywhere else.

    Args:
        model: the model.
        layers: whose neurons; all by default.
        top: examples kept at either end, at most one of a window.
        width: most tokens of a window.
        seed: of the draw of one example a bin.

    Raises:
        ModelError: an MLP of these layers has no neurons.
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
        super().__init__(model, width=width, seed=seed, together=2048)
        self.layers = {
            layer: LayerStatistics(model.blocks[layer].neurons, top, model.blocks[layer].device)
            for layer in (range(model.graph.layers) if layers is None else layers)
        }

    @staticmethod
    def counted(window: Window) -> int:
        return len(window.ids) - 1

    def see(self, windows: Sequence[Window]) -> None:
        super().see(windows)
        for layer, found in self.layers.items():
            if not found.arrays["moments"].isfinite().all():
                raise ModelError(
                    expected=f"finite activations of {self.model.id}",
                    got=f"NaN or infinity in the MLP of layer {layer}",
                    do="load it in float32, or in bfloat16, which reaches as far",
                )

    def _run(self, tokens: Tokens, keys: Tensor, same: list[tuple[slice, int]]) -> None:
        def use(layer: int, activations: Tensor) -> None:
            found, own = self.layers[layer], keys.to(activations.device)
            for rows, length in same:
                found.see(activations[rows, 1:length], own[rows, 1:length])

        self.model.stream_neurons(tokens, use, layers=self.layers)

    def state(self) -> dict[str, Tensor]:
        return {
            f"m{layer}.{name}": array.cpu()
            for layer, found in self.layers.items()
            for name, array in found.arrays.items()
        }

    def restore(self, arrays: Mapping[str, Tensor], windows: int, count: int) -> None:
        self.windows = windows
        for layer, found in self.layers.items():
            found.restore({name: arrays[f"m{layer}.{name}"] for name in found.arrays}, count)
