"""Where SmolLM2 recalls facts, by causal tracing: a part of docs/results/editing.md and its picture.

    python benchmarks/editing_tracing.py            # traces what is missing, a fact a line, then writes
    python benchmarks/editing_tracing.py --write    # only writes

Facts are the first of the cases of benchmarks/editing.py, as the plain model has them: three of each of its relations,
MLPs and attention restored at the subject's last token and at the prompt's, two draws of the noise. Results lie in
docs/results/editing-tracing.jsonl; a run that is stopped goes on where it was. A fact takes 5 to 10 s of one core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from dataclasses import asdict
from statistics import fmean

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from editing import RELATIONS, by_turn
from editing_tables import PAGE, lines, write_part

from wheatstone._intervals import interval_text
from wheatstone.editing import TraceRow, TracingSettings, asked, causal_trace, mean_rows, prompt_rows, relation_cases
from wheatstone.figures import render, trace_lines_chart
from wheatstone.models import load_model

FACTS = 3
SETTINGS = TracingSettings(draws=2)
LAYERS = 30
RESULTS = PAGE.with_name("editing-tracing.jsonl")
PICTURE = PAGE.parents[1] / "images/editing-tracing.svg"
_PLACES = (("mlp", "last subject"), ("attention", "last subject"), ("mlp", "last"), ("attention", "last"))


def trace() -> None:
    """Adds the facts that are missing."""
    known = {line["case"] for line in lines(RESULTS)}
    model = load_model("smollm2-135m")
    for case in by_turn(relation_cases(model, RELATIONS, FACTS)):
        if case.name in known:
            continue
        request = asked(model, case.request)
        places = sorted({request.key_at, len(request.prompt) - 1})
        found = causal_trace(model, request, SETTINGS, sites=("mlp", "attention"), positions=places)
        effects: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for row in prompt_rows(found):
            effects[row.site][row.role].append(round(row.effect, 5))
        line = {
            "case": case.name,
            "group": case.group,
            "prompt": case.request.prompt,
            "answer": model.decode([found.answer])[0],
            "clean": round(found.clean, 5),
            "blurred": round(found.blurred, 5),
            "settings": asdict(SETTINGS),
            "effects": effects,
        }
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(case.name, f"{found.clean:.3f} blurred {found.blurred:.3f}", flush=True)


def write() -> None:
    """The part of the page, and the picture."""
    found = lines(RESULTS)
    rows = mean_rows(
        TraceRow(site, role, layer, effect, None, None, 1)
        for line in found
        for site, roles in line["effects"].items()
        for role, effects in roles.items()
        for layer, effect in enumerate(effects)
    )
    window = SETTINGS.width(LAYERS)
    first, relations = window // 2 + 1, len({line["group"] for line in found})
    chart = trace_lines_chart(
        [row._asdict() for row in rows],
        f"facts of {relations} relations",
        {"n": len(found), "first_window_above_layer_0": first, "settings": {"window": window}},
    )
    for suffix in (".svg", ".png"):
        render(chart, PICTURE.with_suffix(suffix))
    parts = [
        f"\n{len(found)} facts of {relations} relations; the answer's probability is "
        f"{fmean(line['clean'] for line in found):.2f} clean and {fmean(line['blurred'] for line in found):.2f} with "
        f"the subject blurred. Windows of {window} layers; effects are gains in that probability [95% interval].\n",
        "| restored | at | most of all windows | most of those without layer 0 |",
        "|---|---|---|---|",
    ]
    for site, role in _PLACES:
        if here := [row for row in rows if (row.site, row.role) == (site, role)]:
            best = [max(of, key=lambda row: row.effect) for of in (here, here[first:])]
            parts.append(f"| {site} | {role} token | " + " | ".join(map(_cell, best)) + " |")
    chosen = [row for row in rows if (row.site, row.role) == ("mlp", "last subject")]
    near = ", ".join(f"{row.layer}: {row.effect:.3f}" for row in chosen[first : first + 7])
    parts.append(f"\nMLPs at the subject's last token, by the window's middle: {near}.")
    write_part("tracing", "\n".join(parts) + "\n")


def _cell(row: TraceRow) -> str:
    between = interval_text((row.low, row.high), 3)
    return f"layer {row.layer}: {row.effect:.3f}{between and f' [{between}]'}, n = {row.n}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="only write the page and the picture")
    if not parser.parse_args().write:
        trace()
    write()
