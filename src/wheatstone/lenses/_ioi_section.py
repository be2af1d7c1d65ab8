"""The table of head classes of indirect object identification, as a section of an explanation."""

from __future__ import annotations

from wheatstone._progress import Reporter
from wheatstone.lenses._ioi import IOI_CLASSES, IoiHead, ioi_heads
from wheatstone.lenses._section import Explanation, Material, Section, Table, enough_prompts, spans

_PROMPTS = 24
"""The first so many prompts: every one is run for each of the heads that are patched."""


def ioi(material: Material, report: Reporter) -> Explanation:
    """Finds the classes on the run's first prompts; see `ioi_heads`."""
    pairs = material.experiment.encoded.pairs[:_PROMPTS]
    found = ioi_heads(material.experiment.model, pairs, seed=material.seed, report=report)
    summary = {
        "n": found.n,
        "clean": found.clean,
        "classes": {role: [row._asdict() for row in found.rows if row.role == role] for role in IOI_CLASSES},
        "unclassed": [row._asdict() for row in found.rows if row.stands_out and not row.role and row.step == "logits"],
        "receivers": dict(found.receivers),
    }
    method = (
        f"Path patching on the first {found.n} prompts; the counterfactual has three other names. Effect: logits by "
        "which the answer falls along direct paths and those through MLPs, all other heads frozen. In each step the 40 "
        "heads whose edges to the receivers have the largest EAP scores are patched. A head has a class if its effect "
        "stands out from all heads' (step-down sign test, family-wise 5%) and it looks most at the class's token, more "
        "than an even spread would. 95% intervals over prompts."
    )
    return Explanation({"ioi_heads": Table.of(IoiHead, found.rows)}, summary, method)


def _names(material: Material) -> str | None:
    lacking = spans("IO", "S1", "S1+1", "S2")(material)
    return lacking and f"{lacking}, as the task ioi has"


IOI = Section(
    "ioi",
    "Which heads find the indirect object, and which of them act on which?",
    ioi,
    (_names, enough_prompts),
)
