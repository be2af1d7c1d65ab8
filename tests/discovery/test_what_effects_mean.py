"""Effects and scores are of what they say: the unit that was removed, the goal that was lost, the side they support."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import Circuit, Experiment
from wheatstone._effects import direction_of, effect_words, score_words, support_of, unit_name
from wheatstone.circuits import to_graphml
from wheatstone.cli._discovered import document
from wheatstone.discovery import DiscoverySettings, discover_in, path_patching
from wheatstone.figures import RunData, report_html
from wheatstone.figures._registry import figure_svg
from wheatstone.figures._words import percent
from wheatstone.models import ResidualModel
from wheatstone.runs import Run, new_run
from wheatstone.studies import run_discovery
from wheatstone.studio._tables import edge_columns


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64, layers=2)


def experiment_of(model: ResidualModel, metric: str = "logit_diff") -> Experiment:
    return Experiment(model, explainable_pairs(model, [("w1 w2 w3", "w1 w9 w3")]), metric=metric)


@pytest.mark.parametrize("granularity", ["heads", "groups"])
@pytest.mark.parametrize("goal", ["sufficient", "complete"])
def test_an_effect_is_the_drop_without_all_edges_of_its_unit(
    model: ResidualModel, granularity: str, goal: str, tmp_path: Path
) -> None:
    experiment = experiment_of(model)
    settings = DiscoverySettings(faithfulness=0.8, granularity=granularity, goal=goal)
    circuit = discover_in(experiment, settings, curve=False).circuit
    assert circuit.units is not None
    assert circuit.effects is not None
    keep, valid = circuit.mask(), torch.from_numpy(experiment.graph.valid)

    def reached(mask: torch.Tensor) -> float:
        """Faithfulness of the circuit; with the goal complete, what is lost without it."""
        if goal == "sufficient":
            return experiment.faithfulness(mask[None])[0]
        return 1 - experiment.faithfulness((valid & ~mask)[None])[0]

    whole = reached(keep)
    for unit in set(circuit.units):
        of_unit = [edge for edge, name in zip(circuit.edges, circuit.units, strict=True) if name == unit]
        without = keep.clone()
        for edge in of_unit:
            without[experiment.graph.edge(*edge)] = False
        effects = {circuit.effects[circuit.edges.index(edge)] for edge in of_unit}
        assert len(effects) == 1
        assert effects.pop() == pytest.approx(whole - reached(without), abs=1e-9)
    circuit.save(tmp_path / "circuit.json")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert (loaded.goal, loaded.granularity, loaded.units) == (goal, granularity, circuit.units)


@pytest.mark.parametrize("granularity", ["heads", "groups"])
def test_a_run_that_does_not_name_its_units_is_shown_by_unit(
    model: ResidualModel, granularity: str, tmp_path: Path
) -> None:
    """As older versions wrote it: the granularity is in the settings alone. The app adds up one effect a unit."""
    pairs = experiment_of(model).encoded.pairs
    run = tmp_path / "run"
    with new_run(run) as folder:
        run_discovery(model, pairs, DiscoverySettings(faithfulness=0.8, granularity=granularity)).save(folder)
    table, drawn = edge_columns(Run.open(run)), RunData.load(run).edges
    document = json.loads((run / "circuit.json").read_text())
    units = [edge.pop("unit") for edge in document["edges"]]
    assert len(set(units)) < len(units)
    del document["granularity"]
    (run / "circuit.json").write_text(json.dumps(document))
    assert edge_columns(Run.open(run)).equals(table)
    assert RunData.load(run).edges == drawn
    shown = {(row["sender"], row["receiver"]): row["removed_with"] for row in table.to_pylist() if row["circuit"]}
    assert [shown[edge["from"], edge["to"]] for edge in document["edges"]] == units


@pytest.mark.parametrize(
    ("granularity", "ends", "unit"),
    [
        ("heads", ("m3", "a5.h4<q>"), "m3->a5.g1"),
        ("heads", ("a2.h5", "a5.g1<v>"), "a2.h5->a5.g1"),
        ("groups", ("a2.h5@subject", "m4"), "a2.g1@subject->m4"),
        ("groups", ("input", "logits"), "input->logits"),
    ],
)
def test_units_by_name(granularity: str, ends: tuple[str, str], unit: str) -> None:
    assert unit_name(granularity, 3, *ends) == unit


def test_single_edges_are_written_as_before(model: ResidualModel) -> None:
    circuit = discover_in(experiment_of(model), DiscoverySettings(faithfulness=0.8), curve=False).circuit
    assert circuit.units is None
    text = circuit.to_json()
    assert '"unit"' not in text
    assert '"goal"' not in text
    assert '"granularity"' not in text


@pytest.mark.parametrize("metric", ["logit_diff", "kl"])
def test_what_supports_is_called_so_under_every_metric(model: ResidualModel, metric: str) -> None:
    """A score is minus the first-order change of the metric when its edge is ablated: the sign of an exact ablation.

    Edges into `logits` are tested, where the stream is read by the final norm alone.
    """
    experiment = experiment_of(model, metric)
    circuit = discover_in(experiment, DiscoverySettings(method="eap-ig", faithfulness=0.8), curve=False).circuit
    assert circuit.scores is not None
    keep = torch.from_numpy(experiment.graph.valid)
    strongest = max(zip(circuit.edges, circuit.scores, strict=True), key=lambda row: abs(row[1]))
    edge, score = strongest
    without = keep.clone()
    without[experiment.graph.edge(*edge)] = False
    drop = 1 - experiment.faithfulness(without[None])[0]
    assert (support_of(metric, score, None) > 0) == (drop > 0)
    assert (score > 0) == (drop * direction_of(metric) > 0)
    edges = {
        (data.get("source"), data.get("target")): {value.get("key"): value.text for value in data}
        for data in ElementTree.fromstring(to_graphml(circuit)).iter("{http://graphml.graphdrawing.org/xmlns}edge")
    }
    written = edges[edge.sender, edge.receiver.split("<")[0]]
    assert written["supports"] == ("true" if drop > 0 else "false")


def test_a_path_that_supports_has_a_positive_effect_under_kl(model: ResidualModel) -> None:
    """Without what the last MLP writes to the logits the distribution moves away: KL grows by what the run says."""
    experiment = experiment_of(model, "kl")
    effects = path_patching(experiment, ["m1"], through="direct", logits=True)
    assert effects.logits is not None
    kl = experiment.values_of(effects.logits[0])
    assert float(kl.mean()) > 0
    torch.testing.assert_close(effects.values[0], kl, atol=1e-9, rtol=0)


def test_words_say_goal_unit_and_side() -> None:
    assert effect_words("sufficient", "channels") == "faithfulness lost without this edge alone"
    assert effect_words("complete", "channels") == "completeness lost without this edge alone"
    assert "q, k and v together" in effect_words("sufficient", "heads")
    assert (score_words("kl"), score_words("logit_diff")) == ("negative supports", "positive supports")
    assert support_of("kl", -0.4, None) == 0.4
    assert support_of("kl", -0.4, 0.1) == 0.1  # an effect is a share of faithfulness under every metric
    assert support_of("logit_diff", -0.4, None) == -0.4


def test_the_pictures_of_a_run_say_it(model: ResidualModel, tmp_path: Path) -> None:
    pairs = experiment_of(model).encoded.pairs
    kinds = {
        "complete": (DiscoverySettings(faithfulness=0.8, goal="complete"), "completeness lost without this edge alone"),
        "heads": (DiscoverySettings(faithfulness=0.8, granularity="heads"), "q, k and v together"),
    }
    for name, (settings, words) in kinds.items():
        with new_run(tmp_path / name) as folder:
            run_discovery(model, pairs, settings).save(folder)
        data = RunData.load(tmp_path / name)
        assert words in figure_svg(data, "circuit")
    assert "is left" in figure_svg(RunData.load(tmp_path / "complete"), "curve")
    with new_run(tmp_path / "kl") as folder:
        run_discovery(model, pairs, DiscoverySettings(faithfulness=0.8, method="eap", metric="kl")).save(folder)
    data = RunData.load(tmp_path / "kl")
    for edge in data.edges:
        assert edge.score is not None
        assert edge.weight == -edge.score


@pytest.mark.parametrize(("goal", "measured"), [("sufficient", "faithfulness"), ("complete", "completeness")])
def test_the_steps_of_a_search_name_what_they_measured(
    model: ResidualModel, tmp_path: Path, goal: str, measured: str
) -> None:
    """The last step's value is the circuit's faithfulness, or its completeness: 1 − faithfulness without its edges."""
    run = tmp_path / "run"
    found = run_discovery(model, experiment_of(model).encoded.pairs, DiscoverySettings(faithfulness=0.8, goal=goal))
    with new_run(run) as folder:
        found.save(folder)
    steps = pq.read_table(run / "trace.parquet")
    assert steps.column_names == ["stage", "edges", measured, "evaluations"]
    at_the_end = next(row for row in steps.to_pylist()[::-1] if row["edges"] == len(found.discovery.circuit))
    assert at_the_end[measured] == rounding(model).near(getattr(found.verification, measured))
    assert [step["reached"] for step in RunData.load(run).trace] == steps.column(measured).to_pylist()
    assert document(found)["measured"] == measured
    assert all(row["search"] == pytest.approx(1, abs=0.2) for row in document(found)["by_size"])

    # A run of an older version: one name under either goal.
    pq.write_table(steps.rename_columns(["stage", "edges", "faithfulness", "evaluations"]), run / "trace.parquet")
    assert [step["reached"] for step in RunData.load(run).trace] == steps.column(measured).to_pylist()
    page = report_html(run)
    assert f'<td class="n">{percent(at_the_end[measured])}</td>' in page
    assert f'<th scope="col" class="n">{measured}</th>' in page
