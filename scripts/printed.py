"""What each command prints with --json, in the notation of `wheatstone.runs._documents`; `schemas.py` writes schemas.

Beside that notation, a dataclass or a named tuple is a record of its fields, with their meanings out of its docstring,
and `With` adds names to one. A tuple is any one of its parts: at the top, what a command prints with other options.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from wheatstone._disk import LeftOver
from wheatstone.checkpoints._cached import CachedModel
from wheatstone.circuits._circuit import Evaluation
from wheatstone.compression._compress import Compressed
from wheatstone.compression._estimate import Estimate as CompressionEstimate
from wheatstone.lenses._run_lens import LensLayer
from wheatstone.models._parity import Parity
from wheatstone.neurons._pairs import Pair
from wheatstone.neurons._recovery import RecoveryRow
from wheatstone.neurons._screen_run import ConfirmedRow
from wheatstone.neurons._tokens import CongruentToken, Histogram, TokenWriter
from wheatstone.runs import CatalogueEntry
from wheatstone.runs._documents import Each
from wheatstone.studies._held_out import SharePoint
from wheatstone.studies._plan import Plan
from wheatstone.tasks._model_answer import ModelAnswer
from wheatstone.tasks._source import About
from wheatstone.tasks._task import Known
from wheatstone.verification import Card, Estimate, Verification


class With(NamedTuple):
    """A record with further names.

    Args:
        kind: a dataclass or a named tuple.
        more: shapes of the further names.
    """

    kind: type
    more: dict[str, Any]


_TEXT, _NUMBER = (None, str), (None, float)
_INTERVAL = (None, [float])
_ESTIMATE = (None, Estimate)
_REASONS = Each(str)
_ANSWERS = {
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
_RUN = {"run": str, "report": _TEXT, "seconds": float, "missing": _REASONS}
_RESUMED = {"wheatstone": str, "model": dict, "settings": dict, "run": str, "missing": _REASONS, "failed": _REASONS}
_TASK = With(
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
_PAIR = {
    "prompt": str,
    "counterfactual": str,
    "answers": [str],
    "distractors": [str],
    **dict.fromkeys(("spans?", "counterfactual_spans?", "subject?"), (None, str, dict)),
}
_SPLIT = {
    "n": int,
    "pairs": (None, int),
    "faithfulness": float,
    "hit_at_10": {"model": float, "circuit": float, "empty": float},
    "gain_kept": _NUMBER,
    "ci95": {"faithfulness": _INTERVAL, "hit_at_10": Each(_INTERVAL)},
}
_SCAN = {
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
    "missing": _REASONS,
}
_SCAN_PLAN = {
    **dict.fromkeys(("documents", "windows", "tokens", "state_bytes"), int),
    "seconds": float,
}
_EDIT = {
    "number": int,
    "method": str,
    "requests": [{"prompt": str, "subject": str, "target": str, "truth?": _TEXT}],
    "weights": [str],
    "sha256": str,
    "notes": [str],
}
_LEDGER = {
    "ledger": str,
    "model": {"id": str, "sha256": str, "precision": str},
    "edits": [_EDIT],
    "weights": Each(str),
}
_BITS = {
    **dict.fromkeys(("bits", "escape_bits", "bits_per_token", "bits_per_byte", "bits_per_character"), float),
    "bits_per_byte_with_weights": float,
    **dict.fromkeys(("tokens", "start_token_id", "bytes_escaped", "weights_bytes"), int),
    "start_token": str,
}
_READING = {
    "promoted": [CongruentToken],
    "suppressed": [CongruentToken],
    "histogram": Histogram,
    "with_token": float,
    "token_histogram": Histogram,
    "token_neurons": [{"neuron": str, "congruence": float}],
}
_TARGET = {"name": str, "clean": _NUMBER, "ablated": _NUMBER}
_RUN_GRAPH = {
    **_RUN,
    "prompt": str,
    "tokens": [str],
    "counterfactuals": [str],
    "target": _TARGET,
    "nodes": int,
    "edges": int,
    "enough": bool,
    "proofs": [dict],
    "supernodes": [dict],
    "linear_residual": _NUMBER,
    **{key: [str] for key in ("answers?", "distractors?")},
    "learned?": bool,
    "held_out?": [dict],
    "curve?": [dict],
    "chosen?": Each((None, int)),
    "model_answers?": (None, _ANSWERS),
    "task?": _TASK,
}
_CONCEPT = {
    "concept": str,
    "rows": dict,
    "documents": Each(int),
    "always_yes_f1": float,
    "best": Each(dict),
    "significant": Each(int),
    "significant_by_chance": (int, float),
    "explained": _NUMBER,
    "base": float,
    "detectors": Each(int),
}
_MEASURED = {"evaluation": (None, Evaluation), "verification": (None, Verification), "held_out": [Verification]}
PRINTED: dict[str, Any] = {
    "attribution": {
        "model": str,
        "prompt": str,
        "position": int,
        "answer": str,
        "distractor": _TEXT,
        "total": float,
        "nodes": [{"node": str, "direct": float}],
    },
    "bits": (
        {
            **_BITS,
            "bytes": int,
            "characters": int,
            "beside": Each({"bytes": int, "bits_per_byte": float}),
            "models": [{"model": str, **_BITS}],
        },
        {
            "edges": int,
            "ablation": str,
            "first": str,
            "bits": {"intact": float, "ablated": float, "alone": float},
            "worth": float,
            "control": {"worth": [float], "shared": float},
            "tokens": [{"token": str, **dict.fromkeys(("intact", "ablated", "alone", "worth"), float)}],
        },
    ),
    "card": With(Card, {"run": str, "page": _TEXT, "total_seconds": float, "missing": _REASONS}),
    "completion": {"shell": str, "script": str},
    "compress": (
        With(Compressed, {"out": str, "bits_per_byte": _NUMBER}),
        With(CompressionEstimate, {"estimate": bool}),
    ),
    "decompress": {"bytes": int, "out": str},
    "discover": (
        {
            **_RUN,
            "method": str,
            "goal": str,
            "granularity": str,
            "model_answers": _ANSWERS,
            **_MEASURED,
            "verification": Verification,
            "evaluation": Evaluation,
            "ranked_edges": int,
            "evaluations": int,
            "measured": str,
            "by_size": [{"edges": int, "ranking": _NUMBER, "search": _NUMBER}],
            "stability": (None, dict),
            "edges": [{"from": str, "to": str, "effect?": float, "unit?": str}],
            "test?": _SPLIT,
            "train?": _SPLIT,
            "curve?": [SharePoint],
            "task?": _TASK,
        },
        With(Plan, {"fits": bool, "model_answers": (None, _ANSWERS)}),
    ),
    "doctor": {
        **dict.fromkeys(("wheatstone", "python", "torch", "transformers", "safetensors", "pyarrow", "device"), str),
        "cores": (None, int),
        **dict.fromkeys(("free memory (GB)", "cached models (GB)", "free disk (GB)"), float),
        "cache": str,
        "cache can be written": bool,
        **dict.fromkeys(("browser", "node"), _TEXT),
        "slow": [str],
        "left_over": [With(LeftOver, {"cleared": bool})],
        "unlisted": [str],
        "trouble": str,
    },
    "edit": (
        {
            "run": _TEXT,
            "report": _TEXT,
            "seconds": float,
            "timings": Each(float),
            "missing": _REASONS,
            "method": str,
            "request": dict,
            "weights": Each([int]),
            "settings": dict,
            "model_answers": _ANSWERS,
            "answers": [dict],
            "perplexity": float,
            "undone": bool,
            "notes": [str],
            "comparison": (None, dict),
            "trace?": (None, dict),
        },
        {"methods": [{"method": str, "summary": str}]},
    ),
    "edit add": {
        **_LEDGER,
        "added": [int],
        "replaced": [int],
        "known": [dict],
        "seconds": float,
    },
    "edit check": {
        "ledger": str,
        "damaged": [str],
        "changed_weights": [str],
        "said": (None, Each([bool])),
        "model?": _LEDGER["model"],
        "edits?": [_EDIT],
        "weights?": Each(str),
    },
    "edit export": {**_LEDGER, "out": str, "kind": str},
    "edit list": _LEDGER,
    "edit undo": {**_LEDGER, "undone": [int]},
    "explain": {
        "run": str,
        "page": str,
        "seconds": float,
        "model_answers": (None, _ANSWERS),
        "sections": Each(
            {
                **dict.fromkeys(("format", "section", "asks", "created", "wheatstone", "method"), str),
                "n": (None, int),
                "prompts": _TEXT,
                "seed": int,
                "seconds": float,
                "summary": dict,
                "tables": dict,
                "undrawn?": _REASONS,
            }
        ),
        "missing": _REASONS,
        "unasked": [str],
    },
    "export": {"run": str, "exported": str, "file": str},
    "graph": {**_RUN_GRAPH, "peak_bytes": (None, int)},
    "head pages": {"heads": [str], "pages": str},
    "head scan": ({**_SCAN, "heads": Each(int)}, _SCAN_PLAN),
    "head show": {
        "head": str,
        **dict.fromkeys(("layer", "number", "documents", "counted"), int),
        "model": dict,
        "scanned": str,
        "wheatstone": str,
        "texts": [str],
        "first": float,
        "places": Each({"share": float, "even": float}),
        "looks_at": [{"text": str, "share": float, "even": float}],
        "effect": Each(float),
        "attention": Each(float),
        "examples": [dict],
        "senders": {"n": int, "query": [dict], "key": [dict]},
        "circuits": [dict],
        "page": str,
    },
    "import": (
        {**_RUN, "from": str, "model": str, "edges": int, "scored_edges": int, **_MEASURED},
        _RUN_GRAPH,
    ),
    "init task": {"task": str},
    "lens": {"model": str, "prompt": str, "position": int, "answer": str, "layers": [LensLayer]},
    "models": {
        "home": str,
        "models": [
            {
                **dict.fromkeys(("name", "title", "original", "family", "license", "folder"), str),
                "source": {"wheel": str, "file": str, "sha256": str},
                "here": bool,
            }
        ],
    },
    "models check": {
        "model": str,
        "family": str,
        "dtype": str,
        "passed": bool,
        "prompts": [With(Parity, {"passed": bool})],
    },
    "models list": {"home": str, "models": [CachedModel]},
    "models remove": {"removed": CachedModel},
    "neuron find": {"model": str, "token": str, "neurons": [TokenWriter]},
    "neuron pairs": {
        "model": str,
        "reading": str,
        "pairs": [Pair],
        "mutual": int,
        "entries": int,
        "best_of_shuffled": _NUMBER,
        "seed": int,
        "seconds": float,
    },
    "neuron probe": (
        {
            **_RUN,
            "model": str,
            "concepts": [_CONCEPT],
            "neurons_by_concepts": Each(int),
            "skipped": Each(int),
            "refused": _REASONS,
            "tokens": int,
        },
        {"concepts": [{"name": str, "rule": str}]},
    ),
    "neuron scan": ({**_SCAN, "neurons": Each(int)}, _SCAN_PLAN),
    "neuron screen": {
        **_RUN,
        "direction": str,
        "neurons": int,
        "confirmed": [ConfirmedRow],
        "clean": float,
        "corrupt": float,
        "n": int,
        "best": (None, dict),
        "rank_correlation": _NUMBER,
        "mlp_recovery": [float],
        "mapped_prompts": int,
        "model_answers": _ANSWERS,
        "recovery": [RecoveryRow],
        "notes": [str],
    },
    "neuron show": {
        "neuron": str,
        "layer": int,
        "index": int,
        "token": {"id": int, "text": str},
        "congruence": Each(_READING),
        "model": dict,
        "created": str,
        "wheatstone": str,
        **dict.fromkeys(("prompts", "corpus", "probes"), (None, dict)),
        "page": str,
    },
    "path-patching": {
        "receivers": [str],
        "through": str,
        "ablation": str,
        "metric": str,
        "clean": float,
        "corrupt": float,
        "n": int,
        "model_answers": _ANSWERS,
        "effects": [{"sender": str, "effect": float, "by_prompt": [float]}],
    },
    "pull": {"id": str, "folder": str, "sha256": str},
    "runs": {"runs": [With(CatalogueEntry, {"exists": bool})]},
    "runs add": CatalogueEntry,
    "runs check": (
        {"run": str, "damaged": [str], "unfinished?": str},
        {"runs": [{"run": str, "exists": bool, "damaged": [str]}]},
    ),
    "runs delete": {"deleted": str},
    "runs export": {"run": str, "file": str, "bytes": int},
    "runs import": CatalogueEntry,
    "runs prune": {"unlisted": [str], "deleted": [str], "done": bool},
    "runs regroup": {"run": str, "supernodes": [{"name": str, "nodes": [str]}], "missing": (_REASONS, [str])},
    "runs show": (
        {
            "manifest": dict,
            "evaluation": (None, dict),
            "contents": {"document": str, "tables": Each(int), "figures": [str]},
        },
        {
            **dict.fromkeys(("unfinished?", "finished?"), str),
            "identity": dict,
            "done": (None, int),
            "total": (None, int),
        },
    ),
    "selectivity": {
        **_RESUMED,
        "circuits": [dict],
        **dict.fromkeys(("own", "others", "difference"), _ESTIMATE),
        "first": int,
    },
    "studio": {"address": str},
    "study": {
        **_RESUMED,
        "relations": [dict],
        "average": (None, dict),
        "overlap": dict,
        "skipped_records": Each([str]),
    },
    "sweep": {
        **_RESUMED,
        "files": Each(str),
        "pairs": int,
        "weak": int,
        **{key: {"least": float, "median": float, "most": float} for key in ("edges", "faithfulness")},
        "heads": [{"node": str, "circuits": int, **dict.fromkeys(("share", "expected", "excess", "p"), float)}],
        **dict.fromkeys(("heads_in_any", "heads_in_all", "heads_beyond_chance", "heads_of_model"), int),
    },
    "tasks": {"tasks": [About]},
    "tasks show": (
        With(
            About,
            {
                **_TASK.more,
                "model": str,
                "answered": {
                    **dict.fromkeys(("pairs", "known_rank", "known"), int),
                    **dict.fromkeys(("accuracy", "hit_at_1", "hit_at_10"), float),
                },
                "examples": Each([_PAIR]),
            },
        ),
        About,
    ),
    "trace": {
        **_RUN,
        "model": str,
        "task": _TASK,
        "n": int,
        "model_answers": _ANSWERS,
        "settings": dict,
        **{key: {"probability": float, "ci95": _INTERVAL} for key in ("clean", "blurred")},
        "most": dict,
        "most_on": dict,
        "first_window_above_layer_0": (None, int),
        "layer_to_edit": (None, int),
    },
    "verify": Verification,
}
"""By command. `runs list` prints what `runs` prints; `head`, `init` and `neuron` print their help."""
ERROR = {"kind": str, "expected": str, "got": str, "do": str}
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
