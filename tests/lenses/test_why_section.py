"""The section `why`: which heads it reads, that its rows are attention scores, and what the page says of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from materials import material_of
from tiny import explainable_pairs
from tolerance import rounding

from wheatstone import Experiment, attention_scores
from wheatstone._progress import silent
from wheatstone.figures._explained import StoredSection
from wheatstone.figures._load import RunData
from wheatstone.figures._parts import PARTS
from wheatstone.figures._report import Picture
from wheatstone.lenses import Explanation, LookRow, Material, PairRow, direct_effects
from wheatstone.runs import Run, Section, summary_json
from wheatstone.runs._tables import write_table
from wheatstone.studies import SECTIONS


@pytest.fixture(scope="module")
def found(material: Material) -> Explanation:
    """What the section finds on three prompts."""
    return SECTIONS["why"].read(material, silent)


def looks_of(found: Explanation) -> list[LookRow]:
    return [LookRow(*row) for row in found.tables["why_looks"].rows]


def told(folder: Path, found: Explanation, n: int) -> StoredSection:
    """As it comes back from a run's files."""
    for name, table in found.tables.items():
        write_table(table, folder / f"{name}.parquet")
    about = {
        "summary": summary_json(found.summary),
        "n": n,
        "tables": {name: len(table.rows) for name, table in found.tables.items()},
    }
    return StoredSection(
        RunData(Run(folder, {}), {}, {}), Section(folder, json.loads(json.dumps(about, allow_nan=False)))
    )


def test_rows_are_attention_scores_of_the_circuit_s_heads(material: Material, found: Explanation) -> None:
    experiment = material.experiment
    near = rounding(experiment.model).near
    looks, pairs = looks_of(found), [PairRow(*row) for row in found.tables["why_pairs"].rows]
    assert {row.head for row in looks} <= {edge.sender for edge in material.circuit.edges}
    assert len(looks) == material.n * len(found.summary.heads)
    row, pair = looks[1], experiment.encoded.pairs[1]
    score = attention_scores(experiment.model, pair.prompt, head=row.head, answer=pair.answers[0])
    removed = score.confirm(3, alone=False)[-1]
    assert (row.prompt, row.key, row.runner_up, row.token) == (1, score.key, score.runner_up, score.texts[score.key])
    assert (row.score, row.weight, row.predicted) == near((score.score, score.weight, removed.predicted))
    assert row.exact == near(removed.exact)
    assert row.moved == near(sum(term.value for term in score.moved))
    assert score.difference is not None
    strongest = [each for each in pairs if (each.prompt, each.head, each.of) == (1, row.head, "difference")]
    assert [each[4:6] for each in strongest] == [term[:2] for term in score.difference.top(6)]


def test_without_heads_in_the_circuit_all_are_candidates(material: Material) -> None:
    edges = tuple(edge for edge in material.circuit.edges if not edge.sender.startswith("a"))
    headless = dataclasses.replace(material.first(1), circuit=dataclasses.replace(material.circuit, edges=edges))
    strength, names = direct_effects(headless)[:-1].abs().mean(1), material.experiment.graph.nodes
    heads = sorted((at for at, name in enumerate(names) if name[0] == "a"), key=lambda at: -float(strength[at]))
    assert list(SECTIONS["why"].read(headless, silent).summary.heads) == [names[at] for at in heads[:4]]


def test_the_page_says_what_the_rows_are(found: Explanation, tmp_path: Path) -> None:
    section = told(tmp_path, found, 3)
    said = [claim.text for claim in PARTS["why"].claims(section)]
    head, first = next(iter(found.summary.heads.items()))
    assert said[0].startswith(f"{head} looks from the last token at “{first.token.strip()}” with ")
    assert f"the pair of what {first.pair[0]} writes into the query and {first.pair[1]} into the key" in said[0]
    assert f"(the strongest on {first.times} of 3 prompts, mean)" in said[0]
    assert any("removed from each score" in text for text in said)
    (exhibit,) = PARTS["why"].exhibits(section)
    assert Picture.of(exhibit.chart).svg.startswith("<svg")


def test_one_token_prompts_have_no_pairs_to_show(tiny_experiment: Experiment, tmp_path: Path) -> None:
    pairs = explainable_pairs(tiny_experiment.model, [("w1", "w9")])
    found = SECTIONS["why"].read(material_of(tiny_experiment.on(pairs)), silent)
    section = told(tmp_path, found, 1)
    assert {claim.table for claim in PARTS["why"].claims(section)} == {"why_looks"}
    assert PARTS["why"].exhibits(section) == []
