"""Questions with and without demonstrations."""

from __future__ import annotations

import pytest
import torch
from tiny import explainable_pairs, make_tiny

from wheatstone import PromptPair, RequestError
from wheatstone.mechanisms import in_context
from wheatstone.mechanisms._in_context import without_demonstrations
from wheatstone.models import Replace
from wheatstone.tasks import encode, hits

PAIR = PromptPair(
    prompt="Q: Rome\nA: Italy\n\nQ: Oslo\nA:",
    counterfactual="Q: Rome\nA: Italy\n\nQ: Bonn\nA:",
    answers=(" Norway",),
    distractors=(" Germany",),
    spans={"demonstration": (0, 16), "subject": (21, 25)},
)


def test_a_question_without_its_demonstrations() -> None:
    alone = without_demonstrations(PAIR)
    assert (alone.prompt, alone.counterfactual) == ("Q: Oslo\nA:", "Q: Bonn\nA:")
    assert (alone.answers, alone.spans) == (PAIR.answers, {"subject": (3, 7)})
    assert alone.prompt[3:7] == "Oslo"
    with pytest.raises(RequestError, match="begin with a span `demonstration`"):
        without_demonstrations(alone)


def test_heads_that_enter_and_what_ablating_them_does() -> None:
    model = make_tiny("llama", torch.float32)
    questions = explainable_pairs(model, [(f"w{at} w2", f"w{at + 10} w2") for at in range(4, 10)])
    pairs = [
        pair.model_copy(
            update={
                "prompt": f"w1 w3 {pair.prompt}",
                "counterfactual": f"w1 w3 {pair.counterfactual}",
                "spans": {"demonstration": (0, 5)},
            }
        )
        for pair in questions
    ]
    assert without_demonstrations(pairs[0]).prompt == questions[0].prompt
    found = in_context(model, pairs, pairs, heads=3, edges=40, draws=4)
    assert len(found.with_demonstrations) == len(found.without) == 40
    expected = {name for name in found.with_demonstrations.nodes if name[0] == "a" and name not in found.without.nodes}
    assert set(found.entering) == expected
    assert len(found.most_attended) == 12
    rows = {row.condition: row for row in found.rows}
    count = min(3, len(expected))
    assert rows["random"].draws == 4
    assert rows["random"].least <= rows["random"].accuracy <= rows["random"].most
    assert all(rows[name].heads == count for name in ("entering", "random", "most attended"))
    encoded = encode(model, pairs)
    assert rows["demonstrations"].accuracy == pytest.approx(
        float(hits(model.forward(encoded.clean).logits, encoded, 1).mean())
    )
    nodes = model.forward(encoded.clean, cache=True).nodes
    assert nodes is not None
    edits = [
        Replace(at=head, value=nodes[model.graph.node_index[head]].mean((0, 1))) for head in found.most_attended[:count]
    ]
    without = hits(model.forward_with(encoded.clean, edits).logits, encoded, 1)
    assert rows["most attended"].accuracy == pytest.approx(float(without.mean()))
    alone = encode(model, [without_demonstrations(pair) for pair in pairs])
    assert rows["no demonstrations"].accuracy == pytest.approx(
        float(hits(model.forward(alone.clean).logits, alone, 1).mean())
    )
