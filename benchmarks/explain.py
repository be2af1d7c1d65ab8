"""What `wheatstone explain` finds in SmolLM2: when answers become first, mover, relation and induction heads, recall.

    python benchmarks/explain.py [--runs runs/languages …] [--tasks facts/country_capital …] [--sizes 50 …] [--write]

Reads all prompts of each task, as `wheatstone explain` does of its run, and prints tables. No circuit is discovered for
it: these sections read the whole model. Runs that were explained are taken as they are. Of the task `induction` the
induction heads alone are measured. `--write` puts the tables that were made into docs/results/explain.md, where others
stay as they are, and the first run's pictures into docs/images.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch

import wheatstone as ws
from wheatstone._progress import silent
from wheatstone.circuits import ModelInfo
from wheatstone.lenses import Material
from wheatstone.mechanisms import head_roles, roles_of
from wheatstone.runs import summary_json
from wheatstone.studies import SECTIONS

ROOT = Path(__file__).parents[1]
SHOWN = ("lens", "roles", "recall")
PICTURES = ("roles", "recall")
INDUCTION = "induction"
MARKER = "<!-- from here on written by benchmarks/explain.py -->"
_MOST = 12
"""Heads of a role in the table; the run's own has all."""


def material_of(model: ws.ResidualModel, name: str, size: int) -> Material:
    """All prompts of a task, without a circuit."""
    task = ws.load_task(name, model, size=size)
    experiment = ws.Experiment(model, (*task.train, *task.validation, *task.test), metric=task.metric)
    none = ws.Circuit.of_mask(ModelInfo.of(model), torch.zeros(model.graph.valid.shape, dtype=torch.bool))
    return Material(experiment, none, task=task.name)


def explained(material: Material) -> dict[str, Any]:
    """A task's sections by their summaries, and how long each took."""
    found: dict[str, Any] = {}
    for section in SHOWN:
        begun = time.perf_counter()
        if SECTIONS[section].missing(material) is None:
            found[section] = {
                "summary": summary_json(SECTIONS[section].read(material, silent).summary),
                "n": material.n,
            }
            found[section]["seconds"] = time.perf_counter() - begun
    return found


def copying(material: Material) -> dict[str, Any]:
    """The induction heads of random tokens that repeat."""
    roles = [role for role in roles_of(material) if role.name == INDUCTION]
    return dict(head_roles(material, silent, roles).summary)


def between(row: dict[str, Any], field: str, digits: int = 2) -> str:
    """A mean with its interval."""
    low, high = row[f"{field}_low"], row[f"{field}_high"]
    return f"{row[field]:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})")


def lens_rows(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """When the answer becomes first."""
    yield "| prompts | n | the typical answer is first from | probability at the end | seconds |"
    yield "|---|---|---|---|---|"
    for name, sections in found.items():
        last = sections["lens"]["summary"]["plain"]["last"]
        first = last["first_after"] or f"never (rank {last['rank_at_end']:.0f} at the end)"
        seconds = sum(section["seconds"] for section in sections.values())
        yield f"| {name} | {sections['lens']['n']} | {first} | {last['probability_at_end']:.2f} | {seconds:.0f} |"


def role_rows(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Heads with a role, with the three numbers."""
    yield "| prompts | role | head | attention | direct effect (logits) | ablation effect |"
    yield "|---|---|---|---|---|---|"
    for name, sections in found.items():
        for role, rows in sections["roles"]["summary"]["roles"].items():
            for row in rows[:_MOST]:
                numbers = " | ".join(between(row, field) for field in ("attention", "direct", "ablation"))
                yield f"| {name} | {role} | `{row['head']}` | {numbers} |"
            if len(rows) > _MOST:
                yield f"| {name} | {role} | and {len(rows) - _MOST} more | | | |"
            if not rows:
                yield f"| {name} | {role} | none | | | |"


def ablation_rows(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Each role's heads ablated together."""
    yield "| prompts | role | ablated | heads | measure | mean | answer first |"
    yield "|---|---|---|---|---|---|---|"
    for name, sections in found.items():
        for row in sections["roles"]["summary"]["ablations"]:
            share = f"{row['hit_at_1']:.2f} ({row['hit_low']:.2f} to {row['hit_high']:.2f})"
            cells = (name, row["role"], row["ablated"], row["heads"], row["measure"], between(row, "value"), share)
            yield f"| {' | '.join(map(str, cells))} |"


def copying_rows(summary: dict[str, Any]) -> Iterator[str]:
    """Induction heads, and copying with and without them."""
    heads = summary["roles"][INDUCTION]
    named = ", ".join(f"`{row['head']}`" for row in heads)
    yield f"{len(heads)} heads pass for induction, by what ablating each costs: {named}."
    yield ""
    yield "| ablated | heads | n | copied right | logit difference |"
    yield "|---|---|---|---|---|"
    for row in summary["ablations"]:
        share = f"{row['hit_at_1']:.2f} ({row['hit_low']:.2f} to {row['hit_high']:.2f})"
        draws = len(row["names"]) // row["heads"] if row["heads"] else 0
        what = f"{row['ablated']}, {draws} draws" if draws > 1 else row["ablated"]
        yield f"| {what} | {row['heads']} | {row['n']} | {share} | {between(row, 'value')} |"


def recall_rows(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The worst window of each place, the clearest enrichment, the most frequent extraction."""
    yield "| prompts | not looking at | layers | change of the answer's probability |"
    yield "|---|---|---|---|"
    for name, sections in found.items():
        for place, row in _recalled(sections)["propagation"].items():
            yield f"| {name} | {place} | {row['first']} to {row['final']} | {between(row, 'change')} |"
    yield ""
    yield "| prompts | enrichment: AUROC at its best (chance 0.5) | after layers | extraction: sublayer | prompts |"
    yield "|---|---|---|---|---|"
    for name, sections in found.items():
        summary = _recalled(sections)
        if summary["enrichment"]:
            best = summary["enrichment"]["above"]
            said = max((row for rows in summary["extraction"].values() for row in rows), key=lambda row: row["rate"])
            cells = (name, between(best, "above"), best["layer"], f"`{said['sublayer']}`", between(said, "rate"))
            yield f"| {' | '.join(map(str, cells))} |"


def _recalled(sections: dict[str, Any]) -> dict[str, Any]:
    """What the section says; nothing where the prompts end in their subject."""
    return sections["recall"]["summary"] if "recall" in sections else {"propagation": {}, "enrichment": None}


def main() -> None:
    """Explains the runs and prints, or writes, what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=[])
    parser.add_argument("--sizes", nargs="+", type=int, default=[], help="most prompts of each task; 50 by default")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    asked = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    tables: dict[str, Iterator[str]] = {}
    for run in asked.runs:
        files = (run / "explain").glob("*.json")
        sections = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
        found[run.name] = {name: section for name, section in sections.items() if "summary" in section}
    sizes = [*asked.sizes, *[50] * (len(asked.tasks) - len(asked.sizes))]
    for task, size in zip(asked.tasks, sizes, strict=True):
        material = material_of(ws.load_model("smollm2-135m"), task, size)
        if task == INDUCTION:
            tables["Induction heads do the copying"] = copying_rows(copying(material))
        else:
            found[task] = explained(material)
    if found:
        tables |= {
            "When the answer becomes first": lens_rows(found),
            "What heads are for": role_rows(found),
            "Heads of a role ablated together": ablation_rows(found),
            "The phases of recall": recall_rows(found),
        }
    load = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at the end"
    made = {title: "\n".join(rows) for title, rows in tables.items()}
    print("\n\n".join(f"## {title}\n\n{rows}" for title, rows in made.items()), f"\n\n({load})")
    if asked.write:
        written(made)
        for picture in PICTURES if asked.runs else ():
            drawn = asked.runs[0] / "explain" / f"{picture}.png"
            shutil.copy(drawn, ROOT / f"docs/images/explain-{picture}.png")


def written(made: dict[str, str]) -> None:
    """Puts tables in their places on the page, new ones at its end."""
    page = ROOT / "docs/results/explain.md"
    words, marker, rest = page.read_text(encoding="utf-8").partition(MARKER)
    kept = dict(part.split("\n\n", 1) for part in rest.split("\n## ")[1:])
    tables = {title: rows.rstrip() for title, rows in (kept | made).items()}
    text = "\n\n".join(f"## {title}\n\n{rows}" for title, rows in tables.items())
    page.write_text(f"{words}{marker}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
