"""Examples at the end of each verb's help; a test reads every one as the command would."""

from __future__ import annotations

_PAIR = (
    '--prompt "The official language of France is" --counterfactual "The official language of Japan is" '
    '--answer " French" --distractor " Japanese"'
)
EXAMPLES = {
    "attribution": ('attribution "The official language of France is" --distractor " Japanese"',),
    "bits": ('bits "The official language of France is French."', "bits notes.txt --out bits.html"),
    "card": ("card runs/france",),
    "completion": ("completion bash >> ~/.bashrc", "completion fish > ~/.config/fish/completions/wheatstone.fish"),
    "compress": ("compress notes.txt --out notes.whst", "compress notes.txt --estimate"),
    "decompress": ("decompress notes.whst --out notes.txt",),
    "discover": (
        f"discover {_PAIR} --out runs/france",
        "discover --task facts/country_capital --out runs/capitals",
        "discover --task ioi --out runs/ioi --dry-run",
    ),
    "doctor": ("doctor", "doctor runs --clear"),
    "edit": (
        'edit --prompt "The official language of France is" --subject France --target " Japanese" --out runs/edit',
        "edit --list",
    ),
    "edit add": (
        'edit add ledger --prompt "The official language of France is" --subject France --target " Japanese"',
    ),
    "edit check": ("edit check ledger",),
    "edit export": ("edit export ledger --out edited", "edit export ledger --format delta --out delta"),
    "edit list": ("edit list ledger",),
    "edit undo": ("edit undo ledger 1",),
    "explain": ("explain runs/france", "explain runs/france --only lens --only attribution"),
    "export": ("export runs/france --format graphml --out france.graphml",),
    "graph": (f"graph {_PAIR} --out runs/graph", "graph --task facts/country_capital --out runs/capitals-graph"),
    "head": ("head scan texts --out runs/heads", "head show a23.h4 --scan runs/heads"),
    "head scan": ("head scan texts --out runs/heads",),
    "head pages": ("head pages --scan runs/heads --out runs/head-pages",),
    "head show": ("head show a23.h4 --scan runs/heads",),
    "import": ("import circuit.eap.json --model smollm2-135m --out runs/imported",),
    "init": ("init task --out task.jsonl",),
    "init task": ("init task --out task.jsonl",),
    "lens": ('lens "The official language of France is" --answer " French"',),
    "models": ("models", "models list", "models check smollm2-135m"),
    "models check": ("models check smollm2-135m", "models check path/to/a/model"),
    "models list": ("models list",),
    "models remove": ("models remove smollm2-135m",),
    "neuron": ('neuron find --token " an"', "neuron show m25.n1527"),
    "neuron find": ('neuron find --token " an"',),
    "neuron pairs": ("neuron pairs --null",),
    "neuron probe": (
        "neuron probe --concept country --out runs/probes",
        "neuron probe --list",
        'neuron probe --use runs/probes --concept country --text "The train from France was late."',
    ),
    "neuron scan": ("neuron scan texts --out runs/scan",),
    "neuron screen": (f"neuron screen {_PAIR} --out runs/screen",),
    "neuron show": ("neuron show m25.n1527", "neuron show m25.n1527 --run runs/screen --scan runs/scan"),
    "path-patching": (f"path-patching {_PAIR}",),
    "pull": ("pull smollm2-135m", "pull HuggingFaceTB/SmolLM2-135M-Instruct"),
    "runs": ("runs", "runs show runs/france"),
    "runs add": ("runs add runs/france",),
    "runs check": ("runs check runs/france", "runs check --all"),
    "runs delete": ("runs delete runs/france",),
    "runs export": ("runs export runs/france --out france.tar.zst",),
    "runs import": ("runs import france.tar.zst --out runs/france",),
    "runs regroup": ("runs regroup runs/graph supernodes.json",),
    "runs list": ("runs list --limit 10",),
    "runs prune": ("runs prune --older-than 30d --dry-run",),
    "runs show": ("runs show runs/france",),
    "selectivity": ("selectivity runs/capitals runs/ioi --out runs/selectivity",),
    "studio": ("studio", "studio --no-browser --port 8000"),
    "study": ("study --relations country_capital --out runs/study",),
    "sweep": ("sweep --task facts/country_capital --out runs/sweep",),
    "tasks": ("tasks", "tasks show ioi --model smollm2-135m"),
    "tasks show": ("tasks show facts/country_capital --model smollm2-135m",),
    "trace": ("trace --task facts/country_capital --out runs/trace",),
    "verify": ("verify runs/france", "verify runs/capitals --split test"),
}
"""Of each verb, without the word `wheatstone`."""


def epilog_of(verb: str) -> str | None:
    """The end of a verb's help."""
    lines = [f"  wheatstone {line}" for line in EXAMPLES.get(verb, ())]
    return "\n".join(["Examples:", *lines]) if lines else None
