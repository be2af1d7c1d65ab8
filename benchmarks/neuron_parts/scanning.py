"""How fast a scan reads a corpus, beside the plain forward pass, and how fast it answers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch

from neuron_parts.pairs import WINDOW
from wheatstone.models import Neuron, ResidualModel, Tokens
from wheatstone.neurons import (
    NeuronScan,
    Scan,
    windows_of,
)
from wheatstone.texts import bundled_texts

RATED, ROUNDS, WARM, QUERIES = 8, 3, 1, 100
"""Windows of a batch whose rate is measured, such batches, those before, and neurons that a scan is asked about."""


def scan_rate(model: ResidualModel, folder: Path | None) -> list[str]:
    """Tokens a second of a scan and of the plain forward pass on the same windows, in turn; then answers of a scan."""
    windows = [window for window in windows_of(model, bundled_texts()[0].text, 0, WINDOW) if len(window.ids) == WINDOW][
        : RATED * (ROUNDS + WARM)
    ]
    batches = [windows[start : start + RATED] for start in range(0, len(windows), RATED)]
    scan = NeuronScan(model, width=WINDOW)
    for batch in batches[:WARM]:
        scan.see(batch)
    spent: dict[str, list[float]] = {"plain, all logits": [], "plain, last logits alone": [], "scan": []}
    for batch in batches[WARM:]:
        ids = Tokens.of([window.ids for window in batch], model.device).ids

        def plain(ids: torch.Tensor = ids, keep: int = 0) -> None:
            with torch.inference_mode():
                model.module(ids, use_cache=False, logits_to_keep=keep)

        runs = (plain, lambda: plain(keep=1), lambda batch=batch: scan.see(batch))
        for name, run in zip(spent, runs, strict=True):
            used = time.process_time()
            run()
            spent[name].append(time.process_time() - used)
    tokens = RATED * WINDOW
    rates = {name: tokens / np.array(seconds) for name, seconds in spent.items()}
    lines = [
        "## Reading a corpus",
        "",
        f"Made by `python benchmarks/neurons.py --parts scan`: {ROUNDS} batches of {RATED} windows of {WINDOW} tokens, "
        f"each run by transformers' own forward pass and by the scan of all {sum(scan_sizes(scan)):,} neurons in turn, "
        f"the first {WARM} before them not counted; {torch.get_num_threads()} thread(s), float32, load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores. Tokens a second of processor time, median "
        "and range; the scan computes no logits but one a window, as the second row does. The goal is 0.6.",
        "",
        "| | tokens a second | scan beside it, batch by batch |",
        "|---|---|---|",
    ]
    for name, rate in rates.items():
        beside = rates["scan"] / rate
        share = "" if name == "scan" else f"{np.median(beside):.2f} ({beside.min():.2f} to {beside.max():.2f})"
        lines.append(f"| {name} | {np.median(rate):,.0f} ({rate.min():,.0f} to {rate.max():,.0f}) | {share} |")
    return [*lines, "", *([] if folder is None else answers(folder)), ""]


def scan_sizes(scan: NeuronScan) -> list[int]:
    return [found.arrays["moments"].shape[1] for found in scan.layers.values()]


def answers(folder: Path) -> list[str]:
    """How long a scan takes to say all it holds of one neuron, opened again for each."""
    draw, manifest = np.random.default_rng(0), Scan.load(folder).manifest
    wall: list[float] = []
    used: list[float] = []
    for _ in range(QUERIES):
        layer = int(draw.choice([int(layer) for layer in manifest["neurons"]]))
        started, before = time.perf_counter(), time.process_time()
        Scan.load(folder).neuron(Neuron(layer, int(draw.integers(manifest["neurons"][str(layer)]))))
        wall.append(1e3 * (time.perf_counter() - started))
        used.append(1e3 * (time.process_time() - before))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return [
        f"All that a scan of {manifest['tokens']:,} tokens ({size:.0f} MB) holds of one neuron, with the tokens of its "
        f"examples, the folder opened each time, {QUERIES} neurons: {np.median(wall):.0f} ms, 95th percentile "
        f"{np.quantile(wall, 0.95):.0f} ms; of processor time {np.median(used):.0f} and {np.quantile(used, 0.95):.0f} "
        "ms. The goal is 100 ms.",
    ]
