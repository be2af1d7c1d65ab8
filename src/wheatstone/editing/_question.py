"""What a circuit before an edit and one after it are both asked: one prompt pair, two answers, one distractor.

    before   logit(old object) − logit(what the counterfactual subject has)
    after    logit(new object) − logit(what the counterfactual subject has)

Prompt, counterfactual and distractor stay; only the answer is the one that each model gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from wheatstone._errors import PromptError
from wheatstone.editing._asked import Asked, asked
from wheatstone.editing._request import EditRequest
from wheatstone.models import ResidualModel, Tokens, continued, joined
from wheatstone.tasks import PromptPair, Relation, bundled_relation, bundled_relations

_CANDIDATES = 40
"""Other subjects that are tried as the counterfactual."""
_LONGEST_CHARACTER = 4
"""Bytes, and so tokens, of one character at most."""


@dataclass(frozen=True)
class EditQuestion:
    """An edit's prompt beside a counterfactual, with the objects that are distinguished.

    Args:
        asked: the request in tokens.
        before: the pair that the plain model is asked; its answer is the old object.
        after: the pair that the edited model is asked; its answer is the new object.
    """

    asked: Asked
    before: PromptPair
    after: PromptPair

    def objects(self, model: ResidualModel) -> dict[str, int]:
        """First token of the old object and of the new."""
        pairs = {"old": self.before, "new": self.after}
        return {name: model.continuation(pair.answers[0])[0] for name, pair in pairs.items()}


def edit_question(model: ResidualModel, request: EditRequest, counterfactual: str | None = None) -> EditQuestion:
    """Sets the question of a request.

    Args:
        model: the plain model. What it says after the counterfactual is the distractor; where the request does not
            say what was true, what it says after the prompt is the old object.
        request: the edit's.
        counterfactual: a subject of as many tokens; by default that of the bundled relation which asks so, whose
            answer the model is surest of.

    Raises:
        PromptError: no such subject is known, or what the model says of it is one of the two objects.
    """
    one = asked(model, request)
    present = torch.tensor(one.prompt, device=model.device)
    logits = model.forward(Tokens.of([present.tolist()], model.device)).logits[0]
    old = request.truth or said(model, request.prompt, int(logits.argmax()))
    answers = {"old": follows(request, old) if request.truth else old, "new": request.continuation}
    firsts = {model.continuation(text)[0] for text in answers.values()}
    names = [counterfactual] if counterfactual else other_subjects(model, request, most=_CANDIDATES)
    prompts = {name: asked_of(request, name).prompt for name in names}
    fitting = [name for name in names if len(model.encode(prompts[name])) == len(one.prompt)]
    if fitting:
        likely = model.forward(model.tokens([prompts[name] for name in fitting])).logits.softmax(-1).max(-1)
        found = zip(likely.values.tolist(), likely.indices.tolist(), fitting, strict=True)
        sure = [row for row in sorted(found, reverse=True) if row[1] not in firsts]
        if sure:
            _, token, name = sure[0]
            distractor = said(model, prompts[name], token)
            pairs = (
                PromptPair(
                    prompt=request.prompt,
                    counterfactual=prompts[name],
                    answers=(answers[which],),
                    distractors=(distractor,),
                    spans={"subject": request.subject_at},
                )
                for which in ("old", "new")
            )
            return EditQuestion(one, *pairs)
    raise PromptError(
        expected=f"a counterfactual to {request.subject!r}: a subject that makes the prompt {len(one.prompt)} tokens "
        "long, of which the model says something else than the old object and the new",
        got=f"{', '.join(map(repr, names[:3])) or 'none'}{' …' if len(names) > 3 else ''}",
        do="name one with --counterfactual",
    )


def other_subjects(model: ResidualModel, request: EditRequest, *, most: int, seed: int = 0) -> list[str]:
    """Subjects of the bundled relation that asks as the request does, whose object is not the new one.

    Args:
        model: whose tokens tell objects apart.
        request: the edit's.
        most: subjects, drawn by seed.
        seed: of the draw.
    """
    new = model.continuation(request.continuation)[0]
    relation, _ = asking_relation(request) or (None, 0)
    if relation is None:
        return []
    apart = [
        fact.subject
        for fact in relation.facts
        if fact.subject != request.subject
        and all(model.continuation(follows(request, answer))[0] != new for answer in fact.answers)
    ]
    return Random(seed).sample(apart, min(most, len(apart)))


def asking_relation(request: EditRequest) -> tuple[Relation, int] | None:
    """The bundled relation that asks as a request does, and which of its templates; None where there is none."""
    for name in bundled_relations():
        relation = bundled_relation(name)
        for place, text in enumerate(relation.templates):
            if text.replace("{subject}", request.subject) == request.prompt:
                return relation, place
    return None


def asked_of(request: EditRequest, subject: str) -> EditRequest:
    """The same request of another subject."""
    start, end = request.subject_at
    prompt = request.prompt[:start] + subject + request.prompt[end:]
    return EditRequest(prompt=prompt, subject=subject, target=request.target)


def follows(request: EditRequest, text: str) -> str:
    """A text as it follows the request's prompt."""
    return request.model_copy(update={"target": text}).continuation


@torch.no_grad()
def said(model: ResidualModel, prompt: str, token: int) -> str:
    """What a model says next, as it follows a prompt: its next token, and more where that is a part of a character.

    Args:
        model: the model.
        prompt: what goes before.
        token: the model's next token.
    """
    before, ids = model.encode(prompt), [token]
    while model.written(ids).endswith("�") and len(ids) < _LONGEST_CHARACTER:
        logits = model.forward(Tokens.of([[*before, *ids]], model.device)).logits[0]
        ids.append(int(logits.argmax()))
    text = model.written(ids)
    try:
        continued(model, prompt, text)
    except PromptError:  # such as a vocabulary of words, whose tokens have no space of their own
        return joined(prompt, text)
    return text


def asked_all(model: ResidualModel, request: EditRequest, subjects: Sequence[str]) -> list[Asked]:
    """The same request of several subjects, in tokens."""
    return [asked(model, asked_of(request, subject)) for subject in subjects]
