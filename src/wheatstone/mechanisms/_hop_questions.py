"""A two-hop or reversed question about one fact, and the single questions that it is made of: what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone.circuits import Circuit, Experiment
from wheatstone.mechanisms._hops_summary import HopQuestion
from wheatstone.mechanisms._run_relation import same_subject
from wheatstone.models import ResidualModel
from wheatstone.tasks import Fact, PromptPair, load_facts, model_answer, with_counterfactuals


def hop_questions(
    model: ResidualModel,
    task: str,
    parts: Sequence[str],
    circuits: Mapping[str, Circuit],
    subjects: Sequence[str],
    *,
    seed: int = 0,
) -> list[HopQuestion]:
    """Asks a task's question about some subjects, and every single question that it is made of.

    Args:
        model: the model.
        task: a two-hop or a reversed task.
        parts: its single hops in order, or the relation that it reverses.
        circuits: of the task and of its parts, by name.
        subjects: of the task's facts.
        seed: of the choice of counterfactuals.

    When this misleads: the circuits were ranked on other facts. That one of them gives this answer a low rank may mean
    that this fact takes another way.
    """
    every = {name: load_facts(name, model, seed=seed).facts for name in (task, *parts)}
    pairs = {name: dict(with_counterfactuals(model, facts, Random(seed))[0]) for name, facts in every.items()}
    rows: list[HopQuestion] = []
    for subject in subjects:
        fact = _about(every[task], subject)
        if fact is None:
            continue
        chain, about = [(task, fact)], subject if len(parts) > 1 else fact.answers[0]
        for part in parts:
            hop = _about(every[part], about)
            if hop is None:
                break
            chain.append((part, hop))
            about = hop.answers[0]
        rows += [_asked(model, fact.subject, name, one, pairs[name].get(one), circuits[name]) for name, one in chain]
    return rows


def _about(facts: Sequence[Fact], subject: str) -> Fact | None:
    return next((fact for fact in facts if same_subject(fact.subject, subject)), None)


def _asked(
    model: ResidualModel, subject: str, task: str, fact: Fact, pair: PromptPair | None, circuit: Circuit
) -> HopQuestion:
    answers = [(text, tuple(model.continuation(text))) for text in fact.continuations]
    said = model_answer(model, fact.prompt, model.forward(model.tokens([fact.prompt])).logits[0], answers)
    alone = None if pair is None else _circuit_alone(model, pair, circuit)
    rank = None if alone is None else model_answer(model, fact.prompt, alone, answers).answer.rank
    return HopQuestion(
        subject,
        task,
        fact.prompt,
        said.answer.text,
        said.answer.rank,
        said.answer.probability,
        said.first.token,
        rank,
    )


def _circuit_alone(model: ResidualModel, pair: PromptPair, circuit: Circuit) -> Float[Tensor, " vocab"] | None:
    """Logits of the circuit with every other edge ablated; None where the pair cannot be compared."""
    try:
        experiment = Experiment.of(circuit, model, [pair], allow_weak=True)
    except PromptError:
        return None
    return experiment.logits(circuit.mask(experiment.graph)[None])[0, 0]
