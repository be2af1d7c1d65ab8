"""`wheatstone discover`: a circuit for a prompt pair; writes a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone.cli._options import (
    AnswerOption,
    CounterfactualOption,
    DeviceOption,
    DistractorOption,
    DtypeOption,
    ModelOption,
    PromptOption,
    SeedOption,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import pairs_of
from wheatstone.cli._tables import edge_table, verification_table


def discover(
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run to write.")] = None,
    model: ModelOption = "smollm2-135m",
    prompt: PromptOption = None,
    counterfactual: CounterfactualOption = None,
    answer: AnswerOption = None,
    distractor: DistractorOption = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="Instead: a JSON Lines file of {prompt, counterfactual, answers, distractors}."),
    ] = None,
    faithfulness: Annotated[
        float,
        typer.Option(
            "--faithfulness", help="Share of the metric's change the circuit alone must keep, above 0, at most 1."
        ),
    ] = 0.9,
    method: Annotated[str, typer.Option("--method", help="Ranking to start from: eap-ig or eap.")] = "eap-ig",
    steps: Annotated[int, typer.Option("--steps", help="Integration steps of eap-ig.")] = 5,
    ablation: Annotated[
        str, typer.Option("--ablation", help="What edges outside the circuit carry: counterfactual, mean or zero.")
    ] = "counterfactual",
    metric: Annotated[
        str, typer.Option("--metric", help="logit_diff (logits), prob_diff (probability) or kl (nats).")
    ] = "logit_diff",
    neurons_of: Annotated[
        list[int] | None,
        typer.Option(
            "--neurons-of", help="Layer whose MLP is split into its neurons; may be repeated.", metavar="LAYER"
        ),
    ] = None,
    experts_of: Annotated[
        list[int] | None,
        typer.Option(
            "--experts-of", help="Layer whose routed MLP is split into its experts; may be repeated.", metavar="LAYER"
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Of a Hugging Face model.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is already in --out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take: edges, memory, time. Writes nothing.")
    ] = False,
    force_memory: Annotated[
        bool, typer.Option("--force-memory", help="Go on where the estimate says that memory will not do.")
    ] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures and the HTML report.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Find the smallest circuit that alone gives the model's answer, prove it, and write it down as a run.

    The run holds the circuit, every edge's score, the size-faithfulness curve, the verification, the answer's rank
    by layer, attention, figures and report.html.
    """
    started = time.perf_counter()
    pairs = pairs_of(prompt, counterfactual, answer, distractor, prompts)
    from wheatstone.runs import catalogue_add, check_free, new_run

    if out is not None:
        check_free(out, force=force)
    elif not dry_run:
        raise RequestError(expected="a folder for the run", got="no --out", do="give one, or use --dry-run")
    output = Output(as_json)
    with output.progress() as report:
        report("starting", 0, None)
        from wheatstone.discovery import check_target
        from wheatstone.figures import render_all
        from wheatstone.models import load_model
        from wheatstone.runs import DiscoverySettings, plan_discovery, run_discovery

        check_target(faithfulness)
        loaded = load_model(model, revision=revision, device=device, dtype=dtype, report=report)
        loaded = loaded.split(dict.fromkeys(neurons_of or (), "neurons") | dict.fromkeys(experts_of or (), "experts"))
        report("starting", 1, 1)
        settings = DiscoverySettings(faithfulness, method, steps, ablation, metric)
        plan = plan_discovery(loaded, pairs, settings, timed=dry_run)
        if dry_run:
            output.document(plan.to_dict())
            output.print(plan.text())
        if not force_memory:
            plan.check()
        if dry_run or out is None:
            return
        run = run_discovery(loaded, pairs, settings, seed=seed, report=report)
        with new_run(out, force=force) as folder:
            run.save(folder)
            if figures:
                render_all(folder, report)
    catalogue_add(out)
    circuit = run.discovery.circuit
    evaluation = circuit.evaluation
    assert evaluation is not None
    output.document(
        {
            "run": str(out),
            "evaluation": vars(evaluation),
            "ranked_edges": run.discovery.ranked,
            "evaluations": run.discovery.evaluations,
            "edges": [
                {"from": edge.sender, "to": edge.receiver, "effect": round(effect, 6)}
                for edge, effect in zip(circuit.edges, circuit.effects or (), strict=True)
            ],
            "verification": run.verification.to_dict(),
            "held_out": [verification.to_dict() for verification in run.held_out],
            "report": str(out / "report.html") if figures else None,
            "seconds": round(time.perf_counter() - started, 2),
        }
    )
    output.print(
        f"\n[bold]{len(circuit)} of {evaluation.total_edges:,} edges[/bold] keep "
        f"{evaluation.faithfulness:.1%} of the {metric} ({evaluation.circuit:.2f} of {evaluation.clean:.2f}; "
        f"{evaluation.corrupt:.2f} ablated). The ranking alone needs {run.discovery.ranked:,}."
    )
    output.print(edge_table(circuit))
    for verification in (run.verification, *run.held_out):
        output.print(verification_table(verification))
    for note in run.experiment.encoded.notes:
        output.print(f"note: {note}")
    output.print(
        f"\nEach edge is necessary: without any one of them the circuit misses the goal. "
        f"{run.discovery.evaluations} circuits were run in {time.perf_counter() - started:.0f} s."
    )
    if figures:
        output.print(f"report   {out / 'report.html'}\npictures {out / 'figures'}")
