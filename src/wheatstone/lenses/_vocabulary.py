"""What a node's write says in words: the tokens it promotes and suppresses, through the final norm and unembedding.

Source: Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the Vocabulary
Space" (arXiv 2203.14680); Dar et al. 2023 (arXiv 2209.02535).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from wheatstone._intervals import halves_of, measured_on
from wheatstone._progress import Reporter
from wheatstone.lenses._attribution import direct_effects
from wheatstone.lenses._section import Explanation, Material, Section
from wheatstone.lenses._summaries import Sides, VocabularySummary
from wheatstone.runs import Table

_NODES = 10
"""Nodes that are read: those with the largest mean |direct effect|."""
_TOKENS = 8
"""Tokens noted on either side."""


class VocabularyPush(NamedTuple):
    """A token that a node's write moves: a row of vocabulary.parquet.

    Args:
        prompt: which, from 0.
        node: such as `a23.h4`.
        side: `promotes` or `suppresses`.
        place: 1 for the token moved most.
        token: its text.
        push: what the write adds to its logit, less what it adds to all tokens on average, in logits.
    """

    prompt: int
    node: str
    side: str
    place: int
    token: str
    push: float


def vocabulary(material: Material, report: Reporter) -> Explanation:
    """Reads the writes of the strongest nodes at each prompt's last token.

    When this misleads: many writes are not about the next token at all, and then the list is noise that looks like
    words. A push matters beside the spread of the logits, and beside what other nodes add.
    """
    report("vocabulary", 0, None)
    model, graph = material.experiment.model, material.experiment.graph
    halves, every = halves_of(material.n), range(material.n)
    choosing, measuring = (list(half) for half in halves or (every, every))
    strength = direct_effects(material)[1:-1, choosing].abs().mean(1)
    chosen = [1 + node for node in strength.argsort(descending=True)[:_NODES].tolist()]
    rows, first = list[VocabularyPush](), dict[str, Sides]()
    for node in chosen:
        name, tokens = graph.nodes[node], dict[str, Counter[str]]()
        logits = material.readout.logits(material.last_nodes[node])
        pushes = logits - logits.mean(-1, keepdim=True)
        for side, sign in (("promotes", 1), ("suppresses", -1)):
            top = (sign * pushes).topk(_TOKENS)
            texts = [model.decode(row) for row in top.indices.tolist()]
            rows += [
                VocabularyPush(prompt, name, side, place, text, sign * value)
                for prompt, (words, values) in enumerate(zip(texts, top.values.tolist(), strict=True))
                for place, (text, value) in enumerate(zip(words, values, strict=True), 1)
            ]
            tokens[side] = Counter(text for words in texts for text in words)
        first[name] = Sides(**{side: tuple(text for text, _ in found.most_common(5)) for side, found in tokens.items()})
    answers = material.experiment.encoded.answers[:, 0]
    logits = material.readout.logits(material.last_nodes[chosen])
    own = (logits >= logits.gather(-1, answers.expand(len(chosen), -1)[..., None])).sum(-1)
    is_first = (own == 1).double()
    by_choice = is_first[:, choosing].mean(1).tolist()
    named = sorted((row for row in range(len(chosen)) if by_choice[row] > 0), key=lambda row: -by_choice[row])
    shares = is_first[:, measuring].mean(1).tolist()
    summary = VocabularySummary(
        most_often=first,
        answer_first={graph.nodes[chosen[row]]: shares[row] for row in named},
        n=len(measuring),
        held_out=halves is not None,
    )
    method = (
        f"The {_NODES} nodes of the largest mean |direct effect|: what each writes at the last token, through the "
        f"final norm at its frozen scale and the unembedding, less its mean over the vocabulary; n = {material.n}. "
        f"The nodes, and which of them are named for the answer, are {measured_on(material.n)}."
    )
    return Explanation({"vocabulary": Table.of(VocabularyPush, rows)}, summary, method)


VOCABULARY = Section("vocabulary", "Which words do the strongest parts push up and down?", vocabulary)
