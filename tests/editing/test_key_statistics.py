"""Second moments of keys: what they are, that they are kept, interrupted, noted, and of the model before any edit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import news_for, small_model

from wheatstone.editing import EditRequest, KeyStatistics, key_statistics, make_edit
from wheatstone.editing import _statistics as module
from wheatstone.editing._corpus import model_samples, passages
from wheatstone.editing._fine_tuning import FineTuning


def of_keys(first: torch.Tensor, second: torch.Tensor) -> KeyStatistics:
    return KeyStatistics(0, torch.stack([first.T @ first, second.T @ second]), (len(first), len(second)))


def test_moment_ridge_and_solution_by_hand() -> None:
    statistics = of_keys(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(statistics.moment, torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64)))
    assert statistics.ridge == pytest.approx(0.0125)
    solved = statistics.solve(torch.tensor([[1.0], [1.0]]))[:, 0]
    torch.testing.assert_close(solved, torch.tensor([1 / 2.0125, 1 / 0.5125], dtype=torch.float64))
    assert statistics.convergence == pytest.approx((16 + 1) ** 0.5 / (4 + 0.25) ** 0.5)
    assert statistics.unused(0.25).shape == (2, 1)


def test_a_singular_moment_is_noted_and_solved() -> None:
    keys = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    statistics = of_keys(keys, keys)
    assert any("singular" in note for note in statistics.notes)
    assert any("fewer than" in note for note in statistics.notes)
    assert statistics.solve(torch.eye(2)).isfinite().all()
    assert statistics.agreement(torch.tensor([1.0, 0.0])) == pytest.approx(1)


def test_kept_by_the_model_s_hash_and_read_once(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    model.sha256 = "b" * 64
    found = key_statistics(model, [0, 1], tokens=600)
    assert found[0].keys >= 600
    assert not list(own_home.rglob("*.part"))
    monkeypatch.setattr(module, "_read", lambda *_: pytest.fail("read again"))
    again = small_model()
    again.sha256 = model.sha256
    assert torch.equal(key_statistics(again, [1], tokens=600)[1].sums, found[1].sums)


def test_with_a_layer_those_nearby_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts are traced to layers near each other: the second one's statistics are there already."""
    model = small_model()
    (whole,) = key_statistics(model, [2], tokens=600).values()
    assert whole.layer == 2
    with monkeypatch.context() as patch:
        patch.setattr(module, "_read", lambda *_: pytest.fail("read again"))
        found = key_statistics(model, [0, 1], tokens=600)
    monkeypatch.setattr(module, "NARROW", 8)
    alone = small_model()
    torch.testing.assert_close(key_statistics(alone, [0], tokens=600)[0].sums, found[0].sums)
    monkeypatch.setattr(module, "_read", lambda *_: pytest.fail("read again"))
    with pytest.raises(pytest.fail.Exception, match="read again"):
        key_statistics(alone, [1], tokens=600)


def test_interrupted_it_goes_on_where_it_was(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    whole = key_statistics(model, [1], tokens=6_000)[1]
    model = small_model()
    model.sha256 = "c" * 64

    def stop(stage: str, done: float, total: float | None) -> None:
        if total and done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        key_statistics(model, [1], tokens=6_000, report=stop)
    assert len(list(own_home.rglob("*.part"))) == 3  # the layer and its neighbours
    reported: list[float] = []
    resumed = key_statistics(model, [1], tokens=6_000, report=lambda _stage, done, _total: reported.append(done))[1]
    assert reported[0] > 1_000
    assert resumed.counts == whole.counts
    torch.testing.assert_close(resumed.sums, whole.sums)


def test_of_an_edited_model_they_are_those_of_the_plain_one() -> None:
    model = small_model()
    edit = make_edit(model, news_for(model), FineTuning(name="ft-m", loss="all", bound=None, rate=0.1), layer=0)
    plain = key_statistics(small_model(), [1], tokens=600)[1]
    with edit.applied(model):
        torch.testing.assert_close(key_statistics(model, [1], tokens=600)[1].sums, plain.sums)
        assert model.forward(model.tokens(["w1"])).logits.isfinite().all()


def test_texts_are_divided_once() -> None:
    ours, theirs = passages(held_out=False), passages(held_out=True)
    assert not set(ours) & set(theirs)
    assert len(theirs) > 400
    model = small_model()
    assert model_samples(model).shape == (8, 8)
    assert torch.equal(model_samples(model), model_samples(model))
    assert EditRequest(prompt="w1", subject="w1", target="w2").truth == ""
