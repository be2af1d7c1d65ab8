"""What the runs of every verb contain: the one place where a verb says so.

Export, the list of runs, the checks, the reports and the studio go by this table. Pictures and pages are drawn by
`wheatstone.figures.VIEWS`, which has an entry under the same name; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wheatstone._view import Brief

Columns = Mapping[str, Any]
"""Column -> `str`, `int`, `float`, `bool`, or a list of one of these; any may hold nulls. `?` marks a column that older
runs lack."""


@dataclass(frozen=True)
class Contents(Brief):
    """What the runs of one verb contain, besides `manifest.json`.

    Args:
        command: the words that make such a run, as in `neuron screen`.
        document: the JSON document with the result, without ending.
        tables: columns of each Parquet table, the main one first. A run may lack a table whose name ends in `?`.
        figures: names of its pictures, the main one first.
        formerly: the name that a table had in earlier versions.
    """

    command: str
    document: str = "manifest"
    tables: Mapping[str, Columns] = field(default_factory=dict[str, Columns])
    figures: tuple[str, ...] = ()
    formerly: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def columns(self) -> dict[str, Columns]:
        """Columns by the plain names of the tables."""
        return {name.removesuffix("?"): columns for name, columns in self.tables.items()}


def _columns(texts: str = "", counts: str = "", numbers: str = "", **others: Any) -> Columns:
    return {
        **dict.fromkeys(texts.split(), str),
        **dict.fromkeys(counts.split(), int),
        **dict.fromkeys(numbers.split(), float),
        **others,
    }


_TRACING = _columns("site role", "layer n", "effect low high")
_CIRCUIT: dict[str, Any] = {
    "document": "circuit",
    "figures": ("circuit", "curve", "answer", "attention"),
    "tables": {
        "edges": _columns("sender receiver", "", "score"),
        "curve?": _columns("kind", "size draw", "faithfulness kl hit_at_1"),
        "trace": _columns("stage", "edges evaluations", "faithfulness? completeness?"),
        "lens?": _columns("run site kind token", "prompt position layer rank", "probability"),
        "attention?": _columns("head", "prompt query key", "weight"),
    },
}
CONTENTS: dict[str, Contents] = {
    "discover": Contents("discover", **_CIRCUIT),
    "import": Contents("import", **_CIRCUIT),
    "trace": Contents(
        "trace",
        document="summary",
        tables={
            "tracing": _TRACING,
            "prompts": _columns("prompt subject answer", "", "clean blurred"),
            "effects": _columns("site role", "prompt layer", "effect"),
        },
        figures=("trace", "trace-lines"),
        formerly={"tracing": "trace"},
    ),
    "edit": Contents(
        "edit",
        document="summary",
        tables={
            "answers": _columns(
                "prompt before after said_before said_after", "rank_before rank_after", "target_before target_after"
            ),
            "tracing?": _TRACING,
            "edit_lens?": _columns("state site object", "layer rank", "probability"),
            "edit_leak?": _columns("subject prompt before after", "", "at_subject at_last measured", edited=bool),
            "edit_edges?": _columns("sender receiver state", "", "score_before score_after"),
            "edit_writers?": _columns(
                "node kind group", "layer", "old_before old_after new_before new_after",
                mover_before=bool, mover_after=bool,
            ),
        },
        figures=("trace", "comparison"),
        formerly={"tracing": "trace"},
    ),
    "neuron": Contents(
        "neuron screen",
        document="screen",
        tables={
            "confirmed": _columns(
                "neuron", "layer", "estimate exact low high exact_last mlp share_of_mlp clean corrupt"
            ),
            "neurons": _columns("", "layer index", "estimate", by_position=[float]),
            "recovery": _columns("site", "layer position prompts", "recovery"),
            "doses": _columns("neuron prompts", "", "value answer distractor own"),
        },
        figures=("recovery", "neurons", "doses"),
    ),
    "neuron probe": Contents(
        "neuron probe",
        document="probes",
        tables={
            "probes": _columns(
                "concept method",
                "layer k",
                "validation_f1 f1 f1_low f1_high precision recall auroc auroc_low auroc_high",
                neurons=[str],
            ),
            "probe_weights?": _columns("concept method", "layer k neuron", "coefficient intercept"),
            "neuron_tests": _columns("concept", "layer index", "z q auroc held_out_auroc", detector=bool),
            "interference": _columns("space first second", "layer", "cosine null random"),
        },
        figures=("sizes", "layers", "interference"),
        formerly={"neuron_tests": "neurons"},
    ),
    "scan": Contents(
        "neuron scan",
        tables={"examples": _columns("kind", "layer neuron rank document window position", "activation")},
    ),
    "head scan": Contents(
        "head scan",
        tables={"head_examples": _columns("head signal kind", "rank document window position", "value")},
    ),
    "graph": Contents(
        "graph",
        document="graph",
        tables={
            "nodes": _columns(
                "node kind token", "layer position supernode", "value ablated sent slope effect influence rest recurs?",
                promotes=[str], suppresses=[str],
            ),
            "edges": _columns("sender receiver", "", "weight share"),
            "evidence?": _columns(
                "node", "", "value below mean deviation least most", passages=[str], strengths=[float]
            ),
        },
        figures=("graph",),
    ),
    "selectivity": Contents(
        "selectivity",
        document="selectivity",
        tables={"matrix": _columns("circuit task", "facts", "lost low high")},
        figures=("matrix",),
    ),
    "study": Contents("study", document="study", figures=("curves", "hits", "overlap")),
    "sweep": Contents(
        "sweep",
        document="sweep",
        tables={
            "pairs": _columns(
                "name prompt answer first?", "rank edges", "faithfulness probability?", **{"weak?": bool}
            ),
            "nodes": _columns("node", "circuits", "share expected excess p"),
        },
        figures=("heads",),
    ),
}  # fmt: skip
"""By the verb in the manifest."""
CIRCUITS = tuple(verb for verb, contents in CONTENTS.items() if contents.document == "circuit")
"""Verbs whose runs hold one circuit."""


def contents_of(verb: str) -> Contents:
    """What a run of a verb contains; of a verb that this version does not know, only its manifest is known."""
    return CONTENTS.get(verb, Contents(verb))


def command_of(verb: str) -> str:
    """The words of the command that does this work: of a verb in a manifest, or of pages, which are no run."""
    return "head pages" if verb == "pages" else contents_of(verb).command
