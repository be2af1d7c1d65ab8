"""The page of matrices of circuits by tasks; of one that is not finished, with the tasks that are done.

    wheatstone study --relations all --out runs/relations
    wheatstone selectivity runs/relations --facts 8 --out runs/selectivity
    python benchmarks/selectivity.py runs/selectivity [--write]

    wheatstone discover --task ioi --method eap-ig --out runs/tasks/ioi        and so on
    wheatstone selectivity runs/tasks/* --out runs/selectivity-tasks
    python benchmarks/selectivity.py runs/selectivity-tasks --tasks [--write]

Prints the part of the page that a matrix gives, of relations or, with `--tasks`, of other tasks; `--write` puts it into
docs/results/selectivity.md, whose other part stays, and the map of relations into docs/images.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wheatstone.cards import SelectivitySettings
from wheatstone.cards._selectivity_circuits import own_parts
from wheatstone.cards._selectivity_matrix import Lost, matrix_of, summary_of
from wheatstone.checkpoints import shown_name
from wheatstone.discovery import LEARNED
from wheatstone.executors import shard_cost
from wheatstone.figures._render import png_of
from wheatstone.figures._report import Picture
from wheatstone.figures._selectivity import Matrix, lead, matrix
from wheatstone.runs import Run, read_json
from wheatstone.verification import Estimate, words_of

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "results" / "selectivity.md"
SECOND = "## Other tasks\n"
"""Where the part of other tasks begins, which is the last."""
HEAD = """# What relations lose without each other's circuits

Made by `wheatstone selectivity` and `python benchmarks/selectivity.py RUN --write` from the circuits of the
[relation study](relations.md) on {model}: {circuits} circuits, {tasks} of their tasks, at most {facts} held-out
facts of each, {cells:,} cells in {minutes:.0f} minutes of processor time ({second:.2f} s a cell, so that 30 × 30 cells
take {thirty:.0f} minutes of it). [The guide](../guides/card.md#many-circuits-at-once) says what is done.

A circuit is ablated in the whole model, but for the edges that more than {shared:.0%} of the circuits keep ({spared}
edges). A cell is the share of a task's behaviour that is lost, (model − model without the circuit) / (model − empty),
each averaged over facts before dividing.

{lead}
{missing}
![A map of circuits by tasks; the diagonal is framed.](../images/selectivity.png)

## Circuit by circuit

Own task: with a 95% interval over facts. Other tasks: mean over tasks, with a 95% interval over tasks. Clearly less:
other tasks whose interval lies below the own task's. Place: of the circuit among all by what its own task loses without
each; 1 is most.

| circuit | edges ablated | own task loses | other tasks lose | clearly less | place |
|---|---|---|---|---|---|
{rows}

## When this misleads

* Relations that share a mechanism, such as the forms of verbs, should lose with each other's circuits.
* Several hundred edges are ablated at once. A task may lose because the residual stream leaves the distribution that
  later layers know, not because its own mechanism is gone.
* A task that depends on few edges loses much without any circuit: compare within a column.
"""


TASKS = (
    SECOND
    + """
Made by `wheatstone selectivity` and `python benchmarks/selectivity.py RUN --tasks --write` on {model}, from circuits of
`wheatstone discover --task TASK` ({how}): at most {facts} held-out facts of each task, {cells:,} cells in {minutes:.1f}
minutes of processor time. Edges that more than {shared:.0%} of the circuits keep are not ablated ({spared} edges).

{lead}
{missing}
Rows are the circuits that are ablated, columns the tasks that lose, with a 95% interval over facts.

{table}

Circuit by circuit, as above:

| circuit | edges ablated | own task loses | other tasks lose | clearly less | place |
|---|---|---|---|---|---|
{rows}
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a matrix")
    parser.add_argument("--tasks", action="store_true", help="the matrix is of other tasks, not of relations")
    parser.add_argument("--write", action="store_true", help="write docs/results/selectivity.md")
    options = parser.parse_args()
    text, picture = part(options.run, TASKS if options.tasks else HEAD)
    print(text)
    if options.write:
        first, _, second = PAGE.read_text(encoding="utf-8").partition(SECOND)
        if options.tasks:
            PAGE.write_text(f"{first.rstrip()}\n\n{text}", encoding="utf-8")
        else:
            (DOCS / "images" / "selectivity.png").write_bytes(picture)
            PAGE.write_text(f"{text}\n{SECOND}{second}" if second else text, encoding="utf-8")


def part(run: Path, template: str) -> tuple[str, bytes]:
    """The part of the page that a matrix gives, and its map as PNG."""
    identity = read_json(run, "selectivity-settings.json")
    settings = SelectivitySettings(**identity["settings"])
    circuits = settings.circuits()
    parts = own_parts(circuits, settings.shared)
    names = [one.name for one in circuits if (run / "tasks" / one.name).is_dir()]
    cells = matrix_of([read_json(run / "tasks" / name, "result.json") for name in names])
    found = summary_of(cells, {one.name: (len(one.circuit), len(parts[one.name])) for one in circuits})
    seconds = sum(shard_cost(run / "tasks" / name)["processor_seconds"] for name in names)
    spared = {edge for one in circuits for edge in one.circuit} - {edge for part in parts.values() for edge in part}
    left = [one.name for one in circuits if one.name not in names]
    text = template.format(
        model=shown_name(identity["model"]),
        how=_how(settings, [one.name for one in circuits]),
        circuits=len(circuits),
        tasks=len(names),
        facts=settings.facts,
        cells=len(cells),
        minutes=seconds / 60,
        second=seconds / len(cells),
        thirty=900 * seconds / len(cells) / 60,
        shared=settings.shared,
        spared=len(spared),
        lead=" ".join(lead(found)),
        missing=f"\nTasks that are not measured yet: {', '.join(left)}.\n" if left else "",
        table=_table(cells, names),
        rows="\n".join(_row(row) for row in found["circuits"]),
    )
    rows = [dict(zip(Lost._fields, cell, strict=True)) for cell in cells]
    return text, png_of(Picture.of(matrix(Matrix(found, rows))).svg, scale=1)


def _how(settings: SelectivitySettings, names: Sequence[str]) -> str:
    """By which methods the circuits were found, and to what faithfulness; nothing for a study's."""
    found: dict[str, list[str]] = {}
    for run, name in zip(settings.runs, names, strict=False):
        about = Run.open(run).settings
        goal = "" if about["method"] == LEARNED else f" to a faithfulness of {about['faithfulness']}"
        found.setdefault(f"{about['method']}{goal}", []).append(name)
    return "; ".join(f"{how}: {', '.join(of)}" for how, of in found.items())


def _table(cells: Sequence[Lost], tasks: Sequence[str]) -> str:
    """A row for each circuit, a column for each task."""
    by_circuit: dict[str, list[str]] = {}
    for cell in cells:
        share = words_of(Estimate(cell.lost, cell.low, cell.high, cell.facts))
        by_circuit.setdefault(cell.circuit, []).append(f"**{share}**" if cell.circuit == cell.task else share)
    head = f"| without | {' | '.join(tasks)} |"
    return "\n".join([head, "|---" * (len(tasks) + 1) + "|", *(_line(*row) for row in by_circuit.items())])


def _line(circuit: str, shares: Sequence[str]) -> str:
    return f"| {circuit} | {' | '.join(shares)} |"


def _row(row: dict[str, Any]) -> str:
    measured = row["own"] is not None
    cells = (
        row["circuit"],
        f"{row['ablated']:,} of {row['edges']:,}",
        _share(row["own"]),
        _share(row["others"]),
        f"{row['clearly_less']} of {row['compared']}" if measured else "",
        str(row["place"]) if measured else "",
    )
    return f"| {' | '.join(cells)} |"


def _share(found: dict[str, Any] | None) -> str:
    return "" if found is None else words_of(Estimate(**found))


if __name__ == "__main__":
    main()
