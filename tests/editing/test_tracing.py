"""Causal tracing: restored whole a run is the clean one; a batch is one run at a time; roles; the chosen layer."""

from __future__ import annotations

import pytest
import torch
from small import news_asked, small_model
from tolerance import rounding

from wheatstone.editing import ROLES, TracingSettings, causal_trace, trace_rows, traced_layer
from wheatstone.editing._passes import ChangedRun, run_from
from wheatstone.models import Add, Replace, Tokens


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_last_token_s_state_brings_everything_back_at_the_last_layer(kind: str) -> None:
    model = small_model(kind)
    trace = causal_trace(model, news_asked(model), TracingSettings(draws=2))
    assert trace.positions == (1, 2, 3)
    state = trace.effects["state"]
    assert state.shape == (3, 3)
    assert float(state[-1, -1]) == rounding(model).near(trace.clean - trace.blurred)
    assert state[-1, :-1].abs().max() < rounding(model).bound()  # after the last layer other positions are read no more


def test_an_effect_is_that_of_a_run_with_interventions() -> None:
    model, settings = small_model(dtype=torch.float64), TracingSettings(draws=1, window=2)
    request = news_asked(model)
    trace = causal_trace(model, request, settings)
    tokens = Tokens.of([request.prompt])
    clean = model.forward(tokens, cache=True)
    assert clean.nodes is not None
    start, end = request.subject
    spread = 3 * float(clean.nodes[0][0, start:end].std())
    noise = torch.randn(1, end - start, 16, generator=torch.Generator().manual_seed(0)) * spread
    change = torch.zeros(1, 4, 16, dtype=torch.float64)
    change[:, start:end] = noise.double()
    blur = Add(at="input", value=change)
    base = model.forward_with(tokens, [blur]).logits[0].softmax(-1)[trace.answer]
    assert float(base) == rounding(model).near(trace.blurred)
    for middle, window in ((0, (0,)), (1, (0, 1)), (2, (1, 2))):
        nodes = [f"m{layer}" for layer in window]
        put = [Replace(at=name, value=clean.nodes[model.graph.node_index[name]], positions=(2,)) for name in nodes]
        found = model.forward_with(tokens, [blur, *put]).logits[0].softmax(-1)[trace.answer]
        kept = rounding(model, dtype=torch.float32)  # effects are kept in float32
        assert float(trace.effects["mlp"][middle, 1]) == kept.near(float(found - base))


def test_a_run_from_a_layer_on_is_the_whole_run() -> None:
    model = small_model()
    tokens = model.tokens(["w1 w2 w3", "w4 w5"])
    streams = model.streams(tokens).stream
    plain = model.forward(tokens).logits
    for first in range(4):
        rounding(model).check(run_from(model, tokens, first, streams[2 * first]), plain)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "gemma3_text"])
@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_run_of_the_changed_positions_is_the_whole_run(kind: str, first: int) -> None:
    """Prompts of other lengths, changed at other places; the first layer may be above the last."""
    model = small_model(kind, torch.float64)
    first = min(first, model.graph.layers)
    tokens = model.tokens(["w1 w2 w3 w4 w5 w6 w7", "w4 w5", "w6 w7 w8 w9"])
    lengths = tokens.lengths.tolist()
    changed = torch.tensor([lengths[0] - 3, 0, lengths[2] - 1])
    stream = model.streams(tokens).stream[2 * first]
    run = ChangedRun.of(model, tokens, first, stream, changed)
    after = torch.arange(tokens.width) >= changed[:, None]
    noise = torch.randn(stream.shape, generator=torch.Generator().manual_seed(0), dtype=stream.dtype)
    moved = (stream + after[..., None] * noise).requires_grad_()
    rows, positions = (after & (torch.arange(tokens.width) < tokens.lengths[:, None])).nonzero(as_tuple=True)
    assert len(rows) == 3 + lengths[1] + 1
    with torch.enable_grad():
        found = run.logits(moved, rows, positions)
        whole = run_from(model, tokens, first, moved, all_positions=True)[rows, positions]
    bound = rounding(model)
    bound.check(found, whole)
    slopes, expected = (
        torch.autograd.grad(each.log_softmax(-1)[:, 3].sum(), [moved])[0] * after[..., None] for each in (found, whole)
    )
    assert expected.abs().max() > 1e-3
    bound.times(2).check(slopes, expected)


def test_rows_are_by_role_with_intervals_over_prompts() -> None:
    model = small_model()
    requests = [
        news_asked(model),
        news_asked(model, "w5 w6 w7 w8 w9 w10", "w6 w7 w8"),
        news_asked(model, "w9 w11", "w9"),
    ]
    settings = TracingSettings(draws=1)
    rows = trace_rows([causal_trace(model, request, settings, sites=["state"]) for request in requests])
    counts = {row.role: row.n for row in rows}
    assert counts == {role: n for role, n in zip(ROLES, (2, 1, 3, 1, 0, 3), strict=True) if n}
    assert {(row.low, row.high) for row in rows} == {(None, None)}
    rows = trace_rows([causal_trace(model, request, settings, sites=["state"]) for request in requests] * 2)
    known = [row for row in rows if row.n >= 4]
    assert known
    assert all(row.low is not None and row.low <= row.effect for row in known)
    assert all(row.low is None for row in rows if row.n < 4)


def test_the_traced_layer_leaves_the_first_alone() -> None:
    model = small_model()
    assert traced_layer(model, [news_asked(model)]) in (1, 2)
