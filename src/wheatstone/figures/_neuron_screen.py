"""The report of a run of `neuron screen`: its pictures as files, and one page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from wheatstone._intervals import interval_note, interval_text
from wheatstone.figures._neuron_patching import NEURON_FIGURES, ScreenData
from wheatstone.figures._page import PagePart, PageTable, captioned, drawn_of, made_of, page_of
from wheatstone.figures._report import Picture
from wheatstone.figures._view import Charts, View
from wheatstone.figures._words import clipped, count, decimal, meaningful, own_answer, percent, quoted, warnings_of
from wheatstone.runs import Row

_ROWS = 30
_CAPTIONS = {
    "recovery": "Follow the dark cells from the bottom up: they are the way the answer takes, first at the token that "
    "differs, then, once attention has carried it over, at the last token.",
    "neurons": "Left: what each neuron brings back alone, by a real run. Right: a point on the diagonal is a neuron "
    "whose effect the gradient predicted.",
    "doses": "A blue line that rises, in both prompts, is a neuron that writes the answer. Where lines are flat, its "
    "activation does not matter there.",
}


def _charts(data: ScreenData) -> Charts:
    return {name: partial(draw, data) for name, draw in NEURON_FIGURES.items() if name == "recovery" or data.confirmed}


def found_neurons(run: ScreenData) -> list[str]:
    """What was found, in sentences made of the run's numbers."""
    if not run.confirmed:
        return ["No neuron was run exactly."]
    best: Row = run.summary.get("best") or run.confirmed[0]
    n = _measured_on(run, best)
    if meaningful(best["exact"]):
        layer = f"its layer's whole MLP {percent(best['mlp'])}" if meaningful(best["mlp"]) else ""
        own = best["share_of_mlp"]
        share = f", of which the neuron is {percent(own)}" if layer and own is not None and meaningful(own) else ""
        last = f" At the last position alone it recovers {percent(best['exact_last'])}."
        said = [
            f"{best['neuron']} alone recovers {percent(best['exact'])} of the difference{f', {layer}' if layer else ''}"
            f"{share} ({n}; of {count(len(run.confirmed), 'neuron')} run exactly)."
            + (last if meaningful(best["exact_last"]) else "")
        ]
    else:
        way = "moves the prediction away from the answer" if best["exact"] < 0 else "overshoots the difference"
        said = [
            f"{best['neuron']}, the neuron of the largest effect, {way}: {decimal(best['exact'])} times the difference "
            f"between the two prompts ({n})."
        ]
    rows = [row for row in run.doses if row["neuron"] == best["neuron"] and row["prompts"] == "counterfactual"]
    if rows:
        low, high = min(rows, key=lambda row: row["value"]), max(rows, key=lambda row: row["value"])
        answer = quoted(run.prompts[0]["answers"][0]) if len(run.prompts) == 1 else "the answer"
        said.append(
            f"Set from {decimal(low['value'], 1)} to {decimal(high['value'], 1)} in the counterfactual, it takes "
            f"{answer} from {percent(low['answer'])} to {percent(high['answer'])}{_against(run, low, high)}"
            f"{' (the same prompts)' if best.get('held_out') else ''}. Its own value is "
            f"{decimal(best['corrupt'], 1)} there and {decimal(best['clean'], 1)} in the prompt."
        )
    return said


def _against(run: ScreenData, low: Row, high: Row) -> str:
    """What the distractor does meanwhile: an effect on a difference of logits may be the distractor's alone."""
    if low["distractor"] is None:
        return ""
    other = quoted(run.prompts[0]["distractors"][0]) if len(run.prompts) == 1 else "the distractor"
    return f" and {other} from {percent(low['distractor'])} to {percent(high['distractor'])}"


def _measured_on(run: ScreenData, best: Row) -> str:
    """On which prompts the strongest neuron was chosen and measured."""
    if best.get("held_out"):
        return f"{count(best['n'], 'prompt')}; the strongest on {best['chosen_on']} others"
    n = len(run.prompts)
    return "the strongest on this one prompt" if n == 1 else f"the strongest on these {n} prompts"


def _page(run: ScreenData, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    pictures = captioned(drawn, _CAPTIONS)
    manifest, summary = run.manifest, run.summary
    n = len(run.prompts)
    rows = tuple(
        (
            row["neuron"],
            decimal(row["estimate"], 3),
            decimal(row["exact"], 3),
            interval_text((row["low"], row["high"]), 3) or "–",
            decimal(row["exact_last"], 3),
            decimal(row["mlp"], 3),
            "–" if row["share_of_mlp"] is None else percent(row["share_of_mlp"]),
            decimal(row["clean"]),
            decimal(row["corrupt"]),
        )
        for row in run.confirmed[:_ROWS]
    )
    chosen = (
        f"All {n} prompts, also those that chose them" if n > 1 else "Measured on the prompt that chose the neurons"
    )
    names = ("neuron", "estimate", "exact", "95%", "last alone", "its MLP", "share of it", "clean", "counterfactual")
    table = PageTable(
        f"The {min(_ROWS, len(run.confirmed))} strongest of {count(len(run.confirmed), 'neuron')} that were run "
        "exactly; all are in confirmed.parquet, every neuron's estimate in neurons.parquet. Shares of the difference; "
        "the last two columns are activations at the last position. "
        f"{chosen}; {interval_note(n)}.",
        tuple((name, name != "neuron") for name in names),
        rows,
    )
    mapped = int(summary["mapped_prompts"])
    asked = tuple(
        f"{quoted(pair['prompt'], 200)} → {', '.join(map(quoted, pair['answers']))}, against "
        f"{quoted(pair['counterfactual'], 200)} → {', '.join(map(quoted, pair['distractors'])) or 'no distractor'}"
        for pair in run.prompts[:5]
    )
    parts = [
        PagePart("What was asked", asked),
        PagePart(
            "Where the answer comes back",
            () if mapped == n else (f"On the first {mapped} of {n} prompts.",),
            drawn_of(pictures, "recovery"),
        ),
    ]
    if run.confirmed:
        parts += [
            PagePart(
                "Which neurons bring it",
                (
                    "The estimate is a slope at the unpatched run and finds the candidates; the exact effect is a real "
                    "run with that neuron's activation patched. A share of an MLP is given where the "
                    "MLP recovers at least 10% and the share is between 0 and 100%.",
                ),
                drawn_of(pictures, "neurons"),
                (table,),
            ),
            PagePart("What the prediction does when a neuron is set", (), drawn_of(pictures, "doses")),
        ]
    settings = {name: str(value) for name, value in manifest["settings"].items() if value != ""}
    details = settings | {"patched runs": f"{manifest['evaluations']:,}"}
    title = f"{clipped(run.prompts[0]['prompt'], 60)} → {clipped(run.prompts[0]['answers'][0], 20)}"
    return page_of(
        "neuron screen",
        title if n == 1 else str(manifest["settings"]["task"] or count(n, "prompt")),
        [*own_answer(manifest), *found_neurons(run)],
        parts,
        made_of(manifest, details),
        warnings_of(manifest),
    )


VIEW = View(ScreenData.of_run, _charts, _page)
