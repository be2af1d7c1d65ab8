"""Shapes that several commands print, and what names mean that no docstring explains."""

from __future__ import annotations

from typing import Any, NamedTuple

from wheatstone.circuits._circuit import Evaluation
from wheatstone.neurons._tokens import CongruentToken, Histogram
from wheatstone.runs._documents import Each
from wheatstone.tasks._model_answer import ModelAnswer
from wheatstone.tasks._source import About
from wheatstone.tasks._task import Known
from wheatstone.verification import Estimate, Verification


class With(NamedTuple):
    """A record with further names.

    Args:
        kind: a dataclass or a named tuple.
        more: shapes of the further names.
    """

    kind: type
    more: dict[str, Any]


class Means(NamedTuple):
    """A name whose meaning at its place is not that of `MEANINGS`.

    Args:
        shape: what it holds.
        text: what it means there; empty where the names below it say so.
    """

    shape: Any
    text: str = ""


TEXT, NUMBER = (None, str), (None, float)
INTERVAL = (None, [float])
ESTIMATE = (None, Estimate)
REASONS = Each(str)
ANSWERS = {
    "n": int,
    "weak": int,
    "needs_allow_weak?": bool,
    "rule": Means(str, "when the model counts as giving an answer"),
    "metric": str,
    "unit": Means(str, "of the metric"),
    "summary": str,
    "warnings": [str],
    "prompts": [With(ModelAnswer, {"weak": Means(bool, "whether the model itself does not give the answer")})],
}
RUN = {"run": str, "report": TEXT, "seconds": float, "missing": REASONS}
RESUMED = {"wheatstone": str, "model": dict, "settings": dict, "run": str, "missing": REASONS, "failed": REASONS}
TASK = With(
    About,
    {
        "seed": int,
        "splits": Each(int),
        "known": (None, Known),
        "skipped": [str],
        "notes": [str],
        "files": Each({"path": str, "sha256": str}),
        "sha256": str,
    },
)
PAIR = {
    "prompt": str,
    "counterfactual": str,
    "answers": [str],
    "distractors": [str],
    **dict.fromkeys(("spans?", "counterfactual_spans?", "subject?"), (None, str, dict)),
}
SPLIT = {
    "n": int,
    "pairs": (None, int),
    "faithfulness": float,
    "hit_at_10": {"model": Means(float), "circuit": float, "empty": float},
    "gain_kept": NUMBER,
    "ci95": {"faithfulness": INTERVAL, "hit_at_10": Each(INTERVAL)},
}
SCAN = {
    **dict.fromkeys(("verb", "created"), str),
    **dict.fromkeys(("versions", "model", "settings", "computed_on"), dict),
    **dict.fromkeys(("seed", "documents", "windows", "tokens", "counted"), int),
    "evaluations": Means(int),
    "prompts": [dict],
    "timings": Each(float),
    "notes": [str],
    "skipped": Each(int),
    "shards": [[int]],
    "bins": {"count": int, "edges": Means([float], "borders of the histograms' bins")},
    "run": str,
    "missing": REASONS,
}
SCAN_PLAN = {
    **dict.fromkeys(("documents", "windows", "tokens", "state_bytes"), int),
    "skipped": Each(int),
    "seconds": Means(float, "that the scan is expected to take, from a few windows that were timed"),
}
EDIT = {
    "number": int,
    "method": str,
    "requests": [{"prompt": str, "subject": str, "target": str, "truth?": TEXT}],
    "weights": [str],
    "sha256": str,
    "notes": [str],
}
LEDGER = {
    "ledger": str,
    "model": {"id": str, "sha256": str, "precision": str},
    "edits": [EDIT],
    "weights": Each(str),
}
BITS = {
    **dict.fromkeys(("bits", "escape_bits", "bits_per_token", "bits_per_byte", "bits_per_character"), float),
    "bits_per_byte_with_weights": float,
    **dict.fromkeys(("tokens", "start_token_id", "bytes_escaped", "weights_bytes"), int),
    "start_token": str,
}
READING = {
    "promoted": [CongruentToken],
    "suppressed": [CongruentToken],
    "histogram": Histogram,
    "with_token": float,
    "token_histogram": Histogram,
    "token_neurons": [{"neuron": str, "congruence": float}],
}
TARGET = {
    "name": str,
    "clean": Means(NUMBER, "its value on the prompt, in logits"),
    "ablated": Means(NUMBER, "its value with everything ablated"),
}
RUN_GRAPH = {
    **RUN,
    "prompt": str,
    "tokens": [str],
    "counterfactuals": [str],
    "target": TARGET,
    "nodes": int,
    "edges": Means(int, "how many edges the graph keeps"),
    "enough": bool,
    "proofs": [dict],
    "supernodes": [dict],
    "linear_residual": NUMBER,
    **{key: [str] for key in ("answers?", "distractors?")},
    "learned?": bool,
    "held_out?": Means([dict], "the same proofs under counterfactuals that the nodes were not chosen with"),
    "curve?": Means([dict], "faithfulness of sets of nodes, by size, ablation and split"),
    "chosen?": Each((None, int)),
    "model_answers?": (None, ANSWERS),
    "task?": TASK,
}
CONCEPT = {
    "concept": str,
    "rows": dict,
    "documents": Each(int),
    "always_yes_f1": float,
    "best": Each(dict),
    "significant": Each(int),
    "significant_by_chance": (int, float),
    "explained": NUMBER,
    "base": float,
    "detectors": Each(int),
}
MEASURED = {"evaluation": (None, Evaluation), "verification": (None, Verification), "held_out": [Verification]}
MEANINGS = {
    "ablation": "what edges outside the circuit, or what is ablated, carry: counterfactual, mean or zero",
    "answer": "the text or token whose logit is read, its leading space included",
    "average": "means over the relations that have facts enough",
    "by_size": "faithfulness of the first edges of the ranking and of the search, by number of edges",
    "changed_weights": "weights that have not the hash that the ledger names",
    "clean": "the metric of the model as it is, mean over prompts",
    "contents": "what the run holds: its document, rows of each table, and figures",
    "corrupt": "the metric with everything ablated, mean over prompts",
    "created": "date and time, ISO 8601",
    "curve": "the circuit's numbers by its size",
    "damaged": "files that are not as they were written",
    "direct": "logits that the node itself writes; positive is towards the answer",
    "distractor": "the token that the answer is compared with; null is the mean over all tokens",
    "evaluation": "how the circuit did on the prompts it was found on",
    "evaluations": "circuits that were run",
    "exists": "whether its folder is still there",
    "failed": "what could not be measured, and why",
    "gain_kept": "share of the model's gain in Hit@10 over the empty circuit that the circuit keeps",
    "held_out": "the circuit on prompts that it was not found on",
    "id": "by which it is named",
    "layer": "from 0",
    "manifest": "how the run was made",
    "missing": "side results that could not be made, and why",
    "model": "its name, or what identifies it",
    "model_answers": "what the model itself says on these prompts",
    "n": "how many prompts, facts or places the numbers are over",
    "needs_allow_weak": "whether the request is refused without --allow-weak",
    "notes": "remarks on how it was made",
    "out": "the file or folder that was written",
    "page": "the HTML page that was written",
    "position": "after which token; negative ones count from the end",
    "ranked_edges": "edges that the ranking alone needs to reach the goal",
    "report": "the run's HTML report; null without one",
    "run": "the run's folder",
    "seconds": "that it took, by the clock",
    "seed": "of everything that was drawn",
    "settings": "the options it was made with",
    "sha256": "of the content",
    "skipped": "what was left out: how many by reason, or each with its reason",
    "splits": "pairs of each split",
    "stability": "how much the circuits of resampled prompts share; null where none were searched",
    "test": "on prompts that the circuit was not found on",
    "timings": "seconds by stage",
    "train": "on prompts that the circuit was found on",
    "unasked": "sections that take minutes and were not asked for",
    "verification": "the circuit on the prompts it was found on, next to what it must be compared with",
    "weak": "prompts whose answer the model itself does not give",
    "wheatstone": "version that made it",
}
"""Of names that no docstring explains, where they are not in `Means`."""
