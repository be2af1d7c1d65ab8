"""An edit is data: applied to the very weights it was made for, undone to the very bits, stored and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_tiny
from tolerance import rounding

from wheatstone._errors import ComputationError, ModelError, RequestError, RunError
from wheatstone.editing import Dense, Edit, EditRequest, LowRank, load_edit, save_edit, weights_hash
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel

ONE_LAYER = make_tiny("llama", torch.float32, layers=1)
REQUEST = EditRequest(prompt="w1 w2 w3", subject="w2", target="w9")


@pytest.fixture(params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest) -> ResidualModel:
    """One of its own for every test: edits change it."""
    return make_tiny(request.param, torch.float32)


def some_edit(model: ResidualModel, *, layer: int = 1, scale: float = 1.0) -> Edit:
    where = down_projection(model, layer)
    draw = torch.Generator().manual_seed(layer)
    values = scale * torch.randn(where.weight.shape[0], 2, generator=draw)
    keys = torch.randn(where.weight.shape[1], 2, generator=draw)
    return Edit.of(model, "by hand", [REQUEST], {"layer": layer}, {where.name: where.write(values, keys)})


def test_what_is_added_is_the_product_of_values_and_keys(model: ResidualModel) -> None:
    where = down_projection(model, 0)
    values, keys = torch.zeros(16, 1), torch.zeros(24, 1)
    values[3], keys[5] = 2.0, 1.0
    before = where.weight.clone()
    with Edit.of(model, "by hand", [REQUEST], {}, {where.name: where.write(values, keys)}).applied(model):
        changed = where.weight - before
    assert changed[3, 5] == pytest.approx(2.0)
    assert changed.count_nonzero() == 1
    assert torch.equal(where.weight, before)


def test_the_edited_model_is_what_transformers_makes_of_the_edited_weights(model: ResidualModel) -> None:
    tokens = model.tokens(["w1 w2 w3", "w4 w5 w6"])
    plain = model.forward(tokens).logits
    with some_edit(model).applied(model):
        ours = model.forward(tokens, cache=True).logits
        rounding(model).check(ours, model.module(tokens.ids, use_cache=False).logits[:, -1])
        assert (ours - plain).abs().max() > 0.1
        whole = torch.from_numpy(model.graph.valid)[None]
        ablated = model.forward(model.tokens(["w7 w8 w9", "w1 w1 w1"]), cache=True).nodes
        assert ablated is not None
        rewired = model.forward_circuit(tokens, ablated, whole).logits[0]
        rounding(model).check(rewired, ours)
    assert torch.equal(model.forward(tokens).logits, plain)


def test_undone_to_the_very_bits_also_after_an_error_and_a_change_within(model: ResidualModel) -> None:
    before, edit = weights_hash(model), some_edit(model, scale=1e4)

    def interrupted() -> None:
        with edit.applied(model):
            assert weights_hash(model) != before
            down_projection(model, 1).weight.add_(1)  # as a training step within would
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert weights_hash(model) == before


def test_interrupted_while_it_is_put_in_place_nothing_of_it_stays(
    model: ResidualModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_edit: Edit) -> str:
        assert weights_hash(model) != before  # the weights are there already, their new hash is not
        raise KeyboardInterrupt

    model.sha256 = "a" * 64
    before, edit = weights_hash(model), some_edit(model)
    with monkeypatch.context() as patched:
        patched.setattr(Edit, "sha256", property(interrupted))
        with pytest.raises(KeyboardInterrupt):
            edit.apply(model)
    assert (weights_hash(model), model.sha256) == (before, "a" * 64)
    with edit.applied(model):
        assert weights_hash(model) != before


def test_edits_on_edits_are_undone_last_first(model: ResidualModel) -> None:
    before = weights_hash(model)
    first = some_edit(model).apply(model)
    second = some_edit(model, scale=3).apply(model)
    with pytest.raises(RequestError, match="undo the later"):
        first.undo()
    second.undo()
    second.undo()
    first.undo()
    assert weights_hash(model) == before


def test_an_edit_is_for_one_model_in_one_state(model: ResidualModel) -> None:
    edit = some_edit(model)
    with some_edit(model, scale=2).applied(model), pytest.raises(ModelError, match="as it was when"):
        edit.apply(model)
    with pytest.raises(ModelError, match="other weights"):
        edit.apply(make_tiny(model.family.name, torch.float64))
    other = make_tiny("gpt2" if model.family.name == "llama" else "llama", torch.float32)
    with pytest.raises(ModelError, match="without"):
        edit.apply(other)


def test_an_edited_model_does_not_pass_for_the_plain_one(model: ResidualModel) -> None:
    model.sha256 = "a" * 64
    edit = some_edit(model)
    with edit.applied(model):
        assert model.sha256 not in ("", "a" * 64)
        with pytest.raises(ModelError):
            edit.apply(model)
    assert model.sha256 == "a" * 64


def test_writing_into_the_kept_weights_is_noticed(model: ResidualModel) -> None:
    where = down_projection(model, 1)
    kept = where.weight.data
    applied = some_edit(model).apply(model)
    kept.add_(1)
    with pytest.raises(ComputationError, match="as it was before"):
        applied.undo()


def test_what_is_not_finite_is_no_edit(model: ResidualModel) -> None:
    with pytest.raises(ComputationError, match="finite"):
        some_edit(model, scale=float("nan"))


@settings(max_examples=10, deadline=None)
@given(rank=st.integers(0, 3), dense=st.booleans(), truth=st.text(max_size=5))
def test_stored_and_read_an_edit_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, rank: int, dense: bool, truth: str
) -> None:
    model, folder = ONE_LAYER, tmp_path_factory.mktemp("edit")
    where = down_projection(model, 0)
    low = LowRank(torch.randn(16, rank), torch.randn(24, rank))
    request = REQUEST.model_copy(update={"truth": truth})
    delta = Dense(low.change) if dense else low
    edit = Edit.of(model, "by hand", [request], {"rate": 0.5}, {where.name: delta}, keys={where.name: low.right})
    save_edit(edit, folder)
    again = load_edit(folder)
    assert again.sha256 == edit.sha256
    assert torch.equal(again.keys[where.name], low.right)
    with again.applied(model):
        pass


def test_a_damaged_or_foreign_edit_is_refused(model: ResidualModel, tmp_path: Path) -> None:
    save_edit(some_edit(model), tmp_path)
    stored = json.loads((tmp_path / "edit.json").read_text())
    for change in ({"format": "other/1"}, {"requests": [{"prompt": "a"}]}, {"before": {}}, {"extra": 1}):
        (tmp_path / "edit.json").write_text(json.dumps(stored | change))
        with pytest.raises(RunError):
            load_edit(tmp_path)
    (tmp_path / "edit.json").write_text(json.dumps(stored))
    tensors = tmp_path / "edit.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"oops")
    with pytest.raises(RunError, match="not the file"):
        load_edit(tmp_path)
    with pytest.raises(RunError, match="No such file"):
        load_edit(tmp_path / "none")


def test_a_request_names_its_subject() -> None:
    with pytest.raises(ValueError, match="not in the prompt"):
        EditRequest(prompt="w1 w2", subject="w3", target="w4")
    assert REQUEST.continuation == " w9"
    assert REQUEST.subject_at == (3, 5)
