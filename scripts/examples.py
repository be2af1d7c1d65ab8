"""Makes the example runs that the studio shows before anyone has made one: `python scripts/examples.py [NAME …]`.

`--card` makes their cards again and leaves the rest as it is.

Each is a real discovery on SmolLM2-135M, verified, explained and judged by the commands that anyone would use, or a
verified graph of one prompt; the commands are below. What can be drawn again from the rest is left out, and scores are
rounded, so that an example is small.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wheatstone.runs import write_hashes

EXAMPLES = Path(__file__).parents[1] / "src/wheatstone/studio/examples"
COMMAND = [sys.executable, "-c", "from wheatstone.cli import main; main()"]
FRANCE = [
    *("--prompt", "The official language of France is", "--counterfactual", "The official language of Japan is"),
    *("--answer", " French", "--distractor", " Japanese"),
]
DISCOVER = {
    "a-fact": FRANCE,
    "a-fact-by-token": [*FRANCE, "--positions", "each", "--method", "re-ranked"],
    "a-relation": ["--task", "facts/country_capital"],
    "indirect-object": ["--task", "ioi"],
    "a-or-an": ["--task", "a-an"],
}
PEAR = "I climbed up the pear tree and picked a pear. I climbed up the"
GRAPHS = {
    "a-fact-in-neurons": [
        *FRANCE,
        *("--counterfactual", "The official language of Spain is"),
        *("--counterfactual", "The official language of Italy is"),
    ],
    "indirect-object-in-neurons": [
        *("--prompt", "When Mary and John went to the store, John gave a drink to", "--answer", " Mary"),
        *("--counterfactual", "When Mary and John went to the store, Mary gave a drink to", "--distractor", " John"),
        *("--counterfactual", "When Mary and John went to the store, Anna gave a drink to"),
    ],
    "a-or-an-in-neurons": [
        *("--prompt", f"{PEAR} apple tree and picked", "--counterfactual", f"{PEAR} lemon tree and picked"),
        *("--answer", " an", "--distractor", " a"),
    ],
    "greater-than-in-neurons": [
        *("--prompt", "The war lasted from the year 1732 to the year 17"),
        *("--counterfactual", "The war lasted from the year 1701 to the year 17"),
        *(word for digit in "456789" for word in ("--answer", digit)),
        *(word for digit in "012" for word in ("--distractor", digit)),
    ],
}
TITLES = {
    "a-fact-in-neurons": "A fact in neurons: France → French",
    "indirect-object-in-neurons": "The indirect object in neurons: Mary",
    "a-or-an-in-neurons": "A rule of grammar in neurons: an",
    "greater-than-in-neurons": "Greater than, in neurons",
    "a-fact": "A fact: France → French",
    "a-fact-by-token": "The same fact, token by token",
    "a-relation": "A relation: country → capital",
    "indirect-object": "A task: the indirect object",
    "a-or-an": "A rule of grammar: a or an",
}
SECTIONS = ("lens", "attribution", "attention", "vocabulary")
PROMPTS = 6
"""Prompts that are explained at most."""
DIGITS = 4
"""Decimal places of the numbers in tables; the circuit and its proof are left as they are."""


def make(name: str, *, card: bool = False) -> None:
    """Discovers, explains and trims one example, or judges the one that there is, and puts it in place whole."""
    with tempfile.TemporaryDirectory() as work:
        run = Path(work) / name
        if card:
            shutil.copytree(EXAMPLES / name, run)
            shutil.rmtree(run / "card", ignore_errors=True)
            subprocess.run([*COMMAND, "card", str(run)], check=True)
            trim_card(run)
        elif name in GRAPHS:
            subprocess.run([*COMMAND, "graph", "--verify", *GRAPHS[name], "--out", str(run)], check=True)
            shutil.rmtree(run / "figures")
            (run / "circuit-tracer.json").unlink()
        else:
            subprocess.run([*COMMAND, "discover", *DISCOVER[name], "--no-figures", "--out", str(run)], check=True)
            only = [word for section in SECTIONS for word in ("--only", section)]
            subprocess.run([*COMMAND, "explain", str(run), *only, "--most", str(PROMPTS)], check=True)
            subprocess.run([*COMMAND, "card", str(run)], check=True)
            trim_card(run)
        trim(run, TITLES[name])
        shutil.rmtree(EXAMPLES / name, ignore_errors=True)
        shutil.copytree(run, EXAMPLES / name)
        subprocess.run([*COMMAND, "runs", "delete", str(run)], check=True)
    size = sum(path.stat().st_size for path in (EXAMPLES / name).rglob("*") if path.is_file())
    print(f"{name}: {size / 1000:.0f} kB")


def trim_card(run: Path) -> None:
    """Leaves out the scores of single prompts, which the card can make again, and edges that no sample keeps."""
    (run / "card" / "prompt_scores.parquet").unlink()
    edges = run / "card" / "edges.parquet"
    if edges.is_file():
        table = pq.read_table(edges)
        pq.write_table(table.filter(pc.field("circuit") | (pc.field("inclusion") > 0)), edges)
    else:  # a single prompt gives no samples
        edges.parent.rmdir()


def trim(run: Path, title: str) -> None:
    """Leaves out pictures and rounds what the tables hold; the manifest says so."""
    for picture in (*run.glob("*.html"), *run.glob("explain/*.svg"), *run.glob("explain/*.png")):
        picture.unlink()
    for path in run.rglob("*.parquet"):
        table = pq.read_table(path)
        for at, column in enumerate(table.schema):
            if pa.types.is_floating(column.type):
                table = table.set_column(at, column, pc.round(table[column.name], DIGITS))
        if path.name == "edges.parquet" and "score" in table.column_names:
            table = table.filter(pc.field("score") != 0)  # the circuit's file has the number of all edges
        pq.write_table(table, path, compression="zstd", compression_level=19)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["title"] = title
    without = "; scores of 0 are not there" if (run / "circuit.json").is_file() else ""
    note = f"numbers in its tables are rounded to {DIGITS} decimals{without}"
    manifest["notes"] = [*(other for other in manifest["notes"] if other != note), note]
    (run / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    write_hashes(run)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes the studio's example runs and puts them in place.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(TITLES)}; all by default")
    parser.add_argument("--card", action="store_true", help="their cards alone")
    options = parser.parse_args()
    names = options.names
    if unknown := set(names) - set(TITLES):
        parser.error(f"no such example: {', '.join(sorted(unknown))}")
    if options.card and (without := set(names) - set(DISCOVER)):
        parser.error(f"graphs have no card: {', '.join(sorted(without))}")
    for asked in names or (DISCOVER if options.card else TITLES):
        make(asked, card=options.card)
