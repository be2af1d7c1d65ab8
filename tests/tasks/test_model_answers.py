"""What the model itself says, and the one judgement of it: ranks and probabilities worked out by hand."""

from __future__ import annotations

import json
from math import exp, log

import pytest
import torch
from tiny import WORDS

from wheatstone import Experiment, PromptError, PromptPair, ResidualModel
from wheatstone.tasks import (
    KNOWN_RANK,
    ModelAnswer,
    ModelAnswers,
    ScoredToken,
    answered,
    model_answer,
    model_answers,
    weak_change,
)
from wheatstone.tasks._numbers import chance, ordinal

PROMPT = "w1 w2 w3"
PROBABILITIES = {4: 0.4, 5: 0.2, 6: 0.2, 7: 0.1}
"""Of four tokens; the other 36 share the remaining tenth."""
REST = 0.1 / 36


def said(tiny: ResidualModel, *answers: int, against: tuple[int, ...] = ()) -> ModelAnswer:
    """The reading of a distribution that is written down above."""
    logits = torch.tensor([log(PROBABILITIES.get(token, REST)) for token in range(40)])
    right, wrong = ([(f" w{token}", (token,)) for token in tokens] for tokens in (answers, against))
    return model_answer(tiny, PROMPT, logits, right, wrong)


def test_rank_probability_and_first_choice_by_hand(tiny: ResidualModel) -> None:
    found = said(tiny, 7, against=(6,))
    # 7 comes after 4, 5 and 6; of the tied 5 and 6 each counts against the other.
    assert (found.answer.id, found.answer.rank, found.answer.probability) == (7, 4, pytest.approx(0.1, rel=1e-6))
    assert found.distractor is not None
    assert (found.distractor.rank, found.distractor.probability) == (3, pytest.approx(0.2, rel=1e-6))
    assert (found.first.token, found.first.rank, found.first.probability) == ("w4", 1, pytest.approx(0.4, rel=1e-6))
    assert (found.low, found.behind, found.weak) == (False, True, True)
    assert str(found) == (
        'The model itself prefers the distractor " w6" (3rd, p = 0.20) to the answer " w7" (4th, p = 0.10), '
        'while its first choice is "w4" (p = 0.40).'
    )


def test_an_answer_beyond_the_tenth_token_is_weak_and_ties_count_against_it(tiny: ResidualModel) -> None:
    found = said(tiny, 30, against=(31,))
    assert found.answer.rank == 40  # all 36 that share the rest are tied
    assert (found.low, found.behind, found.weak) == (True, True, True)
    logits = torch.arange(40.0)
    tenth, eleventh = (model_answer(tiny, PROMPT, logits, [(f" w{at}", (at,))]) for at in (30, 29))
    assert [(row.answer.rank, row.weak) for row in (tenth, eleventh)] == [(10, False), (11, True)]


def test_a_tie_with_the_distractor_is_not_above_it(tiny: ResidualModel) -> None:
    assert said(tiny, 5, against=(6,)).behind
    assert not said(tiny, 4, against=(6,)).weak


def test_of_aliases_the_best_placed_counts_and_all_are_summed(tiny: ResidualModel) -> None:
    found = said(tiny, 7, 5, 7, against=(30, 31))
    assert (found.answer.text, found.answers, found.distractors) == (" w5", 2, 2)
    assert found.probability == pytest.approx(0.3, rel=1e-6)
    assert not found.weak


def test_of_several_tokens_the_first_is_scored_and_named(tiny: ResidualModel) -> None:
    logits = torch.arange(40.0)
    found = model_answer(tiny, PROMPT, logits, [(" w39 w2", (39, 2))])
    assert (found.answer.tokens, found.answer.token, found.answer.id) == (2, "w39", 39)
    assert str(found).startswith('The model itself ranks " w39 w2" (scored by its first token "w39") 1st (p = ')


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (113, "113th"), (163, "163rd"), (1201, "1,201st")],
)
def test_ordinals(number: int, words: str) -> None:
    assert ordinal(number) == words


def test_probabilities_in_words() -> None:
    assert [chance(p) for p in (0.3892, 0.0003214, 0.00004, 0.0)] == ["p = 0.39", "p = 0.0003", "p < 0.0001", "p = 0"]


def pair(answer: int, distractor: int | None = 2, prompt: str = PROMPT) -> PromptPair:
    wrong = () if distractor is None else (f" w{distractor}",)
    return PromptPair(prompt=prompt, counterfactual="w9 w2 w3", answers=(f" w{answer}",), distractors=wrong)


def test_a_prompt_is_weak_exactly_where_the_known_fact_filter_leaves_it_out(tiny: ResidualModel) -> None:
    pairs = [pair(answer, None if answer == 5 else 2, f"w{at} w2 w3") for at in range(8) for answer in (3, 4, 5, 6)]
    found = model_answers(tiny, pairs)
    known = [row.known(KNOWN_RANK) for row in answered(tiny, pairs)]
    assert [not row.weak for row in found.prompts] == known
    assert set(known) == {True, False}
    # Alone and in a batch: logits of a size of at most 16 in float32, each a sum of some 40 terms.
    rel = torch.finfo(torch.float32).eps * 16 * 40
    for one, row in zip(pairs, found.prompts, strict=True):
        logits = tiny.forward(tiny.tokens([one.prompt])).logits[0].double()
        token = WORDS.index(one.answers[0].strip())
        assert row.answer.rank == 1 + int((logits > logits[token]).sum())
        assert row.answer.probability == pytest.approx(exp(logits[token] - logits.logsumexp(0)), rel=rel)


def stand(
    rank: int, distractor: int | None, *, clean: float | None = None, ablated: float | None = None
) -> ModelAnswer:
    """A prompt with an answer at a rank, made up."""
    token, other, first = (ScoredToken(f" {text}", 1, text, 0, at, 0.01) for text, at in (
        ("a", rank), ("d", distractor or 1), ("f", 1)
    ))  # fmt: skip
    return ModelAnswer("p", token, None if distractor is None else other, first, clean=clean, ablated=ablated)


def test_more_than_half_of_the_prompts_must_be_weak_to_be_refused() -> None:
    good, bad = stand(1, 5), stand(20, 30)
    half = ModelAnswers((good, bad), "logit_diff", "logits")
    half.check()
    assert len(half.warnings) == 1
    assert "does not give the answer on 1 of 2 prompts" in half.warnings[0]
    with pytest.raises(PromptError, match=r"on 2 of 3 prompts: .* not above every distractor on 0"):
        ModelAnswers((good, bad, bad), "logit_diff", "logits").check()
    with pytest.raises(PromptError, match=r'ranks " a" 20th \(p = 0\.01\).*allow weak answers \(--allow-weak\)$'):
        ModelAnswers((bad,), "logit_diff", "logits").check()


def test_kl_scores_no_answer_so_it_warns_and_refuses_nothing() -> None:
    found = ModelAnswers((stand(20, None, clean=0.0, ablated=2.0),), "kl", "nats")
    found.check()
    assert "kl compares whole distributions" in found.warnings[0]


def test_nothing_is_said_against_an_answer_that_the_model_gives() -> None:
    found = ModelAnswers((stand(1, 5, clean=4.0, ablated=-1.0),), "logit_diff", "logits")
    assert (found.warnings, found.weak, found.refused) == ((), (), False)


@pytest.mark.parametrize(
    ("metric", "clean", "ablated", "weak"),
    [
        ("logit_diff", 4.0, 2.0, False),
        ("logit_diff", 4.0, 2.1, True),
        ("logit_diff", -1.0, -2.0, False),
        ("logit_diff", -1.0, 0.5, True),
        ("kl", 0.0, 0.009, True),
        ("kl", 0.0, 0.011, False),
    ],
)
def test_a_weak_change(metric: str, clean: float, ablated: float, weak: bool) -> None:
    assert weak_change(metric, clean, ablated) is weak


def test_an_experiment_records_refuses_or_allows(tiny_experiment: Experiment) -> None:
    model, good = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    assert not Experiment(model, [good], allow_weak=False).model_answers.weak
    exchanged = good.model_copy(update={"answers": good.distractors, "distractors": good.answers})
    with pytest.raises(PromptError, match="prompts that the model itself answers"):
        Experiment(model, [exchanged], allow_weak=False)
    with pytest.raises(PromptError, match="changes the answer"):
        Experiment(model, [exchanged])
    allowed = Experiment(model, [exchanged], allow_weak=True)
    assert len(allowed.model_answers.warnings) == 2  # the answer, and the ablation that gives it back
    # Exchanged answers turn the sign of the metric, and faithfulness is a share of the same way.
    keep = torch.zeros(1, *allowed.graph.valid.shape, dtype=torch.bool)
    keep[0, :, 0] = torch.from_numpy(allowed.graph.valid[:, 0])
    plain = Experiment(model, [good])
    assert allowed.faithfulness(keep) == pytest.approx(plain.faithfulness(keep), rel=1e-6)
    swapped = good.swapped()
    assert swapped is not None
    assert allowed.on([swapped]).allow_weak


def test_a_small_change_is_refused_unless_it_is_allowed(tiny: ResidualModel) -> None:
    """The counterfactual keeps between half and all of a positive metric, as "so bad … so" may."""
    clean, corrupt = (tiny.forward(tiny.tokens([text])).logits[0] for text in (PROMPT, "w9 w2 w3"))
    answer = int(clean.argmax())
    kept = (corrupt[answer] - corrupt) / (clean[answer] - clean)
    kept[answer] = torch.nan
    distractor = int(((kept > 0.55) & (kept < 0.95)).nonzero()[0])
    small = pair(answer, distractor)
    with pytest.raises(PromptError, match=r"at least halves logit_diff.*or allow a small change \(--allow-weak\)"):
        Experiment(tiny, [small], allow_weak=False)
    allowed = Experiment(tiny, [small], allow_weak=True)
    (warning,) = allowed.model_answers.warnings
    assert warning.startswith(f"Fully ablated, the model keeps {float(kept[distractor]):.0%} of the logit_diff")
    whole = torch.from_numpy(allowed.graph.valid)
    assert allowed.faithfulness(torch.stack([whole, ~whole & whole])) == pytest.approx([1, 0], abs=1e-3)


def test_numbers_for_json_are_finite(tiny_experiment: Experiment) -> None:
    found = tiny_experiment.model_answers
    row = found.to_dict()["prompts"][0]
    assert row["clean"] == pytest.approx(float(tiny_experiment.clean[0]))
    assert row["ablated"] == pytest.approx(float(tiny_experiment.corrupt[0]))
    strange = ModelAnswers((stand(1, 5, clean=float("nan"), ablated=float("inf")),), "logit_diff", "logits")
    assert json.dumps(strange.to_dict(), allow_nan=False)


@pytest.mark.real_weights
def test_klingon_is_no_answer_of_smollm2(smollm2: ResidualModel) -> None:
    klingon = PromptPair(
        prompt="The official language of France is",
        counterfactual="The official language of Japan is",
        answers=(" Klingon",),
        distractors=(" Japanese",),
    )
    with torch.no_grad():
        ids = torch.tensor([smollm2.encode(klingon.prompt)])
        logits = smollm2.module(ids).logits[0, -1].double()
    first = smollm2.continuation(" Klingon")
    assert len(first) > 1
    found = Experiment(smollm2, [klingon]).model_answers
    (row,) = found.prompts
    assert row.answer.rank == 1 + int((logits > logits[first[0]]).sum())
    assert row.answer.probability == pytest.approx(float(logits.softmax(-1)[first[0]]), rel=1e-3)
    assert row.first.token == " French"
    assert not row.behind  # the metric alone, 1.9 logits, would not have told
    assert (row.clean or 0) > 1
    with pytest.raises(PromptError, match=r'ranks " Klingon" \(scored by its first token " K[^"]*"\) \d+\w\w \(p = 0'):
        Experiment(smollm2, [klingon], allow_weak=False)
