"""One neuron's page: the tokens it writes, what it is worth on prompts, what it predicts, which concepts it detects.

Made of what `neuron_facts` says, without the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from wheatstone.checkpoints import shown_name
from wheatstone.figures._neuron_calibration import calibration_panel
from wheatstone.figures._neuron_corpus import corpus_parts
from wheatstone.figures._neuron_patching import dose_chart
from wheatstone.figures._page import PagePart, PagePicture, PageTable, page_of
from wheatstone.figures._report import Picture
from wheatstone.figures._theme import BLUE, INK, PAPER, diverging, finished, of_rows, squares, written
from wheatstone.figures._words import (
    clipped,
    count,
    decimal,
    own_answer,
    percent,
    probability,
    quoted,
    visible,
    warnings_of,
)
from wheatstone.runs import Row

_MARKED = 5
_READINGS = {
    "readout": "True read-out: the neuron's output weights through the final norm's weight and the unembedding.",
    "embedding": "Plain embedding: the neuron's output weights times the input embedding.",
}


def neuron_page(facts: Mapping[str, Any]) -> str:
    """The page of one neuron as HTML.

    Args:
        facts: what `wheatstone.neurons.neuron_facts` gives, also after a way through JSON.
    """
    parts = [_tokens(facts)]
    if facts["prompts"] is not None:
        parts += [_worth(facts), _predicts(facts)]
    if facts["corpus"] is not None:
        parts += corpus_parts(facts)
    if facts["probes"] is not None:
        parts.append(_tells(facts))
    model = facts["model"]
    made = {
        "made": facts["created"],
        "model": f"{shown_name(model)}, family {model['family']}; {model['neurons']:,} neurons in this layer",
        "weights (SHA-256)": model["sha256"] or "unknown",
        "version": facts["wheatstone"],
    }
    title = f"{facts['neuron']}: neuron {facts['index']:,} of layer {facts['layer']}"
    return page_of("neuron", title, _lead(facts), parts, made, warnings_of(facts["prompts"] or {}))


def congruence_chart(facts: Mapping[str, Any]) -> Any:
    """The neuron over all tokens, and its token over all neurons, through the true read-out.

    When this misleads: congruence is the direct path from weights alone; what later layers do is not in it.
    """
    found, token = facts["congruence"]["readout"], quoted(facts["token"]["text"])
    ends = [*found["promoted"][:_MARKED], *found["suppressed"][:_MARKED]]
    over_tokens = _histogram(
        found["histogram"],
        [(row["congruence"], visible(row["text"])) for row in ends],
        "congruence with a token",
        "tokens",
    )
    rivals = found["token_neurons"][:_MARKED]
    over_neurons = _histogram(
        found["token_histogram"],
        [(row["congruence"], row["neuron"]) for row in rivals],
        f"congruence of a neuron with {token}",
        "neurons",
    )
    subtitle = [
        "How far a unit of activation pushes a token's logit, through the final norm's weight and the unembedding.",
        "Counts on a logarithmic axis; the ends are named.",
    ]
    picture = alt.hconcat(over_tokens, over_neurons, spacing=46)
    return finished(picture, f"What {facts['neuron']} writes", subtitle, describe_congruence(facts))


def calibration_chart(facts: Mapping[str, Any]) -> Any:
    """Probability of the token and share of first choices by activation, with counts and the causal effect.

    When this misleads: few places per bin where prompts are few; the bars below the points say how many.
    """
    found = facts["prompts"]["calibration"]
    picture = calibration_panel(found["bins"], f"activation of {facts['neuron']}", width=520, height=220)
    subtitle = [
        f"Every position of {count(2 * facts['prompts']['n'], 'prompt')} ({count(found['places'], 'place')}), in bins "
        "of the activation. Bars: 95% intervals over prompts.",
        "Orange: how much of the probability goes when the neuron is set to 0 everywhere.",
    ]
    title = f"Does {facts['neuron']} predict {quoted(facts['token']['text'])}?"
    return finished(picture, title, subtitle, describe_calibration(facts))


def describe_congruence(facts: Mapping[str, Any]) -> str:
    """The histograms in words."""
    found = facts["congruence"]["readout"]
    promoted, suppressed = (
        ", ".join(f"“{visible(row['text'])}”" for row in found[end][:_MARKED]) for end in ("promoted", "suppressed")
    )
    return f"A positive activation promotes {promoted} most, and suppresses {suppressed} (· is a leading space)."


def describe_calibration(facts: Mapping[str, Any]) -> str:
    """The points in words."""
    bins = facts["prompts"]["calibration"]["bins"]
    low, high = bins[0], bins[-1]
    return (
        f"At an activation near {decimal(low['activation'])} ({count(low['places'], 'place')}) the token has "
        f"probability {probability(low['probability']['mean'])}, near {decimal(high['activation'])} "
        f"({count(high['places'], 'place')}) {probability(high['probability']['mean'])}."
    )


def _lead(facts: Mapping[str, Any]) -> list[str]:
    said = [describe_congruence(facts)]
    if facts["prompts"] is not None:
        effects = facts["prompts"]["effects"]
        said += own_answer(facts["prompts"])
        said.append(
            f"Patched from the clean prompt into the counterfactual it recovers {percent(effects['denoising']['all'])} "
            f"of the difference (its whole MLP {percent(effects['denoising']['mlp'])}); the other way round "
            f"{percent(effects['noising']['all'])} is lost (MLP {percent(effects['noising']['mlp'])})."
        )
    return said


def _tokens(facts: Mapping[str, Any]) -> PagePart:
    tables: list[PageTable] = []
    for reading, meaning in _READINGS.items():
        found = facts["congruence"][reading]
        rows = tuple(
            (visible(up["text"]), decimal(up["congruence"]), visible(down["text"]), decimal(down["congruence"]))
            for up, down in zip(found["promoted"][:12], found["suppressed"][:12], strict=True)
        )
        columns = (("promoted", False), ("", True), ("suppressed", False), ("", True))
        tables.append(PageTable(f"{meaning} A negative activation does the opposite.", columns, rows))
    spread = facts["congruence"]["readout"]["histogram"]
    value = facts["congruence"]["readout"]["with_token"]
    text = (
        f"Its congruence with {quoted(facts['token']['text'])} is {decimal(value)}, "
        f"{decimal((value - spread['mean']) / spread['std'], 1)} standard deviations from its mean over all tokens.",
    )
    picture = PagePicture(
        "congruence",
        Picture.of(congruence_chart(facts)),
        "A neuron that is about one token has it far out at one end, alone. Left: this neuron over all tokens; right: "
        "its token over all neurons.",
    )
    return PagePart("Which tokens does it write?", text, (picture,), tuple(tables))


def _worth(facts: Mapping[str, Any]) -> PagePart:
    prompts = facts["prompts"]
    names = {"denoising": "clean into counterfactual", "noising": "counterfactual into clean"}
    rows = tuple(
        (names[direction], *(decimal(found[name], 3) for name in ("all", "last", "mlp")))
        for direction, found in prompts["effects"].items()
    )
    columns = (("patched", False), ("all positions", True), ("last alone", True), ("its whole MLP", True))
    table = PageTable(
        f"Exact patch effects as shares of the difference in {prompts['metric']} ({decimal(prompts['clean'])} on the "
        f"clean prompts, {decimal(prompts['corrupt'])} on the counterfactuals; n = {prompts['n']}).",
        columns,
        rows,
    )
    several = prompts["n"] > 1
    answer = "the answer" if several else prompts["answer"]
    wrong = None if prompts["distractor"] is None else "the distractor" if several else prompts["distractor"]
    panels = dose_chart(prompts["doses"], [facts["neuron"]], answer, wrong)
    drawn = finished(
        alt.hconcat(panels[0].properties(width=420, height=220)),
        "What the prediction does as it is set",
        ["At the last position alone; grey: its own activation. All points are exact runs."],
        "Probabilities of answer and distractor by the value the neuron is set to.",
    )
    pictures = [
        PagePicture("doses", Picture.of(drawn), "A line that rises or falls is a token that the neuron decides on."),
        PagePicture(
            "activation",
            Picture.of(_strip(facts)),
            "Colour is the neuron's activation at that token. The prediction it matters for is the next token's.",
        ),
    ]
    return PagePart("What is it worth on these prompts?", (), tuple(pictures), (table,))


def _predicts(facts: Mapping[str, Any]) -> PagePart:
    found = facts["prompts"]["calibration"]
    correlation = found["correlation"]
    text = (
        describe_calibration(facts),
        ("" if correlation is None else f"Rank correlation of activation and probability: {decimal(correlation)}. ")
        + "These are the positions of the prompts alone; a corpus says more.",
    )
    picture = PagePicture(
        "calibration",
        Picture.of(calibration_chart(facts)),
        "Where blue rises with the activation, the neuron predicts the token. Where orange rises with it, the neuron "
        "is the reason.",
    )
    return PagePart(f"Does it predict {quoted(facts['token']['text'])}?", text, (picture,))


def _tells(facts: Mapping[str, Any]) -> PagePart:
    """The concepts of a run of probes, those that the neuron tells first."""
    found = sorted(facts["probes"], key=lambda row: -abs(row["held_out_auroc"] - 0.5))
    rows = tuple(
        (
            row["concept"],
            decimal(row["held_out_auroc"]),
            f"{row['q']:.2g}",
            _smallest(row["probes"]),
        )
        for row in found
    )
    named = [row["concept"] for row in found if row["probes"]]
    text = (
        f"Probes that use it tell {', '.join(named)}." if named else "No probe of this run uses it.",
        "AUROC is how often its activation is higher where the concept is than where it is not, on documents held out "
        "whole (0.5 is chance; below it the neuron falls where the concept is). q is the false discovery rate at which "
        "it still counts, over all neurons of its layer.",
    )
    columns = (("concept", False), ("AUROC, held out", True), ("q", True), ("probes that use it", False))
    table = PageTable(f"{count(len(rows), 'concept')} of the run.", columns, rows)
    return PagePart("Which concepts does it tell?", text, (), (table,))


def _smallest(probes: Sequence[Mapping[str, Any]]) -> str:
    """The best of the probes with the fewest neurons, and how many others there are."""
    if not probes:
        return "–"
    one = min(probes, key=lambda probe: (probe["k"], -probe["f1"]))
    others = f", and {count(len(probes) - 1, 'other')}" if len(probes) > 1 else ""
    return f"{one['method']} of {one['k']}: F1 {decimal(one['f1'])}{others}"


def _histogram(found: Mapping[str, Any], marks: Sequence[tuple[float, str]], title: str, of: str) -> Any:
    width = (found["high"] - found["low"]) / len(found["counts"])
    rows = [
        {"low": found["low"] + at * width, "high": found["low"] + (at + 1) * width, "count": number}
        for at, number in enumerate(found["counts"])
        if number
    ]
    x = alt.X("low:Q", title=title, scale=alt.Scale(nice=True), axis=alt.Axis(grid=False))
    y = alt.Y("count:Q", title=of, scale=alt.Scale(type="symlog"), axis=alt.Axis(values=[1, 10, 100, 1000, 10000]))
    tooltip = [
        alt.Tooltip("low:Q", format=".2f"),
        alt.Tooltip("high:Q", format=".2f"),
        alt.Tooltip("count:Q", format=","),
    ]
    bars = (
        of_rows(rows)
        .mark_bar(color="#9cc3e4", stroke=PAPER, strokeWidth=0.4)
        .encode(x, y, x2="high:Q", y2=alt.datum(0), tooltip=tooltip)
    )
    low, high = found["low"], found["high"]
    placed: list[Row] = []
    heights = {True: 0, False: 0}
    for value, name in marks:
        right = value > (low + high) / 2
        placed.append({"low": value, "name": clipped(name, 16), "up": 14 + 13 * heights[right], "right": right})
        heights[right] += 1
    labels: list[Any] = []
    for row in placed:
        side: Any = {"align": "right", "dx": -3} if row["right"] else {"align": "left", "dx": 3}
        mark = of_rows([row]).mark_text(**side, fontSize=10.5, color=INK)
        labels.append(mark.encode(alt.X("low:Q"), y=alt.value(row["up"]), text="name:N"))
    ticks = of_rows(placed).mark_tick(color=BLUE, thickness=1.5, size=12).encode(alt.X("low:Q"), y=alt.value(206))
    return alt.layer(bars, ticks, *labels).properties(width=330, height=210)


def _strip(facts: Mapping[str, Any]) -> Any:
    """The neuron's activation token by token."""
    rows: list[Row] = []
    names: list[str] = []
    for row in facts["prompts"]["activations"]:
        name = row["prompts"] if facts["prompts"]["n"] == 1 else f"{row['prompts']} {row['pair'] + 1}"
        names.append(name)
        rows += [
            {"prompt": name, "at": at, "token": clipped(visible(token), 12), "activation": value}
            for at, (token, value) in enumerate(zip(row["tokens"], row["activations"], strict=True))
        ]
    most = max(abs(row["activation"]) for row in rows) or 1.0
    x = alt.X("at:O", axis=None)
    y = alt.Y("prompt:N", sort=names, axis=alt.Axis(title=None, labelColor=INK, domain=False, ticks=False))
    legend = alt.Legend(title="activation", orient="bottom", gradientLength=180, tickCount=5)
    colour = alt.Color("activation:Q", scale=diverging(most), legend=legend)
    heat = squares(rows, x, y, colour, ["token:N", alt.Tooltip("activation:Q", format=".3f")])
    dark = f"abs(datum.activation) > {0.6 * most}"
    words = written(rows, x, y, "token:N", dark, angle=270, fontSize=10.5)
    width = 34 * (max(row["at"] for row in rows) + 1)
    picture = alt.layer(heat, words).properties(width=width, height=78 * len(names))
    say = f"Activation of {facts['neuron']} at every token of {count(len(names), 'prompt')}."
    return finished(picture, f"Where {facts['neuron']} is active", [], say)
