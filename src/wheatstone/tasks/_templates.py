"""Templates as data sets write them: `{subject}` here, `{}` in CounterFact and LRE, `[X] … [Y]` in LAMA and ParaRel."""

from __future__ import annotations

import re


def with_subject(template: str) -> str:
    """A template with `{subject}` in it once, for the model to continue with the answer.

    Raises:
        ValueError: it has no place for the subject, or more than one, or goes on after the answer.
    """
    text, answer, rest = template.partition("[Y]")
    if answer:
        if "[X]" not in text or re.search(r"\w|\[X\]", rest):
            raise ValueError(f"the template {template!r} does not end with the answer [Y]; choose one that does")
        text = text.rstrip()
    for place in ("[X]", "{}"):
        text = text.replace(place, "{subject}")
    if text.count("{subject}") != 1:
        raise ValueError(f"the template {template!r} does not name the subject once; write {{subject}} (or {{}}, [X])")
    return text
