"""Probes: planted neurons are found by every method, scores by hand, tests that keep their level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float
from scipy.stats import kstest, norm
from sklearn.metrics import f1_score, roc_auc_score
from tolerance import Rounding

from wheatstone.neurons import (
    Activations,
    ProbeWeight,
    always_yes,
    exchanged,
    explained,
    fit_on,
    fit_threshold,
    neuron_tests,
    probe_concept,
    probes_by_l1,
    probes_by_pursuit,
    probes_by_ranking,
    score_decisions,
    split_documents,
    standardised,
)
from wheatstone.neurons._probe_saved import weights_of

ROWS, NEURONS, DOCUMENTS = 400, 40, 40


def _planted(seed: int = 0) -> tuple[Float[np.ndarray, "row neuron"], np.ndarray, np.ndarray]:
    """Neurons 3 and 7 add up to the label; neuron 11 is a copy of neuron 3 with noise."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(ROWS, NEURONS)).astype(np.float32) * 5 + 1
    x[:, 11] = x[:, 3] + 3 * draw.normal(size=ROWS)
    return x, x[:, 3] - x[:, 7] > 3, draw.permutation(np.arange(ROWS) % DOCUMENTS)


def test_every_method_finds_the_planted_neurons() -> None:
    x, y, _ = _planted()
    everything = np.ones(ROWS, dtype=bool)
    z = standardised(x, everything)
    np.testing.assert_allclose((z.mean(0), z.std(0)), ([0] * NEURONS, [1] * NEURONS), atol=1e-5)
    ranked = probes_by_ranking(z, y)
    assert [len(probe.neurons) for probe in ranked] == [1, 2, 4, 8, 16, 32]
    assert {3, 7} <= set(ranked[2].neurons.tolist())
    pursued = probes_by_pursuit(z, y, 3)
    assert set(pursued[1].neurons.tolist()) == {3, 7}
    sparse = probes_by_l1(z, y)
    assert any(set(probe.neurons.tolist()) == {3, 7} for probe in sparse)
    sizes = [len(probe.neurons) for probe in sparse]
    assert sizes == sorted(set(sizes))
    weights = dict(zip(pursued[1].neurons.tolist(), pursued[1].weights.tolist(), strict=True))
    assert weights[3] > 0 > weights[7]
    assert f1_score(y, pursued[1].decisions(z) > 0) > 0.95


def test_a_neuron_that_never_varies_is_harmless() -> None:
    x, y, _ = _planted()
    x[:, 3] = 2
    z = standardised(x, np.ones(ROWS, dtype=bool))
    assert not z[:, 3].any()
    assert np.isfinite(probes_by_pursuit(z, y, 2)[1].decisions(z)).all()


def test_threshold_by_hand() -> None:
    z = np.array([0.0, 1.0, 2.0, 3.0])
    assert fit_threshold(z, np.array([False, False, True, True])) == (1.0, 1.5)
    assert fit_threshold(z, np.array([True, True, False, False])) == (-1.0, -1.5)
    assert fit_threshold(z, np.array([True, False, True, True])) == (1.0, -0.5)  # all yes has the best F1


def test_a_threshold_between_neighbouring_numbers_parts_them() -> None:
    z = np.array([1.0, np.nextafter(1.0, 2.0)])
    sign, threshold = fit_threshold(z, np.array([False, True]))
    assert (sign * z > threshold).tolist() == [False, True]


def test_scores_are_scikit_learn_s() -> None:
    draw = np.random.default_rng(0)
    decisions = draw.normal(size=200).round(1)  # with ties
    labels = decisions + draw.normal(size=200) > 0.5
    score = score_decisions(decisions, labels, draw.integers(0, 20, 200))
    assert score.f1 == pytest.approx(f1_score(labels, decisions > 0))
    assert score.auroc == pytest.approx(roc_auc_score(labels, decisions))
    assert score.f1 == pytest.approx(2 * score.precision * score.recall / (score.precision + score.recall))
    assert score.f1_low is not None
    assert score.f1_high is not None
    assert score.f1_low < score.f1 < score.f1_high
    assert score_decisions(decisions, labels, np.zeros(200, dtype=int)).f1_low is None
    assert always_yes(labels) == pytest.approx(f1_score(labels, np.ones(200, dtype=bool)))


def test_intervals_are_over_documents() -> None:
    """Rows copied tenfold inside their documents make no interval narrower."""
    draw = np.random.default_rng(1)
    decisions, documents = draw.normal(size=60), np.arange(60) % 12
    labels = decisions + draw.normal(size=60) > 0
    one = score_decisions(decisions, labels, documents)
    ten = score_decisions(*(np.tile(values, 10) for values in (decisions, labels, documents)))
    assert one == pytest.approx(ten)


@pytest.mark.parametrize("whole", [False, True])
def test_p_values_are_uniform_without_a_concept(whole: bool) -> None:
    """Documents differ, and some by much; labels mean nothing, or are drawn for whole documents."""
    draw = np.random.default_rng(2)
    documents = np.sort(draw.integers(0, 60, 900))
    x = (draw.standard_t(3, size=(900, 300)) + 2 * draw.normal(size=(60, 300))[documents]).astype(np.float32)
    labels = (draw.random(60) < 0.4)[documents] if whole else draw.random(900) < 0.1 + 0.4 * (documents % 2)
    everything = np.ones(900, dtype=bool)
    tests = neuron_tests(x, labels, documents, everything, everything)
    assert kstest(tests.z, norm.cdf).pvalue > 0.01
    assert tests.significant.sum() == 0


def test_discoveries_are_the_planted_neurons() -> None:
    x, y, documents = _planted()
    training = documents < 24
    tests = neuron_tests(x, y, documents, training, ~training)
    assert {3, 7, 11} <= set(np.flatnonzero(tests.significant).tolist())
    assert tests.significant.sum() <= 5
    assert tests.z[3] > 0 > tests.z[7]
    assert tests.auroc[3] == pytest.approx(roc_auc_score(y[training], x[training, 3]))
    assert tests.held_out[7] == pytest.approx(roc_auc_score(y[~training], x[~training, 7]))
    assert tests.detectors[3]
    other = exchanged(y, documents)
    assert [other[documents == at].sum() for at in range(DOCUMENTS)] == [y[documents == at].sum() for at in range(40)]
    assert neuron_tests(x, other, documents, training, training).significant.sum() <= 1


def test_explained_by_hand() -> None:
    assert explained(np.array([5.0, 1.0, 4.0, 3.0]), np.array([True, True, False, True]), top=2) == 0.5
    # One is above; of the three equal ones that share two places, one has the concept: (1 + 2 · 1/3) / 3.
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        values = np.array([5.0, 0.0, 0.0, 0.0, -1.0])[order]
        labels = np.array([True, True, False, False, True])[order]
        assert explained(values, labels, top=3) == pytest.approx((1 + 2 / 3) / 3)


def test_a_whole_concept(tmp_path: Path) -> None:
    x, y, documents = _planted()
    np.save(tmp_path / "layer0.npy", np.random.default_rng(5).normal(size=x.shape).astype(np.float32))
    np.save(tmp_path / "layer4.npy", x)
    rows = split_documents("x", np.arange(ROWS), y, documents)
    found = probe_concept(Activations(tmp_path, (0, 4)), rows)
    assert found.single.neurons[0] in ("m4.n3", "m4.n7")
    best = found.best("pursuit")
    assert best.layer == 4
    assert set(best.neurons[:2]) == {"m4.n3", "m4.n7"}
    assert best.f1 > 0.9 > found.always_yes
    assert found.tests[0].significant.sum() == 0
    assert found.by_chance <= 1
    test = rows.of("test")
    way = np.sign(found.directions[4].standard[int(found.single.neurons[0][4:])])
    strongest = np.argsort(-way * x[test, int(found.single.neurons[0][4:])])[: min(50, y[test].sum())]
    assert found.explained == pytest.approx(y[test][strongest].mean())
    assert found.explained > y[test].mean()
    assert {row.method for row in found.probes if row.layer == 0} == {"single", "ranking"}
    of_one: dict[str, set[float]] = {}
    for row in found.probes:
        if row.k == 1:
            of_one.setdefault(row.neurons[0], set()).add(row.f1)
    assert sum(row.k == 1 for row in found.probes) > len(of_one)  # one neuron is chosen in more than one way
    assert {len(f1s) for f1s in of_one.values()} == {1}
    by_probe: dict[tuple[str, int, int], list[ProbeWeight]] = {}
    for weight in found.weights:
        by_probe.setdefault((weight.method, weight.layer, weight.k), []).append(weight)
    assert {(row.method, row.layer, row.k): row.neurons for row in found.probes} == {
        probe: [f"m{one.layer}.n{one.neuron}" for one in every] for probe, every in by_probe.items()
    }
    for direction in (found.directions[4].standard, found.directions[4].raw):
        assert set(np.argsort(-np.abs(direction))[:2].tolist()) <= {3, 7, 11}


def test_a_probe_on_activations_decides_as_the_one_on_standard_deviations() -> None:
    """A neuron that does not vary counts for nothing."""
    x, y, _ = _planted()
    x[:, 5] = 3.0
    x = x.astype(np.float64)
    training = np.ones(len(x), dtype=bool)
    probe = fit_on(standardised(x, training), y, np.array([3, 5, 7]))
    rows = weights_of(probe, x.mean(0), x.std(0), "x", "ranking", 4)
    assert [(row.neuron, row.layer, row.k) for row in rows] == [(3, 4, 3), (5, 4, 3), (7, 4, 3)]
    assert rows[1].coefficient == 0
    decisions = x[:, probe.neurons] @ np.array([row.coefficient for row in rows]) + rows[0].intercept
    expected = probe.decisions(standardised(x, training))
    size = np.abs(x[:, probe.neurons]).max() * sum(abs(row.coefficient) for row in rows) + abs(rows[0].intercept)
    assert decisions.tolist() == Rounding(4).near(expected.tolist(), magnitude=float(size))
