"""The table of an edit: scores by hand, free generation, cases from relations and record files, steering."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from small import shared_model, small_model
from tiny_families import tiny_family
from tolerance import rounding

from wheatstone._errors import PromptError, RequestError
from wheatstone.editing import (
    Abilities,
    Case,
    EditRequest,
    Evaluation,
    Probe,
    abilities_of,
    ability_rows,
    baseline_of,
    evaluate,
    make_edit,
    negated,
    read_cases,
    relation_cases,
    score_rows,
    steer,
)
from wheatstone.editing._edit_run import _looked
from wheatstone.editing._evaluate import FLUENT, ProbeScore, held_out_loss
from wheatstone.editing._fine_tuning import FineTuning
from wheatstone.editing._generation import continuations, ngram_entropy, says, until_stop
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair

CASE = Case.of(
    "hand",
    "hand",
    EditRequest(prompt="w1 w2 w3", subject="w2", target="w30", truth="w5"),
    [
        Probe(kind="paraphrase", prompt="w9 w2 w3", answers=("w30", "w31")),
        Probe(kind="neighbourhood", prompt="w1 w6 w3 w4 w4", answers=("w7",)),
        Probe(kind="locality", prompt="w11", answers=("w7",)),
    ],
)


def test_greedy_continuations_are_those_of_each_prompt_alone() -> None:
    model = shared_model()
    prompts = ["w1 w2 w3 w4 w5", "w9"]
    for prompt, found in zip(prompts, continuations(model, prompts, 6), strict=True):
        ids = model.encode(prompt)
        for token in found:
            assert int(model.module(torch.tensor([ids])).logits[0, -1].argmax()) == token
            ids.append(token)


def test_ties_count_against_a_rank() -> None:
    """A model that writes nothing prefers no token: none of the 48 is first."""
    model = tiny_family("llama")
    for parameter in model.module.parameters():
        parameter.data.zero_()
    ((_, likely, rank, _),) = _looked(model, ("w1 w2",), 5)
    assert (likely, rank) == (pytest.approx(1 / 48), 48)


def test_what_a_text_says() -> None:
    assert says(" is Italian, and French.", ["Italian"], ["French"])
    assert not says(" is French, not Italian", ["Italian"], ["French"])
    assert not says(" is Italianate", ["Italian"])
    assert says("... the italian language", ["Latin", "Italian"], ["Italian"])
    assert not says("", ["Italian"])


def test_entropy_of_ngrams_by_hand() -> None:
    assert ngram_entropy([1] * 9) == 0
    # bigrams 01 10 01 (2/3, 1/3), trigrams 010 101
    assert ngram_entropy([0, 1, 0, 1]) == pytest.approx((2 / 3 * 0.9182958 + 4 / 3 * 1) / 2)


def test_the_model_itself_keeps_everything_and_an_edit_moves_it() -> None:
    model = small_model()
    before = baseline_of(model, CASE)
    plain = evaluate(model, CASE, before)
    assert plain.mean("neighbourhood") == plain.mean("locality") == (1.0, 1.0)
    assert plain.mean("efficacy") == (0.0, 0.0)
    assert plain.mean("portability") is None
    assert plain.perplexity == pytest.approx(1)
    assert plain.fluency == before.fluency
    editor = FineTuning(name="ft-m", loss="all", bound=None, rate=0.05, steps=60)
    with make_edit(model, CASE.request, editor, layer=1).applied(model):
        edited = evaluate(model, CASE, before)
    assert edited.mean("efficacy") == (1.0, 1.0)
    assert edited.perplexity != rounding(model).near(1)
    assert evaluate(model, CASE, before) == plain
    assert Evaluation.from_document(json.loads(json.dumps(edited.document()))) == edited
    room = [model.context - len(model.encode(probe.prompt)) for probe in CASE.probes]
    assert [len(row) for row in before.said] == [min(FLUENT, most) for most in room]


def test_whole_texts_are_judged_up_to_where_the_model_stops_and_where_it_was_right_before() -> None:
    model = small_model()
    prompt = "w1 w2 w3"
    (said,) = continuations(model, [prompt], FLUENT)
    words = [model.written([token]).strip() for token in said]
    new = words[5]
    request = EditRequest(prompt=prompt, subject="w2", target=new, truth=words[0])
    case = Case.of("hand", "hand", request, [Probe(kind="locality", prompt=prompt, answers=(words[0], "w47"))])
    before = baseline_of(model, case)
    assert before.right == (True, True)
    plain = evaluate(model, case, before)
    assert (plain.whole("efficacy"), plain.whole("locality")) == (0.0, 1.0)  # the old object is in the text too
    assert plain.whole("paraphrase") is None
    model.module.generation_config.eos_token_id = said[0]
    assert until_stop(model, said) == []
    stopped = evaluate(model, case, before)
    assert (stopped.whole("efficacy"), stopped.whole("locality")) == (0.0, 0.0)
    assert stopped.mean("efficacy") == plain.mean("efficacy")  # eight tokens, whether or not the model would stop
    unknown = baseline_of(model, case)
    assert unknown.right == (False, False)
    assert evaluate(model, case, unknown).whole("efficacy") is None
    (row, *_) = score_rows([stopped, plain])
    assert (row.kind, row.whole, row.whole_n) == ("efficacy", 0.0, 2)


def test_a_prompt_is_negated_behind_its_subject() -> None:
    assert negated("The capital of Germany is", "Germany") == "The capital of Germany is not"
    assert negated("It is well known that Uluru is in the country of", "Uluru") == (
        "It is well known that Uluru is not in the country of"
    )
    assert negated("The headquarters of IBM are in the city of", "IBM") == (
        "The headquarters of IBM are not in the city of"
    )
    assert negated("Isle of Wight was a part of what is", "Isle") == "Isle of Wight was a part of what is not"
    for prompt, subject in (("Uluru is not in", "Uluru"), ("It is said of Uluru", "Uluru"), ("Paris isn't", "Paris")):
        assert negated(prompt, subject) is None
    assert negated("The capital is", "Rome") is None


def test_a_negated_prompt_is_right_where_the_new_answer_does_not_follow() -> None:
    model = small_model()
    prompt = "w9 is not"
    (said,) = continuations(model, [prompt], FLUENT)
    word = model.written(said[:1]).strip()
    request = EditRequest(prompt="w9 is", subject="w9", target=word, truth="w47")
    case = Case.of("hand", "hand", request, [])
    assert [(probe.kind, probe.prompt) for probe in case.probes] == [("efficacy", "w9 is"), ("negation", prompt)]
    before = baseline_of(model, case)
    found = evaluate(model, case, before)
    assert found.mean("negation") == (0.0, 0.0)
    assert found.whole("negation") == (0.0 if before.right[1] else None)
    other = next(f"w{at}" for at in range(40) if f"w{at}" not in {model.written([token]).strip() for token in said})
    away = case.model_copy(
        update={"probes": (case.probes[0], case.probes[1].model_copy(update={"answers": (other,), "others": ()}))}
    )
    found = evaluate(model, away, baseline_of(model, away))
    assert (found.mean("negation"), found.whole("negation")) == ((1.0, 1.0), 1.0)


def test_abilities_are_compared_prompt_by_prompt() -> None:
    model = small_model()
    words = [f"w{at}" for at in range(6)]
    pairs = tuple(
        PromptPair(prompt=f"w7 {word}", counterfactual="w8 w9", answers=(" w1",), distractors=(" w2",))
        for word in words
    )
    prompts = {"facts/by hand": pairs, "by hand": pairs}
    before = abilities_of(model, prompts, passages_read=5)
    assert before == abilities_of(model, prompts, passages_read=5)
    logits = model.forward(model.tokens([pair.prompt for pair in pairs])).logits
    one, two = (model.continuation(f" {word}")[0] for word in ("w1", "w2"))
    assert before.tasks["by hand"] == tuple((logits[:, one] > logits[:, two]).double().tolist())
    assert before.tasks["facts/by hand"] == tuple((logits.argmax(-1) == one).double().tolist())
    name = "model.layers.1.mlp.down_proj.weight"
    weight = model.module.get_parameter(name)
    weight.data *= 3
    rows = {row.name: row for row in ability_rows(before, abilities_of(model, prompts, passages_read=5))}
    assert set(rows) == {"text", "facts/by hand", "by hand", name}
    assert rows[name].change == rounding(model).near(3)
    assert (rows["text"].n, rows["by hand"].n, rows[name].low) == (5, 6, None)
    assert rows["by hand"].change == pytest.approx(rows["by hand"].after - rows["by hand"].before)
    same = {row.name: row for row in ability_rows(before, before)}
    assert set(same) == {"text", "facts/by hand", "by hand"}
    assert (same["text"].change, same["by hand"].change) == (1.0, 0.0)
    for losses, has in (((1.0, 2.0, 4.0, 3.0), True), ((1.0, 2.0, 4.0), False)):
        (text,) = ability_rows(Abilities((0.5,) * len(losses), {}, {}), Abilities(losses, {}, {}))
        assert text.change == pytest.approx(math.exp(sum(losses) / len(losses) - 0.5))
        assert (text.low or 0) < text.change < (text.high or math.inf)
        assert (text.low is not None, text.high is not None) == (has, has)


def test_rows_of_cases_by_hand() -> None:
    def one(efficacy: float, paraphrase: float) -> Evaluation:
        scores = (ProbeScore("efficacy", efficacy, 0.0), ProbeScore("paraphrase", paraphrase, 1.0))
        return Evaluation((*scores, ProbeScore("paraphrase", paraphrase, 0.0)), 1.0, 1.0, 1.0)

    rows = {row.kind: row for row in score_rows([one(1.0, 0.5), one(1.0, 1.0)])}
    assert (rows["efficacy"].teacher_forced, rows["paraphrase"].teacher_forced) == (1.0, 0.75)
    assert (rows["efficacy"].free, rows["paraphrase"].free, rows["score"].free) == (0.0, 0.5, 0.0)
    assert rows["score"].teacher_forced == pytest.approx(2 / (1 + 1 / 0.75))
    assert (rows["paraphrase"].low, rows["paraphrase"].n) == (None, 2)
    four = {row.kind: row for row in score_rows([one(1.0, 0.5), one(1.0, 1.0)] * 2)}
    efficacy = four["efficacy"]  # four of four, and none of four
    assert (efficacy.low, efficacy.high, efficacy.free_low, efficacy.free_high) == pytest.approx(
        (0.4540497, 1, 0, 1 - 0.4540497)
    )


def test_relations_are_named_and_known() -> None:
    with pytest.raises(RequestError, match="a bundled relation"):
        relation_cases(shared_model(), ["no_such_relation"], 1)
    with pytest.raises(RequestError, match="knows facts of"):
        relation_cases(shared_model(), [], 1)


def test_steering_adds_a_direction_and_takes_it_away() -> None:
    model = small_model()
    prompts = ["w1 w2 w3", "w4 w5"]
    tokens = model.tokens(prompts)
    plain, loss = model.forward(tokens).logits, held_out_loss(model)
    steering = steer(model, ["w7 w8"], ["w9 w10 w11", "w1"], layer=2)
    toward = model.streams(model.tokens(["w7 w8"])).stream[-1][0, 1]
    others = [model.streams(model.tokens([text])).stream[-1][0, -1] for text in ("w9 w10 w11", "w1")]
    rounding(model).check(steering.direction, toward - torch.stack(others).mean(0))
    with steering.applied(model):
        steered = model.forward(tokens).logits
        rounding(model).check(steered, _last(model, prompts))
    assert (steered - plain).abs().max() > 0.01
    assert torch.equal(model.forward(tokens).logits, plain)
    assert held_out_loss(model) == loss
    with pytest.raises(RequestError):
        steer(model, [], ["w1"], layer=0)


def _last(model: ResidualModel, prompts: list[str]) -> torch.Tensor:
    return torch.stack([model.module(torch.tensor([model.encode(prompt)])).logits[0, -1] for prompt in prompts])


COUNTERFACT = {
    "case_id": 7,
    "requested_rewrite": {
        "prompt": "The mother tongue of {} is",
        "target_new": {"str": "English"},
        "target_true": {"str": "French"},
        "subject": "Danielle Darrieux",
    },
    "paraphrase_prompts": ["Danielle Darrieux, a native"],
    "neighborhood_prompts": ["The mother tongue of Léon Blum is"],
}
ZSRE = {
    "subject": "Watts Humphrey",
    "src": "What university did Watts Humphrey attend?",
    "rephrase": "What university did Watts Humphrey take part in?",
    "alt": "University of Michigan",
    "answers": ["Illinois Institute of Technology"],
    "loc": "nq question: who played desmond doss father in hacksaw ridge",
    "loc_ans": "Hugo Weaving",
}
KNOWEDIT = {
    "subject": "Leo Arons",
    "prompt": "The place of death of Leo Arons is",
    "target_new": "Berlin",
    "ground_truth": [["Munich"]],
    "portability": {"Reasoning": [{"prompt": "Leo Arons died in the country of", "ground_truth": [["Germany"]]}]},
    "locality": {"Forgetfulness": [{"prompt": "The name of Leo Arons is", "ground_truth": "Leo"}]},
    "rephrase": "Leo Arons passed away in",
}


def test_three_record_formats(tmp_path: Path) -> None:
    kinds = {
        "counterfact": (COUNTERFACT, ["efficacy", "paraphrase", "neighbourhood", "negation"]),
        "zsre": (ZSRE, ["efficacy", "paraphrase", "locality"]),
        "knowedit": (KNOWEDIT, ["efficacy", "paraphrase", "portability", "locality", "negation"]),
    }
    for name, (record, expected) in kinds.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps([record]))
        (case,) = read_cases(path)
        assert [probe.kind for probe in case.probes] == expected
        assert case.request.subject in case.request.prompt
        assert case.request.truth
        path.with_suffix(".jsonl").write_text(json.dumps(record) + "\n")
        assert read_cases(path.with_suffix(".jsonl")) == [case]
        path.with_suffix(".jsonl").write_text("\n" + json.dumps(record) + "\n\n")
        assert read_cases(str(path.with_suffix(".jsonl"))) == [case]


def test_records_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps([ZSRE, {**ZSRE, "subject": "Nobody"}, {"a": 1}]))
    with pytest.raises(PromptError, match=r"record 2: .*not in the prompt.*record 3: .*neither .* among the keys 'a'"):
        read_cases(path)
    assert len(read_cases(path, strict=False)) == 1
    path.write_text("not json")
    with pytest.raises(PromptError, match="no record"):
        read_cases(path)
    with pytest.raises(PromptError):
        read_cases(tmp_path / "none.json")


@pytest.mark.real_weights
def test_cases_of_the_real_model_have_every_kind(smollm2: ResidualModel) -> None:
    (case,) = relation_cases(smollm2, ["landmark_country"], 1)
    assert {probe.kind for probe in case.probes} >= {"efficacy", "paraphrase", "neighbourhood", "locality"}
    assert case.request.truth in " ".join(case.probes[0].others)
    for probe in case.probes:
        if probe.kind == "neighbourhood":
            assert case.request.target not in probe.answers
