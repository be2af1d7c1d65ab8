"""The tables of cost: both sides alternate, each in its own process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from peers.agree import STEPS, Starts
from peers.process import Driver
from peers.subjects import SUBJECTS, subject_of

Answer = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One pair of jobs to be measured.

    Args:
        tool: the peer, a method of `Starts`.
        subject: whose weights and prompts.
        ours: our job.
        theirs: the peer's job.
        words: what the peer's job is.
        options: of the peer's job.
    """

    tool: str
    subject: str
    ours: str
    theirs: str
    words: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


_STEPS = {"steps": STEPS}
COMPARISONS = {
    "auto-circuit-eap": Comparison("auto_circuit", "shape", "eap", "eap", "auto-circuit, mask gradient at 0"),
    "auto-circuit-eap-ig": Comparison(
        "auto_circuit", "shape", "eap-ig", "mask-ig", f"auto-circuit, mask gradient at {STEPS} values", _STEPS
    ),
    "eap-ig-eap": Comparison("eap_ig", "shape", "eap", "eap", "EAP-IG, EAP"),
    "eap-ig": Comparison("eap_ig", "shape", "eap-ig", "eap-ig", f"EAP-IG, {STEPS} steps", _STEPS),
    # No peer has these: each is next to the one that makes as many passes.
    "gim": Comparison("eap_ig", "shape", "gim", "eap", "EAP-IG, EAP"),
    "relp": Comparison("eap_ig", "shape", "relp", "eap", "EAP-IG, EAP"),
    "ceap": Comparison("eap_ig", "shape", "ceap", "eap-ig", f"EAP-IG, {STEPS} steps", _STEPS),
    "gpt2-8": Comparison("eap_ig", "shape-gpt2-8", "eap-ig", "eap-ig", f"EAP-IG, {STEPS} steps", _STEPS),
    "gpt2-32": Comparison(
        "eap_ig", "shape-gpt2-32", "eap-ig", "eap-ig", f"EAP-IG, {STEPS} steps, batches of 8", {**_STEPS, "size": 8}
    ),
    "transformer-lens-eap": Comparison("transformer_lens", "shape-mha", "eap", "eap", "transformer-lens 4.3"),
}
"""The table of scores. Each is measured with the peer as shipped, and with the peer at its best."""
ROWS = tuple(f"{name}{kind}" for name in COMPARISONS for kind in ("", "-best"))
AS_SHIPPED_FROZEN = {"auto_circuit"}
"""Peers whose own documentation turns the gradients of weights off."""
SAMPLE = 8
BATCHES = 4
THRESHOLDS = (0.5, 0.2, 0.1)
"""Of ACDC on the France pair, in logits: the first keeps about as many edges as the verified search does."""
KEYS = ("seconds", "cpu", "peak_mb")
HEAD = [
    "| model | pairs | ours | peer's | peer | repeats | load | ours, s | peer's, s | ours, CPU s | peer's, CPU s "
    "| times faster | in CPU s | ours, MB | peer's, MB | ours / peer's |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
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


def row(ours: Ask, theirs: Ask, beginning: str, repeats: int) -> str:
    """One line of the table."""
    load = os.getloadavg()[0]
    a, b = alternate(ours, theirs, repeats)
    wall, busy = ([y[key] / x[key] for x, y in zip(a, b, strict=True)] for key in KEYS[:2])
    ours_s, ours_cpu, ours_mb = (median(answer[key] for answer in a) for key in KEYS)
    their_s, their_cpu, their_mb = (median(answer[key] for answer in b) for key in KEYS)
    line = (
        f"| {beginning} | {repeats} | {load:.0f} "
        f"| {ours_s:.2f} | {their_s:.2f} | {ours_cpu:.2f} | {their_cpu:.2f} | {spread(wall)} | {spread(busy)} "
        f"| {ours_mb:.0f} | {their_mb:.0f} | {ours_mb / their_mb:.2f} |"
    )
    print(line, flush=True)
    return line


def spread(values: list[float]) -> str:
    """Median [least, most]."""
    return f"{median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


def scores(
    tools: Starts, place_of: Callable[[str], Path], repeats: int, wanted: Sequence[str] | None, kept: Path
) -> str:
    """Gradient scores of every edge, on random weights.

    Args:
        tools: starts each tool.
        place_of: a subject's folder.
        repeats: alternations.
        wanted: rows to measure now, all by default; the others keep their last measurement.
        kept: folder where rows are kept.
    """
    kept.mkdir(parents=True, exist_ok=True)
    for name in ROWS if wanted is None else wanted:
        compared, best = COMPARISONS[name.removesuffix("-best")], name.endswith("-best")
        if compared.tool == "eap_ig" and not tools.checkout:
            continue
        subject = subject_of(compared.subject)
        ours = _STEPS if compared.ours in ("eap-ig", "ceap") else {}
        theirs = {**compared.options, **({"frozen": True} if best and compared.tool not in AS_SHIPPED_FROZEN else {})}
        words = f"`{compared.ours}`" + (f", {STEPS} steps" if ours else "")
        kind = "at its best" if best else "as shipped"
        beginning = f"{subject.short} | {subject.prompts} | {words} | {compared.words} | {kind}"
        place = place_of(compared.subject)
        with tools.ours(place, best=best) as first, getattr(tools, compared.tool)(place, best=best) as second:
            line = row(
                Ask(first, words, compared.ours, ours),
                Ask(second, compared.words, compared.theirs, theirs),
                beginning,
                repeats,
            )
        (kept / f"{name}.md").write_text(line + "\n", encoding="utf-8")
    lines = [place.read_text(encoding="utf-8").strip() for name in ROWS if (place := kept / f"{name}.md").exists()]
    abouts = "; ".join(
        f"*{subject.short}*, {subject.prompts} pairs: {subject.about}"
        for subject in SUBJECTS
        if subject.name.startswith("shape")
    )
    return "\n".join(["## Scoring every edge", "", f"Random weights. {abouts}.", "", *HEAD, *lines, "", NOTES])


NOTES = """*As shipped*: the peer as its own documentation runs it. *At its best*: without gradients of weights, which
these peers compute and nothing reads (the scores are the same; auto-circuit's documentation turns them off itself),
and with glibc's `malloc` set to keep large blocks, in the peer's process and in ours. The factor to read is the second.
A pair is a prompt with its counterfactual; a repeat is one alternation of the two tools. Peak memory is what the call
takes above the loaded model: the peer's grows with its batch, ours with all pairs up to the memory budget
(docs/architecture.md, "The same bytes"), because as many steps of as many pairs as fit run together.

Goals: `eap-ig` at least 3 times faster than the fastest peer and 8 times than auto-circuit, at no more than half of the
leanest peer's memory. transformer-lens has one step only and refuses grouped-query attention."""


def edges(tools: Starts, place: Path, repeats: int) -> str:
    """Processor seconds for one edge, by each peer's exact method, on a new random sample of edges at every repeat."""
    rows = ["| | | CPU s an edge | edges of its graph | all of them, once |", "|---|---|---|---|---|"]
    for best, kind in ((False, "as shipped"), (True, "at its best")):
        with tools.ours(place, best=best) as ours:
            found = [ours.ask("exact-sample", batches=BATCHES, seed=seed) for seed in range(repeats)]
        each = [answer["cpu"] / answer["done"] for answer in found]
        rows.append(_extrapolated(f"`exact` | {kind}", (each, found[0]["edges"])))
        with tools.auto_circuit(place, best=best) as peer:
            rows.append(_extrapolated(f"auto-circuit, ACDC, one threshold | {kind}", _acdc_seconds(peer, repeats)))
        if tools.checkout:
            with tools.eap_ig(place, best=best) as peer:
                found = [peer.ask("exact", sample=SAMPLE, seed=seed) for seed in range(repeats)]
            each = [answer["cpu"] / SAMPLE for answer in found]
            rows.append(_extrapolated(f"EAP-IG, exact | {kind}", (each, found[0]["edges"])))
    note = (
        f"Random samples of {SAMPLE} edges, and of {BATCHES} batches of ours, each some hundred edges at once; a "
        "new sample each time: median [least, most]. The last column is a product. No tool computes a gradient here: "
        "the rows at their best differ in `malloc`'s settings alone."
    )
    return "\n".join(["## One edge at a time", "", "The same model and prompts.", "", *rows, "", note])


def search(tools: Starts, place: Path, repeats: int) -> str:
    """The verified search on the France pair, beside our ACDC at several thresholds and auto-circuit's.

    Each threshold's circuit is compared with a verified search whose goal is that circuit's own faithfulness. All run
    with `malloc` set as in the rows "at its best".
    """
    with tools.auto_circuit(place, best=True) as peer:
        each, total = _acdc_seconds(peer, repeats)
    with tools.ours(place, best=True) as ours:
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
            "SmolLM2-135M-Instruct (Q4_1), the official language of France (one pair).",
            "",
            "| | CPU seconds | how |",
            "|---|---|---|",
            f"| `verified` | {seconds:.1f} | {found[0]['kept']} edges, faithfulness {found[0]['faithfulness']:.3f} |",
            f"| auto-circuit, ACDC, one threshold | {whole:,.0f} ({whole / 3600:.0f} h) | {median(each):.2f} s an edge "
            f"[{min(each):.2f}, {max(each):.2f}] x {total:,} edges, not run to its end |",
            "",
            "At the same faithfulness (goal: 10 times faster): the goal of `verified` is to come as near to the "
            "model as `acdc` came (n = 1 each).",
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
