"""What a model writes, and which answers that says."""

from __future__ import annotations

import pytest
import torch
from tiny import WORDS, make_tiny

from wheatstone import PromptPair, ResidualModel
from wheatstone.lenses import continued, says
from wheatstone.lenses._spelling import after_marks
from wheatstone.lenses._written import is_word


@pytest.mark.parametrize(
    ("written", "answer", "right"),
    [
        (" New Zealand Dollar", "dollar", True),
        (" Tunisian dinar. It is", "dinar", True),
        (" dinar", "Tunisian dinar", True),
        (' "Ringgit", or RM', "ringgit", True),
        (" the U.S. dollar", "dollar", True),
        (" pound and the dollar", "dollar", False),
        (" not the dollar", "dollar", False),
        (" peso, once the dollar", "dollar", False),
        (" euro.\nThe dollar", "dollar", False),
        (" lira. The dollar", "dollar", False),
        (" dollars", "dollar", False),
        (" South Sudan", "Sudan", False),
        (" Sudan, which", "Sudan", True),
        (" the city of Paris", "Paris", True),
        (" PARIS", "Paris", True),
        (" São Tomé", "Sao Tome", True),
        (" Guinea-Bissau", "Guinea", False),
        (" Guinea", "Guinea-Bissau", False),
        (" Niger", "Nigeria", False),
        (" Washington, D.C., and", "Washington, D.C.", True),
        (" York", "New York", False),
        ("是北京市。", "北京", True),
        ("是上海。", "北京", False),
        ("", "dollar", False),
        (' "', '"', False),
    ],
)
def test_which_answers_a_text_says(written: str, answer: str, right: bool) -> None:
    assert says(written, (answer,)) is right
    assert says(written, ("Zzz", answer)) is right


def test_marks_are_no_words() -> None:
    assert [is_word(text) for text in (' "', " (", "\n", " R", "7", " é")] == [False] * 3 + [True] * 3


def test_texts_do_not_depend_on_how_many_are_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_tiny("llama", torch.float32)
    prompts = [f"w{at} w2" for at in range(4, 9)]
    together = continued(model, prompts, 3)
    monkeypatch.setattr("wheatstone.lenses._written._TOGETHER", 2)
    assert continued(model, prompts, 3) == together
    assert together[0][0] == int(model.forward(model.tokens(prompts[:1])).logits[0].argmax())


def test_a_fact_is_asked_behind_the_marks_that_the_model_writes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two prompts the one that the model follows with a mark has it behind its prompt, and bare answers."""
    model = make_tiny("llama", torch.float32)
    pairs = [
        PromptPair(
            prompt=f"w{at} w2",
            counterfactual=f"w{at + 10} w2",
            answers=(" w7",),
            distractors=(" w8",),
            spans={"subject": (0, 2)},
        )
        for at in (4, 5)
    ]
    first = WORDS[continued(model, ["w4 w2"], 1)[0][0]]
    assert first != WORDS[continued(model, ["w5 w2"], 1)[0][0]]
    monkeypatch.setattr("wheatstone.lenses._spelling.is_word", lambda text: text.strip() != first)
    marked, plain = after_marks(model, pairs)
    assert plain == pairs[1]
    assert (marked.prompt, marked.counterfactual) in [
        (f"w4 w2{f' {first}' * times}", f"w14 w2{f' {first}' * times}") for times in (1, 2, 3)
    ]
    assert marked.prompt[slice(*marked.spans["subject"])] == "w4"


@pytest.mark.real_weights
def test_an_answer_in_quotation_marks_is_an_answer(smollm2: ResidualModel) -> None:
    pair = PromptPair(
        prompt="In inverted commas, the capital of France is spelled:",
        counterfactual="In inverted commas, the capital of Spain is spelled:",
        answers=(" Paris",),
        distractors=(" Madrid",),
        spans={"subject": (35, 41)},
    )
    (marked,) = after_marks(smollm2, [pair])
    top = smollm2.decode(smollm2.forward(smollm2.tokens([pair.prompt])).logits.argmax(-1).tolist())[0]
    if top.strip() and not is_word(top):
        assert (marked.prompt, marked.answers) == (pair.prompt + top, ("Paris",))
    else:
        assert marked == pair
