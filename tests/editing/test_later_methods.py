"""NAS, UltraEdit and LocFT-BF: each does what its equation says, and makes the target likelier."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from small import news_asked, news_for, shared_model, small_model
from tolerance import Rounding

from wheatstone._errors import RequestError
from wheatstone.editing import Edit, EditRequest, load_edit, make_edit, save_edit
from wheatstone.editing._alphaedit import AlphaEdit
from wheatstone.editing._asked import asked, with_targets
from wheatstone.editing._contexts import in_contexts
from wheatstone.editing._edit import unedited
from wheatstone.editing._features import Moments, features_of
from wheatstone.editing._locft import LocFT, target_loss
from wheatstone.editing._norm_anchor import NormAnchor, anchored, output_at
from wheatstone.editing._ultraedit import UltraEdit
from wheatstone.editing._value import ValueSearch, search_value
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel

SEARCH = ValueSearch(clamp=50, decay=0.0, steps=25)
ANCHORED = NormAnchor(layers=2, unused=0.5, ridge=0.01, contexts=0, search=SEARCH, tokens=400)
FACTS = [("w1 w2 w3 w4", "w2 w3"), ("w7 w8 w9", "w8"), ("w11 w12 w13 w14", "w13"), ("w5 w6", "w6")]


def requests_for(model: ResidualModel) -> list[EditRequest]:
    return [news_for(model, prompt, subject) for prompt, subject in FACTS]


def loss_of(model: ResidualModel, requests: list[EditRequest]) -> float:
    where = down_projection(model, 1)
    rows = [asked(model, request) for request in requests]
    return float(target_loss(model, rows, where.name, model.module.get_parameter(where.name)))


def test_a_value_keeps_its_direction_and_takes_the_anchor_s_length() -> None:
    draw = torch.Generator().manual_seed(0)
    output, change = (torch.randn(16, generator=draw) for _ in range(2))
    value = output + anchored(output, change, 3.0)
    assert float(value.norm()) == pytest.approx(3.0)
    assert float(torch.cosine_similarity(value, output + change, dim=0)) == pytest.approx(1.0)
    assert torch.equal(anchored(output, -output, 3.0), -output)


def test_a_first_edit_of_nas_is_alphaedit_s() -> None:
    model = shared_model()
    plain = AlphaEdit(layers=2, unused=0.5, ridge=0.01, contexts=0, search=SEARCH, tokens=400)
    ours, theirs = (make_edit(model, news_for(model), editor, layer=1) for editor in (ANCHORED, plain))
    for name, delta in ours.deltas.items():
        assert torch.equal(delta.change, theirs.deltas[name].change)


def test_a_later_value_is_as_long_as_in_the_unedited_model() -> None:
    model = small_model()
    where = down_projection(model, 1)
    longer = Edit.of(
        model, "by hand", [], {}, {where.name: where.write(3 * where.weight.clone(), torch.eye(where.weight.shape[1]))}
    )
    request = news_asked(model)
    contexts = [in_contexts(model, request, 0)]
    with longer.applied(model):
        found = search_value(model, 1, contexts[0], SEARCH).change
        (settled,) = ANCHORED.settled(model, contexts, 1, [found], [longer])
        written = output_at(model, request, 1) + settled
        with unedited(model):
            anchor = (output_at(model, request, 1) + search_value(model, 1, contexts[0], SEARCH).change).norm()
        torch.testing.assert_close(written.norm(), anchor)
        assert (output_at(model, request, 1) + found).norm() > 1.5 * anchor
        edit = make_edit(model, request.request, ANCHORED, layer=1, before=[longer])
    assert edit.method == "nas"


def test_statistics_after_many_turns_are_those_of_all_rows_at_once() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = 5 + 3 * torch.randn(7, 30, generator=draw)
    at_once, turns = Moments.of(rows), Moments.of(rows[:, :4])
    for start, stop in ((4, 5), (5, 17), (17, 30)):
        turns += Moments.of(rows[:, start:stop])
    assert turns.count == at_once.count == 30
    torch.testing.assert_close(turns.mean, at_once.mean)
    torch.testing.assert_close(turns.squares, at_once.squares)
    wanted = (rows.double() - rows.double().mean(1, keepdim=True)) / rows.double().std(1, keepdim=True)
    torch.testing.assert_close(at_once.normalised(rows), wanted)
    assert torch.equal(Moments.of(rows[:, :1]).normalised(rows[:, :1]), torch.zeros(7, 1, dtype=torch.float64))


def test_ultraedit_s_change_is_the_ridge_regression_s() -> None:
    """Two rows of three neurons and two outputs, by hand: (Hᵀ H + λ I)⁻¹ Hᵀ V."""
    hidden = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    slopes = torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=torch.float64)
    columns = torch.cat((hidden, slopes), 1).T
    # Mean 0 and deviation 2 everywhere, so that a normalised row is half the row.
    moments = Moments(2, torch.zeros(5, dtype=torch.float64), torch.full((5,), 4.0, dtype=torch.float64))
    values, keys = UltraEdit(rate=0.1, ridge=0.5).solved(moments, columns, 3)
    wanted = torch.stack(
        [
            -0.1 * (1 + 0 + 4) / 4 * slopes[0] / 2,
            -0.1 * (0 + 1 + 1) / 4 * slopes[1] / 2,
        ]
    )
    direct = torch.linalg.inv(hidden.T @ hidden + 0.5 * torch.eye(3, dtype=torch.float64)) @ hidden.T @ wanted
    torch.testing.assert_close((values @ keys.T).T, direct)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_features_are_what_is_read_and_the_slope_by_what_is_written(kind: str) -> None:
    """The gradient of a weight is the sum over tokens of slope and what is read there."""
    model = small_model(kind)
    request = asked(model, EditRequest(prompt="w1 w2 w3 w4", subject="w2 w3", target="w30"))
    where = down_projection(model, 1)
    found = features_of(model, [where, down_projection(model, 0)], *with_targets(model, [request]))
    columns = found[where.name]
    assert columns.shape == (24 + 16, 1)
    parameter = model.module.get_parameter(where.name)
    whole = parameter.detach().clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(target_loss(model, [request], where.name, whole), [whole])
    # In the last layer but one other tokens count too; the last token's own part is what is compared in the last layer.
    last = down_projection(model, model.graph.layers - 1)
    columns = features_of(model, [last], *with_targets(model, [request]))[last.name]
    whole = model.module.get_parameter(last.name).detach().clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(target_loss(model, [request], last.name, whole), [whole])
    product = columns[24:] @ columns[:24].T
    upright = slope if last.upright else slope.T
    Rounding(40, torch.float32).check(product, upright, magnitude=float(upright.abs().max()))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_ultraedit_makes_facts_likelier_one_after_another(kind: str, tmp_path: Path) -> None:
    model = small_model(kind)
    requests = requests_for(model)
    edits: list[Edit] = []
    with ExitStack() as applied:
        for request in requests:
            was = loss_of(model, [request])
            edit = make_edit(model, request, UltraEdit(rate=3e-4), before=edits)
            applied.enter_context(edit.applied(model))
            assert loss_of(model, [request]) < was
            edits.append(edit)
    save_edit(edits[0], tmp_path)
    again = load_edit(tmp_path)
    assert again.features.keys() == edits[0].deltas.keys()
    for name, columns in edits[0].features.items():
        assert torch.equal(again.features[name], columns)
    name = next(iter(edits[-1].features))
    with_all = Moments.of(torch.cat([edit.features[name] for edit in edits], 1))
    turns = Moments.of(edits[0].features[name])
    for edit in edits[1:]:
        turns += Moments.of(edit.features[name])
    torch.testing.assert_close(turns.squares, with_all.squares)


def test_earlier_edits_change_ultraedit_s_statistics() -> None:
    model = small_model()
    one, two, *_ = requests_for(model)
    first = make_edit(model, one, UltraEdit())
    with first.applied(model):
        after, blind = (make_edit(model, two, UltraEdit(), before=before) for before in ([first], []))
    name = next(iter(after.deltas))
    assert not torch.equal(after.deltas[name].change, blind.deltas[name].change)
    assert torch.equal(after.features[name], blind.features[name])


def test_locft_trains_all_facts_in_batches() -> None:
    model = small_model()
    requests = requests_for(model)
    was = loss_of(model, requests)
    edit = make_edit(model, requests, LocFT(rate=0.02, batch=2, epochs=10), layer=1)
    assert "4 facts and 0 earlier, 10 epochs, 20 steps" in edit.notes[0]
    with edit.applied(model):
        assert loss_of(model, requests) < 0.5 * was
    assert list(edit.deltas) == [down_projection(model, 1).name]
    late = make_edit(model, requests, LocFT(epochs=1))
    assert list(late.deltas) == [down_projection(model, int(0.7 * (model.graph.layers - 1))).name]


def test_locft_stops_when_all_is_learned() -> None:
    model = small_model()
    one = requests_for(model)[:1]
    reached = loss_of(model, one)
    edit = make_edit(model, one, LocFT(rate=0.02, epochs=200, enough=0.7 * reached), layer=1)
    epochs, steps = map(int, re.findall(r"(\d+) (?:epoch|step)", edit.notes[0]))
    assert epochs < 200
    assert steps == epochs - 1
    with edit.applied(model):
        assert loss_of(model, one) < 0.7 * reached


def test_locft_one_after_another_keeps_the_facts_before() -> None:
    model = small_model()
    one, *later = requests_for(model)
    losses: dict[bool, float] = {}
    for replay in (True, False):
        editor = LocFT(rate=0.05, replay=replay)
        edits: list[Edit] = []
        with ExitStack() as applied:
            for request in (one, *later):
                edits.append(make_edit(model, request, editor, layer=1, before=edits))
                applied.enter_context(edits[-1].applied(model))
            losses[replay] = loss_of(model, [one])
    assert losses[True] < losses[False]


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(RequestError, match="at least one request"):
        UltraEdit().edit(shared_model(), [])
