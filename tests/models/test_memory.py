from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from tolerance import rounding
from torch import Tensor

from wheatstone import ComputationError
from wheatstone.models import CircuitState, MemoryWarning, ResidualModel, Tokens, memory_budget, memory_room
from wheatstone.models import _memory as memory
from wheatstone.models._memory import circuit_bytes, run_in_pieces


def random_circuits(model: ResidualModel, count: int) -> Tensor:
    valid = torch.from_numpy(model.graph.valid)
    draw = torch.Generator().manual_seed(0)
    return valid & (torch.rand(count, *valid.shape, generator=draw) < 0.7)


@pytest.fixture
def prompts(tiny64: ResidualModel) -> tuple[Tokens, Tensor]:
    """Five prompts of several lengths, and what every node writes on five others."""
    clean = Tokens.of([[1, 2, 3], [4, 5, 6, 7], [8], [9, 10, 11, 12], [13, 14]])
    other = Tokens(clean.ids + 20, clean.lengths)
    nodes = tiny64.forward(other, cache=True).nodes
    assert nodes is not None
    return clean, nodes


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 2.5, 7.0, 1e6])
@pytest.mark.parametrize("resumed", [False, True])
def test_pieces_of_any_size_give_the_same_logits(
    share: float, resumed: bool, tiny64: ResidualModel, prompts: tuple[Tokens, Tensor]
) -> None:
    tokens, ablated = prompts
    keep = random_circuits(tiny64, 4)
    state = tiny64.forward_circuit(tokens, ablated, keep.any(0)[None]).state if resumed else None
    expected = tiny64.forward_circuit(tokens, ablated, keep, resume=state).logits
    each, mask = circuit_bytes(tiny64, tokens, len(tiny64.graph.nodes))
    found = tiny64.circuit_logits(tokens, ablated, keep, resume=state, budget=int(mask + share * each))
    rounding(tiny64).check(found, expected)


def test_a_piece_is_as_large_as_the_budget_and_no_larger(tiny64: ResidualModel, prompts: tuple[Tokens, Tensor]) -> None:
    tokens, ablated = prompts
    seen: list[tuple[int, int]] = []

    def run(tokens: Tokens, _ablated: object, keep: Tensor, _state: CircuitState | None) -> Tensor:
        seen.append((len(keep), tokens.batch))
        return torch.zeros(len(keep), tokens.batch, 3)

    keep = torch.from_numpy(tiny64.graph.valid).repeat(7, 1, 1)
    each, mask = circuit_bytes(tiny64, tokens, len(tiny64.graph.nodes))
    run_in_pieces(tiny64, run, tokens, ablated, keep, None, 3 * (5 * each + mask))
    run_in_pieces(tiny64, run, tokens, ablated, keep[:1], None, 2 * each + mask)
    assert seen == [(3, 5), (3, 5), (1, 5), (1, 2), (1, 2), (1, 1)]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out"), RuntimeError("DefaultCPUAllocator: can't allocate")])
def test_out_of_memory_halves_the_rest_and_says_so(
    error: RuntimeError, tiny64: ResidualModel, prompts: tuple[Tokens, Tensor]
) -> None:
    tokens, ablated = prompts
    keep = random_circuits(tiny64, 3)
    most = 2

    def run(tokens: Tokens, ablated: Any, keep: Tensor, state: CircuitState | None) -> Tensor:
        if len(keep) * tokens.batch > most:
            raise error
        return tiny64.forward_circuit(tokens, ablated, keep, resume=state).logits

    with pytest.warns(MemoryWarning, match="going on with half as many") as said:
        found = run_in_pieces(tiny64, run, tokens, ablated, keep, None, 1 << 30)
    assert str(said[0].message).startswith("out of memory with 3 circuits x 5 prompts at once")
    assert len(said) == 4
    rounding(tiny64).check(found, tiny64.forward_circuit(tokens, ablated, keep).logits)
    most = 0
    with pytest.warns(MemoryWarning), pytest.raises(ComputationError, match="one circuit on one prompt"):
        run_in_pieces(tiny64, run, tokens, ablated, keep, None, 1 << 30)


def test_another_error_is_not_taken_for_want_of_memory(tiny64: ResidualModel, prompts: tuple[Tokens, Tensor]) -> None:
    def run(*_: object) -> Tensor:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        run_in_pieces(tiny64, run, *prompts, random_circuits(tiny64, 2), None, 1 << 30)


def test_the_room_is_the_largest_power_of_two_in_a_third_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3000))
    assert memory_room(torch.device("cpu")) == 512
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert memory_room(torch.device("cpu")) == 128
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_room(torch.device("cpu")) == 512
    for free, budget in ((3 * 512, 512), (3 * 512 - 1, 256), (3, 1), (2, 0), (0, 0)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=free))
        assert memory_room(torch.device("cpu")) == budget


def test_the_budget_is_stated_and_smaller_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    plenty, short = (1 << 40, 1 << 29, 1 << 33), (3 << 20, 1 << 20, 1 << 20)
    for free, cpu, accelerator in (plenty, (3 << 30, 1 << 29, 1 << 30), short):
        monkeypatch.setattr(memory, "free_memory", lambda _device, free=free: free)
        assert memory_budget(torch.device("cpu")) == cpu
        assert memory_budget(torch.device("cuda")) == accelerator


_MEASURE = """
import re, sys, torch
from pathlib import Path
import wheatstone as ws
from wheatstone.models import Tokens
from wheatstone.models._memory import circuit_bytes

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

model = ws.load_model("smollm2-135m")
for circuits, batch, width in ((8, 2, 6), (16, 4, 6), (2, 4, 24)):
    ids = torch.arange(batch * width).view(batch, width) * 17 + 100
    tokens = Tokens(ids, torch.full((batch,), width))
    ablated = model.forward(Tokens(ids + 5000, tokens.lengths), cache=True).nodes
    valid = torch.from_numpy(model.graph.valid)
    keep = valid & (torch.rand(circuits, *valid.shape) < 0.5)
    each, mask = circuit_bytes(model, tokens, len(model.graph.nodes))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = kilobytes("VmRSS")
    model.forward_circuit(tokens, ablated, keep)
    print((kilobytes("VmHWM") - before) * 1024 / (circuits * (batch * each + mask)))
"""


@pytest.mark.real_weights
@pytest.mark.needs("peak")
def test_the_estimate_is_the_peak_that_is_measured(smollm2: ResidualModel) -> None:
    measured = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True, timeout=120)
    ratios = [float(line) for line in re.findall(r"^[\d.]+$", measured.stdout, re.MULTILINE)]
    assert len(ratios) == 3
    assert all(0.4 < ratio < 1.05 for ratio in ratios), ratios
