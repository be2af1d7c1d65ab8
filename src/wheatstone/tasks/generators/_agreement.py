"""Subject-verb agreement across another noun: "The keys near the cabinet" are, not is."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About
from wheatstone.tasks.generators._generator import Generator, listed, placed

_NOUNS = listed("countable")
_FORMS = ("The {0} near the {1}", "The {0} behind the {1}", "The {0} beside the {1}", "The {0} in front of the {1}")
_VERBS = {False: (" is", " was", " has"), True: (" are", " were", " have")}


def _make(model: ResidualModel, nouns: Sequence[str], draw: Random) -> PromptPair | None:
    if len(nouns) < 2:
        return None
    (subject, other), form = draw.sample(nouns, 2), draw.choice(_FORMS)
    plural, attractor = draw.random() < 0.5, other + ("s" if draw.random() < 0.5 else "")
    asked, changed = (subject + ("s" if many else "") for many in (plural, not plural))
    prompt, counterfactual = (form.format(each, attractor) for each in (asked, changed))
    return PromptPair(
        prompt=prompt,
        counterfactual=counterfactual,
        answers=_VERBS[plural],
        distractors=_VERBS[not plural],
        spans=placed(prompt, ("subject", asked), ("attractor", attractor)),
    )


AGREEMENT = Generator(
    About(
        name="sv-agreement",
        kind="generated",
        description="A verb agrees with its subject, not with the noun beside it; the counterfactual's subject has the "
        "other number.",
        templates=_FORMS,
        provenance=("Sentences and nouns by this project, after Linzen et al., arXiv 1611.01368.",),
        licence="Apache-2.0",
    ),
    words=lambda model: _NOUNS,
    make=_make,
)
