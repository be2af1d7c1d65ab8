from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prompts import FRANCE

from wheatstone import Experiment, RequestError, ResidualModel
from wheatstone.cli import main
from wheatstone.discovery import DiscoverySettings
from wheatstone.models import outputs_numbers
from wheatstone.studies import _plan, expected_seconds, plan_discovery


def test_a_plan_counts_what_the_model_and_the_prompts_have(smollm2: ResidualModel) -> None:
    plan = plan_discovery(smollm2, [FRANCE, FRANCE], DiscoverySettings())
    assert (plan.nodes, plan.edges, plan.prompts, plan.tokens) == (301, smollm2.graph.edges, 2, 12)
    assert plan.weights == 4 * smollm2.module.num_parameters()
    plan.check()
    # What runs at once has a budget; only what is kept of both runs of all prompts grows with their number.
    many, more = (plan_discovery(smollm2, [FRANCE] * n, DiscoverySettings()).needed for n in (60, 120))
    assert plan.needed < many
    assert more - many == 2 * 60 * 6 * outputs_numbers(smollm2) * 4


def test_the_time_is_that_of_the_passes_that_are_known_and_of_a_search_begun(tiny_experiment: Experiment) -> None:
    learned = DiscoverySettings(method="learned")
    (little, much) = (expected_seconds(tiny_experiment, learned, validation=n, test=n) for n in (4, 4000))
    assert little is not None
    assert much is not None
    assert 0 < little < much / 10
    verified = expected_seconds(tiny_experiment, DiscoverySettings(faithfulness=0.8))
    assert verified is not None
    assert verified > 0
    assert expected_seconds(tiny_experiment, DiscoverySettings(method="acdc", threshold=0.1)) is None
    assert expected_seconds(tiny_experiment, DiscoverySettings(stable=2)) is None


def test_what_cannot_fit_is_refused_with_both_numbers(smollm2: ResidualModel) -> None:
    plan = dataclasses.replace(plan_discovery(smollm2, [FRANCE], DiscoverySettings()), free=10**6)
    with pytest.raises(RequestError, match=r"GB of memory beside the model for 1 prompt .*got 0\.001 GB free"):
        plan.check()


def options(model: Path | str, *more: str) -> list[str]:
    prompts = ["--prompt", "a b c", "--counterfactual", "a c c", "--answer", " b", "--distractor", " c"]
    return ["wheatstone", "discover", "--model", str(model), *prompts, "--allow-weak", *more]


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_dry_run_prints_and_writes_nothing(
    tiny_folder: Path,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    assert run(options(tiny_folder, "--dry-run", "--out", str(out), "--json"), monkeypatch) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert (document["nodes"], document["prompts"], document["tokens"], document["fits"]) == (7, 1, 3, True)
    assert "7 nodes" in shown.err
    assert not out.exists()
    assert not list(own_home.rglob("*.sqlite*"))
    assert run(options(tiny_folder, "--dry-run"), monkeypatch) == 0
    shown = capsys.readouterr().out
    assert re.search(r"memory +at most .* GB beside.*\ntime +about \S+ s on this machine, roughly", shown)


def test_a_discovery_that_cannot_fit_is_a_wrong_request(
    tiny_folder: Path,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(_plan, "free_memory", lambda device: 1000)
    assert run(options(tiny_folder, "--out", str(tmp_path / "run")), monkeypatch) == 2
    assert "go on at your own risk with --force-memory" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert run(options(tiny_folder, "--dry-run"), monkeypatch) == 2
    assert run(options(tiny_folder, "--dry-run", "--force-memory"), monkeypatch) == 0


def test_a_discovery_needs_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(options("smollm2-135m"), monkeypatch) == 2
    assert "no --out" in capsys.readouterr().err


_MEASURE = """
import ctypes
import gc
import re
from pathlib import Path
import wheatstone as ws
from wheatstone.circuits import Experiment
from wheatstone.discovery import attribute
from wheatstone.discovery import DiscoverySettings
from wheatstone.studies import plan_discovery

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

model = ws.load_model("smollm2-135m")
words = [("France", "French"), ("Germany", "German"), ("Italy", "Italian"), ("Spain", "Spanish")]
pairs = [
    ws.PromptPair(
        prompt=f"The official language of {country} is",
        counterfactual="The official language of Japan is",
        answers=(f" {language}",),
        distractors=(" Japanese",),
    )
    for country, language in words * 2
]
plan = plan_discovery(model, pairs, DiscoverySettings())
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # pages freed, but still held, would be used again and not be counted
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
experiment = Experiment(model, pairs)
top = attribute(experiment, steps=5).top([500 * n for n in range(1, 17)])
experiment.logits(top)
experiment.edge_gradients(top[-1])
print((kilobytes("VmHWM") - before) * 1024 / plan.needed)
"""


@pytest.mark.real_weights
@pytest.mark.needs("peak")
def test_the_memory_of_a_plan_is_a_bound_that_is_not_far(smollm2: ResidualModel) -> None:
    measured = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True, timeout=120)
    assert 0.3 < float(measured.stdout.split()[-1]) < 1.1, measured.stdout
