"""The tables of cost: both sides alternate, each in its own process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from peers.agree import STEPS, Starts
from peers.process import Driver

Answer = dict[str, Any]
SAMPLE = 8
BATCHES = 4
KEYS = ("seconds", "cpu", "peak_mb")
HEAD = [
    "| ours | peer's | ours, s | peer's, s | ours, CPU s | peer's, CPU s | times faster | in CPU s "
    "| ours, MB | peer's, MB | ours / peer's |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
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
    a, b = alternate(ours, theirs, repeats)
    wall, busy = ([y[key] / x[key] for x, y in zip(a, b, strict=True)] for key in KEYS[:2])
    ours_s, ours_cpu, ours_mb = (median(answer[key] for answer in a) for key in KEYS)
    their_s, their_cpu, their_mb = (median(answer[key] for answer in b) for key in KEYS)
    line = (
        f"| {ours.words} | {theirs.words} | {ours_s:.2f} | {their_s:.1f} | {ours_cpu:.2f} | {their_cpu:.1f} "
        f"| {spread(wall)} | {spread(busy)} | {ours_mb:.0f} | {their_mb:.0f} | {ours_mb / their_mb:.2f} |"
    )
    print(line, flush=True)
    return line


def spread(values: list[float]) -> str:
    """Median [least, most]."""
    return f"{median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


def scores(tools: Starts, grouped: Path, alone: Path, repeats: int) -> str:
    """Gradient scores of every edge: 4 pairs x 13 tokens on SmolLM2's shape."""
    rows: list[str] = []
    steps = {"steps": STEPS}
    with tools.ours(grouped) as ours:
        eap, ig = Ask(ours, "`eap`", "eap", {}), Ask(ours, f"`eap-ig`, {STEPS} steps", "eap-ig", steps)
        with tools.auto_circuit(grouped) as peer:
            rows.append(row(eap, Ask(peer, "auto-circuit, mask gradient at 0", "eap", {}), repeats))
            words = f"auto-circuit, mask gradient at {STEPS} values"
            rows.append(row(ig, Ask(peer, words, "mask-ig", steps), repeats))
        if tools.checkout:
            with tools.eap_ig(grouped) as peer:
                rows.append(row(eap, Ask(peer, "EAP-IG, EAP", "eap", {}), repeats))
                rows.append(row(ig, Ask(peer, f"EAP-IG, {STEPS} steps", "eap-ig", steps), repeats))
    with tools.ours(alone) as ours, tools.transformer_lens(alone) as peer:
        eap = Ask(ours, "`eap`, 9 KV groups", "eap", {})
        rows.append(row(eap, Ask(peer, "transformer-lens 4.3, edge attribution, 9 KV groups", "eap", {}), repeats))
    title = "## Scoring every edge\n\nRandom weights of SmolLM2-135M's shape, 4 pairs of 13 tokens."
    goals = (
        "Goals: `eap-ig` at least 3 times faster than the fastest peer and 8 times than auto-circuit, at no more than "
        "half of the leanest peer's memory. transformer-lens has one step only and refuses grouped-query attention."
    )
    return "\n".join([title, "", *HEAD, *rows, "", goals])


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
    """The verified search on the France pair, beside what auto-circuit's ACDC would take there."""
    with tools.auto_circuit(place) as peer:
        each, total = _acdc_seconds(peer, repeats)
    with tools.ours(place) as ours:
        found = [ours.ask("verified") for _ in range(repeats)]
    seconds = median(answer["cpu"] for answer in found)
    whole = median(each) * total
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
            f"{whole / seconds:,.0f} times faster (goal: 500). ACDC's threshold says nothing of the circuit's size or "
            "faithfulness beforehand, so a person runs several.",
        ]
    )


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
