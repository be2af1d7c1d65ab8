"""The rows of benchmarks/compression.py as tables and a picture."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from compression_models_tables import induction, models
from compression_round_trips_tables import commands, random_files, texts
from compression_speed_tables import general, rounding, speed, steps

from wheatstone._intervals import interval_text, mean_interval, median_interval
from wheatstone.compression import Chunking
from wheatstone.figures import render
from wheatstone.figures._theme import BLUE, ORANGE, SOFT, finished, of_rows

Row = dict[str, Any]
HEADER = """# Compression, and bits as a measure, on SmolLM2-135M-Instruct (Q4_1)

Made by `python benchmarks/compression.py --write` from the rows in compression.jsonl. One thread of a machine with two
cores that other work shared; times are processor seconds, which shared caches lengthen for both sides of a ratio.
Rows of SmolLM2 that were measured before 29 November 2026 begin texts with `<|im_end|>` instead of `<|endoftext|>`, the
model's own start token: on 9,000 characters of English that is 10,239 instead of 10,245 bits.
"""
TEXTS = {"books": "the bundled books", "docs": "the bundled English documentation (Django's)"}


def tables(rows: Sequence[Row], docs: Path) -> None:
    """Writes docs/results/compression.md and docs/images/compression-training.png."""
    of = {part: [row for row in rows if row["part"] == part] for part in {row["part"] for row in rows}}
    parts = {
        "coded": coded,
        "mixers": mixers,
        "contexts": contexts,
        "throughput": throughput,
        "speed": speed,
        "steps": steps,
        "rounding": rounding,
        "general": general,
        "random": random_files,
        "texts": texts,
        "commands": commands,
        "kinds": kinds,
        "models": models,
        "induction": induction,
        "sequences": sequences,
        "training": training,
    }
    lines = [HEADER, *(line for part, table in parts.items() if part in of for line in table(of[part]))]
    (docs / "results/compression.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    if "training" in of:
        render(picture(of["training"]), docs / "images/compression-training.png")


def coded(rows: Sequence[Row]) -> Iterator[str]:
    """What the coder makes of the texts' first bytes, whole sizes only."""
    yield "## Sizes\n"
    found = sorted({tuple(row["key"].split("/")[:2]) for row in rows}, key=lambda key: (key[0], int(key[1])))
    for text, size in found:
        parts = [row for row in rows if row["key"].startswith(f"{text}/{size}/")]
        done = sum(row["bytes"] for row in parts)
        if done != int(size):
            yield f"Of the first {int(size):,} bytes of {TEXTS[text]} {done:,} have been coded so far; no table yet.\n"
            continue
        plain, mixed = (sum(row[name] for row in parts) for name in ("code_bytes", "mixed_code_bytes"))
        ideal, mixed_ideal = (sum(row[name] for row in parts) for name in ("ideal_bits", "mixed_ideal_bits"))
        beside: dict[str, int] = parts[0]["beside"]
        xz = beside["xz -9e"]
        yield f"The first {int(size):,} bytes of {TEXTS[text]} ({sum(row['symbols'] for row in parts):,} tokens).\n"
        yield "| | bytes | bits a byte | times smaller than xz -9e |\n|---|---|---|---|"
        for name, count in (("the model", plain), ("the model, mixing", mixed), *beside.items()):
            yield f"| {name} | {count:,} | {8 * count / done:.3f} | {xz / count:.2f} |"
        weights = 4 * 134_515_008
        yield f"| the model with its weights, float32 | {plain + weights:,} | {8 * (plain + weights) / done:,.0f} | {xz / (plain + weights):.5f} |"
        yield f"""
The coder needs {100 * (8 * plain / ideal - 1):.3f}% more than −Σ log₂ p, {100 * (8 * mixed / mixed_ideal - 1):.3f}% with mixing (goal ≤ 0.05%). Header, block and
checksums add 132 bytes to a file that `compress` writes: counted in, it is {100 * (8 * (plain + 132) / ideal - 1):.2f}%, above the goal.
{_goals(text, parts, plain, mixed, xz) if done == 1_000_000 else ""}"""
    yield (
        "Probabilities are those of `compress` up to the last bits of a float, read 64 known tokens at a time; coder and mixer are\n"
        "its own. All of these texts are old and public: the model has surely read them.\n"
    )


def _goals(text: str, parts: Sequence[Row], plain: int, mixed: int, xz: int) -> str:
    each = ", ".join(
        f"{row['ideal_bits'] / row['bytes']:.2f} ({row['mixed_ideal_bits'] / row['bytes']:.2f})" for row in parts
    )
    kept = "; ".join(
        f"{goal} times smaller than xz -9e {name}is {'reached' if xz / size >= goal else f'missed: the file would have to be {1 - xz / goal / size:.1%} smaller'}"
        for goal, name, size in ((2.0, "", plain), (2.3, "with mixing ", mixed))
    )
    last = " The last is verse." if text == "books" else ""
    return f"Of the goals, {kept}.\nBits a byte of the parts in order, in brackets with mixing: {each}.{last}\n"


def mixers(rows: Sequence[Row]) -> Iterator[str]:
    """What each idea for the mixer gains."""
    bits = [row["bits"] for row in rows]
    names = [name for name in bits[0] if name not in ("the model", "as it is")]
    gains = {name: [1 - one[name] / one["as it is"] for one in bits] for name in names}
    here = "; ".join(f"{row['symbols']:,} tokens of {TEXTS[row['key'].split('/')[0]]}" for row in rows)
    mixing = " and ".join(f"{1 - one['as it is'] / one['the model']:.1%}" for one in bits)
    yield "## What would mix better\n"
    yield (
        f"Ideas of paq8, cmix and their like, each added to the mixer (benchmarks/compression_mixers.py): how many fewer bits than with the\n"
        f"mixer as it is, which itself saves {mixing}. The first {rows[0]['bytes']:,} bytes of each text: {here}.\n"
    )
    yield "| idea | " + " | ".join(row["key"].split("/")[0] for row in rows) + " |\n|---|" + "---|" * len(rows)
    for name, gain in gains.items():
        yield f"| {name} | " + " | ".join(f"{one:+.2%}" for one in gain) + " |"
    best = max(gain for name in gains for gain in gains[name])
    yield f"\nThe most is {best:.2%}; {'too little for its code, so that none is in the library' if best < 0.01 else 'worth having'}. No interval: one piece\nof each text, and its beginning, where little has been said before; what a megabyte would say of repeats is not measured.\n"


def contexts(rows: Sequence[Row]) -> Iterator[str]:
    """What looking further back gains."""
    text = rows[0]["key"].split("/")[0]
    before = np.array(rows[0]["steady"])
    yield "## How far to look back\n"
    yield (
        f"{len(before)} pieces of 5,120 tokens, spread over the first megabyte of {TEXTS[text]}; bits a token of those after the\n"
        "first 2,048. Keys and values are those of 16 lanes, in float32.\n"
    )
    yield "| window | read again | bits a token | change | 95% interval | keys and values, MB |\n|---|---|---|---|---|---|"
    for row in rows:
        steady = np.array(row["steady"])
        change, low, high = steady.mean() / before.mean() - 1, *(mean_interval(steady / before - 1) or (np.nan, np.nan))
        size = row["window"] * 16 * 30 * 2 * 3 * 64 * 4 / 1e6
        told = ("", "") if row is rows[0] else (f"{change:+.1%}", f"{low:+.1%} to {high:+.1%}")
        yield f"| {row['window']:,} | {row['overlap']:,} | {steady.mean():.3f} | {' | '.join(told)} | {size:,.0f} |"
    start = float(np.mean(rows[0]["start"]))
    excess = 48 * 256 * (start - before.mean()) / (258_000 * before.mean())
    yield (
        f"\nThe first row is what `compress` does: each thread keeps so much, and a longer cache is slower at every step. The first 256\n"
        f"tokens of a lane, with little before them, cost {start:.2f} bits each; in the 48 lanes of a megabyte that is {excess:.1%} of all bits.\n"
        "Longer lanes and the longest window together would gain about as much as that megabyte lacks for its goal, for four times the\n"
        "memory; a smaller gain for less memory was not thought worth slower steps.\n"
    )


def throughput(rows: Sequence[Row]) -> Iterator[str]:
    """Both passes' speed."""
    plain, ours, mixing = (np.array([row[name] for row in rows]) for name in ("plain_s", "ours_s", "mixing_s"))
    steps = Chunking().window - Chunking().overlap
    reread, lanes = rows[0]["reread_s"] / steps, rows[0]["lanes"]
    yield "## Throughput\n"
    yield (
        f"{lanes} lanes, {len(rows)} alternations at one length of the cache. A step of the plain cached pass takes\n"
        f"{np.median(plain):.3f} s ({lanes / np.median(plain):.0f} tokens a second). Reading the overlap again is spread over {steps} steps.\n"
    )
    yield "| share of the plain cached pass's tokens a second | median | 95% interval |\n|---|---|---|"
    for name, share in (
        ("coding, between two windows", plain / ours),
        ("and reading the overlap again", plain / (ours + reread)),
        ("and mixing", plain / (ours + reread + mixing)),
    ):
        low, high = median_interval(share) or (np.nan, np.nan)
        yield f"| {name} | {np.median(share):.0%} | {low:.0%} to {high:.0%} |"
    yield "\nThe goal was 70%.\n"


def kinds(rows: Sequence[Row]) -> Iterator[str]:
    """Bits a byte by kind of text."""
    yield "## Kinds of text\n"
    yield (
        "Windows drawn at random from the bundled texts, 256 tokens of context before those counted. xz has the whole kind at\n"
        "once. The interval is over windows.\n"
    )
    yield "| kind | bytes in all | windows | bytes counted | bits a byte | 95% interval | bits a token | xz -9e, bits a byte | ratio |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind in dict.fromkeys(row["kind"] for row in rows):
        some = [row for row in rows if row["kind"] == kind]
        per = np.array([row["bits"] / row["bytes"] for row in some])
        mean = sum(row["bits"] for row in some) / sum(row["bytes"] for row in some)
        interval = interval_text(mean_interval(per)) or "-"
        size, beside = some[0]["size"], 8 * some[0]["xz_bytes"] / some[0]["size"]
        yield (
            f"| {kind} | {size:,} | {len(some)} | {sum(row['bytes'] for row in some):,} | {mean:.2f} | {interval} "
            f"| {sum(row['bits'] for row in some) / sum(row['tokens'] for row in some):.2f} | {beside:.2f} | {beside / mean:.2f} |"
        )
    yield ""


def sequences(rows: Sequence[Row]) -> Iterator[str]:
    """Which numbers it continues."""
    yield "## Sequences of numbers\n"
    yield f"Teacher-forced; right where every token of the answer is the likeliest. {sum(row['right'] for row in rows)} of {len(rows)} are right.\n"
    yield "| sequence | prompt | next | bits | right |\n|---|---|---|---|---|"
    for row in sorted(rows, key=lambda row: row["bits"]):
        prompt = row["prompt"].replace("\n", " / ")
        yield f"| {row['name']} | `{prompt}` | {row['answer'].strip()} | {row['bits']:.2f} | {'yes' if row['right'] else 'no'} |"
    yield """
One prompt each. Being right shows that the text was foreseen, not that a rule is known: of well-known sequences some are
missed, and where the numbers must be worked out from the two before, none is right.
"""


def training(rows: Sequence[Row]) -> Iterator[str]:
    """Bits and the circuit while it forms."""
    yield "## While a circuit forms\n"
    yield (
        f"A two-layer attention-only model learns to repeat (benchmarks/induction.py), one seed. Bits a token of the second copy, mean\n"
        f"of {rows[0]['n']} texts; its five-edge induction circuit ablated by another text, and alone. Attention: first layer to the previous\n"
        "token, second layer to the token after the last occurrence.\n"
    )
    yield "| step | loss, bits | intact | circuit ablated | circuit alone | worth | previous-token attention | induction attention |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['step']} | {row['loss_nats'] / np.log(2):.2f} | {row['intact']:.2f} | {row['ablated']:.2f} | {row['alone']:.2f} "
            f"| {row['ablated'] - row['intact']:.2f} | {row['previous']:.2f} | {row['follower']:.2f} |"
        )
    last = rows[-1]
    yield (
        f"\nAbout half of the bits go before either head's attention has formed; the rest as it forms. The circuit's worth rises throughout: {last['ablated'] - last['intact']:.1f} bits a token at the end.\n"
        f"Alone the five edges need {last['alone']:.1f} bits against {np.log2(24):.1f} of an even guess among 24 words: here they are necessary, not\n"
        "sufficient. A model that is wrong with confidence pays more than an even guess, so bits above that are no measure of size.\n"
        "One seed and one task: that bits and circuit come together here does not say that they do in language models.\n"
    )
    yield "![Bits and attention over training](../images/compression-training.png)\n"


def picture(rows: Sequence[Row]) -> alt.VConcatChart:
    """Bits above, attention below, over training."""
    names = {"intact": "intact", "ablated": "circuit ablated", "alone": "circuit alone"}
    heads = {"previous": "first layer, previous token", "follower": "second layer, token after the last occurrence"}

    def lines(names: dict[str, str], title: str, height: int) -> alt.Chart:
        long = [{"step": row["step"], "value": row[key], "kind": kind} for row in rows for key, kind in names.items()]
        color = alt.Scale(domain=list(names.values()), range=[BLUE, ORANGE, SOFT][: len(names)])
        return (
            of_rows(long)
            .mark_line(point=True)
            .encode(
                x=alt.X("step:Q", axis=alt.Axis(title="training step (batch)", grid=False)),
                y=alt.Y("value:Q", axis=alt.Axis(title=title, tickCount=5)),
                color=alt.Color("kind:N", scale=color, legend=alt.Legend(title=None, orient="top", labelLimit=400)),
            )
            .properties(width=620, height=height)
        )

    both = alt.vconcat(lines(names, "bits a token", 200), lines(heads, "mean attention", 140))
    return finished(
        both.resolve_scale(color="independent"),
        "A circuit is worth bits once it has formed",
        ["Second copies of repeated words; attention of the heads that make up the circuit."],
        "Bits a token of the second copy over training steps, intact, with the circuit ablated and alone; attention below.",
    )
