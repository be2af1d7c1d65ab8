"""The table of head classes of indirect object identification, as a section of an explanation."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section, enough_prompts, spans
from wheatstone.mechanisms._ioi import IOI_CLASSES, IoiHeads, ioi_heads
from wheatstone.mechanisms._ioi_summary import IoiHead, IoiSummary
from wheatstone.runs import Table

PROMPTS = 24
"""Most prompts that classes are chosen on, and most that they are measured on: each is run for every patched head."""

_CLASSES: WeakKeyDictionary[Material, IoiHeads] = WeakKeyDictionary()


def classes_in(material: Material, report: Reporter) -> IoiHeads:
    """The classes of heads on a run's prompts, found once for every section that names them; see `ioi_heads`."""
    if material not in _CLASSES:
        chosen, measured = material.halves or (material, None)
        held_out = () if measured is None else measured.experiment.encoded.pairs[:PROMPTS]
        pairs = chosen.experiment.encoded.pairs[:PROMPTS]
        _CLASSES[material] = ioi_heads(
            material.experiment.model, pairs, held_out=held_out, seed=material.seed, report=report
        )
    return _CLASSES[material]


def ioi(material: Material, report: Reporter) -> Explanation:
    """Finds the classes on some of the run's prompts and measures them on others; see `ioi_heads`."""
    found = classes_in(material, report)
    summary = IoiSummary(
        n=found.n,
        held_n=found.held_n,
        clean=found.clean,
        classes={role: tuple(row for row in found.rows if row.role == role) for role in IOI_CLASSES},
        unclassed=tuple(row for row in found.rows if row.stands_out and not row.role and row.step == "logits"),
        receivers=dict(found.receivers),
    )
    held = f"Effects are then measured on {found.held_n} other prompts." if found.held_n else "There are no others."
    method = (
        f"Path patching on {found.n} prompts, on which the classes are chosen; the counterfactual has three other "
        f"names. {held} Effect: logits by which the answer falls along direct paths and those through MLPs, all other "
        "heads frozen. In each step the 40 heads whose edges to the receivers have the largest EAP scores are patched. "
        "A head has a class if its effect stands out from all heads' (step-down sign test, family-wise 5%) and it "
        "looks at the class's token: most of the named ones, its interval beyond the 99th percentile of all heads on "
        "random tokens, as in the section roles. 95% intervals over prompts."
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
