"""What each command prints with --json, in the notation of `wheatstone.runs._documents`; `schemas.py` writes schemas.

Beside that notation, a dataclass or a named tuple is a record of its fields, with their meanings out of its docstring,
and `With` adds names to one. A tuple is any one of its parts: at the top, what a command prints with other options.
"""

from __future__ import annotations

from typing import Any

from printed_parts import (
    ANSWERS,
    BITS,
    CONCEPT,
    EDIT,
    ESTIMATE,
    INTERVAL,
    LEDGER,
    MEASURED,
    NUMBER,
    PAIR,
    READING,
    REASONS,
    RESUMED,
    RUN,
    RUN_GRAPH,
    SCAN,
    SCAN_PLAN,
    SPLIT,
    TASK,
    TEXT,
    Means,
    With,
)

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
from wheatstone.neurons._tokens import TokenWriter
from wheatstone.runs import CatalogueEntry
from wheatstone.runs._documents import Each
from wheatstone.studies._held_out import SharePoint
from wheatstone.studies._plan import Plan
from wheatstone.studies._sweep_heads import NodeRow
from wheatstone.tasks._source import About
from wheatstone.verification import Card, Verification

KEPT_EDGE = {
    "from": str,
    "to": str,
    "effect?": Means(float, "what the metric loses without it, exactly"),
    "unit?": Means(str, "edges of one unit were removed together"),
}
PATH_EFFECT = "on the metric along the paths; mean over prompts, positive supports it"
OF_EACH = "of the circuits"
PRINTED: dict[str, Any] = {
    "attribution": {
        "model": str,
        "prompt": str,
        "position": int,
        "answer": str,
        "distractor": TEXT,
        "total": Means(float, "the sum of all nodes' logits"),
        "nodes": [{"node": Means(str, "a head (a23.h4), an MLP (m17), the input, or biases"), "direct": float}],
    },
    "bits": (
        {
            **BITS,
            "bytes": int,
            "characters": int,
            "beside": Each({"bytes": int, "bits_per_byte": float}),
            "models": [{"model": str, **BITS}],
        },
        {
            "edges": Means(int, "how many edges the circuit has"),
            "ablation": str,
            "first": str,
            "bits": {"intact": float, "ablated": float, "alone": float},
            "worth": float,
            "control": {"worth": [float], "shared": float},
            "tokens": [{"token": str, **dict.fromkeys(("intact", "ablated", "alone", "worth"), float)}],
        },
    ),
    "card": With(Card, {"run": str, "page": TEXT, "total_seconds": float, "missing": REASONS}),
    "completion": {"shell": str, "script": str},
    "compress": (
        With(Compressed, {"out": str, "bits_per_byte": NUMBER}),
        With(CompressionEstimate, {"estimate": bool}),
    ),
    "decompress": {"bytes": int, "out": str},
    "discover": (
        {
            **RUN,
            "method": str,
            "goal": str,
            "granularity": str,
            "model_answers": ANSWERS,
            **MEASURED,
            "verification": Verification,
            "evaluation": Evaluation,
            "ranked_edges": int,
            "evaluations": int,
            "measured": str,
            "by_size": [{"edges": Means(int, "how many"), "ranking": NUMBER, "search": NUMBER}],
            "stability": (None, dict),
            "edges": Means([KEPT_EDGE], "the circuit"),
            "test?": SPLIT,
            "train?": SPLIT,
            "curve?": [SharePoint],
            "task?": TASK,
        },
        With(Plan, {"fits": bool, "model_answers": (None, ANSWERS)}),
    ),
    "doctor": {
        **dict.fromkeys(("wheatstone", "python", "torch", "transformers", "safetensors", "pyarrow", "device"), str),
        "cores": (None, int),
        **dict.fromkeys(("free memory (GB)", "cached models (GB)", "free disk (GB)"), float),
        "cache": str,
        "cache can be written": bool,
        **dict.fromkeys(("browser", "node"), Means(TEXT, "where it is; null where there is none")),
        "slow": [str],
        "left_over": [With(LeftOver, {"cleared": bool})],
        "unlisted": [str],
        "trouble": str,
    },
    "edit": (
        {
            "run": TEXT,
            "report": TEXT,
            "seconds": float,
            "timings": Each(float),
            "missing": REASONS,
            "method": str,
            "request": dict,
            "weights": Each([int]),
            "settings": dict,
            "model_answers": ANSWERS,
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
        **LEDGER,
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
        "model?": LEDGER["model"],
        "edits?": [EDIT],
        "weights?": Each(str),
    },
    "edit export": {**LEDGER, "out": str, "kind": Means(str, "checkpoint, lora or deltas")},
    "edit list": LEDGER,
    "edit undo": {**LEDGER, "undone": [int]},
    "explain": {
        "run": str,
        "page": str,
        "seconds": float,
        "model_answers": (None, ANSWERS),
        "sections": Each(
            {
                **dict.fromkeys(("format", "section", "asks", "created", "wheatstone", "method"), str),
                "n": (None, int),
                "prompts": TEXT,
                "seed": int,
                "seconds": float,
                "summary": dict,
                "tables": dict,
                "undrawn?": REASONS,
            }
        ),
        "missing": REASONS,
        "unasked": [str],
    },
    "export": {"run": str, "exported": str, "file": str},
    "graph": {**RUN_GRAPH, "peak_bytes": (None, int)},
    "head pages": {"heads": [str], "pages": str},
    "head scan": ({**SCAN, "heads": Each(int)}, SCAN_PLAN),
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
        "effect": Means(Each(float), "moments of its direct effect on the logit of the next token"),
        "attention": Means(Each(float), "moments of its largest weight after the first token"),
        "examples": [dict],
        "senders": {"n": int, "query": [dict], "key": [dict]},
        "circuits": [dict],
        "page": str,
    },
    "import": (
        {**RUN, "from": str, "model": str, "edges": Means(int, "how many"), "scored_edges": int, **MEASURED},
        RUN_GRAPH,
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
        "best_of_shuffled": NUMBER,
        "seed": int,
        "seconds": float,
    },
    "neuron probe": (
        {
            **RUN,
            "model": str,
            "concepts": [CONCEPT],
            "neurons_by_concepts": Each(int),
            "skipped": Each(int),
            "refused": REASONS,
            "tokens": int,
        },
        {
            "run": str,
            "concept": str,
            "method": str,
            "layer": int,
            "k": Means(int, "neurons of the probe"),
            "reading": str,
            "f1": Means(float, "on the run's test documents"),
            "tokens": [{"token": str, "decision": Means(float, "above 0 where the probe says yes")}],
        },
        {"concepts": [{"name": str, "rule": Means(str, "which tokens carry the concept")}]},
    ),
    "neuron scan": ({**SCAN, "neurons": Each(int)}, SCAN_PLAN),
    "neuron screen": {
        **RUN,
        "direction": str,
        "neurons": int,
        "confirmed": [ConfirmedRow],
        "clean": float,
        "corrupt": float,
        "n": int,
        "best": (None, dict),
        "rank_correlation": NUMBER,
        "mlp_recovery": [float],
        "mapped_prompts": int,
        "model_answers": ANSWERS,
        "recovery": [RecoveryRow],
        "notes": [str],
    },
    "neuron show": {
        "neuron": str,
        "layer": int,
        "index": int,
        "token": {"id": Means(int, "in the model's vocabulary"), "text": str},
        "congruence": Each(READING),
        "model": dict,
        "created": str,
        "wheatstone": str,
        **dict.fromkeys(("prompts", "corpus"), (None, dict)),
        "probes": (None, [dict]),
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
        "model_answers": ANSWERS,
        "effects": [{"sender": str, "effect": Means(float, PATH_EFFECT), "by_prompt": [float]}],
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
    "runs regroup": {"run": str, "supernodes": [{"name": str, "nodes": [str]}], "missing": (REASONS, [str])},
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
            "total": Means((None, int), "pieces of work in all"),
        },
    ),
    "selectivity": {
        **RESUMED,
        "circuits": [dict],
        **dict.fromkeys(("own", "others", "difference"), ESTIMATE),
        "first": int,
    },
    "studio": {"address": str},
    "study": {
        **RESUMED,
        "relations": [dict],
        "average": (None, dict),
        "overlap": dict,
        "skipped_records": Each([str]),
    },
    "sweep": {
        **RESUMED,
        "files": Each(str),
        "pairs": int,
        "weak": int,
        **{key: Means({"least": float, "median": float, "most": float}, OF_EACH) for key in ("edges", "faithfulness")},
        "heads": [NodeRow],
        **dict.fromkeys(("heads_in_any", "heads_in_all", "heads_beyond_chance", "heads_of_model"), int),
    },
    "tasks": {"tasks": [About]},
    "tasks show": (
        With(
            About,
            {
                **TASK.more,
                "model": str,
                "answered": {
                    **dict.fromkeys(("pairs", "known_rank", "known"), int),
                    **dict.fromkeys(("accuracy", "hit_at_1", "hit_at_10"), float),
                },
                "examples": Each([PAIR]),
            },
        ),
        About,
    ),
    "trace": {
        **RUN,
        "model": str,
        "task": TASK,
        "n": int,
        "model_answers": ANSWERS,
        "settings": dict,
        "clean": Means({"probability": float, "ci95": INTERVAL}, "the answer's probability on the prompts as they are"),
        "blurred": Means({"probability": float, "ci95": INTERVAL}, "the same with the subject's embeddings blurred"),
        "most": dict,
        "most_on": dict,
        "first_window_above_layer_0": (None, int),
        "layer_to_edit": (None, int),
    },
    "verify": Verification,
}
"""By command. `runs list` prints what `runs` prints; `head`, `init` and `neuron` print their help."""
ERROR = {
    "kind": Means(str, "the error's class"),
    "expected": Means(str, "what was expected"),
    "got": Means(str, "what there was instead"),
    "do": Means(str, "what to do"),
}
