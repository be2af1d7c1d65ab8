"""The page of a matrix of circuits by tasks; of one that is not finished, with the tasks that are done.

    wheatstone study --relations all --out runs/relations
    wheatstone selectivity runs/relations --facts 8 --out runs/selectivity
    python benchmarks/selectivity.py runs/selectivity [--write]

Prints the page; `--write` puts it into docs/results/selectivity.md and the map into docs/images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wheatstone.cards import SelectivitySettings
from wheatstone.cards._selectivity_circuits import own_parts
from wheatstone.cards._selectivity_matrix import Lost, matrix_of, summary_of
from wheatstone.checkpoints import shown_name
from wheatstone.executors import shard_cost
from wheatstone.figures._render import png_of
from wheatstone.figures._report import Picture
from wheatstone.figures._selectivity import Matrix, lead, matrix
from wheatstone.runs import read_json
from wheatstone.verification import Estimate, words_of

DOCS = Path(__file__).parent.parent / "docs"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a matrix")
    parser.add_argument("--write", action="store_true", help="write docs/results/selectivity.md")
    options = parser.parse_args()
    text, picture = page(options.run)
    print(text)
    if options.write:
        (DOCS / "images" / "selectivity.png").write_bytes(picture)
        (DOCS / "results" / "selectivity.md").write_text(text, encoding="utf-8")


def page(run: Path) -> tuple[str, bytes]:
    """The page, and its map as PNG."""
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
    text = HEAD.format(
        model=shown_name(identity["model"]),
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
        rows="\n".join(_row(row) for row in found["circuits"]),
    )
    rows = [dict(zip(Lost._fields, cell, strict=True)) for cell in cells]
    return text, png_of(Picture.of(matrix(Matrix(found, rows))).svg, scale=1)


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
