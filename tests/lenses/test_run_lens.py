"""The logit lens on a run: its last layer is the model, its first the embeddings, and ranks are counted."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import RequestError, ResidualModel, run_lens

TEXTS = ["w3 w1 w4 w1", "w9 w2"]


def test_the_last_layer_is_the_model_and_the_first_the_embeddings(tiny64: ResidualModel) -> None:
    run = tiny64(TEXTS)
    found = run_lens(run, "w7", top=3)
    layers = tiny64.graph.layers
    assert [(row.prompt, row.layer) for row in found.rows] == [(p, n) for p in range(2) for n in range(layers + 1)]
    last = [row for row in found.rows if row.layer == layers]
    chances = torch.tensor([row.probability for row in last], dtype=torch.float64)
    rounding(tiny64).check(chances, run.probability("w7"))
    for row, logits in zip(last, run.last(), strict=True):
        assert row.rank == 1 + int((logits > logits[7]).sum())
        assert [row.top, *row.others] == tiny64.decode(logits.topk(3).indices.tolist())
    first = tiny64.unembed(run["input"][0, 3:4])[0].softmax(-1)[7]
    rounding(tiny64).check(torch.tensor(found.rows[0].probability, dtype=torch.float64), first)


def test_by_default_it_follows_what_the_model_itself_says(tiny64: ResidualModel) -> None:
    found = run_lens(tiny64(TEXTS), position=0)
    assert [row.rank for row in found.rows if row.layer == tiny64.graph.layers] == [1, 1]
    assert found.answers == tuple(row.top for row in found.rows if row.layer == tiny64.graph.layers)
    assert repr(found).splitlines()[0] == f"logit lens, ranks of {', '.join(map(repr, found.answers))}"


@pytest.mark.parametrize("more", [{"top": 0}, {"top": 41}, {"position": 2}, {"answer": ""}])
def test_what_is_not_there_is_refused(tiny64: ResidualModel, more: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        run_lens(tiny64(TEXTS), **more)  # pyright: ignore[reportArgumentType]
