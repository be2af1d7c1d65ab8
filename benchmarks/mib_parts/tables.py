"""docs/results/mib.md, of what was measured so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mib_parts.areas import FRACTIONS, areas

RESULTS = Path(__file__).parents[2] / "docs/results"
Row = dict[str, Any]
Rows = Sequence[Row]

INTRODUCTION = """\
# The field's scoreboard: MIB

Made by `python benchmarks/mib.py`, a section by each of its commands with `--write`. The circuit track of MIB
(Mueller et al. 2025, arXiv 2504.13151) ranks methods by two areas over the share of edges that a circuit keeps, from
0.001 to 1: under the faithfulness (CPR, higher is better; edges chosen by score) and between it and 1 (CMD, lower is
better; edges chosen by |score|). MIB's models (GPT-2, Qwen2.5-0.5B, Gemma-2-2B, Llama-3.1-8B), InterpBench and its data
sets could not be had here, so that **nothing below is comparable with its leaderboard**: it says that the numbers are
computed as MIB does, and what they are on what is here.

## To submit

```
python benchmarks/mib.py submission --model gpt2 --task ioi-train.jsonl --method eap-ig --out submission/ioi_gpt2
python benchmarks/mib.py evaluate submission/ioi_gpt2 --model gpt2 --task ioi-validation.jsonl
```

The task is a file with the rows of MIB's data set, as `datasets` writes them (`to_json` or `to_parquet`); rows are left
out as MIB leaves them out, and so are a few that MIB keeps: pairs of unequal length or with equal answers. MIB wants
scores for at least two models and two tasks, a folder each (`ioi_gpt2`, `arc-easy_llama3`), in a repository on the
Hugging Face Hub. `--tensors` writes `importances.pt`, which is smaller. Gemma 2's norm after attention has not been
checked against MIB's code.
"""


def of_check(rows: Rows) -> str:
    """The section on agreement."""
    lines = [
        "## Is it MIB's evaluation?",
        "",
        "Largest differences between ours and MIB's own code (commit b48d9ba, with EAP-IG at 795f560) on random models "
        "of 3 layers and 4 heads (4 prompts, float32): `evaluate_area_under_curve` by score and by |score|, over the "
        "share of edges and its logarithm, and `evaluate_area_under_roc` against edges drawn at random. Wheatstone "
        "wrote the files, and MIB read them. `drawn` scores are random; what MIB makes of them is in the tests.",
        "",
        "| model | scores, file | edges | faithfulness | CPR | CMD | edges after pruning | ROC rates |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['model']} | `{row['method']}`, .{row['file']} | {row['edges']:,} | {row['faithfulness']:.0e} "
        f"| {row['cpr']:.0e} | {row['cmd']:.0e} | {row['edges after pruning']:.0f} | {row['rates']:.1g} |"
        for row in rows
    ]
    return "\n".join([*lines, ""])


def of_programs(rows: Rows) -> str:
    """The section on known circuits: a row a method, a column a program."""
    programs = list(dict.fromkeys(row["program"] for row in rows))
    found = {(row["program"], row["method"]): row for row in rows}
    lines = [
        "## AUROC on known circuits",
        "",
        "As MIB on InterpBench, here on the [compiled programs](ground-truth.md): circuits grown from the logits by "
        "|score| at MIB's shares, pruned, and the area under the ROC curve through these points and (0, 0). In "
        "brackets: over all thresholds, ties counting half, as on that page. With 8 to 77 edges, MIB's shares are "
        "a few circuits only, and edges of equal score come in order of computation. Methods that draw: one seed.",
        "",
        f"| method | {' | '.join(programs)} | mean |",
        f"|---|{'---|' * (len(programs) + 1)}",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = [found[program, method] for program in programs]
        mean = {key: sum(cell[key] for cell in cells) / len(cells) for key in ("auroc", "all")}
        shown = (f"{cell['auroc']:.2f} ({cell['all']:.2f})" for cell in (*cells, mean))
        lines.append(f"| `{method}` | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def of_evaluations(rows: Rows) -> str:
    """The section on submissions."""
    lines = [
        "## CPR and CMD of submissions",
        "",
        "| submission | model, task, split | prompts | edges | CPR | CMD | CPR, log | CMD, log |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        by, size = (row["curves"][name]["faithfulness"] for name in ("score", "size"))
        numbers = (areas(by).cpr, areas(size).cmd, areas(by, log=True).cpr, areas(size, log=True).cmd)
        lines.append(
            f"| {row['file']} | {row['model']}, {row['task']}, {row['split']} | {row['prompts']} | {row['edges']:,} | "
            + " | ".join(f"{number:.3f}" for number in numbers)
            + " |"
        )
    lines += ["", "Faithfulness at each share of the edges:", ""]
    lines += [f"| submission | edges by | {' | '.join(f'{share:g}' for share in FRACTIONS)} |"]
    lines += [f"|---|---|{'---|' * len(FRACTIONS)}"]
    for row in rows:
        for name, words in (("score", "score"), ("size", "size of the score")):
            values = " | ".join(f"{value:.2f}" for value in row["curves"][name]["faithfulness"])
            lines.append(f"| {row['file']} | {words} | {values} |")
    return "\n".join([*lines, "", LOG])


LOG = """\
An example of the commands, not a result: few prompts and no interval. CPR above 1 means circuits that give the answer
more than the model does, for want of the edges against it. *Log*: over the logarithm of the share, as MIB's command
`run_evaluation.py` computes it; the leaderboard's are over the share. The model itself has CPR 0.999 and, by logarithm,
6.908; CMD 0.
"""


SECTIONS: dict[str, Callable[[Rows], str]] = {"check": of_check, "auroc": of_programs, "evaluate": of_evaluations}


def write(what: str, rows: Rows) -> None:
    """Puts rows in place of earlier ones of the same command (of the same submission), and writes the page."""
    path = RESULTS / "mib.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    keys = ("model", "task", "split", "file")
    new = {tuple(row.get(key) for key in keys) for row in rows}
    kept = [
        row
        for row in map(json.loads, lines)
        if row["what"] != what or (what == "evaluate" and tuple(row.get(key) for key in keys) not in new)
    ]
    everything = [*kept, *rows]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in everything), encoding="utf-8")
    parts = [
        made([row for row in everything if row["what"] == name])
        + f"\nMeasured {max(row['date'] for row in everything if row['what'] == name)}, torch "
        f"{everything[-1]['torch']}, on a CPU.\n"
        for name, made in SECTIONS.items()
        if any(row["what"] == name for row in everything)
    ]
    (RESULTS / "mib.md").write_text("\n".join([INTRODUCTION, *parts]), encoding="utf-8")
