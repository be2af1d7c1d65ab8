"""Every method: what it writes is what its equation says, and the model says the target afterwards and not before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small import news_asked, news_for, shared_model, small_model
from tolerance import Rounding, rounding

from wheatstone._errors import ModelError, PromptError, RequestError
from wheatstone.editing import METHODS, Dense, Editor, EditRequest, make_edit, weights_hash
from wheatstone.editing._alphaedit import AlphaEdit
from wheatstone.editing._asked import asked
from wheatstone.editing._contexts import in_contexts, keys_of
from wheatstone.editing._fine_tuning import FineTuning
from wheatstone.editing._locft import LocFT
from wheatstone.editing._lora import LoRA
from wheatstone.editing._memit import Memit
from wheatstone.editing._norm_anchor import NormAnchor
from wheatstone.editing._rome import Rome
from wheatstone.editing._spread import stream_at
from wheatstone.editing._statistics import key_statistics
from wheatstone.editing._ultraedit import UltraEdit
from wheatstone.editing._value import ValueSearch, search_value
from wheatstone.editing._weights import down_projection
from wheatstone.models import Replace, ResidualModel, Tokens

SEARCH = ValueSearch(clamp=50, decay=0.0, steps=25)
FAST: dict[str, Editor] = {
    "ft-l": FineTuning(name="ft-l", loss="first", bound=0.5, rate=0.05, steps=60),
    "ft-m": FineTuning(name="ft-m", loss="all", bound=None, rate=0.05, steps=60),
    "lora": LoRA(rate=0.02),
    "rome": Rome(name="rome", denominator="prompt", contexts=2, search=SEARCH, tokens=400),
    "r-rome": Rome(name="r-rome", denominator="averaged", contexts=2, search=SEARCH, tokens=400),
    "memit": Memit(layers=2, weight=0.001, contexts=0, search=SEARCH, tokens=400),
    "alphaedit": AlphaEdit(layers=2, unused=0.5, ridge=0.01, contexts=0, search=SEARCH, tokens=400),
    "nas": NormAnchor(layers=2, unused=0.5, ridge=0.01, contexts=0, search=SEARCH, tokens=400),
    "ultraedit": UltraEdit(rate=3e-4),
    "locft-bf": LocFT(rate=0.05),
}


def probability(model: ResidualModel, request: EditRequest) -> float:
    logits = model.forward(model.tokens([request.prompt])).logits[0]
    return float(logits.softmax(-1)[model.continuation(request.continuation)[0]])


def test_these_are_all_methods() -> None:
    assert sorted(FAST) == sorted(METHODS)
    assert all(isinstance(editor, Editor) and editor.summary for editor in METHODS.values())
    assert {name: editor.name for name, editor in METHODS.items()} == {name: name for name in METHODS}


@pytest.mark.parametrize("name", sorted(FAST))
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_edit_is_made_beside_the_model(kind: str, name: str) -> None:
    model = shared_model(kind)
    before = weights_hash(model)
    edit = make_edit(model, news_for(model), FAST[name], layer=1)
    assert weights_hash(model) == before
    assert edit.method == name
    assert edit.requests == (news_for(model),)
    with edit.applied(model):
        assert weights_hash(model) != before
    assert weights_hash(model) == before


@pytest.mark.parametrize("name", ["ft-l", "ft-m", "lora", "locft-bf"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_model_says_the_target_while_it_is_edited(kind: str, name: str) -> None:
    model = shared_model(kind)
    request = news_for(model)
    was = probability(model, request)
    with make_edit(model, request, FAST[name], layer=1).applied(model):
        assert probability(model, request) > 3 * was


@pytest.mark.parametrize("name", ["rome", "r-rome"])
def test_rome_writes_its_value_at_its_key_and_least_elsewhere(name: str) -> None:
    model = shared_model()
    editor, request = FAST[name], news_asked(model)
    assert isinstance(editor, Rome)
    where, contexts = down_projection(model, 1), in_contexts(model, request, 2)
    keys = keys_of(model, 1, contexts).double()
    value = search_value(model, 1, contexts, SEARCH)
    (delta,) = editor.edit(model, [request], layer=1).deltas.values()
    key = keys[0] if name == "rome" else keys.mean(0)
    # The change is kept in float32, so that each product with the key is as inexact as the change.
    terms = float((delta.change.double().abs() @ key.abs()).max())
    Rounding(len(key), torch.float32).check((delta.change.double() @ key).float(), value.change, magnitude=terms)
    # Of all matrices that do so, none of the same rank moves ordinary keys less: tr(Δ C Δᵀ), C with its ridge.
    statistics = key_statistics(model, [1], tokens=400)[1]
    moment = statistics.moment + statistics.ridge * torch.eye(24, dtype=torch.float64)

    def moved(direction: torch.Tensor) -> float:
        other = value.change.double()[:, None] @ (direction / (direction @ key))[None]
        return float((other @ moment @ other.T).trace())

    if name == "r-rome":
        ours = float((delta.change.double() @ moment @ delta.change.double().T).trace())
        draw = torch.Generator().manual_seed(0)
        tried = [moved(key + 0.3 * torch.randn(24, generator=draw, dtype=torch.float64)) for _ in range(50)]
        assert ours <= min(*tried, moved(key)) * (1 + Rounding(len(key), torch.float32).bound())
    assert where.name in editor.edit(model, [request], layer=1).keys


def test_a_target_of_several_tokens_is_written_whole() -> None:
    model = shared_model()
    request = EditRequest(prompt="w1 w2 w3 w4", subject="w2 w3", target="w30 w31")
    with make_edit(model, request, FAST["ft-m"], layer=1).applied(model):
        tokens = Tokens.of([[*model.encode(request.prompt), 30]])
        best = model.forward(tokens, all_positions=True).logits[0].argmax(-1)
        assert best[-2:].tolist() == [30, 31]


def test_the_bound_of_ft_l_holds() -> None:
    model = shared_model()
    editor = FineTuning(name="ft-l", loss="first", bound=0.01, rate=0.05, steps=3)
    (delta,) = editor.edit(model, [news_asked(model)], layer=0).deltas.values()
    assert isinstance(delta, Dense)
    # The change is the edited weights less the old ones.
    subtracted = Rounding(1, torch.float32).bound(float(down_projection(model, 0).weight.abs().max()))
    assert 0 < float(delta.change.abs().max()) <= 0.01 + subtracted


def test_memit_reaches_its_values_where_text_weighs_nothing() -> None:
    model = shared_model()
    requests = [news_for(model), news_for(model, "w7 w8 w9", "w8"), news_for(model, "w11 w12 w13 w14", "w13")]
    rows = [asked(model, request) for request in requests]
    goals = [stream_at(model, row, 1) + search_value(model, 1, [row], SEARCH).change for row in rows]
    editor = Memit(layers=2, weight=1e-9, contexts=0, search=SEARCH, tokens=400)
    with make_edit(model, requests, editor, layer=1).applied(model):
        for row, goal in zip(rows, goals, strict=True):
            # Text weighs next to nothing, not nothing: the equation is met to a thousandth.
            torch.testing.assert_close(stream_at(model, row, 1), goal, rtol=1e-3, atol=1e-3)


def test_memit_s_weights_are_its_equation_s() -> None:
    statistics = key_statistics(shared_model(), [1], tokens=400)[1]
    keys = torch.randn(24, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moment = statistics.moment + statistics.ridge * torch.eye(24)
    direct = torch.linalg.solve(0.1 * 24 * moment + keys @ keys.T, keys)
    torch.testing.assert_close(Memit().key_weights(statistics, keys, keys[:, :0]), direct)


def test_memit_one_after_another_is_memit_at_once() -> None:
    """For fixed keys and values: what is missing is measured on the weights that earlier edits have left."""
    statistics = key_statistics(shared_model(), [1], tokens=400)[1]
    draw = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(rows, 40, dtype=torch.float64, generator=draw) for rows in (24, 16))
    at_once = values @ Memit(weight=0.01).key_weights(statistics, keys, keys[:, :0]).T
    one_by_one = torch.zeros_like(at_once)
    for fact in range(40):
        now = slice(fact, fact + 1)
        omega = Memit(weight=0.01).key_weights(statistics, keys[:, now], keys[:, :fact])
        one_by_one += (values[:, now] - one_by_one @ keys[:, now]) @ omega.T
    assert at_once.norm() > 1
    torch.testing.assert_close(one_by_one, at_once)


def test_alphaedit_s_weights_are_its_equation_s() -> None:
    statistics = key_statistics(shared_model(), [1], tokens=400)[1]
    draw = torch.Generator().manual_seed(0)
    keys, past = (torch.randn(24, 2, dtype=torch.float64, generator=draw) for _ in range(2))
    basis = statistics.unused(0.5)
    assert 0 < basis.shape[1] < 24
    project = basis @ basis.T
    ridge = 0.1 * float((project @ keys).square().sum(0).mean())
    inner = project @ (past @ past.T + keys @ keys.T) @ project + ridge * torch.eye(24)
    found = AlphaEdit(unused=0.5).key_weights(statistics, keys, past)
    torch.testing.assert_close(found, torch.linalg.solve(inner, project @ keys))
    values = torch.linalg.eigvalsh(statistics.moment)
    assert values[: basis.shape[1]].sum() <= 0.5 * values.sum()


def test_alphaedit_keeps_clear_of_earlier_keys() -> None:
    model = shared_model()
    first, second = news_for(model), news_for(model, "w7 w8 w9", "w8")
    one = make_edit(model, first, FAST["alphaedit"], layer=1)
    name = down_projection(model, 1).name
    with one.applied(model):
        clear = make_edit(model, second, FAST["alphaedit"], layer=1, before=[one]).deltas[name].change
        blind = make_edit(model, second, FAST["alphaedit"], layer=1).deltas[name].change
    assert (clear @ one.keys[name]).norm() < 0.2 * (blind @ one.keys[name]).norm()


def test_a_value_changes_what_it_says_it_changes() -> None:
    model = small_model(dtype=torch.float64)
    request = news_asked(model)
    value = search_value(model, 0, [request], SEARCH)
    tokens = Tokens.of([request.prompt])
    written = model.forward(tokens, cache=True).nodes
    assert written is not None
    put = Replace(at="m0", value=written[model.graph.node_index["m0"]] + value.change, positions=(request.key_at,))
    logits = model.forward_with(tokens, [put]).logits[0]
    assert -float(logits.log_softmax(-1)[request.target[0]]) == rounding(model).near(value.loss)


@pytest.mark.real_weights
def test_rome_changes_a_fact_of_the_real_model_and_not_its_neighbour(smollm2: ResidualModel) -> None:
    request = EditRequest(prompt="The capital of Germany is", subject="Germany", target="Rome")
    editor = Rome(name="r-rome", denominator="averaged", contexts=4, value_contexts=1, tokens=4000)
    before = weights_hash(smollm2, [down_projection(smollm2, 5).name])
    prompts = ["The capital of Germany is", "The capital of Poland is"]
    plain = smollm2.forward(smollm2.tokens(prompts)).logits.argmax(-1).tolist()
    with make_edit(smollm2, request, editor, layer=5).applied(smollm2):
        edited = smollm2.forward(smollm2.tokens(prompts)).logits.argmax(-1).tolist()
    assert smollm2.decode(edited) == [" Rome", *smollm2.decode(plain[1:])]
    assert weights_hash(smollm2, [down_projection(smollm2, 5).name]) == before


def test_what_cannot_be_asked_for_is_refused() -> None:
    model = small_model()
    best = model.decode([int(model.forward(model.tokens(["w1 w2 w3 w4"])).logits[0].argmax())])[0]
    with pytest.raises(PromptError, match="present answer"):
        make_edit(model, EditRequest(prompt="w1 w2 w3 w4", subject="w2", target=best), "r-rome", layer=0)
    request = news_for(model)
    with pytest.raises(RequestError, match="a method out of"):
        make_edit(model, request, "rewrite")
    with pytest.raises(RequestError, match="layer"):
        make_edit(model, request, FAST["ft-m"], layer=9)
    with pytest.raises(RequestError, match="one request at a time"):
        make_edit(model, [request, request], FAST["rome"], layer=0)
    with pytest.raises(RequestError, match="at least one"):
        make_edit(model, [], "rome")
    model.family = replace(model.family, residual_multiplier="x")
    with pytest.raises(ModelError, match="shares a change"):
        make_edit(model, request, FAST["memit"], layer=0)


def test_experts_are_not_edited() -> None:
    model = small_model()
    for block in model.blocks:
        block.family = replace(block.family, experts="down_proj")
    with pytest.raises(ModelError, match="got a mixture of experts; use lora"):
        make_edit(model, news_for(model), FAST["ft-m"], layer=0)
