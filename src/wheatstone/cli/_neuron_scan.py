"""`wheatstone neuron scan`: what every neuron does in running text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from wheatstone._bounds import BATCH, EXAMPLES, SEED, SHARE, TOKENS, WINDOW
from wheatstone._errors import RequestError
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, layers_of, number
from wheatstone.cli._output import JsonOption, Output


def scan(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Files, folders, or ids of Hugging Face datasets (org/name or org/name:column, streamed; needs the "
            "package datasets); by default the 3.4 MB of texts in the package.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the scan; an unfinished one goes on.", show_default=False)
    ] = None,
    model: ModelOption = "smollm2-135m",
    layers: Annotated[
        str | None, typer.Option("--layers", help="Whose neurons, such as 20-29 or 0,5,7-9; all by default.")
    ] = None,
    window: Annotated[int, number("--window", WINDOW, "Tokens run together, of one document.")] = 128,
    top: Annotated[int, number("--top", EXAMPLES, "Examples kept at either end of each neuron, one a window.")] = 20,
    share: Annotated[
        float, number("--share", SHARE, "Share of the windows to read, drawn over the whole corpus.")
    ] = 1.0,
    tokens: Annotated[int | None, number("--tokens", TOKENS, "Most tokens to read; all by default.")] = None,
    batch: Annotated[
        int, number("--batch", BATCH, "Tokens after which all is saved; a killed scan loses no more than that.")
    ] = 8192,
    seed: Annotated[int, number("--seed", SEED, "Of what is drawn: the share, and one example of each bin.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take: windows, tokens, memory, time.")
    ] = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Read texts and keep of every neuron its moments, a histogram, its strongest examples and one of each bin.

    Stopped and started again with the same settings, it goes on where it was. Memory does not grow with the texts.
    """
    if out is None and not dry_run:
        raise RequestError(expected="a folder for the scan", got="no --out", do="give one, or use --dry-run")
    output = Output("neuron scan", as_json)
    with output.progress() as report:
        report("starting", 0, None)
        from wheatstone.models import load_model
        from wheatstone.runs import ScanSettings, alone_in, listed, open_scan, plan_scan, run_scan

        settings = ScanSettings(
            texts=tuple(texts or ("bundled",)),
            layers=None if layers is None else layers_of(layers),
            window=window,
            top=top,
            share=share,
            tokens=tokens,
            batch=batch,
            seed=seed,
        )
        settings.check_values(out)
        if out is not None:
            open_scan(out)
        if dry_run or out is None:
            loaded = load_model(model, device=device, dtype=dtype, report=report)
            report("starting", 1, 1)
            plan = plan_scan(loaded, settings, report=report)
            output.document(plan)
            output.print(
                f"{plan['tokens']:,} tokens of {plan['documents']:,} documents in {plan['windows']:,} windows; about "
                f"{plan['seconds'] / 60:,.1f} minutes; {plan['state_bytes'] / 1e6:,.0f} MB saved after every batch."
            )
            return
        with alone_in(out, "scan"):
            loaded = load_model(model, device=device, dtype=dtype, report=report)
            report("starting", 1, 1)
            manifest = run_scan(loaded, settings, out, report=report)
    missing = listed(out)
    output.document(manifest | {"run": str(out), "missing": missing})
    output.print(_told(manifest))
    output.missing(missing)
    output.print(f"run      {out}", markup=False)


def _told(manifest: dict[str, Any]) -> str:
    """What was read, and what was not."""
    neurons, seconds = sum(manifest["neurons"].values()), manifest["timings"]["scan"]
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in manifest["skipped"].items())
    return (
        f"{manifest['tokens']:,} tokens of {manifest['documents']:,} documents in {manifest['windows']:,} windows, "
        f"{neurons:,} neurons, {seconds:,.0f} s ({manifest['tokens'] / max(seconds, 1e-9):,.0f} tokens a second).\n"
        f"Left out: {skipped or 'nothing'}."
    )
