"""`wheatstone bits`: what a text costs models, token by token, and what a circuit is worth on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wheatstone._bounds import MODELS
from wheatstone._errors import RequestError
from wheatstone._json import read_bounded
from wheatstone._path import expanded, is_file
from wheatstone._text import shown
from wheatstone.cli._loading import load
from wheatstone.cli._new_file import new_file, reserved_file
from wheatstone.cli._options import DeviceOption, DtypeOption, ReplaceOption
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone.compression import Bits

_LARGEST = 10_000_000
"""Bytes of a text: two days of one core."""


def bits(
    source: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A file; or a text, where no file is called so.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Bundled name, Hugging Face id, folder, or .gguf file; smollm2-135m by default. May be repeated to "
            "compare models, which are loaded one after another.",
            metavar="MODEL",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Page to write: every token coloured by its bits, and where the text surprised the model."
        ),
    ] = None,
    ablate: Annotated[
        Path | None,
        typer.Option("--ablate", help="Run, or circuit.json: what its circuit is worth on each token.", metavar="RUN"),
    ] = None,
    counterfactual: Annotated[
        str | None,
        typer.Option(
            "--counterfactual",
            help="With --ablate, a text of as many tokens; ablated edges carry what nodes write there. By default that "
            "of the circuit's own prompt where the text goes on from it, or else their mean over the text's tokens "
            "after the first.",
        ),
    ] = None,
    as_text: Annotated[
        bool, typer.Option("--text", help="Read the argument as a text, also where it looks like the name of a file.")
    ] = False,
    force: ReplaceOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """What a text costs a model in bits, token by token, beside gzip, bzip2, xz, zstd and brotli.

    Of several models, bits a byte compare any two; bits a token only models of one tokenizer.

    With --ablate: what each token costs with a circuit's edges ablated, and with all others ablated, next to the model
    intact. The difference is what the circuit is worth; compare it with that of the control circuits, the same wiring
    between other heads.
    """
    if counterfactual is not None and ablate is None:
        raise RequestError(expected="--ablate RUN with --counterfactual", got="none", do="name a run")
    models = model or ["smollm2-135m"]
    MODELS.check("models to compare", len(models))
    if ablate is not None and len(models) > 1:
        raise RequestError(expected="one --model with --ablate", got=f"{len(models)}", do="name the circuit's model")
    output = Output("bits", as_json)
    path = Path(source) if as_text else expanded(source)
    from_file = not as_text and is_file(path)
    if not from_file and not as_text and _like_a_path(source):
        raise RequestError(
            expected="a text or a file",
            got=f"the folder {source}" if os.path.isdir(path) else f"{source[:200]}, which is not there",
            do="check the path, or add --text if it is a text",
        )
    data = _text_in(path) if from_file else os.fsencode(source)
    name = path.name if from_file else source
    with reserved_file(out, force=force):
        if ablate is None:
            _print_bits(output, data, models, out, name, force, device, dtype)
        else:
            text = data.decode("utf-8", "replace")
            _print_worth(output, ablate, text, counterfactual, models[0], out, name, force, device, dtype)


def _print_bits(
    output: Output, data: bytes, models: list[str], out: Path | None, name: str, force: bool, device: str, dtype: str
) -> None:
    """`bits` of a text alone."""
    with output.starting() as report:
        from wheatstone.checkpoints import shown_name
        from wheatstone.compression import bits as run

        found: dict[str, Bits] = {}
        for one in models:
            loaded = load(one, device, dtype, report)
            called = shown_name({"id": loaded.id, "title": loaded.title})
            found[one if called in found else called] = run(loaded, data, report=report)  # two folders of one name
            del loaded  # before the next is loaded
    first = next(iter(found.values()))
    rows = [{"model": model, **cost.of_model()} for model, cost in found.items()]
    output.document({**first.to_dict(), "models": rows})
    for model, cost in found.items():
        _print_cost(output, model if len(found) > 1 else None, cost)
    if len(found) > 1:
        _print_table(output, found)
    for coder, size in first.beside.items():
        output.print(f"  {coder:18} {size:>12,} bytes  {8 * size / max(1, first.bytes):.3f} bits a byte")
    if out is not None:  # last: the numbers are there even where the page cannot be written
        from wheatstone.figures import bits_page

        with new_file(out, force=force) as partial:
            partial.write_text(bits_page(found, name), encoding="utf-8")
        output.print(f"Every token: {out}", markup=False)


def _print_cost(output: Output, model: str | None, cost: Bits) -> None:
    """One model's cost in sentences, headed by its name where there are several."""
    if model is not None:
        output.print(f"{model}:", markup=False)
    output.print(
        f"{cost.total:,.1f} bits: {cost.per_byte:.3f} a byte of {cost.bytes:,}, "
        f"{cost.total / max(1, len(cost.tokens)):.2f} a token of {len(cost.tokens):,}; "
        f"with the model's {cost.weights / 1e6:,.0f} MB counted, {cost.per_byte_with_weights:,.3f} a byte."
    )
    output.print(f"The text begins after the start token {cost.start_text!r}, and so does every window.", markup=False)
    if cost.escaped:
        output.print(f"{cost.escaped:,} bytes are coded one by one: the tokenizer does not give them back.")


def _print_table(output: Output, found: dict[str, Bits]) -> None:
    """All models, cheapest first."""
    from rich.table import Column, Table

    titles = ("bits", "a byte", "tokens", "a token", "weights, MB")
    table = Table("model", *(Column(title, justify="right") for title in titles), box=None)
    for model, cost in sorted(found.items(), key=lambda row: row[1].total):
        a_token = cost.total / max(1, len(cost.tokens))
        numbers = (f"{cost.total:,.1f}", f"{cost.per_byte:.3f}", f"{len(cost.tokens):,}", f"{a_token:.2f}")
        table.add_row(shown(model), *numbers, f"{cost.weights / 1e6:,.0f}")
    output.print(table)


def _print_worth(
    output: Output,
    ablate: Path,
    text: str,
    counterfactual: str | None,
    model: str,
    out: Path | None,
    name: str,
    force: bool,
    device: str,
    dtype: str,
) -> None:
    """`bits --ablate`."""
    with output.starting() as report:
        from wheatstone.checkpoints import shown_name
        from wheatstone.circuits import Circuit, same_weights
        from wheatstone.compression import circuit_bits

        circuit = Circuit.load(ablate)
        loaded = load(model, device, dtype, report)
        same_weights(loaded, circuit)
        found = circuit_bits(loaded, circuit, text, counterfactual=counterfactual)
    output.document({"edges": len(circuit), **found.to_dict()})
    output.print(f"{'intact':>8} {'ablated':>8} {'alone':>8} {'worth':>8}  token")
    output.print(" ".join(["       -"] * 4) + f"  {found.first!r}", markup=False)
    for token, *bits in zip(found.tokens, found.intact, found.ablated, found.alone, found.worth, strict=True):
        output.print(" ".join(f"{value:z8.2f}" for value in bits) + f"  {token!r}", markup=False)
    output.print(
        f"{len(circuit)} edges ({found.ablation} ablation) are worth {sum(found.worth):,.1f} bits of this text: "
        f"{sum(found.ablated):,.1f} without them, {sum(found.intact):,.1f} with.",
        markup=False,
    )
    output.print(found.compared, markup=False)
    if out is not None:
        from wheatstone.figures import circuit_bits_page

        with new_file(out, force=force) as partial:
            shown = shown_name({"id": loaded.id, "title": loaded.title})
            partial.write_text(circuit_bits_page(found, len(circuit), shown, name), encoding="utf-8")
        output.print(f"Every token: {out}", markup=False)


def _text_in(path: Path) -> bytes:
    try:
        return read_bounded(path, _LARGEST)
    except ValueError as error:
        raise RequestError(
            expected=f"a text of at most {_LARGEST / 1e6:.0f} MB", got=str(path), do="take a part of it"
        ) from error


def _like_a_path(source: str) -> bool:
    """Whether a text may be meant as a file's name: one word with a folder or an ending."""
    return len(source) < 4096 and source.split() == [source] and bool("/" in source or Path(source).suffix)
