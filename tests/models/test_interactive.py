"""The model called, patched, ablated, steered and left to write: hand-computed cases, and the engine's own answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pyarrow as pa
import pytest
import torch
from tolerance import rounding

from wheatstone import Add, Apply, KnockOut, Replace, RequestError, ResidualModel
from wheatstone.models import Tokens
from wheatstone.models._interventions import Positions

TEXT, OTHER, LONGER = "w3 w1 w4 w1 w5", "w9 w2 w6 w5 w3", "w7 w7 w9 w2 w6 w5 w3"


def test_a_call_is_the_forward_pass_at_every_position(tiny64: ResidualModel) -> None:
    run = tiny64(TEXT)
    expected = tiny64.forward(Tokens.of([[3, 1, 4, 1, 5]]), all_positions=True).logits
    assert torch.equal(run.logits, expected)
    assert run.residual.shape == (4, 1, 5, tiny64.d_model)
    stream = run["r2.post"][:, -1]
    rounding(tiny64).check(tiny64.unembed(stream), run.last())


def test_steering_by_v_is_adding_v_where_the_layer_has_written(tiny64: ResidualModel) -> None:
    vector = torch.linspace(-1, 1, tiny64.d_model, dtype=torch.float64)
    steered = tiny64.steer(TEXT, vector, "r0.post", scale=2.0, positions=1)
    plain = tiny64(TEXT)
    moved = steered["r0.post"] - plain["r0.post"]
    assert torch.equal(moved[:, [0, 2, 3, 4]], torch.zeros(1, 4, tiny64.d_model, dtype=torch.float64))
    rounding(tiny64).check(moved[0, 1], 2.0 * vector)
    mlp = tiny64(TEXT, interventions=[Add(at="m0", value=2.0 * vector, positions=(1,))])
    rounding(tiny64).check(steered.logits, mlp.logits)  # the MLP's write is the last thing before r0.post


def test_projecting_a_direction_out_leaves_none_of_it_and_all_else(tiny64: ResidualModel) -> None:
    direction = torch.linspace(-3, 2, tiny64.d_model, dtype=torch.float64)
    before, after = tiny64(TEXT)["r1.pre"], tiny64.ablate(TEXT, "r1.pre", direction=direction)["r1.pre"]
    unit = direction / direction.norm()
    rounding(tiny64).check(after @ unit, torch.zeros(1, 5, dtype=torch.float64))
    rounding(tiny64).check(before - after, (before @ unit)[..., None] * unit)
    first = torch.tensor([1] + [0] * (tiny64.d_model - 1))  # whole numbers are a direction too
    assert torch.equal(tiny64.ablate(TEXT, "r1.pre", direction=first)["r1.pre"][..., 0], torch.zeros(1, 5).double())


def test_ablating_a_head_is_the_engines_ablation_of_its_edges(tiny64: ResidualModel) -> None:
    """To what it writes on another prompt: a circuit without its edges carries the same."""
    tokens = tiny64.tokens(TEXT)
    written = tiny64(OTHER).nodes
    keep = torch.from_numpy(tiny64.graph.valid).clone()
    keep[:, tiny64.graph.node_index["a1.h2"]] = False
    expected = tiny64.forward_circuit(tokens, written, keep[None]).logits[0]
    rounding(tiny64).check(tiny64.patch(TEXT, OTHER, "a1.h2").last(), expected)
    zero = tiny64.forward_with(tokens, [KnockOut(at="a1.h2")], all_positions=True).logits
    assert torch.equal(tiny64.ablate(TEXT, "a1.h2").logits, zero)


def test_patching_z_is_patching_what_the_head_writes(tiny64: ResidualModel) -> None:
    by_z, by_write = (tiny64.patch(TEXT, OTHER, at, positions=-2) for at in ("a1.h2.z", "a1.h2"))
    rounding(tiny64).check(by_z.logits, by_write.logits)
    assert not torch.allclose(by_z.logits, tiny64(TEXT).logits)


def test_patching_the_whole_stream_gives_the_other_run(tiny64: ResidualModel) -> None:
    assert torch.equal(tiny64.patch(TEXT, OTHER, "r1.post").logits, tiny64(OTHER).logits)


def test_positions_count_from_the_end_of_both_where_lengths_differ(tiny64: ResidualModel) -> None:
    patched = tiny64.patch(TEXT, LONGER, "r2.post", positions=-1)
    rounding(tiny64).check(patched.last(), tiny64(LONGER).last())
    with pytest.raises(RequestError, match=r"same number of tokens; got \[5\] and \[7\] tokens; name the positions"):
        tiny64.patch(TEXT, LONGER, "r2.post")


def test_a_value_of_the_prompt_s_shape_holds_while_the_model_writes(tiny64: ResidualModel) -> None:
    """At positions of the prompt, with and without the keys and values of earlier steps."""
    for at in ("r1.post", "a1.h2.q", "m1.n3"):
        change = Replace(at=at, value=tiny64(OTHER)[at], positions=(0, -1))
        kept, rerun = (tiny64.generate(TEXT, new=4, interventions=[change], cache=cache) for cache in (True, False))
        assert kept.ids == rerun.ids, at


def test_positions_are_paired_in_the_order_in_which_they_are_given(tiny64: ResidualModel) -> None:
    """3 and -3 are 3 and 2 of the prompt's 5 tokens, and 3 and 4 of the source's 7."""
    patched, source = tiny64.patch(TEXT, LONGER, "r0.post", positions=(3, -3)), tiny64(LONGER)["r0.post"]
    assert torch.equal(patched["r0.post"][0, [3, 2]], source[0, [3, 4]])


@pytest.mark.parametrize("positions", [((0,), (1,)), [[0], [1]], [(0,), [1]]])
def test_lists_of_positions_are_used_like_tuples(tiny64: ResidualModel, positions: Positions) -> None:
    changed = tiny64.ablate([TEXT, OTHER], "m1", positions=positions)["m1"]
    assert (changed == 0).all(-1).tolist() == [[at == row for at in range(5)] for row in range(2)]


def test_positions_by_text(tiny64: ResidualModel) -> None:
    by_text, by_number = (tiny64.ablate(TEXT, "m1", positions=at) for at in ("w4", 2))
    assert torch.equal(by_text.logits, by_number.logits)
    with pytest.raises(RequestError, match="'w1', which is in it 2 times; give a longer text or positions as numbers"):
        tiny64.ablate(TEXT, "m1", positions="w1")


def test_interventions_compose_in_their_order(tiny64: ResidualModel) -> None:
    changes = [Replace(at="m1", value=torch.tensor(2.0)), Apply(at="m1", function=lambda x: x * 3)]
    ones = torch.ones(1, 5, tiny64.d_model, dtype=torch.float64)
    assert torch.equal(tiny64(TEXT, interventions=changes)["m1"], 6 * ones)
    assert torch.equal(tiny64(TEXT, interventions=changes[::-1])["m1"], 2 * ones)


def test_a_function_that_writes_into_what_it_is_given_acts_at_its_positions_alone(tiny64: ResidualModel) -> None:
    in_place = Apply(at="r1.pre", function=lambda x: x.zero_(), positions=(-1,))
    by_value = Replace(at="r1.pre", value=torch.tensor(0.0), positions=(-1,))
    assert torch.equal(tiny64(TEXT, interventions=[in_place]).logits, tiny64(TEXT, interventions=[by_value]).logits)


NAN = torch.full((16,), float("nan"))
REFUSED: list[tuple[Callable[[ResidualModel], object], str]] = [
    (lambda model: model.steer(TEXT, torch.tensor(1.0), "r1.pre"), r"one axis .* got a tensor of shape \[\]"),
    (lambda model: model.steer(TEXT, NAN, "r1.pre"), "finite numbers; got NaN"),
    (lambda model: model.steer(TEXT, torch.ones(31), "r1.pre"), "got r1.pre, which holds vectors of 16"),
    (lambda model: model.steer(TEXT, torch.ones(5), "m1.n3"), "got m1.n3, which holds single numbers"),
    (lambda model: model.ablate(TEXT, "r1.pre", direction=torch.zeros(16)), "a direction; got a vector of zeros"),
    (lambda model: model.ablate(TEXT, "r1.pre", value=float("nan")), "a finite value at r1.pre"),
    (lambda model: model.ablate(TEXT, "a1.h2", value=torch.ones(7)), r"broadcasts to \[1, 5, 16\], .* of shape \[7\]"),
    (lambda model: model.ablate(TEXT, "a1.h2", positions=5), "a position in prompt 0, which has 5 tokens; got 5"),
    (lambda model: model.ablate(TEXT, "m1", positions=cast(Any, ((1,), 2))), r"whole numbers.*; got \(1,\) among them"),
    (lambda model: model.patch([TEXT] * 3, [OTHER] * 2, "m1"), "one source, or one for each of 3 prompts; got 2"),
    (lambda model: model(TEXT, interventions=[Apply(at="m1", function=lambda _: None)]), "got NoneType; return"),
    (lambda model: model(TEXT).top(0), "a number of tokens from 1 to 40; got 0"),
    (lambda model: model.generate(TEXT, new=60), "new tokens from 1 to 27: .* got 60"),
]


@pytest.mark.parametrize(("run", "says"), REFUSED)
def test_bad_input_is_one_line(tiny64: ResidualModel, run: Callable[[ResidualModel], object], says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        run(tiny64)
    assert "\n" not in str(caught.value)


def test_more_than_memory_has_room_for_is_refused_first(tiny64: ResidualModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wheatstone.models._kept_memory.memory_room", lambda _device: 10_000)
    with pytest.raises(RequestError, match=r"GiB for 1 prompt of 5 tokens; give fewer"):
        tiny64(TEXT)
    assert tiny64(TEXT, cache=False).logits.shape == (1, 5, 40)


def test_a_run_at_a_prompt_fits_a_screen_and_other_tools_read_its_rows(tiny64: ResidualModel) -> None:
    run = tiny64([TEXT, "w1"])
    lines = repr(run).splitlines()
    assert lines[0] == f"ModelRun of {tiny64.id}: 2 prompts, 5 positions"
    assert len(lines) < 24
    assert max(map(len, lines)) <= 100
    top = run.top(3)
    table = pa.table(top)
    assert table.column("id").to_pylist() == [token for row in run.last().topk(3).indices.tolist() for token in row]
    assert table.num_rows == 6
    assert repr(top).splitlines()[0] == "most likely next tokens of 2 prompts"
    assert top._repr_html_().count("<tr>") == 7
    assert "tensor(" not in repr(run.tokens) + repr(tiny64.forward(TEXT, cache=True))
