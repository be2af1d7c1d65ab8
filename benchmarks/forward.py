"""Speed and memory of the factored forward pass on SmolLM2, against transformers in the same process.

    python benchmarks/forward.py [--repeats 11] [--write]

Compared are (1) `forward`, with and without a record of what every node writes, with plain transformers on the same
tokens; (2) `forward_circuit` time and peak memory as circuits, prompts and positions grow, with the estimate by which
circuits are run in pieces that fit. Both sides of a ratio alternate; printed are medians of the pairwise ratios with a
95% interval. `--write` puts the tables into docs/results/forward.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import torch
from discovery import alternate, peak

import wheatstone as ws
from wheatstone.models import Tokens
from wheatstone.models._memory import circuit_bytes

PREDICTED = {(1, 12): "1.05–1.2", (1, 256): "1.1–1.25", (16, 12): "1.1–1.3", (16, 256): "1.2–1.4"}
"""Written down before the first measurement: (batch, tokens) -> ratio with the record."""
GROWTH = ((1, 1, 12), (4, 1, 12), (16, 1, 12), (4, 4, 12), (1, 16, 12), (16, 4, 12), (1, 1, 192), (4, 1, 48))
"""Circuits, prompts, positions."""


def prompts(batch: int, width: int) -> Tokens:
    """Random tokens, all prompts of one length."""
    ids = torch.randint(100, 40_000, (batch, width), generator=torch.Generator().manual_seed(0))
    return Tokens(ids, torch.full((batch,), width))


def forward_rows(model: ws.ResidualModel, repeats: int) -> list[str]:
    """`forward` beside transformers."""
    rows = [
        "| prompts x tokens | record | ours, s | transformers, s | ratio | predicted | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for (batch, width), predicted in PREDICTED.items():
        tokens = prompts(batch, width)

        @torch.no_grad()
        def plain(ids: torch.Tensor = tokens.ids) -> None:
            model.module(ids, use_cache=False, logits_to_keep=1)

        for cache in (False, True):

            def ours(tokens: Tokens = tokens, cache: bool = cache) -> None:
                model.forward(tokens, cache=cache)

            times = max(3, repeats // 3) if batch * width > 1000 else repeats
            a, b, ratio, low, high = alternate(ours, plain, times)
            rows.append(
                f"| {batch} x {width} | {'every node' if cache else 'none'} | {a:.3f} | {b:.3f} | {ratio:.2f} "
                f"[{low:.2f}, {high:.2f}], n = {times} | {predicted if cache else ''} | {'≤ 1.3' if cache else ''} |"
            )
            print(rows[-1], flush=True)
    return rows


def circuit_rows(model: ws.ResidualModel) -> list[str]:
    """`forward_circuit` as the work grows; every circuit keeps a random half of all edges."""
    rows = [
        "| circuits x prompts x positions | s | peak, MB | estimate, MB | peak / estimate | kB a circuit's token |",
        "|---|---|---|---|---|---|",
    ]
    valid = torch.from_numpy(model.graph.valid)
    for circuits, batch, width in GROWTH:
        tokens = prompts(batch, width)
        ablated = model.forward(Tokens(tokens.ids.flip(1), tokens.lengths), cache=True).nodes
        assert ablated is not None
        draw = torch.Generator().manual_seed(0)
        keep = valid & (torch.rand(circuits, *valid.shape, generator=draw) < 0.5)

        def run(tokens: Tokens = tokens, ablated: torch.Tensor = ablated, keep: torch.Tensor = keep) -> None:
            model.forward_circuit(tokens, ablated, keep)

        used = peak(run)
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        each, mask = circuit_bytes(model, tokens, len(model.graph.nodes))
        estimate = circuits * (batch * each + mask) / 1e6
        mega = used * 1.048576
        rows.append(
            f"| {circuits} x {batch} x {width} | {seconds:.2f} | {mega:.0f} | {estimate:.0f} | {mega / estimate:.2f} "
            f"| {mega * 1e3 / (circuits * batch * width):.0f} |"
        )
        print(rows[-1], flush=True)
    return rows


def budget_row(model: ws.ResidualModel) -> str:
    """Whether pieces chosen by a budget keep to it."""
    tokens = prompts(4, 12)
    ablated = model.forward(Tokens(tokens.ids.flip(1), tokens.lengths), cache=True).nodes
    assert ablated is not None
    valid = torch.from_numpy(model.graph.valid)
    keep = valid & (torch.rand(16, *valid.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    budget = 200_000_000
    used = peak(lambda: model.circuit_logits(tokens, ablated, keep, budget=budget)) * 1.048576
    return f"16 circuits x 4 prompts x 12 tokens under a budget of {budget / 1e6:.0f} MB: peak {used:.0f} MB."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=11, help="alternations per ratio; a third for long inputs")
    parser.add_argument("--write", action="store_true", help="write docs/results/forward.md")
    options = parser.parse_args()
    model = ws.load_model("smollm2-135m")
    circuit_table = circuit_rows(model)
    kept = budget_row(model)
    print(kept, flush=True)
    forward_table = forward_rows(model, options.repeats)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        "float32. Median ratio [95% interval], both sides alternating."
    )
    text = "\n".join(
        [
            "# The factored forward pass on SmolLM2-135M-Instruct (Q4_1): time and memory",
            "",
            "Made by `python benchmarks/forward.py --write`.",
            "",
            machine,
            "",
            *forward_table,
            "",
            "`forward_circuit`, each circuit a random half of all edges; peak above what was there before, and the "
            "estimate of `models/_memory.py`:",
            "",
            *circuit_table,
            "",
            kept,
        ]
    )
    if options.write:
        out = Path(__file__).parent.parent / "docs" / "results" / "forward.md"
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
