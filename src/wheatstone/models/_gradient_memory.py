"""How much memory backward passes take, and running them on as many prompts at once as fit.

A token leaves behind, until its gradients are taken, about this many numbers of at least four bytes:

    layers · (8 d_model + 3 · (q, k and v) + 4 d_mlp)                          edge scores, for each integration step
    layers · 6 heads · positions            more where backward rules write attention out (`models._backward`)
    layers · d_model                                                           edge scores, where layers are run again
    layers · ((4 channels + 5) d_model + 3 · (q, k and v) + 4 d_mlp) + 2 nodes · d_model     one circuit's slopes

Edge scores then need the gradients of four layers' channels, and what is made of them, beside; where layers are run
again, also one layer's part of the first line. Logits are counted three times, for the metric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

from wheatstone.models._backward import BackwardRules
from wheatstone.models._decoder import Decoder
from wheatstone.models._gradients import TOGETHER, Values
from wheatstone.models._memory import halved, is_out_of_memory, pieces_of
from wheatstone.models._tokens import Tokens

Result = TypeVar("Result")


def channel_gradient_bytes(
    model: Decoder,
    tokens: Tokens,
    steps: int,
    rules: BackwardRules | None = None,
    *,
    start: int = 0,
    keep: bool = True,
    rewritten: bool = False,
) -> int:
    """Most that `channel_gradients` takes for one prompt, in bytes, without what nodes write.

    Args:
        model: the model.
        tokens: the prompts, whose width counts.
        steps: integration steps.
        rules: of the backward pass.
        start: first position that is run, see `first_run`; keys and values of those before it are kept once, and each
            layer's graph has a copy of all of them for every head.
        keep: whether all layers are kept from the forward pass, or run again one at a time.
        rewritten: whether what sublayers write is rewritten, so that all steps run together.
    """
    channels, qkv, inside = _widths(model)
    width = tokens.width - start
    patterns = 6 * model.graph.heads * tokens.width if rules is not None and rules.of_attention else 0
    traced = 8 * model.d_model + 3 * qkv + 4 * inside + patterns
    layers, together = model.graph.layers, steps if rewritten else min(steps, max(1, TOGETHER // width))
    at_once = steps * layers if keep else together
    kept = at_once * traced + (0 if keep else steps * layers * model.d_model)
    head = model.blocks[0].d_head
    spread = at_once * 2 * model.graph.heads * head * tokens.width + layers * 2 * model.graph.kv_groups * head * start
    numbers = width * (kept + 6 * channels * model.d_model) + (spread if start else 0)
    return numbers * _number(model) + _logits(model, steps)


def circuit_gradient_bytes(model: Decoder, tokens: Tokens) -> int:
    """Most that `circuit_gradients` takes for one prompt, in bytes."""
    channels, qkv, inside = _widths(model)
    layer = (4 * channels + 5) * model.d_model + 3 * qkv + 4 * inside
    kept = 2 * len(model.graph.nodes) * model.d_model
    return tokens.width * (model.graph.layers * layer + kept) * _number(model) + _logits(model, 1)


def _widths(model: Decoder) -> tuple[int, int, int]:
    """Numbers per token of one layer: channels, queries with keys and values, and the MLP's inside."""
    graph, block = model.graph, model.blocks[0]
    channels = graph.heads + 2 * graph.kv_groups
    return channels, channels * block.output_weight.shape[1], max(max(p.shape) for p in block.mlp.parameters())


def _number(model: Decoder) -> int:
    return max(model.dtype.itemsize, 4)


def _logits(model: Decoder, steps: int) -> int:
    return 3 * steps * model.vocabulary * _number(model)


def prompts_in_pieces(run: Callable[[slice], Result], prompts: int, most: int) -> list[Result]:
    """Runs something on batches of prompts, and on smaller batches where memory runs out.

    Args:
        run: runs one piece: which prompts -> what comes of them.
        prompts: how many there are.
        most: how many make a piece; at least one does.

    Raises:
        ComputationError: not even one prompt fits.

    Warns:
        MemoryWarning: memory ran out; the remaining pieces are halved.
    """
    pieces = pieces_of(1, prompts, 1, min(prompts, max(1, most)))
    results: list[Result] = []
    while pieces:
        try:
            results.append(run(pieces[0][1]))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            enough = False
        else:
            enough = True
        pieces = pieces[1:] if enough else halved(pieces)
    return results


def values_of_rows(values: Values, rows: slice, batch: int) -> Values:
    """The metric of some prompts: `values` sees nothing in the place of the others' logits, and those are left out."""

    def of_rows(logits: Tensor) -> Tensor:
        mine = logits.unflatten(0, (-1, rows.stop - rows.start))
        if mine.shape[1] == batch:
            return values(logits)
        every = logits.new_zeros(len(mine), batch, logits.shape[-1])
        every[:, rows] = mine
        return values(every.flatten(0, 1)).unflatten(0, (-1, batch))[:, rows].flatten()

    return of_rows
