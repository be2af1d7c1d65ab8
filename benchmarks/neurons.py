"""Neurons of SmolLM2-135M: which say " an", which belong to one token, and how many of those hold up in text.

    python benchmarks/neurons.py [--write] [--pairs FILE] [--parts corpus,scan --scan FOLDER]

Five parts. The screen on the pear/apple prompt, beside every neuron of one layer patched exactly, and the same on many
prompts of the task a-an. The mutually exclusive pairs by both readings, beside a search on shuffled neurons. And texts
sampled from the model, on which the pairs' activations are compared with what the model predicts. `--write` puts the
tables into docs/results/neurons.md and the plots into docs/images. `--pairs` takes the pairs that
`wheatstone neuron pairs --top 100 --json` printed and makes the third part alone. The last two are made on their own:
`--parts corpus` asks the same of the pairs in the bundled texts, `--parts scan` measures how fast a scan reads beside
the plain forward pass, and how fast the scan in FOLDER answers.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import altair as alt
import numpy as np
import torch
from scipy.stats import spearmanr

import wheatstone as ws
from wheatstone.figures import render
from wheatstone.figures._neuron_calibration import calibration_panel
from wheatstone.figures._theme import finished
from wheatstone.models import Neuron, ResidualModel, Tokens
from wheatstone.neurons import (
    CalibrationBin,
    Congruence,
    NeuronScan,
    Observations,
    Pair,
    Pairs,
    Patching,
    calibrate,
    doses,
    exclusive_pairs,
    neuron_effects,
    observe,
    ranks,
    screen_neurons,
    token_of,
    windows_of,
)
from wheatstone.runs import Scan
from wheatstone.texts import bundled_texts
from wheatstone.verification import mean_intervals

TREE = "I climbed up the pear tree and picked a pear. I climbed up the {} tree and picked"
DOCS = Path(__file__).parent.parent / "docs"
SAMPLES, LENGTH = 48, 64
"""Texts sampled from the model, and tokens of each."""
LAST_PART = "## How many hold up"
WINDOW = 128
"""Tokens of a window of the bundled texts."""
RATED, ROUNDS, WARM, QUERIES = 8, 3, 1, 100
"""Windows of a batch whose rate is measured, such batches, those before, and neurons that a scan is asked about."""
STRONG = 0.99
"""Quantile of the activation above which a pair is looked at."""
MUCH = 10
"""A pair foretells its token where its mean probability there is so many times the mean over all positions."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results/neurons.md and its picture")
    parser.add_argument("--pairs", type=Path, help="JSON of `wheatstone neuron pairs`: make the last part alone")
    parser.add_argument("--parts", default="", help="corpus, scan or both: make these sections alone")
    parser.add_argument("--share", type=float, default=0.012, help="of the bundled texts' windows, for --parts corpus")
    parser.add_argument("--scan", type=Path, help="a finished scan to put questions to, for --parts scan")
    options = parser.parse_args()
    model, page = ws.load_model("smollm2-135m"), DOCS / "results" / "neurons.md"
    if options.parts:
        best = [Pair(**row) for row in json.loads(options.pairs.read_text(encoding="utf-8"))["pairs"]]
        made = {
            "corpus": lambda: in_corpus(model, best, options.share),
            "scan": lambda: scan_rate(model, options.scan),
        }
        for part in options.parts.split(","):
            lines = made[part]()
            print("\n".join(lines), flush=True)
            if options.write:
                page.write_text(with_section(page.read_text(encoding="utf-8"), lines), encoding="utf-8")
        return
    if options.pairs:
        best = [Pair(**row) for row in json.loads(options.pairs.read_text(encoding="utf-8"))["pairs"]]
        before = page.read_text(encoding="utf-8").partition(LAST_PART)[0].splitlines()
    else:
        before = [*an_neurons(model), *an_on_many(model)]
        best = list(pairs_of(model, before).best)
    parts, chart = hold_up(model, best)
    text = "\n".join([*before, *parts]) + "\n"
    print(text)
    if options.write:
        own = "".join(page.read_text(encoding="utf-8").partition("\n## Reading a corpus\n")[1:])  # made by --parts
        page.write_text(text + own, encoding="utf-8")
        render(chart, DOCS / "images" / "neuron-pairs.png")


def an_neurons(model: ResidualModel) -> list[str]:
    """The screen on one prompt pair, and how far it can be trusted."""
    pair = ws.PromptPair(
        prompt=TREE.format("apple"), counterfactual=TREE.format("lemon"), answers=(" an",), distractors=(" a",)
    )
    experiment = ws.Experiment(model, [pair])
    patching = Patching(experiment)
    busy, started, used = os.getloadavg()[0], time.perf_counter(), time.process_time()
    screen = screen_neurons(patching, top=100)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    an = token_of(model, " an")
    ranks = [len(values) - int((values < values[an]).sum()) for values in _readings(model, screen.confirmed[:8])]
    best = screen.confirmed[0]
    layer = best.neuron.layer
    every = [Neuron(layer, index) for index in range(screen.sizes[layer])]
    exact = patching.share(neuron_effects(patching, every))
    start = sum(screen.sizes[:layer])
    estimates = screen.shares[start : start + len(every)]
    confirmed = {row.neuron for row in screen.confirmed}
    missed = max(abs(float(exact[neuron.index])) for neuron in every if neuron not in confirmed)
    least = min(abs(row.exact) for row in screen.confirmed)
    agreement = float(spearmanr(estimates, exact)[0])  # pyright: ignore[reportArgumentType]
    named = {"0 (ablated)": 0.0, "as after lemon": best.corrupt, "as after apple": best.clean}
    prompts = (experiment.encoded.clean, experiment.encoded.counterfactual)
    set_to = torch.stack([doses(model, best.neuron, tokens, list(named.values()))[:, 0, an] for tokens in prompts], 1)
    lines = [
        "# Neurons of SmolLM2-135M",
        "",
        f"Made by `python benchmarks/neurons.py --write`: {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s), float32. Processor time stands beside wall-clock time, as the "
        "machine also did other things.",
        "",
        '## The neurons that say " an"',
        "",
        f"“{pair.prompt}” against “… lemon tree and picked”, logit difference of ` an` and ` a`: "
        f"{float(experiment.clean.mean()):.2f} and {float(experiment.corrupt.mean()):.2f}. Denoising: clean "
        "activations into the lemon run; shares of the difference. n = 1 prompt pair, so no interval.",
        "",
        f"All {len(screen.neurons):,} neurons screened and {len(screen.confirmed)} confirmed exactly (at all positions "
        f"and at the last alone) in {seconds:.1f} s, {cpu:.1f} s of processor time, at a load of {busy:.1f}. "
        f"Spearman's correlation of estimate and exact effect over the confirmed is {screen.rank_correlation:.3f}; "
        f"over every neuron of layer {layer}, all {len(every):,} run exactly, it is {agreement:.3f}. The largest "
        f"effect there that the screen did not confirm is {missed:.3f}; the smallest confirmed one anywhere is "
        f"{least:.3f}.",
        "",
        "| neuron | estimate | exact | last position alone | its MLP | share of its MLP | activation, apple / lemon "
        "| rank of ` an` among the tokens it promotes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, rank in zip(screen.confirmed[:8], ranks, strict=True):
        share = "–" if row.share_of_mlp is None else f"{row.share_of_mlp:.0%}"
        lines.append(
            f"| `{row.neuron}` | {row.estimate:.3f} | {row.exact:.3f} | {row.exact_last:.3f} | {row.mlp:.3f} | {share} "
            f"| {row.clean:.2f} / {row.corrupt:.2f} | {rank:,} |"
        )
    share = "" if best.share_of_mlp is None else f", {best.share_of_mlp:.0%} of what its layer's MLP recovers"
    lines += [
        "",
        f"`{best.neuron}` alone brings back {best.exact:.0%} of the difference{share}. P(` an`) follows it. Set at the "
        "last position:",
        "",
        "| | P(` an`) after apple | P(` an`) after lemon |",
        "|---|---|---|",
    ]
    for (name, value), (apple, lemon) in zip(named.items(), set_to.tolist(), strict=True):
        lines.append(f"| {name}: {value:.2f} | {apple:.3f} | {lemon:.3f} |")
    return [*lines, ""]


def _readings(model: ResidualModel, rows: Sequence[object]) -> list[torch.Tensor]:
    """Congruence of neurons with all tokens, in the direction in which the clean prompt has them more active."""
    congruence = Congruence(model)
    return [
        congruence.of_neuron(row.neuron) * (1 if row.clean > row.corrupt else -1)  # pyright: ignore
        for row in rows
    ]


def an_on_many(model: ResidualModel) -> list[str]:
    """The same on many prompts: is it the same neurons?"""
    task = ws.load_task("a-an", model, size=50)
    pairs = [pair for pair in task.train if pair.answers == (" an",)]
    experiment = ws.Experiment(model, pairs)
    screen = screen_neurons(Patching(experiment), top=30)
    effects = np.array([row.effects for row in screen.confirmed]) / screen.patching.gap
    intervals = mean_intervals(effects, 0)
    lines = [
        "## The same on many prompts",
        "",
        f"The task `a-an`, training pairs whose answer is ` an`: n = {len(pairs)}. Logit difference "
        f"{float(experiment.clean.mean()):.2f} and {float(experiment.corrupt.mean()):.2f}; intervals: bootstrap 95% "
        f"over prompts. Top 30 confirmed; Spearman's correlation with the estimates {screen.rank_correlation:.3f}.",
        "",
        "| neuron | exact | 95% | share of its MLP |",
        "|---|---|---|---|",
    ]
    for row, (low, high) in list(zip(screen.confirmed, intervals, strict=True))[:6]:
        share = "–" if row.share_of_mlp is None else f"{row.share_of_mlp:.0%}"
        lines.append(f"| `{row.neuron}` | {row.exact:.3f} | {low:.3f} to {high:.3f} | {share} |")
    return [*lines, ""]


def pairs_of(model: ResidualModel, parts: list[str]) -> Pairs:
    """Mutually exclusive pairs by both readings, and by chance."""
    found: dict[str, Pairs] = {}
    spent: dict[str, float] = {}
    for name, reading, seed in (("readout", "readout", None), ("embedding", "embedding", None), ("null", "readout", 0)):
        used = time.process_time()
        found[name] = exclusive_pairs(Congruence(model, reading), top=100, shuffled=seed)
        spent[name] = time.process_time() - used
        print(f"{name}: {spent[name]:.0f} s of processor time", flush=True)
    best, plain, chance = found["readout"], found["embedding"], found["null"].best[0].score
    above = sum(pair.score > chance for pair in best.best)
    same = {(pair.neuron, pair.token) for pair in best.best} & {(pair.neuron, pair.token) for pair in plain.best}
    parts += [
        "## Neurons that belong to one token",
        "",
        f"Mutually exclusive pairs out of {best.entries:,} entries, by the true read-out: {best.mutual:,}; in shuffled "
        f"neurons {found['null'].mutual:,}, so that being each other's first choice says nothing by itself. The score "
        f"does: the best by chance is {chance:.2f}, and {above} of the 100 best pairs are above it (the hundredth has "
        f"{best.best[-1].score:.2f}). By the plain embedding there are {plain.mutual:,}; {len(same)} of its 100 best "
        f"are among the 100 best of the read-out. A search takes {spent['readout']:.0f} s of processor time.",
        "",
        "z: the congruence among all shuffles of the neuron's weights, in standard deviations. Sign −1: the neuron "
        "raises the token by negative activations.",
        "",
        "| neuron | token | sign | congruence | margin to the next neuron | margin to the next token | score | z |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pair in best.best[:10]:
        parts.append(
            f"| `{pair.neuron}` | {_shown(pair.text)} | {pair.sign:+d} | {pair.congruence:.2f} | {pair.token_gap:.2f} "
            f"| {pair.neuron_gap:.2f} | {pair.score:.1f} | {pair.z:.1f} |"
        )
    parts.append("")
    return best


@dataclass(frozen=True, eq=False)
class Held:
    """A neuron and a token in text: where the activation is strongest in one direction, and everywhere.

    Args:
        base: mean probability of the token over all positions.
        limit: activation (times the direction) above which it is among the strongest.
        strong: what is seen there.
    """

    base: float
    limit: float
    strong: CalibrationBin

    @property
    def foretells(self) -> bool:
        """Whether the token is much more probable there."""
        found = self.strong.probability
        return found.low is not None and found.mean >= MUCH * self.base and found.low > self.base


def hold_up(model: ResidualModel, pairs: Sequence[Pair]) -> tuple[list[str], alt.ConcatChart]:
    """The pairs in texts that the model wrote itself."""
    tokens = samples(model)
    seen = _observed(model, pairs, tokens)
    raising, lowering = (
        [_held(one, way * pair.sign) for one, pair in zip(seen, pairs, strict=True)] for way in (1, -1)
    )
    parts = [
        LAST_PART,
        "",
        f"On {tokens.batch} texts of {LENGTH} tokens that the model wrote itself (temperature 1, seed 0; "
        f"{int(tokens.lengths.sum()):,} positions). An activation *foretells* the token of its pair where, over the "
        f"1% of positions at which it is strongest, the token's mean probability is at least {MUCH} times its mean "
        "over all positions, and the lower end of its 95% interval (bootstrap over texts) is above that mean. It is "
        "asked in both directions: of activations that raise the token by congruence, and of those that lower it. Many "
        "tokens hardly occur in so little text; for these nothing is shown either way.",
        "",
        *foretold(seen, pairs, raising, lowering),
        "",
        "A token that lowering activations foretell is one that its neuron holds back where it is likely. The five "
        "best, with the causal effect: P lost is the token's probability less that with the neuron set to 0 "
        "everywhere, in the texts that hold its 20 strongest activations in either direction; negative where the "
        "neuron holds the token back.",
        "",
        "| pair | P over all positions | P where it raises most | P lost there | P where it lowers most "
        "| P lost there |",
        "|---|---|---|---|---|---|",
    ]
    panels: list[alt.VConcatChart] = []
    for at, pair in enumerate(pairs[:5]):
        texts = seen[at].texts[seen[at].activations.abs().topk(20).indices].unique()
        run = observe(model, model.neuron(pair.neuron), pair.token, Tokens(tokens.ids[texts], tokens.lengths[texts]))
        cells: list[str] = []
        for held, way in ((raising[at], pair.sign), (lowering[at], -pair.sign)):
            cells += [_range(held.strong.probability), _range(_strongest(run, way, held.limit).effect)]
        parts.append(f"| `{pair.neuron}` {_shown(pair.text)} | {held.base:.4f} | {' | '.join(cells)} |")
        bins = [
            row._asdict()
            | {
                name: None if value is None else value._asdict()
                for name, value in (("probability", row.probability), ("first", row.first), ("effect", row.effect))
            }
            for row in calibrate(run, bins=10).bins
        ]
        panels.append(calibration_panel(bins, f"{pair.neuron} for {pair.text!r}", width=230, height=150))
    parts += [
        "",
        "![Five panels: probability of a token by the activation of the neuron that belongs to it, share of first "
        "choices, and what the neuron contributes, over counts of positions.](../images/neuron-pairs.png)",
        "",
        "*In the texts that hold each neuron's 20 strongest activations, so strong activations are overrepresented.*",
    ]
    subtitle = [
        "Activation of a neuron against the probability of the token that it is most congruent with, and the token",
        "with it. Orange: how much of the probability goes when the neuron is set to 0. Bars: 95% over texts.",
    ]
    picture = alt.concat(*panels, columns=3, spacing=30)
    return parts, finished(picture, "The five most exclusive pairs in text", subtitle, "Activation against prediction.")


def foretold(
    seen: Sequence[Observations], pairs: Sequence[Pair], raising: Sequence[Held], lowering: Sequence[Held]
) -> list[str]:
    """How many pairs' tokens are foretold, as a table; by chance, too: each neuron with another pair's token."""
    others = [replace(one, probabilities=seen[at - 37].probabilities) for at, one in enumerate(seen)]
    chance = [
        sum(_held(one, way * pair.sign).foretells for one, pair in zip(others, pairs, strict=True)) for way in (1, -1)
    ]
    likely = [at for at, one in enumerate(seen) if float(one.probabilities.max()) >= 0.05]
    lines = ["| pairs | foretold by raising activations | by lowering ones | by either |", "|---|---|---|---|"]
    for name, rows in (
        ("5 best pairs", range(5)),
        (f"{len(pairs)} best pairs", range(len(pairs))),
        (f"{len(likely)} of these whose token has a probability of 5% somewhere", likely),
    ):
        counts = (sum(held[at].foretells for at in rows) for held in (raising, lowering))
        either = sum(raising[at].foretells or lowering[at].foretells for at in rows)
        lines.append(f"| {name} | {' | '.join(map(str, counts))} | {either} |")
    return [*lines, f"| {len(pairs)} neurons with another pair's token (chance) | {chance[0]} | {chance[1]} | |"]


def in_corpus(model: ResidualModel, pairs: Sequence[Pair], share: float) -> list[str]:
    """The same question in the bundled texts, on windows drawn over all of them."""
    windows = [
        window
        for number, document in enumerate(bundled_texts())
        for window in windows_of(model, document.text, number, WINDOW)
        if len(window.ids) == WINDOW and ranks(np.array([number << 32 | window.start]), 0, 30)[0] < share * 2**30
    ]
    inside = torch.arange(len(windows) * WINDOW) % WINDOW > 0  # the first has nothing before it
    documents = torch.tensor([window.document for window in windows]).repeat_interleave(WINDOW)[inside]
    seen = [
        replace(
            one,
            texts=documents,
            **{name: getattr(one, name)[inside] for name in ("activations", "probabilities", "first", "changed")},
        )
        for one in _observed(model, pairs, Tokens.of([window.ids for window in windows], model.device))
    ]
    raising, lowering = (
        [_held(one, way * pair.sign) for one, pair in zip(seen, pairs, strict=True)] for way in (1, -1)
    )
    return [
        "## How many hold up in the bundled texts",
        "",
        f"Made by `python benchmarks/neurons.py --parts corpus --pairs FILE --share {share}`: {len(windows)} windows "
        f"of {WINDOW} tokens, drawn over {len(documents.unique())} documents; {len(documents):,} positions. The "
        "question and the bar are those above; intervals are bootstrap over documents.",
        "",
        *foretold(seen, pairs, raising, lowering),
        "",
    ]


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
    """How long a scan takes to say all it holds of one neuron, opened anew for each."""
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
        f"examples, the folder opened anew each time, {QUERIES} neurons: {np.median(wall):.0f} ms, 95th percentile "
        f"{np.quantile(wall, 0.95):.0f} ms; of processor time {np.median(used):.0f} and {np.quantile(used, 0.95):.0f} "
        "ms. The goal is 100 ms.",
    ]


def with_section(page: str, lines: Sequence[str]) -> str:
    """A page with a section in place of the one with its heading, or at the end."""
    before, found, after = page.partition(lines[0] + "\n")
    rest = after.partition("\n## ")[1:] if found else ("", "")
    return before.rstrip() + "\n\n" + "\n".join(lines).rstrip() + "\n" + "".join(rest)


def samples(model: ResidualModel) -> Tokens:
    """Texts that the model writes when it is given nothing."""
    torch.manual_seed(0)
    start = torch.full((SAMPLES, 1), int(model.tokenizer.bos_token_id), device=model.device)
    with torch.no_grad():
        ids = model.module.generate(
            start, attention_mask=torch.ones_like(start), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            max_new_tokens=LENGTH, min_new_tokens=LENGTH, pad_token_id=int(model.tokenizer.eos_token_id),
        )  # fmt: skip
    return Tokens.of(ids.tolist(), model.device)


def _observed(model: ResidualModel, pairs: Sequence[Pair], tokens: Tokens) -> list[Observations]:
    """All pairs from one forward pass over the texts."""
    neurons = [model.neuron(pair.neuron) for pair in pairs]
    parts: list[list[Observations]] = [[] for _ in pairs]
    for start in range(0, tokens.batch, 8):
        rows = tokens.rows(slice(start, start + 8))
        found = model.neurons(rows, layers={neuron.layer for neuron in neurons}, all_positions=True)
        probabilities, first = found.logits.softmax(-1), found.logits.argmax(-1)
        texts = torch.arange(rows.batch).repeat_interleave(rows.width)
        for part, pair, neuron in zip(parts, pairs, neurons, strict=True):
            probability = probabilities[..., pair.token].flatten()
            part.append(
                Observations(
                    activations=found.activations[neuron.layer][..., neuron.index].flatten(),
                    probabilities=probability,
                    first=(first == pair.token).flatten(),
                    changed=torch.full_like(probability, torch.nan),
                    texts=texts,
                )
            )
    return [Observations.join(part) for part in parts]


def _held(seen: Observations, way: int) -> Held:
    limit = float((seen.activations * way).quantile(STRONG))
    return Held(float(seen.probabilities.mean()), limit, _strongest(seen, way, limit))


def _strongest(seen: Observations, way: int, limit: float) -> CalibrationBin:
    """What is seen where the activation, in one direction, is above a limit."""
    active = seen.activations * way
    edges = [min(float(active.min()), limit - 1), limit, max(float(active.max()), limit + 1e-6)]
    return calibrate(replace(seen, activations=active), edges=edges).bins[-1]


def _shown(text: str) -> str:
    return (f"`{text}`" if text.strip() and text.isprintable() else f"{text!r}").replace("|", "\\|")


def _range(found: object) -> str:
    mean, low, high = found  # pyright: ignore
    return f"{mean:.3f}" if low is None else f"{mean:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
