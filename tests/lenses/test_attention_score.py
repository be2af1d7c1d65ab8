"""`attention_scores`: the split of one score, what the head moves, and exact removals."""

from __future__ import annotations

import functools
import json

import pytest
import torch
from induction import InductionModel
from prompts import FRANCE
from tiny import make_tiny
from tiny_families import tiny_family
from tolerance import Rounding, rounding

from wheatstone import PromptError, RequestError, ResidualModel, attention_scores
from wheatstone.lenses import AttentionScore, Readout

PROMPT = "w7 w3 w1 w4 w1 w5 w9 w2 w6 w5 w3 w5"
model_of = functools.cache(tiny_family)


def test_pairs_add_up_to_the_score_and_to_its_difference_from_the_runner_up(tiny64: ResidualModel) -> None:
    found = attention_scores(tiny64, PROMPT, head="a2.h1")
    near = rounding(tiny64).near
    weights = tiny64.attention(tiny64.tokens([PROMPT]), [2])[0, 0, 1, -1]
    assert found.query == 11
    assert found.key == int(weights.argmax())
    assert found.runner_up == weights.argsort(descending=True)[1]
    rounding(tiny64, dtype=torch.float32).check(found.weights, weights)
    assert found.pairs.total == near(found.score)
    assert found.capped == found.score
    assert found.difference is not None
    other = attention_scores(tiny64, PROMPT, head="a2.h1", key=found.runner_up)
    assert found.difference.total == near(found.score - other.score)
    term = found.difference.top(1)[0]
    assert term.value == near(
        found.pairs.term(*term[:2]).value - other.pairs.term(*term[:2]).value, magnitude=abs(found.score)
    )


def test_a_softcap_bounds_the_score_and_not_its_terms() -> None:
    model = model_of("gemma2", torch.float64)
    found = attention_scores(model, PROMPT, head="a1.h2")
    near = rounding(model).near
    assert found.pairs.total == near(found.score)
    assert found.capped == near(50 * torch.tensor(found.score / 50).tanh().item())
    assert "after the softcap of 50" in repr(found)


def test_what_the_head_moves_is_its_write_read_by_the_answer(tiny64: ResidualModel) -> None:
    """Over all keys it adds up to the head's direct effect; the answer is read at the query's position."""
    answer, query = "w9", 6
    parts = [attention_scores(tiny64, PROMPT, head="a1.h3", query=query, key=key, answer=answer) for key in range(7)]
    nodes = tiny64.forward(tiny64.tokens([PROMPT]), cache=True).nodes
    assert nodes is not None
    there = nodes[:, 0, query]
    readout = Readout.at(tiny64, tiny64.after_sublayers(there)[-1:])
    direct = readout.logits(there[tiny64.graph.node_index["a1.h3"], None])[0, 9]
    moved = sum(term.value for part in parts for term in part.moved)
    assert moved == rounding(tiny64, passes=3).near(float(direct))
    assert {part.answer for part in parts} == {9}


def test_the_default_answer_is_the_likeliest_token_at_the_query(tiny64: ResidualModel) -> None:
    logits = tiny64.forward(tiny64.tokens([PROMPT]), all_positions=True).logits[0]
    for query in (-1, 4):
        assert attention_scores(tiny64, PROMPT, head="a0.h0", query=query).answer == int(logits[query].argmax())


@pytest.mark.parametrize("case", ["llama", "gpt2", "gptj", "mistral", "gemma2", "gemma3_text", "olmo", "cohere"])
@pytest.mark.parametrize("query", [-1, 7])
def test_the_softmax_formula_predicts_exact_removals(case: str, query: int) -> None:
    model = model_of(case, torch.float64)
    found = attention_scores(model, PROMPT, head="a1.h1", query=query)
    rows = found.confirm(3)
    assert [row.pairs for row in rows] == [*((term,) for term in found.top(3)), found.top(3)]
    assert [row.pairs for row in found.confirm(3, alone=False)] == [found.top(3)]
    near = rounding(model, dtype=torch.float32).near
    logits = model.forward(model.tokens([PROMPT]), all_positions=True).logits[0, query]
    for row in rows:
        assert row.exact == near(row.predicted)
        assert row.weight == near(found.weight)
        assert row.value == sum(term.value for term in row.pairs)
        assert row.logit == near(float(logits[found.answer]))
        assert row.probability == near(float(logits.softmax(-1)[found.answer]))
    # By hand, where nothing bounds scores: odds of the key are divided by exp(what the pairs added).
    if found.split.softcap is None:
        odds = found.weight / (1 - found.weight) * torch.tensor(-rows[-1].value).double().exp().item()
        assert rows[-1].exact == near(odds / (1 + odds))


def test_a_removal_changes_what_follows_and_nothing_else(tiny64: ResidualModel) -> None:
    """The answer's logit without a pair is that of a run in which the head's output has the changed weights."""
    found = attention_scores(tiny64, PROMPT, head="a2.h1")
    row = found.confirm(1)[0]
    scores = found.split.scores.clone()
    scores[found.key] -= row.value
    written = torch.einsum("k,jkd->d", found.split.weights(scores), found.split.v) @ found.split.output
    nodes = tiny64.forward(tiny64.tokens([PROMPT]), cache=True).nodes
    assert nodes is not None
    plain, head = nodes[:, :, :], tiny64.graph.node_index["a2.h1"]
    change = torch.zeros(1, 1, *plain.shape[2:], dtype=torch.float64)
    change[0, 0, -1] = written - plain[head, 0, -1]
    after = tiny64.patched_logits(tiny64.streams(tiny64.tokens([PROMPT])), [head], change)[0, 0, found.answer]
    assert row.logit_after == rounding(tiny64).near(float(after))


def test_a_head_with_large_biases_is_said_to_be_dominated_by_them() -> None:
    model = make_tiny("llama-biased", torch.float64)
    assert not attention_scores(model, PROMPT, head="a1.h0").pairs.dominated_by_bias
    biases = model.blocks[1].qkv_biases
    assert biases is not None
    biases[0][0].mul_(100)
    found = attention_scores(model, PROMPT, head="a1.h0")
    assert found.pairs.dominated_by_bias
    assert found.to_dict()["dominated_by_bias"] is True
    assert "dominated by bias: pairs with a bias term add" in repr(found)


def test_one_token_has_no_runner_up(tiny64: ResidualModel) -> None:
    found = attention_scores(tiny64, "w7", head="a0.h0")
    assert (found.key, found.weight, found.runner_up, found.difference) == (0, 1.0, None, None)
    assert found.to_dict()["difference_pairs"] is None
    assert "runner-up" not in repr(found)


def test_the_text_and_the_dictionary_say_the_same(tiny: ResidualModel) -> None:
    found = attention_scores(tiny, PROMPT, head="blocks.2.attn.hook_z[1]", answer="w9")
    assert isinstance(found, AttentionScore)
    said = json.loads(json.dumps(found.to_dict(4)))
    assert said["head"] == "a2.h1"
    assert [len(said[name]) for name in ("pairs", "difference_pairs", "moved_by")] == [4, 4, 4]
    text = repr(found).splitlines()
    assert text[0] == f"AttentionScore(a2.h1, query 11 'w5', key {found.key} {found.texts[found.key]!r})"
    assert f"{said['pairs'][0]['value']:+.3f}  {said['pairs'][0]['query_sender']} × " in text[2]
    assert "  moved to the logit of 'w9': " in "\n".join(text)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"head": "a9.h0"}, "a head of tiny-mistral, from a0.h0 to a2.h3; got 'a9.h0'; name a head"),
        ({"head": "m1"}, "got 'm1'"),
        ({"query": 12}, "a position in the prompt, which has 12 tokens; got 12; choose one from 0 to 11"),
        ({"key": -13}, "a position in the prompt, which has 12 tokens; got -13"),
        ({"query": 4, "key": 5}, "a key at or before the query, position 4; got position 5; choose an earlier key"),
        ({"key": 2}, "a key that a1.h1 sees from position 11: 7 to 11; got position 2, hidden by its sliding window"),
        ({"answer": ""}, "an answer of at least one token; got ''"),
    ],
)
def test_bad_requests_are_refused_in_one_line(request_: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        attention_scores(model_of("mistral"), PROMPT, **({"head": "a1.h1"} | request_))  # pyright: ignore[reportArgumentType]
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_empty_prompt_is_refused(tiny: ResidualModel) -> None:
    with pytest.raises(PromptError, match="a prompt of at least one token; got none"):
        attention_scores(tiny, "", head="a0.h0")


def test_the_previous_token_head_is_found_in_the_induction_head_s_key(induction: InductionModel) -> None:
    """The known mechanism, without its heads being named: the first pair's key sender is the previous-token head.

    Both in the score, and in how it differs from the mean of all other keys.
    """
    previous, inducing = induction.roles()
    pairs = induction.pairs(20)
    found = [attention_scores(induction.model, pair.prompt, head=head) for pair in pairs for head in inducing]
    for first in ([score.top(1)[0] for score in found], [score.against().top(1)[0] for score in found]):
        assert sum(term.key_sender in previous for term in first) >= 0.95 * len(first)


def test_a_score_is_split_against_any_other_keys(tiny64: ResidualModel) -> None:
    found = attention_scores(tiny64, PROMPT, head="a2.h1", query=4, key=2)
    scores = found.split.scores.tolist()
    near = rounding(tiny64).near
    assert found.against([0, 3]).total == near(scores[2] - (scores[0] + scores[3]) / 2)
    assert found.against().total == near(scores[2] - (sum(scores) - scores[2]) / 4)
    with pytest.raises(
        RequestError, match=r"other keys that a2.h1 sees from position 4, out of \[0, 1, 2, 3, 4\]; got"
    ):
        found.against([5])
    with pytest.raises(RequestError, match="got none"):
        attention_scores(tiny64, "w7", head="a0.h0").against()


def test_half_precision_adds_up_within_its_own_rounding() -> None:
    model = model_of("qwen3", torch.bfloat16)
    found = attention_scores(model, PROMPT, head="a1.h2")
    rounded = Rounding(1, torch.bfloat16)  # each term has the error of the numbers that it is made of: no sum of them
    assert found.pairs.total == rounded.near(found.score, magnitude=float(found.split.scores.abs().max()) + 1)
    assert found.confirm(1)[0].exact == pytest.approx(found.confirm(1)[0].predicted, abs=rounded.bound())


@pytest.mark.real_weights
def test_smollm2_adds_up_within_a_ten_thousandth(smollm2: ResidualModel) -> None:
    """At every key; the last prompt is long, and its first token is an attention sink."""
    long = " ".join([FRANCE.prompt + " French."] * 20)
    for prompt, head in ((FRANCE.prompt, "a23.h4"), (FRANCE.prompt, "a29.h8"), (long, "a15.h3")):
        split = smollm2.head_split(smollm2.tokens([prompt]), head)
        total = torch.einsum("id,jkd->k", split.q, split.k) * split.scaling
        # What is promised of float32.
        torch.testing.assert_close(total, split.scores, rtol=0, atol=1e-4)
    assert len(split.scores) > 150


@pytest.mark.real_weights
def test_smollm2_looks_at_france(smollm2: ResidualModel) -> None:
    found = attention_scores(smollm2, FRANCE.prompt, head="a23.h4", answer=" French")
    assert found.texts[found.key] == " France"
    assert sum(term.value for term in found.moved) > 1
    for row in found.confirm(2):
        assert row.exact == rounding(smollm2).near(row.predicted)
