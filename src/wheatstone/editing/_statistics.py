"""Second moments of an MLP's keys over text: which directions are in use, so that an edit can keep clear of them.

    C = E[k kᵀ],  k the input of the MLP's last projection at every token

over the bundled texts and the model's own samples, in two halves of which each is an estimate of its own. Inverted
with a ridge: (C + λ I)⁻¹, λ a share of C's mean eigenvalue.

Sources: C in ROME, Meng et al. 2022 (arXiv 2202.05262), section 3.1, there over 100,000 tokens of Wikipedia; the null
space of C in AlphaEdit, Fang et al. 2024 (arXiv 2410.02355), section 3.2.

When this misleads: other text, other directions. What the texts never speak of is not protected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from wheatstone._disk import replaced, write_tensors
from wheatstone._errors import ComputationError
from wheatstone._home import home
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.editing._corpus import model_samples, passages
from wheatstone.editing._edit import unedited
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel, Tokens, start_token

PER_NEURON = 25
"""Keys taken for each dimension of a key."""
ENOUGH = 10
"""Fewer a dimension are noted."""
RIDGE = 1e-2
"""λ as a share of C's mean eigenvalue."""
NEAR, NARROW = 2, 2048
"""Layers on either side that are read with a layer, and the widest MLPs of which they are: facts of one relation are
traced to layers near each other, and a reading costs little more for several than for one."""
_BATCH = 16
_SAVED_EVERY = 4
"""Batches between two savings: what an interruption costs at most."""


@dataclass(frozen=True, eq=False)
class KeyStatistics(Brief):
    """Second moments of the keys of one layer.

    Args:
        layer: from 0.
        sums: of k kᵀ, over each half of the texts.
        counts: keys in each half.
    """

    layer: int
    sums: Float[Tensor, "half neuron neuron"]
    counts: tuple[int, int]

    @property
    def keys(self) -> int:
        """Keys in all."""
        return sum(self.counts)

    @property
    def neurons(self) -> int:
        """Dimensions of a key."""
        return self.sums.shape[-1]

    @cached_property
    def moment(self) -> Float[Tensor, "neuron neuron"]:
        """C, in float64."""
        return self.sums.double().sum(0) / self.keys

    @cached_property
    def convergence(self) -> float:
        """How far the two halves are apart: ‖C₁ − C₂‖ / ‖C‖ (Frobenius); 0 where more text would change nothing."""
        first, second = (part.double() / count for part, count in zip(self.sums, self.counts, strict=True))
        return float((first - second).norm() / self.moment.norm())

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        return torch.linalg.eigh(self.moment)

    @property
    def ridge(self) -> float:
        """λ."""
        return RIDGE * float(self.moment.diagonal().mean())

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: the split halves, and whether C had to be regularised to be inverted at all."""
        said = [
            f"layer {self.layer}: C of {self.keys:,} keys for {self.neurons:,} dimensions; its halves differ by "
            f"{self.convergence:.0%}; ridge {self.ridge:.3g}"
        ]
        if self.keys < ENOUGH * self.neurons:
            said.append(f"layer {self.layer}: fewer than {ENOUGH} keys a dimension")
        least = float(self._spectrum[0][0])
        if least < 1e-9 * self.ridge / RIDGE:
            said.append(f"layer {self.layer}: C is singular (least eigenvalue {least:.1g}); the ridge makes it regular")
        return tuple(said)

    def solve(self, keys: Float[Tensor, "neuron key"]) -> Float[Tensor, "neuron key"]:
        """(C + λ I)⁻¹ k, in float64."""
        values, vectors = self._spectrum
        return vectors @ ((vectors.T @ keys.double()) / (values.clamp(min=0) + self.ridge)[:, None])

    def agreement(self, key: Float[Tensor, " neuron"]) -> float:
        """Cosine between (C + λ I)⁻¹ k by one half and by the other: how much of an edit's direction is chance."""
        halves = [
            torch.linalg.solve(
                part.double() / count + self.ridge * torch.eye(self.neurons, dtype=torch.float64), key.double()
            )
            for part, count in zip(self.sums, self.counts, strict=True)
        ]
        return float(torch.cosine_similarity(halves[0], halves[1], dim=0))

    def unused(self, share: float) -> Float[Tensor, "neuron direction"]:
        """An orthonormal basis of the directions of least second moment, which together have a share of the whole.

        Args:
            share: of the trace of C, such as 0.02.
        """
        values, vectors = self._spectrum
        below = values.clamp(min=0).cumsum(0) <= share * values.sum()
        return vectors[:, : max(1, int(below.sum()))]


_REMEMBERED: WeakKeyDictionary[nn.Module, dict[tuple[int, int], KeyStatistics]] = WeakKeyDictionary()


def key_statistics(
    model: ResidualModel, layers: Collection[int], *, tokens: int | None = None, report: Reporter = silent
) -> dict[int, KeyStatistics]:
    """Statistics of the keys of some layers, all in one reading of the texts, and with them of those nearby.

    Kept in memory and in the cache folder, by the hash of the model's weights. An interrupted reading goes on where
    it was saved last. Of an edited model they are those of the model before any edit.

    Args:
        model: the model.
        layers: which.
        tokens: to read; default `PER_NEURON` for each dimension of a key.
        report: progress callback.

    Raises:
        ModelError: an MLP of these layers cannot be edited.
        ComputationError: a key is not finite.
    """
    width = max(down_projection(model, layer).weight.shape[1] for layer in layers)
    wanted = PER_NEURON * width if tokens is None else tokens
    with unedited(model):
        known = _REMEMBERED.setdefault(model.module, {})
        for layer in layers:
            if (layer, wanted) not in known and (kept := _load(_path(model, layer, wanted))) is not None:
                known[layer, wanted] = KeyStatistics(layer, *kept[:2])
        missing = sorted({layer for layer in layers if (layer, wanted) not in known})
        if missing:
            for statistics in _read(model, _with_neighbours(model, missing, width), wanted, report):
                known[statistics.layer, wanted] = statistics
        return {layer: known[layer, wanted] for layer in layers}


def _with_neighbours(model: ResidualModel, layers: list[int], width: int) -> list[int]:
    """Layers with those nearby, where their matrices are small and of one width."""
    if width > NARROW:
        return layers
    near = {other for layer in layers for other in range(layer - NEAR, layer + NEAR + 1)}
    editable = [block.index for block in model.blocks if block.index in near and block.dense]
    same = (other for other in editable if down_projection(model, other).weight.shape[1] == width)
    return sorted({*layers, *same})


@torch.no_grad()
def _read(model: ResidualModel, layers: list[int], wanted: int, report: Reporter) -> Iterator[KeyStatistics]:
    paths = {layer: _path(model, layer, wanted) for layer in layers}
    partial = {layer: path and path.with_suffix(".part") for layer, path in paths.items()}
    loaded = [_load(path) for path in partial.values()]
    resumed = [found for found in loaded if found is not None]
    batches_done, sums, counts = 0, dict[int, Tensor](), [0, 0]
    if len(resumed) == len(layers) and len({found[2] for found in resumed}) == 1:
        sums = {layer: found[0].double() for layer, found in zip(layers, resumed, strict=True)}
        counts, batches_done = list(resumed[0][1]), resumed[0][2]
    last = max(layers)

    def step(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        if index > last:
            return x
        block = model.blocks[index]
        middle = x + block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
        mlp, neurons = block.mlp_opened(block.mlp_norm(x if model.graph.parallel else middle))
        if index in layers:
            keys = neurons.reshape(*x.shape[:2], -1)[inside]
            if not keys.isfinite().all():
                raise ComputationError(
                    expected=f"finite keys in layer {index}", got="NaN or infinity", do="load the model in float32"
                )
            moment = torch.zeros(2, keys.shape[-1], keys.shape[-1], dtype=torch.float64)
            moment[half] = (keys.float().T @ keys.float()).double().cpu()
            sums[index] = moment if index not in sums else sums[index] + moment
        return middle + mlp

    if not batches_done:
        report("sampling texts from the model", 0, 1)
    for number, rows in enumerate(_batches(model)):
        if sum(counts) >= wanted and min(counts) > 0:
            break
        if number < batches_done:
            continue
        half, tokens = number % 2, Tokens.of(rows, model.device)
        inside = torch.arange(tokens.width, device=model.device) < tokens.lengths[:, None]
        model.run(tokens, step)
        counts[half] += int(tokens.lengths.sum())
        report("reading texts for key statistics (tokens)", min(sum(counts), wanted), wanted)
        if (number + 1) % _SAVED_EVERY == 0:
            for layer, path in partial.items():
                _save(path, sums[layer], counts, number + 1)
    for layer in layers:
        found = KeyStatistics(layer, sums[layer].float(), (counts[0], counts[1]))
        _save(paths[layer], found.sums, counts, 0)
        if (path := partial[layer]) is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        yield found


def _batches(model: ResidualModel) -> Iterator[list[list[int]]]:
    """First what the model says, then the texts."""
    before, _ = model.reader.frame
    rows = iter([[*before, *row] for row in model_samples(model).tolist()])
    texts = passages(held_out=False)
    longest = min(128, model.context)
    while batch := [row for _, row in zip(range(_BATCH), rows, strict=False)]:
        yield batch
    for start in range(0, len(texts), _BATCH):
        yield [model.encode(text)[:longest] for text in texts[start : start + _BATCH]]


def _path(model: ResidualModel, layer: int, tokens: int) -> Path | None:
    """Nowhere for a model without a hash, such as one wrapped in memory."""
    if not model.sha256:
        return None
    precision = model.precision
    name = f"keys-{layer}-{tokens}-{precision}-after-{start_token(model)}.safetensors"
    return home() / "editing" / model.sha256 / name


def _load(path: Path | None) -> tuple[Tensor, tuple[int, int], int] | None:
    try:
        found = load_file(path) if path else None
    except (OSError, SafetensorError):
        return None
    if found is None or set(found) != {"sums", "counts", "done"}:
        return None
    first, second = found["counts"].tolist()
    return found["sums"], (first, second), int(found["done"])


def _save(path: Path | None, sums: Tensor, counts: list[int], done: int) -> None:
    if path is None:
        return
    with suppress(OSError), replaced(path) as partial:  # without a cache the texts are read again each time
        write_tensors({"sums": sums.contiguous(), "counts": torch.tensor(counts), "done": torch.tensor(done)}, partial)
