"""`wheatstone neuron scan` and `wheatstone head scan`: what every neuron or head does in running text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from wheatstone._bounds import BATCH, EXAMPLES, SEED, SHARE, TOKENS, WINDOW
from wheatstone._errors import RequestError
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, layers_of, number
from wheatstone.cli._output import JsonOption, Output

TextsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TEXT]...",
        help="Files, folders, or ids of Hugging Face datasets (org/name or org/name:column, streamed; needs the "
        "package datasets); by default the 3.4 MB of texts in the package.",
        show_default=False,
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder of the scan; an unfinished one goes on.", show_default=False)
]
WindowOption = Annotated[int, number("--window", WINDOW, "Tokens run together, of one document.")]
ShareOption = Annotated[float, number("--share", SHARE, "Share of the windows to read, drawn over the whole corpus.")]
TokensOption = Annotated[int | None, number("--tokens", TOKENS, "Most tokens to read; all by default.")]
BatchOption = Annotated[
    int, number("--batch", BATCH, "Tokens after which all is saved; a killed scan loses no more than that.")
]
SeedOption = Annotated[int, number("--seed", SEED, "Of what is drawn: the share, and one example of each bin.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what it would take: windows, tokens, memory, time.")
]


def scan(
    texts: TextsArgument = None,
    out: OutOption = None,
    model: ModelOption = "smollm2-135m",
    layers: Annotated[
        str | None, typer.Option("--layers", help="Whose neurons, such as 20-29 or 0,5,7-9; all by default.")
    ] = None,
    window: WindowOption = 128,
    top: Annotated[int, number("--top", EXAMPLES, "Examples kept at either end of each neuron, one a window.")] = 20,
    share: ShareOption = 1.0,
    tokens: TokensOption = None,
    batch: BatchOption = 8192,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Read texts and keep of every neuron its moments, a histogram, its strongest examples and one of each bin.

    Stopped and started again with the same settings, it goes on where it was. Memory does not grow with the texts.
    """
    settings = {"window": window, "top": top, "share": share, "tokens": tokens, "batch": batch, "seed": seed}
    scan_texts("neurons", texts, layers, settings, out, dry_run, (model, device, dtype), as_json)


def scan_texts(
    of: Literal["neurons", "heads"],
    texts: list[str] | None,
    layers: str | None,
    settings: dict[str, Any],
    out: Path | None,
    dry_run: bool,
    wanted: tuple[str, str, str],
    as_json: bool,
) -> None:
    """Scans, or says what a scan would take.

    Args:
        of: what is scanned.
        texts: as asked for.
        layers: likewise.
        settings: of `ScanSettings`, the other ones.
        out: folder of the scan.
        dry_run: whether only to plan.
        wanted: model, device and precision.
        as_json: whether to print JSON.
    """
    if out is None and not dry_run:
        raise RequestError(expected="a folder for the scan", got="no --out", do="give one, or use --dry-run")
    output = Output(f"{of.removesuffix('s')} scan", as_json)
    model, device, dtype = wanted
    with output.progress() as report:
        report("starting", 0, None)
        from wheatstone.checkpoints import check_layers
        from wheatstone.executors import alone_in
        from wheatstone.lenses import HEADS
        from wheatstone.models import load_model
        from wheatstone.neurons import NEURONS, ScanSettings, open_scan, plan_scan, run_scan
        from wheatstone.runs import listed

        check_layers(model, () if layers is None else layers_of(layers))
        chosen = ScanSettings(
            texts=tuple(texts or ("bundled",)), layers=None if layers is None else layers_of(layers), **settings
        )
        subject = NEURONS if of == "neurons" else HEADS
        chosen.check_values(out)
        if out is not None:
            open_scan(out)
        if dry_run or out is None:
            loaded = load_model(model, device=device, dtype=dtype, report=report)
            report("starting", 1, 1)
            plan = plan_scan(loaded, chosen, of=subject, report=report)
            output.document(plan)
            output.print(
                f"{plan['tokens']:,} tokens of {plan['documents']:,} documents in {plan['windows']:,} windows; about "
                f"{plan['seconds'] / 60:,.1f} minutes; {plan['state_bytes'] / 1e6:,.0f} MB saved after every batch."
            )
            return
        with alone_in(out, "scan"):
            loaded = load_model(model, device=device, dtype=dtype, report=report)
            report("starting", 1, 1)
            manifest = run_scan(loaded, chosen, out, of=subject, report=report)
    missing = listed(out)
    output.document(manifest | {"run": str(out), "missing": missing})
    output.print(_summary(manifest, of))
    output.missing(missing)
    output.print(f"run      {out}", markup=False)


def _summary(manifest: dict[str, Any], of: str) -> str:
    """What was read, and what was not."""
    scanned, seconds = sum(manifest[of].values()), manifest["timings"]["scan"]
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in manifest["skipped"].items())
    return (
        f"{manifest['tokens']:,} tokens of {manifest['documents']:,} documents in {manifest['windows']:,} windows, "
        f"{scanned:,} {of}, {seconds:,.0f} s ({manifest['tokens'] / max(seconds, 1e-9):,.0f} tokens a second).\n"
        f"Left out: {skipped or 'nothing'}."
    )
