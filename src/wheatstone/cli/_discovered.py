"""What `discover` says when it is done: one JSON document, and the same for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from wheatstone._effects import lost
from wheatstone._intervals import interval_text
from wheatstone._side import SWAPPED
from wheatstone.cli._tables import by_share_table, by_size_table, edge_table, second_path_note, verification_table

if TYPE_CHECKING:
    from wheatstone.studies import DiscoveryRun


def document(run: DiscoveryRun) -> dict[str, Any]:
    """The result as JSON."""
    from wheatstone.studies import splits_of

    found = run.discovery
    none = (None,) * len(found.circuit)
    measured = zip(found.circuit.edges, found.circuit.effects or none, found.circuit.units or none, strict=True)
    return {
        "method": run.settings.method,
        "goal": run.settings.goal,
        "model_answers": run.experiment.model_answers.to_dict(),
        "granularity": run.settings.granularity,
        "evaluation": vars(found.circuit.evaluation),
        "ranked_edges": found.ranked,
        "evaluations": found.evaluations,
        "measured": lost(found.goal),
        "by_size": [{"edges": edges, "ranking": ranking, "search": search} for edges, ranking, search in found.by_size],
        "stability": None
        if found.stability is None
        else {name: getattr(found.stability, name) for name in ("samples", "edges", "nodes", "edges_range")},
        "edges": [
            {"from": edge.sender, "to": edge.receiver}
            | ({} if effect is None else {"effect": round(effect, 6)})
            | ({} if unit is None else {"unit": unit})
            for edge, effect, unit in measured
        ],
        **splits_of(run),
        "verification": run.verification.to_dict(),
        "held_out": [verification.to_dict() for verification in run.held_out],
    }


def shown_parts(run: DiscoveryRun, seconds: float) -> Iterator[RenderableType]:
    """The result for people."""
    found, settings = run.discovery, run.settings
    circuit = found.circuit
    evaluation = circuit.evaluation
    assert evaluation is not None
    edges = f"{len(circuit)} of {evaluation.total_edges:,} edges"
    both = " both ways" if settings.both_ways else ""
    alone = f"The ranking alone needs at most {found.ranked:,}{both}." if settings.method == "verified" else ""
    if settings.goal == "complete":
        lost = run.verification.completeness
        yield Text.assemble(
            "\n",
            (edges, "bold"),
            f" ablated in the otherwise intact model take away {lost:.1%} of the {settings.metric}'s change. {alone}",
        )
    else:
        yield Text.assemble("\n", (edges, "bold"), f" {_kept(run)} {alone}")
    yield edge_table(circuit)
    if run.by_share:
        yield by_share_table(run.by_share)
    if found.by_size:
        yield by_size_table(found.by_size, found.goal)
    held = [one for one in run.held_out if one.split == "test"]
    rest = [one for one in run.held_out if one.split != "test"]
    proofs = (*held, run.verification, *rest)
    yield from map(verification_table, proofs)
    yield from second_path_note(proofs)
    if found.stability is not None:
        over = found.stability
        yield (
            f"Over {over.samples} bootstrap samples of {over.prompts} prompts two circuits share {over.edges:.2f} of "
            f"their edges (5% to 95%: {over.edges_range[0]:.2f} … {over.edges_range[1]:.2f}) and {over.nodes:.2f} of "
            "their nodes."
        )
    for note in run.experiment.encoded.notes:
        yield f"note: {note}"
    part = "edge" if circuit.units is None else f"unit ({len(set(circuit.units)):,} of {settings.granularity})"
    proven = f"Each {part} is necessary: without any one of them the circuit misses the goal. "
    yield (f"\n{proven if circuit.effects else ''}{found.evaluations:,} circuits were run in {seconds:.0f} s.")


def _kept(run: DiscoveryRun) -> str:
    """What the circuit keeps, on held-out prompts first."""
    from wheatstone.studies import splits_of

    evaluation, n = run.discovery.circuit.evaluation, run.verification.n
    assert evaluation is not None
    prompts = f"{n} prompt{'s' * (n > 1)}"
    found_on = (
        f"{evaluation.faithfulness:.1%} of the {run.settings.metric} ({evaluation.circuit:.2f} of "
        f"{evaluation.clean:.2f}; {evaluation.corrupt:.2f} ablated) on the {prompts} they were found on."
    )
    other = next((one for one in run.held_out if one.split == SWAPPED), None)
    if run.settings.both_ways and other is not None:
        found_on += f" With prompt and counterfactual swapped they keep {other.faithfulness:.1%}: proven both ways."
    test = splits_of(run).get("test")
    if not test:
        return f"keep {found_on}"
    gain = test["gain_kept"]
    hits = "" if gain is None else f" and {gain:.0%} of the model's gain in Hit@10"
    between = interval_text(test["ci95"]["faithfulness"], 3)
    return (
        f"keep {test['faithfulness']:.1%} of the {run.settings.metric}{between and f' (95% {between})'}{hits} on "
        f"{test['n']} test prompts that they were not found on; {found_on}"
    )
