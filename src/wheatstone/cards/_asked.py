"""The same facts asked otherwise: under a task's other templates, and against other counterfactuals."""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone._intervals import MINIMUM
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair

_TEMPLATES = 2
"""Other templates that are tried, at most."""
_AMONG = 100
"""Prompts that counterfactuals are drawn from, at most."""
COUNTERFACTUALS = "other counterfactuals"


def asked_otherwise(
    experiment: Experiment,
    pairs: Sequence[PromptPair],
    among: Sequence[PromptPair],
    templates: Sequence[str],
    seed: int,
) -> dict[str, tuple[PromptPair, ...]]:
    """Facts in other words and against other counterfactuals, by what differs.

    Args:
        experiment: of the circuit.
        pairs: the facts.
        among: prompts that their other counterfactuals are drawn from.
        templates: of the task; a fact is reworded by those with one `{subject}`.
        seed: of the draw.
    """
    found: dict[str, tuple[PromptPair, ...]] = {}
    for template in templates:
        reworded = tuple(other for pair in pairs if (other := _reworded(pair, template)) is not None)
        own = {pair.prompt for pair in pairs} & {pair.prompt for pair in reworded}
        if len(reworded) == len(pairs) and not own and len(found) < _TEMPLATES:
            found[f"“{template.replace('{subject}', '…')}”"] = reworded
    known, prompts = set(pairs), {pair.prompt for pair in pairs}
    several = experiment.several(among[:_AMONG], most=2, seed=seed)
    others = tuple(pair for pair in several if pair.prompt in prompts and pair not in known)
    if len({pair.prompt for pair in others}) >= MINIMUM:
        found[COUNTERFACTUALS] = others
    return found


def _reworded(pair: PromptPair, template: str) -> PromptPair | None:
    """A pair under another template; None where its subject, or that of its counterfactual, cannot be read off, or
    where demonstrations are before it."""
    if "demonstration" in pair.spans:
        return None
    start, end = pair.spans.get("subject", (0, 0))
    before, after = pair.prompt[:start], pair.prompt[end:]
    other = pair.counterfactual.removeprefix(before).removesuffix(after)
    if template.count("{subject}") != 1 or start == end or pair.counterfactual != before + other + after or not other:
        return None
    prompt, counterfactual = (template.replace("{subject}", of) for of in (pair.prompt[start:end], other))
    first = template.index("{subject}")
    spans = {"subject": (first, first + end - start)}
    return pair.model_copy(update={"prompt": prompt, "counterfactual": counterfactual, "spans": spans})
