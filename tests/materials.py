"""An experiment as sections read it: a module of its own, for `conftest` is the name of several files."""

from __future__ import annotations

from typing import Any

from wheatstone import Circuit, Experiment, PromptPair
from wheatstone.circuits._circuit import ModelInfo
from wheatstone.discovery import attribute
from wheatstone.lenses import Material


def material_of(experiment: Experiment, **more: Any) -> Material:
    """An experiment as sections read it, with the ten best-scored edges for a circuit."""
    keep = attribute(experiment).top([10])[0]
    return Material(experiment, Circuit.of_mask(ModelInfo.of(experiment.model), keep), **more)


def indirect_pair(indirect: int, subject: int) -> PromptPair:
    """A prompt with an indirect object: w30 and w32 are words between, w31 is what follows the first subject."""
    before, after = f"w{indirect} w30 ", f" w31 w{subject} w32"
    prompt = f"{before}w{subject}{after}"
    first, again = len(before), prompt.rindex(f"w{subject}")
    return PromptPair(
        prompt=prompt,
        counterfactual=f"{before}w{subject} w31 w33 w32",
        answers=(f" w{indirect}",),
        distractors=(f" w{subject}",),
        spans={
            "IO": (0, len(before) - len(" w30 ")),
            "S1": (first, prompt.index(after)),
            "S1+1": (prompt.index("w31"), prompt.index("w31") + 3),
            "S2": (again, prompt.index(" w32")),
        },
    )


def indirect_pairs() -> list[PromptPair]:
    """Five of these."""
    return [indirect_pair(*names) for names in ((1, 2), (3, 14), (5, 16), (17, 8), (9, 1))]
