"""The report of a run of `wheatstone edit`: one page, and the trace as a picture where there is one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from wheatstone._parquet import read_parquet
from wheatstone._path import StrPath
from wheatstone.figures._edit_comparison import comparison_chart, comparison_part
from wheatstone.figures._edit_trace import trace_chart
from wheatstone.figures._page import PagePart, PagePicture, PageTable, page_of
from wheatstone.figures._report import Drawing
from wheatstone.figures._words import decimal, own_answer, probability, quoted, warnings_of
from wheatstone.models import shown_name
from wheatstone.runs import note_missing, read_json, read_manifest

_CAPTION = (
    "Dark cells are places where the clean run's state, put back into a run with a blurred subject, brings the answer "
    "back. The early one at the subject's last token is where rome and its kin write; the late one at the last token "
    "is where the answer already stands."
)


def render_edit(run: StrPath) -> list[Path]:
    """Writes `report.html`, and `figures/trace.svg` and `.png` where the prompt was traced, and likewise `comparison`.

    Returns:
        The files written.

    Raises:
        RunError: there is no run of `wheatstone edit`.
    """
    run = Path(run)
    manifest = read_manifest(run, "edit")
    summary = read_json(run, "summary.json")
    drawing = Drawing(run / "figures")
    pictures: tuple[PagePicture, ...] = ()
    request = summary["request"]
    if (run / "trace.parquet").is_file():
        title = f"Where {quoted(request['subject'])} is recalled"
        traced = read_parquet(run / "trace.parquet").to_pylist()
        if drawn := drawing.draw("trace", partial(trace_chart, traced, title)):
            pictures = (PagePicture("trace", drawn, _CAPTION),)
    answers = summary["answers"]
    first = answers[0]
    lead = [
        *own_answer(summary),
        f"After {quoted(request['prompt'], 100)} the model said {quoted(first['before'])}; with the edit it says "
        f"{quoted(first['after'])}. {quoted(request['target'])} went from rank {first['rank_before']:,} "
        f"({probability(first['target_before'])}) to rank {first['rank_after']:,} "
        f"({probability(first['target_after'])}).",
        f"Perplexity on held-out text is {decimal(summary['perplexity'], 3)} times what it was. The edit was undone: "
        "the weights' hash is the old one.",
    ]
    columns = ("prompt", "says before", "says after", "target's probability before", "after", "rank before", "after")
    table = PageTable(
        "Every prompt that was looked at, continued greedily.",
        tuple((name, at > 2) for at, name in enumerate(columns)),
        tuple(
            (
                row["prompt"],
                row["said_before"].strip(),
                row["said_after"].strip(),
                probability(row["target_before"]),
                probability(row["target_after"]),
                f"{row['rank_before']:,}",
                f"{row['rank_after']:,}",
            )
            for row in answers
        ),
    )
    parts = [PagePart("What the model says", tables=(table,)), PagePart("How it was made", tuple(summary["notes"]))]
    if pictures:
        parts.append(PagePart("Where the fact is recalled", pictures=pictures))
    if summary["comparison"]:
        there = ("lens", "leak", "edges") if summary["comparison"]["circuit"] else ("lens", "leak")
        rows = {name: read_parquet(run / f"edit_{name}.parquet").to_pylist() for name in there}
        drawn = drawing.draw("comparison", partial(comparison_chart, rows["lens"], summary["comparison"]))
        parts.append(comparison_part(summary["comparison"], rows.get("edges", []), rows["leak"], drawn))
    note_missing(run, drawing.missing)
    facts = {
        "method": summary["method"],
        "weights": ", ".join(f"{name} {shape}" for name, shape in summary["weights"].items()),
        "model": f"{shown_name(manifest['model'])}, weights {manifest['model']['sha256'][:12]}",
        "time": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in manifest["timings"].items()),
        "version": manifest["versions"]["wheatstone"],
    }
    title = f"{request['prompt']} → {request['target']}"
    page = run / "report.html"
    page.write_text(page_of("edit", title, lead, parts, list(facts.items()), warnings_of(summary)), encoding="utf-8")
    return [*drawing.written, page]
