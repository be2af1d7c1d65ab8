"""`wheatstone neuron scan` and `wheatstone head scan`: what every neuron or head does in running text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from wheatstone._bounds import BATCH, EXAMPLES, SEED, SHARE, TOKENS, WINDOW
from wheatstone._errors import RequestError
from wheatstone.cli._loading import load
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, layers_of, number
from wheatstone.cli._output import JsonOption, Output


def scan_command(of: Literal["neurons", "heads"], summary: str) -> Callable[..., None]:
    """The command that scans texts for what every neuron or every head does.

    Args:
        of: what is scanned.
        summary: of its help.
    """

    def scan(
        texts: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[TEXT]...",
                help="Files, folders, or ids of Hugging Face datasets (org/name; needs the package datasets). Rows of "
                "JSON Lines, CSV and Parquet files and of datasets are documents: their column text, or another, as "
                "corpus.jsonl:body. By default the 3.4 MB of texts in the package.",
                show_default=False,
            ),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option("--out", help="Folder of the scan; an unfinished one is continued.", show_default=False),
        ] = None,
        model: ModelOption = "smollm2-135m",
        layers: Annotated[
            str | None, typer.Option("--layers", help="Layers to scan, such as 20-29 or 0,5,7-9; all by default.")
        ] = None,
        window: Annotated[int, number("--window", WINDOW, "Tokens run together, of one document.")] = 128,
        top: Annotated[
            int, number("--top", EXAMPLES, "Examples kept at either end of each quantity, one a window.")
        ] = 20,
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
        if out is None and not dry_run:
            raise RequestError(expected="a folder for the scan", got="no --out", do="give one, or use --dry-run")
        output = Output(f"{of.removesuffix('s')} scan", as_json)
        with output.starting() as report:
            from wheatstone.checkpoints import check_layers
            from wheatstone.executors import alone_in, open_resumable
            from wheatstone.lenses import HEADS
            from wheatstone.neurons import NEURONS, ScanSettings, plan_scan, run_scan
            from wheatstone.runs import listed

            check_layers(model, () if layers is None else layers_of(layers))
            chosen = ScanSettings(
                texts=tuple(texts or ("bundled",)),
                layers=None if layers is None else layers_of(layers),
                window=window,
                top=top,
                share=share,
                tokens=tokens,
                batch=batch,
                seed=seed,
            )
            subject = NEURONS if of == "neurons" else HEADS
            chosen.check_values(out)
            if out is not None:
                open_resumable(out, "scan")
            if dry_run or out is None:
                loaded = load(model, device, dtype, report)
                plan = plan_scan(loaded, chosen, of=subject, report=report)
                output.document(plan)
                output.print(
                    f"{plan['tokens']:,} tokens of {plan['documents']:,} documents in {plan['windows']:,} windows; "
                    f"about {plan['seconds'] / 60:,.1f} minutes; "
                    f"{plan['state_bytes'] / 1e6:,.0f} MB saved after every batch."
                )
                return
            with alone_in(out, "scan"):
                loaded = load(model, device, dtype, report)
                manifest = run_scan(loaded, chosen, out, of=subject, report=report)
        missing = listed(out)
        output.document(manifest | {"run": str(out), "missing": missing})
        output.print(_summary(manifest, of))
        output.missing(missing)
        output.print(f"run      {out}", markup=False)

    scan.__doc__ = f"""{summary}

    Stopped and started again with the same settings, it continues. Memory does not grow with the texts.
    """
    return scan


def _summary(manifest: dict[str, Any], of: str) -> str:
    """What was read, and what was not."""
    scanned, seconds = sum(manifest[of].values()), manifest["timings"]["scan"]
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in manifest["skipped"].items())
    documents = f"{manifest['documents']:,} document{'s' * (manifest['documents'] != 1)}"
    return (
        f"{manifest['tokens']:,} tokens of {documents} in {manifest['windows']:,} windows, "
        f"{scanned:,} {of}, {seconds:,.0f} s ({manifest['tokens'] / max(seconds, 1e-9):,.0f} tokens a second).\n"
        f"Left out: {skipped or 'nothing'}."
    )
