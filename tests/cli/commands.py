"""What the tests of the command share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAIN = [sys.executable, "-c", "from wheatstone.cli import main; main()"]
"""The command as a process of its own."""


def pair_words(prompt: str, counterfactual: str, answer: str, distractor: str) -> list[str]:
    """A prompt pair as options."""
    return ["--prompt", prompt, "--counterfactual", counterfactual, "--answer", answer, "--distractor", distractor]


FRANCE = "The official language of France is"
JAPAN = "The official language of Japan is"
FRANCE_WORDS = pair_words(FRANCE, JAPAN, " French", " Japanese")


@dataclass(frozen=True)
class Shown:
    """What a command left on the screen."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Cli = Callable[..., Shown]
Refused = Callable[..., str]


@dataclass(frozen=True)
class RealRun:
    """A finished `wheatstone discover` on SmolLM2-135M."""

    folder: Path
    document: Any
    human: str
