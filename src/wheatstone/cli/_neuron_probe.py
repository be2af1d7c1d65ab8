"""`wheatstone neuron probe`: which neurons tell a concept, one alone or a few together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from wheatstone._bounds import SEED, SPANS
from wheatstone._errors import RequestError
from wheatstone._intervals import interval_text
from wheatstone._lists import listed
from wheatstone._path import is_file
from wheatstone._text import count
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import FiguresOption, ForceOption, new_run
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, layers_of, number
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone.neurons import LabelledText
    from wheatstone.texts import Skipped


def probe(
    concept: Annotated[
        list[str] | None,
        typer.Option(
            "--concept",
            help="A bundled concept (--list names them; may be repeated), `all` of them, or a JSON Lines file of "
            '{"text": …, "spans": [[start, end, label], …], "document": …}, offsets in characters.',
            metavar="NAME|FILE",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run to write.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the bundled concepts with their rules.")] = False,
    model: ModelOption = "smollm2-135m",
    layers: Annotated[
        str | None, typer.Option("--layers", help="Layers to probe, such as 0,5,10-15; by default all.")
    ] = None,
    reading: Annotated[
        str,
        typer.Option(
            "--reading",
            help="Activations of a span: last (at its last token), tokens (each token by itself) or mean (over them).",
        ),
    ] = "last",
    outside: Annotated[
        str | None,
        typer.Option("--outside", help="Of a file: a label for every word that no span touches.", metavar="LABEL"),
    ] = None,
    most: Annotated[int, number("--most", SPANS, "Spans with each bundled concept; twice as many without.")] = 300,
    seed: Annotated[int, number("--seed", SEED, "Of the draw of excerpts, and the split by documents.")] = 0,
    use: Annotated[
        Path | None,
        typer.Option(
            "--use", help="A run of this command: take its best probe of --concept, and read --text.", metavar="RUN"
        ),
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="With --use: the text to read.")] = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    figures: FiguresOption = True,
    as_json: JsonOption = False,
) -> None:
    """Fit sparse probes of a concept on 1 to 128 neurons of every layer, judged on held-out documents; writes a run.

    Every neuron is also tested alone, with false discoveries controlled; several concepts are compared with each other.
    With --use, read a text by a probe of an earlier run: its decision at every token, above 0 where it says yes.
    """
    output = Output("neuron probe", as_json)
    if show_list:
        _list(output)
        return
    if use is not None or text is not None:
        _use(output, use, concept, text, model, device, dtype)
        return
    if out is None or not concept:
        raise RequestError(
            expected="a concept and a folder for the run",
            got="no --concept" if not concept else "no --out",
            do="give --concept NAME --out FOLDER, or --list for the bundled concepts",
        )
    _check_concepts(concept)
    chosen = None if layers is None else layers_of(layers)
    from wheatstone.checkpoints import check_layers

    check_layers(model, chosen or ())
    with new_run(output, out, force=force) as new:
        from wheatstone.neurons import ProbeSettings, run_probes
        from wheatstone.texts import Skipped

        skipped = Skipped()
        settings = ProbeSettings(source=", ".join(concept), reading=reading, layers=chosen or (), most=most, seed=seed)
        texts = _texts(concept, outside, most, seed, skipped)
        loaded = load(model, device, dtype, new.report)
        run = run_probes(loaded, texts, settings, skipped=skipped, report=new.report)
        new.save(run.save, figures=figures)
    summary = run.summary()
    output.document({**new.about, "model": loaded.id, **summary})
    numbers = (Column(name, justify="right") for name in ("F1", "95%", "all yes"))
    table = Table("concept", "probe", *numbers, box=None)
    for one in summary["concepts"]:
        for method in ("single", "ranking"):
            best = one["best"][method]
            what = best["neurons"][0] if method == "single" else f"{best['k']} of layer {best['layer']}"
            interval = interval_text((best["f1_low"], best["f1_high"])) or "–"
            table.add_row(one["concept"], what, f"{best['f1']:.2f}", interval, f"{one['always_yes_f1']:.2f}")
    output.print(table)
    left = {**run.skipped, **{f"concept {name} ({why})": 1 for name, why in run.refused.items()}}
    if left:
        output.print(f"left out: {', '.join(f'{number} {why}' for why, number in left.items())}", markup=False)
    new.announce()


def _use(
    output: Output,
    run: Path | None,
    concepts: list[str] | None,
    text: str | None,
    model: str,
    device: str,
    dtype: str,
) -> None:
    """Reads a text by the best probe of a concept."""
    if run is None or not text or concepts is None or len(concepts) != 1:
        given = {"--use": run is not None, "--text": bool(text), "one --concept": len(concepts or ()) == 1}
        raise RequestError(
            expected="--use RUN with --text and one --concept",
            got=f"no {' and no '.join(name for name, there in given.items() if not there)}",
            do="give all three",
        )
    (concept,) = concepts
    with output.starting() as report:
        from wheatstone.neurons import load_probe

        probe = load_probe(run, concept)
        loaded = load(model, device, dtype, report)
        decisions = probe.decisions(loaded, text).tolist()
        words = loaded.decode(loaded.encode(text)[: len(decisions)])
    rows = [{"token": token, "decision": value} for token, value in zip(words, decisions, strict=True)]
    about = {"run": str(run), "concept": concept, "method": probe.method, "layer": probe.layer}
    output.document({**about, "k": len(probe.neurons), "reading": probe.reading, "f1": probe.f1, "tokens": rows})
    table = Table("token", Column("decision", justify="right"), "", box=None)
    for token, value in zip(words, decisions, strict=True):
        table.add_row(repr(token), f"{value:+.2f}", "yes" if value > 0 else "")
    output.print(table)
    what = f"{probe.method} of {count(len(probe.neurons), 'neuron')} of layer {probe.layer}"
    output.print(f"\n{sum(value > 0 for value in decisions)} of {len(decisions)} tokens; {what}, F1 {probe.f1:.2f}")


def _list(output: Output) -> None:
    concepts = listed("concepts")
    output.document({"concepts": concepts})
    table = Table("concept", "rule: what has it, against what", box=None)
    for each in concepts:
        table.add_row(each["name"], each["rule"])
    output.print(table)


def _check_concepts(concepts: list[str]) -> None:
    """Refuses a name that is neither a bundled concept nor a file, before anything is loaded.

    Raises:
        RequestError: there is one.
    """
    bundled = [each["name"] for each in listed("concepts")]
    for name in concepts:
        if name in (*bundled, "all") or is_file(name):
            continue
        path = "/" in name or Path(name).suffix
        raise RequestError(
            expected="a file of labelled texts" if path else f"a concept out of {', '.join(bundled)}, or a file",
            got=f"{name}, which is not there" if path else repr(name),
            do="check the path" if path else "choose one of these",
        )


def _texts(
    concepts: list[str], outside: str | None, most: int, seed: int, skipped: Skipped
) -> tuple[LabelledText, ...]:
    from wheatstone.neurons import CONCEPTS, bundled_concepts, read_concepts

    names = list(dict.fromkeys(name for one in concepts for name in (CONCEPTS if one == "all" else [one])))
    files = [name for name in names if name not in CONCEPTS and is_file(name)]
    if files and len(names) > 1:
        raise RequestError(
            expected="one file, or bundled concepts", got=", ".join(names), do="put several concepts into one file"
        )
    if files:
        return read_concepts(Path(files[0]), outside=outside, skipped=skipped)
    if outside is not None:
        raise RequestError(expected="a file where --outside is given", got=", ".join(names), do="leave --outside out")
    return bundled_concepts(names, most=most, seed=seed)
