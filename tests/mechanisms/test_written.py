"""What a model writes, and which answers that says."""

from __future__ import annotations

import pytest
import torch
from tiny import WORDS, make_tiny

from wheatstone import PromptPair, ResidualModel
from wheatstone.mechanisms import continued, says
from wheatstone.mechanisms._spelling import after_marks
from wheatstone.mechanisms._written import is_word


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
    monkeypatch.setattr("wheatstone.mechanisms._written._TOGETHER", 2)
    assert continued(model, prompts, 3) == together
    assert together[0][0] == int(model.forward(model.tokens(prompts[:1])).logits[0].argmax())


def test_a_mark_that_an_answer_cannot_follow_leaves_the_prompt_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two words of letters there must be a space: the answer would be glued to such a mark."""
    model = make_tiny("llama", torch.float32)
    pair = PromptPair(prompt="w4 w2", counterfactual="w14 w2", answers=(" w7",), distractors=(" w8",))
    monkeypatch.setattr("wheatstone.mechanisms._spelling.is_word", lambda text: False)
    assert WORDS[continued(model, [pair.prompt], 1)[0][0]]
    assert after_marks(model, [pair]) == [pair]


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
