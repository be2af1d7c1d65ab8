"""Tasks, errors and other prompts on the page: what is said of hand-made rows, and that every picture can be drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wheatstone.figures._explained import StoredSection
from wheatstone.figures._load import RunData
from wheatstone.figures._parts import PARTS
from wheatstone.figures._report import Picture
from wheatstone.mechanisms import (
    IOI_CLASSES,
    AskedFact,
    BegunFact,
    CompetitionSummary,
    DemonstrationsSummary,
    HopsSummary,
    InContextRow,
    IoiHead,
    IoiSummary,
    Kept,
    Mending,
    MlpToLogits,
    NeuronOfMlp,
    QuestionRow,
    Reappearance,
    RungStrength,
    Strength,
    Verdict,
    WrongFact,
    WrongSummary,
    WrongWriter,
    YearCell,
    YearForm,
    YearsSummary,
    YearSums,
)
from wheatstone.runs import Run, Section, Table, summary_json
from wheatstone.runs._tables import write_table

BETWEEN = (1.0, 0.5, 1.5)
HEAD = IoiHead(
    "a3.h1", "logits", 9, 2.0, 1.5, 2.5, 0.1, True, 0.2, "last", "IO", 0.7, 0.6, 0.8, 0.1, "name mover", 8, *BETWEEN
)
ODD = HEAD._replace(head="a4.h0", role="", site="S2")
FACTS = [
    WrongFact("Of a", "a", "Lima", " L", " P", " Po a", 0.4, 2, 2, 3, "a1.h0"),
    WrongFact("Of b", "b", "Lome", " L", " P", " Po b", 0.4, 2, 0, 3, "a1.h0"),
]

TRIED = [
    Mending(change, heads, 2, share, 0.0, 1.0, -0.1, -0.2, 0.0, 0.75, 1, 4)
    for change in ("right writers look", "right writers doubled", "wrong writers silent")
    for heads, share in (("a1.h0", 0.5 if change == "right writers doubled" else 0.0), ("random", 0.0))
]
WRITERS = [WrongWriter("a1.h0", 2, 0.3, -0.1, 0.7, 1.0)]
CONTEXT = [
    InContextRow(condition, 30, heads, 1, share, share - 0.1, share + 0.1, share, share)
    for condition, heads, share in (
        ("demonstrations", 0, 0.5),
        ("entering", 4, 0.2),
        ("random", 4, 0.5),
        ("most attended", 4, 0.3),
        ("no demonstrations", 0, 0.1),
    )
]
QUESTION = QuestionRow("Chad", "N'Djamena", " N", True, " the", False)
AGAIN = [
    Reappearance(part, "two-hop/a+b", 100, shared, 0.1, 0.05, 0.15, 20, 0.6, 0.5)
    for part, shared in (("facts/a", 0.5), ("facts/b", 0.4), ("ioi", 0.2))
]
CIRCUITS = [
    Strength(name, 6, 100, 40, 0.5, *BETWEEN, *BETWEEN, 2.0, *BETWEEN, 1.0, low, 1.5)
    for name, low in (("facts/a", 0.5), ("induction", -0.5))
]
RUNGS = [
    RungStrength(rung, name, 6, 0.2, 4, None, *BETWEEN, *BETWEEN)
    for rung in ("asked alone", "stated falsely once")
    for name in ("facts/a", "induction")
]
VERDICTS = [
    Verdict("push", "circuits", 6, 0.9, 0.8, 1.0, 0.6, 0.5),
    Verdict("push", "copies", 6, 0.5, 0.3, 0.7, 0.6, 0.1),
    Verdict("own_drop", "circuits", 6, 0.7, 0.5, 0.9, 0.6, None),
    Verdict("own_drop", "copies", 6, 0.8, 0.6, 1.0, 0.6, None),
]
KEPT = Kept(10, 100, 0.1, 0.6, 0.4, 0.8, 0.0, -0.1, 0.1, 5, 0.13, 0.01, 12, 11, True, 0.9)


MADE: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "ioi": (
        IoiSummary(
            n=9,
            held_n=8,
            clean=3.0,
            classes={role: (HEAD,) if role == "name mover" else () for role in IOI_CLASSES},
            unclassed=(ODD,),
            receivers={},
        ),
        {"ioi_heads": [HEAD, ODD]},
    ),
    "years": (
        YearsSummary(
            sums=YearSums(9, 1.0, 0.97, 0.94, 0.9, 0.96, 0.2, 0.1, 0.3),
            mlp=MlpToLogits("m3", 9, *BETWEEN, 0.1),
            kept=KEPT,
            metric="prob_diff",
            metric_value=0.52,
            n=40,
        ),
        {
            "greater_than_years": [YearCell(start, year, 1, 0.01) for start in (5, 7) for year in range(100)],
            "mlps_to_logits": [MlpToLogits("m3", 9, *BETWEEN, 0.1)],
            "neurons_of_mlp": [NeuronOfMlp("m3.n7", 9, *BETWEEN, 0.3)],
            "greater_than_forms": [
                YearForm("lasted", 9, *BETWEEN, -0.5, 0.9, 0.97, 0.9, 1.0, 0.2),
                YearForm("less-than", 9, *BETWEEN, 0.95, 0.9, None, None, None, None),
            ],
        },
    ),
    "wrong": (
        WrongSummary(
            asked=9,
            known=4,
            wrong=2,
            template="Of {subject}",
            led=1,
            overtaken_after=3,
            layers=3,
            verdicts={"right": 5, "wrong": 3, "begun": 1},
            named=(AskedFact("Malaysia", "ringgit", " Rupiah", "wrong"),),
            held_out=True,
            right_writers=("a1.h0",),
            writers=tuple(WRITERS),
            mendings=tuple(TRIED),
            begun=1,
        ),
        {
            "wrong_facts": FACTS,
            "wrong_writers": WRITERS,
            "mending": TRIED,
            "begun_facts": [BegunFact("Of c", " Ringgit", " Rupiah")],
            "asked_facts": [AskedFact("Malaysia", "ringgit", " Rupiah", "wrong")],
        },
    ),
    "demonstrations": (
        DemonstrationsSummary(
            task="icl-3/a",
            template="The a of {subject} is",
            named=(QUESTION,),
            found_on=6,
            edges=100,
            entering=(
                "a1.h0",
                "a2.h3",
            ),
            entering_count=2,
            most_attended=("a1.h0",),
            both=("a1.h0",),
            rows=tuple(CONTEXT),
        ),
        {"in_context": CONTEXT, "in_context_questions": [QUESTION]},
    ),
    "hops": (
        HopsSummary(
            edges=100,
            parts=(
                "facts/a",
                "facts/b",
            ),
            unrelated=("ioi",),
            kind="two-hop",
            prompts=6,
            faithfulness=0.75,
            held_n=12,
            held_faithfulness=0.4,
            rows=tuple(AGAIN),
        ),
        {"reappearance": AGAIN},
    ),
    "competition": (
        CompetitionSummary(
            edges=100,
            n=6,
            model=3.0,
            circuits=tuple(CIRCUITS),
            task="facts/a",
            ladder=tuple(RUNGS),
            verdicts=tuple(VERDICTS),
        ),
        {"competition": CIRCUITS, "competition_ladder": RUNGS, "competition_verdicts": VERDICTS},
    ),
}
SAID = {
    "ioi": [
        "Name mover heads look at the indirect object and write its name: a3.h1 (1.00, 95% 0.50 to 1.50). Logits on 8 "
        "prompts other than those that chose them.",
        "This model shows no negative name mover, no S-inhibition",
        "fit no class of the paper: a4.h0 (1.00, looks most at S2 with 70%).",
    ],
    "years": [
        "97% of the probability is on later years, both digits read (9 prompts); that of later years less that of the "
        "others is 0.94 (95% 0.90 to 0.96). The run's metric is another number: the probability difference of the "
        "first token alone, 0.52 on 40 prompts.",
        "Its 10 strongest neurons out of 100 alone keep 60% (95% 40% to 80%) of what that MLP does on 12 prompts (90% "
        "on the 11 that chose them); as many random ones keep 0%. Patching the MLP takes 13%",
        "on each form: “lasted” 97% (95% 90% to 100%).",
    ],
    "wrong": [
        "On 1 of 2 wrong facts the right answer is ahead of the wrong one after some layer; there the wrong one is "
        "ahead for good after 3 of 3 layers (median).",
        "None of them does so on the facts as a whole: no interval lies above 0.",
        "Malaysia, asked for by name: the model writes “Rupiah”, which is wrong (right is “ringgit”).",
        "Of 9 facts of this relation the model gets 5 right and 3 wrong; 1 it begins right and ends otherwise.",
        "50% (95% 0% to 100%) of 2 wrong facts that did not choose them come out right, with random heads 0%; 75% of 4 "
        "right facts stay right.",
        "after which the model writes “Rupiah”.",
    ],
    "demonstrations": [
        "With demonstrations 50% (95% 40% to 60%) of 30 questions are answered right, without 10%",
        "asked as “The a of {subject} is”",
        "Chad, asked for by name: with demonstrations the model begins “·N” (right), "
        "without the model begins “·the” (wrong); right is",
        "Without 4 heads of these 20% (95% 10% to 30%) are right; without as many random ones 50%",
    ],
    "hops": [
        "Of the edges of facts/a 50% reappear in two-hop/a+b, where chance gives 10% (95% of draws 5.0% to 15%)",
        "Of unrelated tasks' circuits reappear: ioi 20% of the edges.",
        "The circuit of the two-hop question keeps 40% of what the model does on 12 test questions (75% on the 6 "
        "prompts it was ranked on).",
    ],
    "competition": [
        "more on these prompts than the same edges between other heads: facts/a.",
        "Asked alone: the answer is ahead on 4 of 6 prompts, by 0.20 logits",
        "(alone) has its way on 90% (95% 80% to 100%) of 6 prompts; copies between other heads agree on 50%, always "
        "naming the more frequent winner on 60%. This supports",
        "has its way on 70% (95% 50% to 90%) of 6 prompts; copies between other heads agree on 80%, always naming the "
        "more frequent winner on 60%. This does not support",
    ],
}


def stored(folder: Path, summary: object, tables: Mapping[str, list[Any]]) -> StoredSection:
    """As it comes back from a run's files."""
    for name, rows in tables.items():
        write_table(Table.of(type(rows[0]), rows), folder / f"{name}.parquet")
    about = {
        "summary": summary_json(summary),
        "method": "",
        "n": 9,
        "tables": {name: len(rows) for name, rows in tables.items()},
    }
    return StoredSection(
        RunData(Run(folder, {}), {}, {}), Section(folder, json.loads(json.dumps(about, allow_nan=False)))
    )


@pytest.mark.parametrize("name", [*MADE])
def test_what_is_said_and_drawn(name: str, tmp_path: Path) -> None:
    section, part = stored(tmp_path, *MADE[name]), PARTS[name]
    claims = part.claims(section)
    said = " ".join(claim.text for claim in claims)
    for text in SAID[name]:
        assert text in said
    assert {claim.table for claim in claims} <= set(section.tables)
    assert any(claim.lead for claim in claims)
    exhibits = part.exhibits(section)
    assert exhibits
    for exhibit in exhibits:
        picture = Picture.of(exhibit.chart)
        assert picture.svg.startswith("<svg")
        assert picture.spec["description"]
        assert exhibit.caption


def test_no_head_has_a_class(tmp_path: Path) -> None:
    summary, tables = MADE["ioi"]
    none = stored(tmp_path, replace(summary, classes=dict.fromkeys(IOI_CLASSES, ()), unclassed=()), tables)
    assert PARTS["ioi"].exhibits(none) == []
    (claim,) = PARTS["ioi"].claims(none)
    assert "no name mover, no negative name mover" in claim.text


def test_a_reversed_relation_is_not_called_composed(tmp_path: Path) -> None:
    summary, _ = MADE["hops"]
    rows = [AGAIN[0]._replace(whole="reversed/a"), AGAIN[2]._replace(whole="reversed/a")]
    about = replace(summary, kind="reversed", parts=("facts/a",), rows=tuple(rows))
    section = stored(tmp_path, about, {"reappearance": rows})
    said = " ".join(claim.text for claim in PARTS["hops"].claims(section))
    (exhibit,) = PARTS["hops"].exhibits(section)
    page = f"{said} {exhibit.caption} {PARTS['hops'].title} {json.dumps(Picture.of(exhibit.chart).spec)}"
    assert "The circuit of the reversed question keeps 40%" in said
    assert "asked in reverse" in page
    for word in ("compos", "single hop"):
        assert word not in page


def test_runs_of_earlier_versions_still_have_their_sentences(tmp_path: Path) -> None:
    """Their numbers were not held out, and nothing is said that they do not have."""
    summary, tables = MADE["hops"]
    old = {
        name: value
        for name, value in summary_json(summary).items()
        if name not in ("kind", "held_n", "held_faithfulness")
    }
    said = " ".join(claim.text for claim in PARTS["hops"].claims(stored(tmp_path, old, tables)))
    assert "75% on the 6 prompts it was ranked on; test questions were not run" in said
    summary, tables = MADE["years"]
    new = summary_json(summary)
    kept = {name: new["kept"][name] for name in Kept._fields[:12]}
    old = {name: new[name] for name in ("sums", "mlp", "metric")} | {"kept": kept}
    said = " ".join(claim.text for claim in PARTS["years"].claims(stored(tmp_path, old, tables)))
    assert "alone keep 60% (95% 40% to 80%) of what that MLP does, the same that chose them" in said
