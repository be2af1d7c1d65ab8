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


TEXT, NUMBER = (None, str), (None, float)
INTERVAL = (None, [float])
ESTIMATE = (None, Estimate)
REASONS = Each(str)
ANSWERS = {
    "n": int,
    "weak": int,
    "needs_allow_weak?": bool,
    "rule": str,
    "metric": str,
    "unit": str,
    "summary": str,
    "warnings": [str],
    "prompts": [With(ModelAnswer, {"weak": bool})],
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
    "hit_at_10": {"model": float, "circuit": float, "empty": float},
    "gain_kept": NUMBER,
    "ci95": {"faithfulness": INTERVAL, "hit_at_10": Each(INTERVAL)},
}
SCAN = {
    **dict.fromkeys(("verb", "created"), str),
    **dict.fromkeys(("versions", "model", "settings", "computed_on"), dict),
    **dict.fromkeys(("seed", "evaluations", "documents", "windows", "tokens", "counted"), int),
    "prompts": [dict],
    "timings": Each(float),
    "notes": [str],
    "skipped": Each(int),
    "shards": [[int]],
    "bins": {"count": int, "edges": [float]},
    "run": str,
    "missing": REASONS,
}
SCAN_PLAN = {
    **dict.fromkeys(("documents", "windows", "tokens", "state_bytes"), int),
    "skipped": Each(int),
    "seconds": float,
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
TARGET = {"name": str, "clean": NUMBER, "ablated": NUMBER}
RUN_GRAPH = {
    **RUN,
    "prompt": str,
    "tokens": [str],
    "counterfactuals": [str],
    "target": TARGET,
    "nodes": int,
    "edges": int,
    "enough": bool,
    "proofs": [dict],
    "supernodes": [dict],
    "linear_residual": NUMBER,
    **{key: [str] for key in ("answers?", "distractors?")},
    "learned?": bool,
    "held_out?": [dict],
    "curve?": [dict],
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
    "edges": "kept edges, or how many there are",
    "effect": "what the metric loses without it, exactly",
    "evaluation": "how the circuit did on the prompts it was found on",
    "evaluations": "circuits that were run",
    "exists": "whether its folder is still there",
    "expected": "what was expected",
    "do": "what to do",
    "failed": "what could not be measured, and why",
    "gain_kept": "share of the model's gain in Hit@10 over the empty circuit that the circuit keeps",
    "got": "what there was instead",
    "held_out": "the circuit on prompts that it was not found on",
    "id": "by which it is named",
    "kind": "the error's class, or the kind of export",
    "layer": "from 0",
    "manifest": "how the run was made",
    "missing": "side results that could not be made, and why",
    "model": "its name, or what identifies it",
    "model_answers": "what the model itself says on these prompts",
    "n": "how many prompts, facts or places the numbers are over",
    "needs_allow_weak": "whether the request is refused without --allow-weak",
    "node": "a head (a23.h4), an MLP (m17), the input, or biases",
    "notes": "remarks on how it was made",
    "out": "the file or folder that was written",
    "page": "the HTML page that was written",
    "position": "after which token; negative ones count from the end",
    "ranked_edges": "edges that the ranking alone needs to reach the goal",
    "report": "the run's HTML report; null without one",
    "rule": "when the model counts as giving an answer",
    "run": "the run's folder",
    "seconds": "of the clock",
    "seed": "of everything that was drawn",
    "settings": "the options it was made with",
    "sha256": "of the content",
    "skipped": "what was left out: how many by reason, or each with its reason",
    "splits": "pairs of each split",
    "stability": "how much the circuits of resampled prompts share; null where none were searched",
    "test": "on prompts that the circuit was not found on",
    "timings": "seconds by stage",
    "total": "sum of all terms, or of all work",
    "train": "on prompts that the circuit was found on",
    "unasked": "sections that take minutes and were not asked for",
    "unit": "of the metric; or the edges that were removed together",
    "verification": "the circuit on the prompts it was found on, next to what it must be compared with",
    "weak": "prompts whose answer the model itself does not give; of one prompt, whether it is so",
    "wheatstone": "version that made it",
}
"""Of names that no docstring explains, wherever they are."""
