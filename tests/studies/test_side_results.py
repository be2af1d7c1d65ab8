"""A side check or a side output that fails is left out with its reason. The result is kept, and the same as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tiny import explainable_pairs, make_tiny

from wheatstone import PromptError, RequestError
from wheatstone._side import ANSWER, ATTENTION, CURVE, CURVE_HELD_OUT, NOT_YET, PICTURES, SWAPPED, TEST, attempt
from wheatstone.circuits import Circuit
from wheatstone.cli._output import Output
from wheatstone.discovery import DiscoverySettings
from wheatstone.figures import _registry, render_all, render_figure, report_html
from wheatstone.models import ResidualModel
from wheatstone.runs import Run, catalogue_entries, damaged_files, draw, new_run
from wheatstone.runs._folder import read_json
from wheatstone.studies import _discovery, run_discovery, write_discovery
from wheatstone.tasks import PromptPair
from wheatstone.verification import verify_in

TASK = {"name": "words", "pairs": {}}
SETTINGS = DiscoverySettings(method="eap-ig", faithfulness=0.5)


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64, layers=2)


@pytest.fixture(scope="module")
def pairs(model: ResidualModel) -> list[PromptPair]:
    return explainable_pairs(model, [("w1 w2 w3", "w1 w9 w3")])


def saved(model: ResidualModel, pairs: list[PromptPair], out: Path, settings: DiscoverySettings = SETTINGS) -> Path:
    with new_run(out) as folder:
        run_discovery(model, pairs, settings).save(folder)
    return out


def test_the_mean_of_one_pair_leaves_nothing_to_swap(
    model: ResidualModel, pairs: list[PromptPair], tmp_path: Path
) -> None:
    """Swapped, the prompt is the counterfactual whose mean is carried: the model and the ablated model are one."""
    run = saved(model, pairs, tmp_path / "run", DiscoverySettings(method="eap-ig", faithfulness=0.5, ablation="mean"))
    assert read_json(run, "held_out.json") == []
    (name, reason), *others = Run.open(run).missing.items()
    assert (name, others) == (SWAPPED, [])
    assert "rounding apart, the same" in reason
    assert "\n" not in reason
    assert SWAPPED in report_html(run)
    assert "What could not be made" in report_html(run)


def broken(*_: object, **__: object) -> object:
    raise RuntimeError("a device\nis gone")


@pytest.mark.parametrize(
    ("module", "function", "name"),
    [
        (_discovery, "with_curve", CURVE),
        (_discovery, "answer_by_layer", ANSWER),
        (_discovery, "head_attention", ATTENTION),
    ],
)
def test_a_side_output_that_breaks(
    model: ResidualModel,
    pairs: list[PromptPair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    function: str,
    name: str,
) -> None:
    whole = saved(model, pairs, tmp_path / "whole")
    monkeypatch.setattr(module, function, broken)
    run = saved(model, pairs, tmp_path / "run")
    assert Run.open(run).missing[name] == "RuntimeError: a device is gone"
    assert (run / "circuit.json").read_bytes() == (whole / "circuit.json").read_bytes()
    assert read_json(run, "verification.json") == read_json(whole, "verification.json")
    assert damaged_files(run) == []
    render_all(run)
    page = (run / "report.html").read_text("utf-8")
    assert "RuntimeError: a device is gone" in page
    figure = {CURVE: "curve", ANSWER: "answer", ATTENTION: "attention"}[name]
    assert f'id="figure-{figure}"' not in page
    assert 'id="figure-circuit"' in page
    with pytest.raises(RequestError, match=f"a run with its {name}; got .*a device is gone"):
        render_figure(run, figure, tmp_path / "figure.svg")


class Ended(BaseException):
    """As Ctrl-C: not a failure of the side result."""


def ended(*_: object, **__: object) -> object:
    raise Ended


def one_after_the_other(*functions: Callable[..., object]) -> Callable[..., object]:
    """A function whose calls go to these in turn."""
    left = iter(functions)
    return lambda *given, **named: next(left)(*given, **named)


def test_work_that_is_stopped_in_a_side_result_keeps_the_circuit_and_what_was_made(
    own_home: Path, model: ResidualModel, pairs: list[PromptPair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at each side result in turn. The files that are there are those of a run that was not stopped."""

    def pictures(folder: Path) -> None:
        (folder / "picture.svg").write_text(f"{sorted(read_json(folder, 'manifest.json')['missing'])}")

    steps = {
        TEST: "verify_on",
        SWAPPED: "verify_in",
        CURVE_HELD_OUT: "curve_by_share",
        CURVE: "with_curve",
        ANSWER: "answer_by_layer",
        ATTENTION: "head_attention",
        PICTURES: "",
    }
    last = {PICTURES: pictures}
    whole = tmp_path / "whole"
    write_discovery(whole, model, pairs, SETTINGS, test=pairs, files={"task.json": TASK}, last=last)
    assert Run.open(whole).missing == {}
    assert [row["split"] for row in read_json(whole, "held_out.json")] == ["test", SWAPPED]
    for done, (name, function) in enumerate(steps.items()):
        run = tmp_path / f"run{done}"
        with monkeypatch.context() as patched:
            if name == SWAPPED:  # the first call is the proof, the second is on the swapped prompts
                patched.setattr(_discovery, "verify_in", one_after_the_other(verify_in, ended))
            elif function:
                patched.setattr(_discovery, function, ended)
            stopped = {PICTURES: ended} if name == PICTURES else last
            with pytest.raises(Ended):
                write_discovery(run, model, pairs, SETTINGS, test=pairs, files={"task.json": TASK}, last=stopped)
        assert Run.open(run).missing == dict.fromkeys(list(steps)[done:], NOT_YET)
        assert damaged_files(run) == []
        assert Circuit.load(run / "circuit.json").edges == Circuit.load(whole / "circuit.json").edges
        assert read_json(run, "verification.json") == read_json(whole, "verification.json")
        assert read_json(run, "task.json") == TASK
        assert (run / "by_share.json").exists() == (done > 2)
        for table in ("curve", "lens", "attention"):
            made = pq.read_table(run / f"{table}.parquet")
            assert made.num_rows in (0, pq.read_table(whole / f"{table}.parquet").num_rows)
        assert NOT_YET in report_html(run)
        assert str(run) in {entry.path for entry in catalogue_entries()}


def test_a_picture_that_breaks_costs_neither_run_nor_page(
    model: ResidualModel, pairs: list[PromptPair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_registry.FIGURES, "curve", broken)
    with new_run(tmp_path / "run") as folder:
        run_discovery(model, pairs, SETTINGS).save(folder)
        draw(folder, render_all)
    assert Run.open(tmp_path / "run").missing["figure curve"] == "RuntimeError: a device is gone"
    assert "figure curve" in (tmp_path / "run" / "report.html").read_text("utf-8")
    with new_run(tmp_path / "pageless") as folder:
        run_discovery(model, pairs, SETTINGS).save(folder)
        draw(folder, broken)
    assert PICTURES in Run.open(tmp_path / "pageless").missing
    assert damaged_files(tmp_path / "pageless") == []


def test_what_is_missing_is_said_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    Output("discover", as_json=False).missing({"size curve": "RuntimeError: gone", "page": "no room"})
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, SystemExit])
def test_only_failures_are_noted(stopped: type[BaseException]) -> None:
    def stop() -> None:
        raise stopped

    missing: dict[str, str] = {}
    with pytest.raises(stopped):
        attempt(missing, "curve", stop, None)
    assert missing == {}


def test_a_reason_is_one_line() -> None:
    def refuse() -> int:
        raise PromptError(expected="a prompt", got="two\nlines", do="write one")

    def say(error: Exception) -> Callable[[], int]:
        def make() -> int:
            raise error

        return make

    missing: dict[str, str] = {}
    assert attempt(missing, "a", refuse, 7) == 7
    assert attempt(missing, "b", say(ValueError("x" * 900)), 8) == 8
    assert attempt(missing, "c", lambda: 9, 0) == 9
    assert missing["a"] == "expected a prompt; got two lines; write one"
    assert len(missing["b"]) == 500
    assert set(missing) == {"a", "b"}
    json.dumps(missing)
