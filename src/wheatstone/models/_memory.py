"""How much memory rewired runs take, how much there is, and running them in pieces that fit.

One circuit on one prompt takes at most this many numbers of the model's precision (norms and logits: of at least four
bytes):

    pos · nodes · d_model                                                        what each computed node wrote
    + the largest of
      pos · (3 (heads + 2 groups) d_model + 4 heads d_head)                      attention's inputs, being normed
      pos · (4 (d_model + d_mlp) + 2 (parts - 1) d_model)                        the MLP, split into `parts` nodes
      2 · ends · vocab                                                           logits; `ends` different last positions

and each circuit its mask, in two forms; a third is added for what allocators waste. So memory grows with
circuits x prompts x positions, and with nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import ComputationError
from wheatstone.models._decoder import Decoder
from wheatstone.models._node_outputs import Ablated, ablated_rows
from wheatstone.models._rewired import CircuitState
from wheatstone.models._tokens import Tokens

_SHARE = 3
"""One thing may take at most one part in three of free memory."""

RunCircuits = Callable[[Tokens, Ablated, Tensor, CircuitState | None], Float[Tensor, "circuit batch vocab"]]
"""Runs some circuits on some prompts: (prompts, ablated outputs, circuits, state to resume from) -> logits."""


class MemoryWarning(UserWarning):
    """Memory is short: the work goes on in smaller pieces, or with weights spread over devices."""


def free_memory(device: torch.device) -> int:
    """Bytes that could be allocated on a device now, those that torch keeps ready included.

    When this misleads: other programs come and go. A container's limit is seen on Linux (cgroup v2) only.
    """
    if device.type == "cuda":
        ready = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + ready
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    free = psutil.virtual_memory().available
    limit, used = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        free = min(free, max(0, int(most) - int(used.read_text())))
    return free


def memory_room(device: torch.device) -> int:
    """Bytes that one thing may take at most: the largest power of two in a third of free memory.

    A power of two stays the same while free memory changes a little.
    """
    third = free_memory(device) // _SHARE
    return 1 << third.bit_length() >> 1


def memory_budget(device: torch.device) -> int:
    """Bytes that a batch of prompts, circuits or integration steps may take by default.

    512 MiB on a CPU, where larger batches are no faster, and 8 GiB on an accelerator; less where memory is short, see
    `memory_room`. The budget decides what runs together, and with that the last digits of float32 results.
    """
    return min(1 << (29 if device.type == "cpu" else 33), memory_room(device))


def circuit_bytes(model: Decoder, tokens: Tokens, nodes: int) -> tuple[int, int]:
    """Most that a circuit takes, in bytes.

    Args:
        model: the model.
        tokens: the prompts; their width and how many different lengths they have count.
        nodes: how many nodes the circuits compute.

    Returns:
        For each circuit on each prompt; and once for each circuit.

    When this misleads: a routed MLP and attention that transformers computes eagerly are counted as dense and fused.
    """
    graph, block = model.graph, model.blocks[0]
    number = model.dtype.itemsize
    normed = max(number, 4)
    channels = graph.heads + 2 * graph.kv_groups
    d_head = block.output_weight.shape[1]
    d_mlp = max(max(weight.shape) for weight in block.mlp.parameters())
    attention = 3 * channels * model.d_model * normed + 4 * graph.heads * d_head * number
    parts = max(span.stop - span.start for span in map(graph.mlp_nodes, range(graph.layers)))
    mlp = 4 * (model.d_model + d_mlp) * normed + 2 * (parts - 1) * model.d_model * number
    logits = 2 * len(tokens.lengths.unique()) * model.vocabulary * normed
    kept = nodes * model.d_model * number
    each = tokens.width * kept + max(tokens.width * max(attention, mlp), logits)
    return 4 * each // 3, graph.valid.size * (number + 4)


def run_in_pieces(
    model: Decoder,
    run: RunCircuits,
    tokens: Tokens,
    ablated: Ablated,
    keep: Bool[Tensor, "circuit channel sender"],
    resume: CircuitState | None,
    budget: int,
) -> Float[Tensor, "circuit batch vocab"]:
    """Runs many circuits on many prompts, as many at once as the budget allows.

    Args:
        model: the model.
        run: runs one piece.
        tokens: the prompts.
        ablated: what each node writes on an ablated edge.
        keep: kept edges of each circuit, on the CPU.
        resume: state of a circuit that contains all of these.
        budget: bytes.

    Raises:
        ComputationError: not even one circuit on one prompt fits.

    Warns:
        MemoryWarning: memory ran out all the same; the remaining pieces are halved.
    """
    if resume is None:
        nodes = int(keep.any(0).any(0).unflatten(0, (len(model.graph.nodes), -1)).any(-1).sum())
    else:
        nodes = 0 if resume.computes_all_of(keep) else len(resume.nodes)
    each, mask = circuit_bytes(model, tokens, nodes)

    def piece(circuits: slice, rows: slice) -> Tensor:
        state = resume and CircuitState(resume.keep, resume.nodes, resume.deltas[:, rows])
        return run(tokens.rows(rows), ablated_rows(ablated, rows), keep[circuits], state)

    return in_pieces(
        piece,
        (len(keep), tokens.batch),
        (max(1, budget // (each * tokens.batch + mask)), min(tokens.batch, max(1, (budget - mask) // each))),
    )


def in_pieces(
    run: Callable[[slice, slice], Float[Tensor, "circuit batch vocab"]], whole: tuple[int, int], most: tuple[int, int]
) -> Float[Tensor, "circuit batch vocab"]:
    """Runs circuits on prompts piece by piece, in smaller pieces where memory runs out.

    Args:
        run: runs one piece: (which circuits, which prompts) -> logits.
        whole: how many circuits and prompts there are.
        most: how many of them make a piece.

    Raises:
        ComputationError: not even one circuit on one prompt fits.

    Warns:
        MemoryWarning: memory ran out; the remaining pieces are halved.
    """
    pieces = pieces_of(*whole, *most)
    logits: Tensor | None = None
    while pieces:
        circuits, rows = pieces[0]
        try:
            part = run(circuits, rows)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            part = None
        if part is None:
            pieces = halved(pieces)
        elif len(pieces) == 1 and logits is None:
            return part
        else:
            if logits is None:
                logits = part.new_empty(*whole, part.shape[-1])
            logits[circuits, rows] = part
            pieces = pieces[1:]
    assert logits is not None
    return logits


def pieces_of(circuits: int, prompts: int, circuits_each: int, prompts_each: int) -> list[tuple[slice, slice]]:
    """Which circuits and prompts go together in a batch."""
    return [
        (slice(circuit, min(circuits, circuit + circuits_each)), slice(prompt, min(prompts, prompt + prompts_each)))
        for circuit in range(0, circuits, circuits_each)
        for prompt in range(0, prompts, prompts_each)
    ]


def halved(pieces: list[tuple[slice, slice]]) -> list[tuple[slice, slice]]:
    """Every piece in two: by circuits where it has several, else by prompts."""
    (circuits, prompts) = pieces[0]
    if circuits.stop - circuits.start == prompts.stop - prompts.start == 1:
        raise ComputationError(
            expected="memory for one circuit on one prompt",
            got="too little",
            do="use shorter prompts, a smaller model or another device",
        )
    warnings.warn(
        f"out of memory with {circuits.stop - circuits.start} circuits x {prompts.stop - prompts.start} prompts "
        "at once; going on with half as many",
        MemoryWarning,
        stacklevel=2,
    )
    halves: list[tuple[slice, slice]] = []
    for circuits, prompts in pieces:
        of = circuits if circuits.stop - circuits.start > 1 else prompts
        middle = (of.start + of.stop) // 2
        parts = [part for part in (slice(of.start, middle), slice(middle, of.stop)) if part.start < part.stop]
        halves += [(part, prompts) if of is circuits else (circuits, part) for part in parts]
    return halves


def is_out_of_memory(error: RuntimeError) -> bool:
    """torch has a class for it on accelerators; on the CPU only words."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
