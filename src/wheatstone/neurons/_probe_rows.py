"""Labelled spans as rows of numbers: where in which text each is, and what every neuron did there.

A row is a span at some tokens; its features are the neurons' activations (inputs of the MLPs' last projections), meant
over those tokens. One pass through the model serves all concepts and all layers. Activations go to disk as the pass
makes them, a file a layer, and come back a layer at a time, so that memory holds one batch or one layer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from wheatstone._disk import scratch_folder
from wheatstone._errors import ModelError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.models import ResidualModel, Tokens
from wheatstone.neurons._concepts import LabelledText, concepts_in
from wheatstone.texts import Skipped

Reading = Literal["last", "tokens", "mean"]
_TOKENS = 1024
"""Tokens that are run together."""


def check_reading(reading: str) -> None:
    """Refuses a reading that is not there.

    Raises:
        RequestError: it is not.
    """
    if reading not in get_args(Reading):
        choices = " or ".join(get_args(Reading))
        raise RequestError(expected=choices, got=repr(reading), do="choose one of these")


@dataclass(frozen=True, eq=False)
class LabelledRows(Brief):
    """Rows of all concepts, each place in a text once.

    Args:
        prompts: token ids of the texts.
        places: text, first token and one past the last token of each row.
        documents: number of the document that each row is in.
        concepts: name -> rows that carry a label of it, and the labels.
    """

    prompts: tuple[tuple[int, ...], ...]
    places: Int[np.ndarray, "row 3"]
    documents: Int[np.ndarray, " row"]
    concepts: dict[str, tuple[Int[np.ndarray, " labelled"], Bool[np.ndarray, " labelled"]]]

    @property
    def tokens(self) -> int:
        """Tokens that are run."""
        return sum(map(len, self.prompts))


def rows_of(
    model: ResidualModel, texts: Sequence[LabelledText], *, reading: str = "last", skipped: Skipped | None = None
) -> LabelledRows:
    """Finds the tokens of labelled spans.

    A token belongs to a span if they share a character. Texts are cut at the model's context.

    Args:
        model: whose tokenizer is used.
        texts: the texts.
        reading: `last`: a row for each span, at its last token, where the model has read all of it. `tokens`: a row for
            each token. `mean`: a row for each span, the mean over its tokens,
            without a text's first token where there are others: activations there are of another size (attention sink).
        skipped: counts what is left out: spans without a token, or past the model's context.

    Raises:
        ModelError: the tokenizer cannot say where its tokens are in the text.
        RequestError: another reading.
    """
    check_reading(reading)
    if not model.tokenizer.is_fast:
        raise ModelError(
            expected="a tokenizer that knows where in the text its tokens are",
            got=f"{type(model.tokenizer).__name__}, which does not",
            do="use a fast tokenizer (tokenizer.json)",
        )
    skipped = skipped if skipped is not None else Skipped()
    documents: dict[str, int] = {}
    rows: dict[tuple[int, int, int], int] = {}
    prompts: list[tuple[int, ...]] = []
    of_row: list[int] = []
    found: dict[str, dict[int, bool]] = {name: {} for name in concepts_in(texts)}
    for at, text in enumerate(texts):
        prompts.append(tuple(model.encode(text.text)[: model.context]))
        offsets = np.array(model.reader.offsets(text.text)).reshape(-1, 2)
        document = documents.setdefault(text.document, len(documents))
        for span in text.spans:
            inside = np.flatnonzero(np.maximum(offsets[:, 0], span.start) < np.minimum(offsets[:, 1], span.end))
            if not len(inside) or inside[-1] >= model.context:
                skipped.add("past the model's context" if len(inside) else "span without a token")
                continue
            first, stop = int(inside[0]), int(inside[-1]) + 1
            ends = {"last": [(stop - 1, stop)], "mean": [(first, stop)]}
            for place in ends.get(reading) or [(token, token + 1) for token in range(first, stop)]:
                row = rows.setdefault((at, *place), len(rows))
                if row == len(of_row):
                    of_row.append(document)
                found[span.concept][row] = span.positive
    return LabelledRows(
        prompts=tuple(prompts),
        places=np.array(list(rows), dtype=np.int64).reshape(-1, 3),
        documents=np.array(of_row, dtype=np.int64),
        concepts={
            name: (np.array(list(labels), dtype=np.int64), np.array(list(labels.values()), dtype=bool))
            for name, labels in found.items()
        },
    )


@dataclass(frozen=True, eq=False)
class Activations(Brief):
    """What neurons did at some rows, on disk.

    Args:
        folder: a file for each layer.
        layers: that were recorded.
    """

    folder: Path
    layers: tuple[int, ...]

    def of(self, layer: int) -> Float[np.ndarray, "row neuron"]:
        """All neurons of a layer, in memory."""
        return np.load(_file(self.folder, layer))


@contextmanager
def recorded(
    model: ResidualModel, rows: LabelledRows, layers: Sequence[int], *, report: Reporter = silent
) -> Generator[Activations, None, None]:
    """Runs the texts once and gives the neurons' activations at the rows, for as long as the context lasts.

    It takes 4 bytes on disk for each row and neuron, in the folder for temporary files.

    Args:
        model: the model.
        rows: where to look.
        layers: whose neurons.
        report: progress callback.

    Raises:
        ModelError: an MLP of these layers has no neurons.
    """
    with scratch_folder() as folder:
        sizes = {layer: model.blocks[layer].neurons for layer in layers}
        files = {
            layer: np.lib.format.open_memmap(
                _file(folder, layer), mode="w+", dtype=np.float32, shape=(len(rows.places), n)
            )
            for layer, n in sizes.items()
        }
        by_text: dict[int, list[int]] = {}
        for row, text in enumerate(rows.places[:, 0].tolist()):
            by_text.setdefault(text, []).append(row)
        waiting, done = sorted(by_text, key=lambda text: len(rows.prompts[text])), 0
        while done < len(waiting):
            report("reading texts", done, len(waiting))
            batch = [waiting[done]]
            while done + len(batch) < len(waiting):
                more = waiting[done + len(batch)]
                if (len(batch) + 1) * len(rows.prompts[more]) > _TOKENS:
                    break
                batch.append(more)
            run = model.neurons(Tokens.of([rows.prompts[text] for text in batch], model.device), layers=list(layers))
            chosen = [row for text in batch for row in by_text[text]]
            of = torch.tensor([at for at, text in enumerate(batch) for _ in by_text[text]])
            first, stop = torch.from_numpy(rows.places[chosen, 1:].T)
            for layer in layers:
                files[layer][chosen] = _means(run.activations[layer], of, first, stop).numpy()
            done += len(batch)
        report("reading texts", len(waiting), len(waiting))
        del files  # which writes what is not yet on disk
        yield Activations(folder, tuple(layers))


def _means(
    activations: Float[torch.Tensor, "batch pos neuron"],
    of: Int[torch.Tensor, " row"],
    first: Int[torch.Tensor, " row"],
    stop: Int[torch.Tensor, " row"],
) -> Float[torch.Tensor, "row neuron"]:
    """Means over the tokens of each row, without a text's first token where a row has others."""
    first = torch.where(stop - first > 1, first.clamp_min(1), first)
    if bool((stop == first + 1).all()):
        return activations[of, first].float().cpu()
    pairs = zip(of.tolist(), first.tolist(), stop.tolist(), strict=True)
    return torch.stack([activations[text, start:end].float().mean(0) for text, start, end in pairs]).cpu()


def _file(folder: Path, layer: int) -> Path:
    return folder / f"layer{layer}.npy"
