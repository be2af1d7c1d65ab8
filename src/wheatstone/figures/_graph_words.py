"""What a graph shows, in sentences."""

from __future__ import annotations

from statistics import median

from wheatstone.figures._load import Row
from wheatstone.figures._words import clipped, count, percent, quoted


def graph_title(summary: Row, prompt: int, target: int) -> str:
    """What a graph is called.

    Args:
        summary: of `graph.json`.
        prompt: characters of the prompt, at most.
        target: of the target.
    """
    if "task" in summary:
        return f"What the prompts of {clipped(summary['prompt'], prompt)} have in common"
    return f"From {quoted(summary['prompt'], prompt)} to {clipped(summary['target']['name'], target)}"


def graph_words(summary: Row) -> list[str]:
    """What a graph shows, in sentences.

    Args:
        summary: of `graph.json`.
    """
    if not summary["proofs"]:
        return [f"{summary['nodes']:,} nodes and {summary['edges']:,} edges out of a file. Nothing was run."]
    if "curve" in summary:
        return _of_task(summary)
    first = summary["proofs"][0]
    kept, learned = first["nodes"], summary.get("learned", False)
    said = [
        f"Alone, {kept:,} heads and neurons keep {percent(first['faithfulness'])} of the target "
        f"({summary['target']['name']}; all others ablated to {first['baseline']}), and their first choice is "
        f"{quoted(first['answer'])}. Without them {percent(first['completeness'])} is lost. Exact runs."
    ]
    if len(summary["proofs"]) > 1:
        shares = sorted(proof["faithfulness"] for proof in summary["proofs"][1:])
        said.append(
            f"Under the other counterfactuals{' that they were chosen with' if learned else ''} they keep "
            f"{percent(median(shares))} (the median; {percent(shares[0])} to {percent(shares[-1])})."
        )
    if unseen := summary.get("held_out"):
        shares = sorted(proof["faithfulness"] for proof in unseen)
        same = sum(proof["keeps_top"] for proof in unseen)
        said.append(
            f"Under {count(len(unseen), 'counterfactual')} that they were not chosen with they keep "
            f"{percent(median(shares))} (the median; {percent(shares[0])} to {percent(shares[-1])}), and the first "
            f"choice under {same}."
        )
    if not summary["enough"]:
        said.append(
            "That is not enough to give the answer alone: the graph shows what is influential, not all that is needed. "
            + ("Raise --nodes or --steps." if learned else "--verify looks for nodes that are enough.")
        )
    return said


def _of_task(summary: Row) -> list[str]:
    """What a task's graph shows."""
    first = summary["proofs"][0]
    said = [
        f"Alone, {first['nodes']:,} heads and neurons, each at one part of the prompt, keep "
        f"{percent(first['faithfulness'])} of the difference between right and wrong answers on "
        f"{count(first['n'], 'test prompt')}, whose subjects they were not learned on (all others ablated to the "
        f"counterfactual), and the model's first choice on {percent(first['agreement'])}. Without them "
        f"{percent(first['completeness'])} is lost. Exact runs."
    ]
    others = [f"{percent(proof['faithfulness'])} ablated to the {proof['baseline']}" for proof in summary["proofs"][1:]]
    said.append(f"The same nodes keep {', '.join(others)}.")
    on_test = {(row["ablation"], row["units"]): row for row in summary["curve"] if row["split"] == "test"}
    for ablation, units in summary["chosen"].items():
        if units is None:
            said.append(f"Ablated to the {ablation}, no size is within 90 to 110% on the validation prompts.")
        else:
            kept = percent(on_test[ablation, units]["faithfulness"])
            said.append(
                f"Ablated to the {ablation}, {units:,} are the fewest within 90 to 110% on the validation prompts; on "
                f"the test prompts they keep {kept}."
            )
    return said
