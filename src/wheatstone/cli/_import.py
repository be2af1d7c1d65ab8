"""`wheatstone import FILE --out RUN`: a circuit of another tool as a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from wheatstone._errors import RequestError
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import FiguresOption, ForceOption, OutOption, new_run
from wheatstone.cli._options import AllowWeakOption, DeviceOption, DtypeOption, SeedOption, check_names
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import PromptOptions
from wheatstone.cli._settings import options_of
from wheatstone.cli._tables import edge_table, second_path_note, verification_table


@options_of()
def import_(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON of EAP-IG's Graph.to_json, a circuit.json, or an attribution graph of circuit-tracer or "
            "Neuronpedia.",
            metavar="FILE",
        ),
    ],
    out: OutOption,
    model: Annotated[
        str | None,
        typer.Option("--model", help="The model the circuit was found in; by default the one the file names."),
    ] = None,
    prompts: PromptOptions,
    ablation: Annotated[
        str,
        typer.Option(
            "--ablation",
            help="Of an EAP-IG file: what edges outside the circuit carry: counterfactual, mean or zero.",
        ),
    ] = "counterfactual",
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Of an EAP-IG file: logit_diff, prob_diff or kl; by default the task's, or logit_diff.",
        ),
    ] = None,
    allow_weak: AllowWeakOption = False,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    figures: FiguresOption = True,
    as_json: JsonOption = False,
) -> None:
    """Read a circuit that EAP-IG or Wheatstone wrote, check that it fits the model, and write it down as a run.

    With prompts or a task, the circuit is run on them and verified as `discover` does; otherwise the run holds the
    circuit alone, and `verify RUN` with prompts adds a verification. An edge into one head's key or value becomes an
    edge into its group of heads, which share one key and value in the model. An attribution graph becomes a run as
    `graph` writes them; nothing of it is run.
    """
    from wheatstone.runs import check_free

    check_free(out, force=force)
    given = prompts.given or prompts.task
    output = Output("import", as_json)
    with output.starting():
        from wheatstone.circuits import open_foreign

        pairs = prompts.pairs() if given else []
        check_names(ablation=ablation, metric=metric)
        form, document = open_foreign(file, graphs=True)
    if form.read is None:
        if given:
            raise RequestError(
                expected="a circuit to run on prompts", got=f"{file}, {form.name}", do="leave the prompts out"
            )
        _import_graph(output, document, out, force, figures)
        return
    name = model or form.model(document)
    if not name:
        raise RequestError(
            expected="--model, the model the circuit was found in",
            got=f"none, and {file} names none",
            do="add --model",
        )
    with new_run(output, out, force=force) as new:
        from wheatstone.studies import run_import

        loaded = load(name, device, dtype, new.report)
        asked = prompts.load_task(loaded, seed, new.report)
        measured = metric or (asked.metric if asked else "logit_diff")
        run = run_import(
            loaded,
            form.read(document, loaded, ablation, measured),
            source=file.stem,
            pairs=asked.train if asked else pairs,
            test=asked.test if asked else (),
            task=asked.name if asked else "",
            seed=seed,
            # Prompts that the file brings were accepted when its circuit was found.
            allow_weak=allow_weak or not given,
            report=new.report,
        )
        new.save(run.save, task=asked and asked.to_json(), figures=figures)
    proofs = [proof for proof in (run.verification, *run.held_out) if proof]
    output.document(
        {
            **new.about,
            "from": form.name,
            "model": loaded.id,
            "edges": len(run.circuit),
            "scored_edges": sum(map(bool, run.scores.values())),
            "evaluation": vars(run.circuit.evaluation) if run.circuit.evaluation else None,
            "verification": run.verification.to_dict() if run.verification else None,
            "held_out": [proof.to_dict() for proof in run.held_out],
        }
    )
    output.print(f"{len(run.circuit):,} of {loaded.graph.edges:,} edges of {loaded.id}, from {form.name}", markup=False)
    for warning in run.verification.warnings if run.verification else ():
        output.print(f"warning: {warning}", markup=False)
    output.print(edge_table(run.circuit))
    for proof in proofs:
        output.print(verification_table(proof))
    for note in second_path_note(proofs):
        output.print(note)
    if not proofs:
        output.print(f"not run on any prompt; verify it with: wheatstone verify {out} --prompts FILE", markup=False)
    new.announce()


def _import_graph(output: Output, document: Mapping[str, Any], out: Path, force: bool, figures: bool) -> None:
    """An attribution graph as a run of `graph`."""
    from wheatstone.graphs import from_circuit_tracer

    with new_run(output, out, force=force) as new:
        found = from_circuit_tracer(document)
        new.save(found.save, figures=figures)
    summary = found.summary()
    output.document({**new.about, **summary})
    output.print(f"{summary['nodes']:,} nodes and {summary['edges']:,} edges of {found.model}; nothing was run.")
    new.announce()
