"""The tables of cost: both sides alternate, each in its own process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from peers.agree import STEPS, Starts
from peers.process import Driver

Answer = dict[str, Any]
Job = tuple[str, str, dict[str, Any]]
"""The words for the table, the driver's job, its options."""
ROWS = ("auto-circuit-eap", "auto-circuit-eap-ig", "eap-ig-eap", "eap-ig", "transformer-lens-eap")
"""Of the table of scores."""
SAMPLE = 8
BATCHES = 4
THRESHOLDS = (0.5, 0.2, 0.1)
"""Of ACDC on the France pair, in logits: the first keeps about as many edges as the verified search does."""
KEYS = ("seconds", "cpu", "peak_mb")
HEAD = [
    "| ours | peer's | n | load | ours, s | peer's, s | ours, CPU s | peer's, CPU s | times faster | in CPU s "
    "| ours, MB | peer's, MB | ours / peer's |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
]


@dataclass(frozen=True)
class Ask:
    """A job of one side, with the words for the table."""

    driver: Driver
    words: str
    job: str
    options: dict[str, Any]

    def __call__(self) -> Answer:
        return self.driver.ask(self.job, **self.options)


def alternate(ours: Ask, theirs: Ask, repeats: int) -> tuple[list[Answer], list[Answer]]:
    """Both sides in turn, ours once more before so that it is as warm as a peer that was asked for less."""
    ours()
    answers = [(ours(), theirs()) for _ in range(repeats)]
    return [a for a, _ in answers], [b for _, b in answers]


def row(ours: Ask, theirs: Ask, repeats: int) -> str:
    """One line of the table."""
    load = os.getloadavg()[0]
    a, b = alternate(ours, theirs, repeats)
    wall, busy = ([y[key] / x[key] for x, y in zip(a, b, strict=True)] for key in KEYS[:2])
    ours_s, ours_cpu, ours_mb = (median(answer[key] for answer in a) for key in KEYS)
    their_s, their_cpu, their_mb = (median(answer[key] for answer in b) for key in KEYS)
    line = (
        f"| {ours.words} | {theirs.words} | {repeats} | {load:.0f} "
        f"| {ours_s:.2f} | {their_s:.1f} | {ours_cpu:.2f} | {their_cpu:.1f} | {spread(wall)} | {spread(busy)} "
        f"| {ours_mb:.0f} | {their_mb:.0f} | {ours_mb / their_mb:.2f} |"
    )
    print(line, flush=True)
    return line


def spread(values: list[float]) -> str:
    """Median [least, most]."""
    return f"{median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


def scores(tools: Starts, grouped: Path, alone: Path, repeats: int, wanted: Sequence[str] | None, kept: Path) -> str:
    """Gradient scores of every edge: 4 pairs x 13 tokens on SmolLM2's shape.

    Args:
        tools: starts each tool.
        grouped: folder of the model, with 3 KV groups.
        alone: folder of one where every head is a group.
        repeats: alternations.
        wanted: rows to measure now, all by default; others stand as they were measured last.
        kept: folder where rows are kept.
    """
    kept.mkdir(parents=True, exist_ok=True)
    steps = {"steps": STEPS}
    eap, ig = ("`eap`", "eap", {}), (f"`eap-ig`, {STEPS} steps", "eap-ig", steps)
    rows: dict[str, tuple[Driver, Driver, Job, Job]] = {}
    ours, auto_circuit, eap_ig = tools.ours(grouped), tools.auto_circuit(grouped), tools.eap_ig(grouped)
    words = f"auto-circuit, mask gradient at {STEPS} values"
    rows["auto-circuit-eap"] = ours, auto_circuit, eap, ("auto-circuit, mask gradient at 0", "eap", {})
    rows["auto-circuit-eap-ig"] = ours, auto_circuit, ig, (words, "mask-ig", steps)
    if tools.checkout:
        rows["eap-ig-eap"] = ours, eap_ig, eap, ("EAP-IG, EAP", "eap", {})
        rows["eap-ig"] = ours, eap_ig, ig, (f"EAP-IG, {STEPS} steps", "eap-ig", steps)
    words = "transformer-lens 4.3, edge attribution, 9 KV groups"
    lens = tools.transformer_lens(alone)
    rows["transformer-lens-eap"] = tools.ours(alone), lens, ("`eap`, 9 KV groups", "eap", {}), (words, "eap", {})
    for name in rows if wanted is None else wanted:
        left, right, a, b = rows[name]
        with left as first, right as second:
            line = row(Ask(first, *a), Ask(second, *b), repeats)
        (kept / f"{name}.md").write_text(line + "\n", encoding="utf-8")
    lines = [place.read_text(encoding="utf-8").strip() for name in ROWS if (place := kept / f"{name}.md").exists()]
    title = "## Scoring every edge\n\nRandom weights of SmolLM2-135M's shape, 4 pairs of 13 tokens."
    goals = (
        "Goals: `eap-ig` at least 3 times faster than the fastest peer and 8 times than auto-circuit, at no more than "
        "half of the leanest peer's memory. transformer-lens has one step only and refuses grouped-query attention."
    )
    return "\n".join([title, "", *HEAD, *lines, "", goals])


def edges(tools: Starts, place: Path, repeats: int) -> str:
    """Processor seconds for one edge, by each peer's exact method, on a new random sample of edges at every repeat."""
    rows = ["| | CPU s an edge | edges of its graph | all of them, once |", "|---|---|---|---|"]
    with tools.ours(place) as ours:
        found = [ours.ask("exact-sample", batches=BATCHES, seed=seed) for seed in range(repeats)]
    each = [answer["cpu"] / answer["done"] for answer in found]
    rows.append(_extrapolated("`exact`", (each, found[0]["edges"])))
    with tools.auto_circuit(place) as peer:
        rows.append(_extrapolated("auto-circuit, ACDC, one threshold", _acdc_seconds(peer, repeats)))
    if tools.checkout:
        with tools.eap_ig(place) as peer:
            found = [peer.ask("exact", sample=SAMPLE, seed=seed) for seed in range(repeats)]
        each = [answer["cpu"] / SAMPLE for answer in found]
        rows.append(_extrapolated("EAP-IG, exact", (each, found[0]["edges"])))
    note = (
        f"Random samples of {SAMPLE} edges, and of {BATCHES} batches of ours, each some hundred edges at once; a "
        "new sample each time: median [least, most]. The last column is a product."
    )
    return "\n".join(["## One edge at a time", "", "The same model and prompts.", "", *rows, "", note])


def search(tools: Starts, place: Path, repeats: int) -> str:
    """The verified search on the France pair, beside our ACDC at several thresholds and auto-circuit's.

    Each threshold's circuit is met by a verified search told to reach that circuit's own faithfulness.
    """
    with tools.auto_circuit(place) as peer:
        each, total = _acdc_seconds(peer, repeats)
    with tools.ours(place) as ours:
        found = [ours.ask("verified") for _ in range(repeats)]
        pruned = {threshold: ours.ask("acdc", threshold=threshold) for threshold in THRESHOLDS}
        equal = {
            threshold: ours.ask("verified", faithfulness=1 - abs(1 - answer["faithfulness"]))
            for threshold, answer in pruned.items()
        }
    seconds = median(answer["cpu"] for answer in found)
    whole = median(each) * total
    first = pruned[THRESHOLDS[0]]
    lines = [
        f"| `acdc`, τ = {threshold} logits | {_found(answer)} | {_found(equal[threshold])} "
        f"| {answer['cpu'] / equal[threshold]['cpu']:.1f} |"
        for threshold, answer in pruned.items()
    ]
    return "\n".join(
        [
            "## The whole search",
            "",
            "SmolLM2-135M, the official language of France (one pair).",
            "",
            "| | CPU seconds | how |",
            "|---|---|---|",
            f"| `verified` | {seconds:.1f} | {found[0]['kept']} edges, faithfulness {found[0]['faithfulness']:.3f} |",
            f"| auto-circuit, ACDC, one threshold | {whole:,.0f} ({whole / 3600:.0f} h) | {median(each):.2f} s an edge "
            f"[{min(each):.2f}, {max(each):.2f}] x {total:,} edges, not run to its end |",
            "",
            "At the same faithfulness (goal: 10 times faster): `verified` is told to be as near to the model as "
            "`acdc` came (n = 1 each).",
            "",
            "| | `acdc` | `verified` there | times faster |",
            "|---|---|---|---|",
            *lines,
            "",
            f"`verified` to 0.9 is {whole / seconds:,.0f} times faster than auto-circuit's ACDC (goal: 500) and "
            f"{first['cpu'] / seconds:.1f} times than `acdc` at τ = {THRESHOLDS[0]} (goal: 10), which ends at "
            f"{first['faithfulness']:.3f}. A threshold says nothing of the circuit's size or faithfulness beforehand, "
            "so a person runs several.",
        ]
    )


def _found(answer: Answer) -> str:
    return f"{answer['kept']} edges, faithfulness {answer['faithfulness']:.3f}, {answer['cpu']:.1f} s"


def _acdc_seconds(peer: Driver, repeats: int) -> tuple[list[float], int]:
    """auto-circuit's processor seconds for one edge, less what it does once, and the edges of its graph."""
    once = peer.ask("acdc", sample=0)
    found = [peer.ask("acdc", sample=SAMPLE, seed=seed) for seed in range(repeats)]
    return [(answer["cpu"] - once["cpu"]) / SAMPLE for answer in found], once["edges"]


def _extrapolated(words: str, measured: tuple[list[float], int]) -> str:
    each, total = measured
    line = (
        f"| {words} | {median(each):.3f} [{min(each):.3f}, {max(each):.3f}] | {total:,} "
        f"| {median(each) * total / 3600:.1f} h |"
    )
    print(line, flush=True)
    return line
