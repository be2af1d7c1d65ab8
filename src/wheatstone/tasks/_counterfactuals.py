"""Counterfactuals made automatically: another subject of the same relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from wheatstone._view import Brief
from wheatstone.models import ResidualModel, joined
from wheatstone.tasks._pair import PromptPair


@dataclass(frozen=True)
class Fact(Brief):
    """A subject, the prompt that asks about it, and what should follow.

    Args:
        subject: as it is written in the prompt.
        template: the prompt with `{subject}` for the subject.
        answers: right answers, the usual one first; `continuations` has them as they follow the prompt.
        where: file and line it was read from.
        context: text before the template, such as demonstrations.
        key: what it is split by; the subject where it is empty.
    """

    subject: str
    template: str
    answers: tuple[str, ...]
    where: str
    context: str = ""
    key: str = ""

    @property
    def question(self) -> str:
        """The prompt without its context."""
        return self.template.replace("{subject}", self.subject, 1)

    @property
    def prompt(self) -> str:
        """The whole prompt."""
        return self.context + self.question

    @property
    def continuations(self) -> tuple[str, ...]:
        """The answers as they follow the prompt."""
        return self.following(self.answers)

    def following(self, answers: Sequence[str]) -> tuple[str, ...]:
        """Answers as they follow the prompt: after a space, or after none where the writing has none there."""
        return tuple(dict.fromkeys(joined(self.prompt, answer.strip()) for answer in answers))

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """`subject`; `relation`, the longer of the template's two parts beside it; `demonstration`, the context."""
        start = len(self.context) + self.template.index("{subject}")
        end = start + len(self.subject)
        parts = ((len(self.context), start), (end, len(self.prompt)))
        spans = {"subject": (start, end)}
        for name, (first, last) in (
            ("relation", max(parts, key=lambda part: len(self.prompt[slice(*part)].strip()))),
            ("demonstration", (0, len(self.context))),
        ):
            text = self.prompt[first:last]
            if text.strip():
                spans[name] = (first + len(text) - len(text.lstrip()), last - len(text) + len(text.rstrip()))
        return spans


def with_counterfactuals(
    model: ResidualModel, facts: Sequence[Fact], draw: Random
) -> tuple[list[tuple[Fact, PromptPair]], list[Fact]]:
    """Pairs each fact with another of the same template, token length and a different answer.

    Among the facts that fit, the one used least often so far is taken, ties at random: every fact serves as
    counterfactual about equally often. No first token of an answer may be one of the other's answers'.

    Args:
        model: whose tokens are counted.
        facts: of one split, so that a counterfactual never shows a subject of another.
        draw: decides ties.

    Returns:
        The pairs, in the order of the facts; and the facts that none fits.
    """
    firsts = [{token for answer in fact.continuations for token in model.continuation(answer)[:1]} for fact in facts]
    groups: dict[tuple[str, int], list[int]] = {}
    for index, fact in enumerate(facts):
        groups.setdefault((fact.template, len(model.encode(fact.question))), []).append(index)
    partner: dict[int, int] = {}
    for members in groups.values():
        used = dict.fromkeys(members, 0)
        for index in draw.sample(members, len(members)):
            fit = [
                other
                for other in members
                if not firsts[index] & firsts[other] and facts[other].subject not in facts[index].context
            ]
            if fit:
                least = min(used[other] for other in fit)
                partner[index] = draw.choice([other for other in fit if used[other] == least])
                used[partner[index]] += 1
    pairs = [
        (
            fact,
            PromptPair(
                prompt=fact.prompt,
                counterfactual=fact.context + facts[partner[index]].question,
                answers=fact.continuations,
                distractors=fact.following(facts[partner[index]].answers),
                spans=fact.spans,
            ),
        )
        for index, fact in enumerate(facts)
        if index in partner
    ]
    return pairs, [fact for index, fact in enumerate(facts) if index not in partner]
