"""The report of a run of `wheatstone edit`: one page, and the trace as a picture where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from wheatstone.figures._edit_comparison import comparison_chart, comparison_part
from wheatstone.figures._edit_trace import trace_chart
from wheatstone.figures._page import PagePart, PagePicture, PageTable, made_of, page_of
from wheatstone.figures._report import Picture
from wheatstone.figures._view import Charts, View, itself
from wheatstone.figures._words import decimal, own_answer, probability, quoted, warnings_of
from wheatstone.runs import Run

_CAPTION = (
    "Dark cells are places where the clean run's state, put back into a run with a blurred subject, brings the answer "
    "back. The early one at the subject's last token is where rome and its kin write; the late one at the last token "
    "is where the answer already is."
)


def _charts(run: Run) -> Charts:
    summary = run.result
    charts: dict[str, Callable[[], Any]] = {}
    if "tracing" in run.tables:
        title = f"Where {quoted(summary['request']['subject'])} is recalled"
        charts["trace"] = partial(trace_chart, run.rows("tracing"), title)
    if summary["comparison"]:
        charts["comparison"] = partial(comparison_chart, run.rows("edit_lens"), summary["comparison"])
    return charts


def _page(run: Run, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    summary, manifest = run.result, run.manifest
    request = summary["request"]
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
    parts = [PagePart("What the model says", tables=(table,))]
    if summary["notes"]:
        parts.append(PagePart("How the edit was computed", tuple(summary["notes"])))
    if "trace" in drawn:
        parts.append(PagePart("Where the fact is recalled", pictures=(PagePicture("trace", drawn["trace"], _CAPTION),)))
    if summary["comparison"]:
        edges = run.rows("edit_edges") if "edit_edges" in run.tables else []
        leak = run.rows("edit_leak")
        parts.append(comparison_part(summary["comparison"], edges, leak, drawn.get("comparison")))
    weights = ", ".join(f"{name} {shape}" for name, shape in summary["weights"].items())
    details = {"method": summary["method"], "weights": weights}
    title = f"{request['prompt']} → {request['target']}"
    return page_of("edit", title, lead, parts, made_of(manifest, details), warnings_of(summary))


VIEW = View(itself, _charts, _page)
