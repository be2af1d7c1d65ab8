"""`wheatstone models`: which models there are and which are here."""

from __future__ import annotations

from typing import no_type_check

import typer
from rich.table import Column, Table

from wheatstone.cli._output import JsonOption, Output

models_app = typer.Typer(name="models", invoke_without_command=True)


@models_app.callback()
@no_type_check  # typer passes a context that is no instance of the class it wants named
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the models known by name: family, licence, where the weights come from, what is already here.

    Besides these, every verb takes a Hugging Face id (org/name or org/name@revision), a folder with
    config.json and safetensors, or a .gguf file.
    """
    if context.invoked_subcommand is not None:
        return
    from wheatstone._home import home
    from wheatstone.models._known import KNOWN_MODELS

    rows = [
        {
            "name": model.name,
            "family": model.family,
            "license": model.license,
            "source": {"wheel": model.wheel, "file": model.member, "sha256": model.sha256},
            "here": model.entry.present(),
            "folder": str(model.entry.folder),
        }
        for model in KNOWN_MODELS.values()
    ]
    output = Output(as_json)
    output.document({"home": str(home()), "models": rows})
    table = Table("name", "family", "licence", "comes from", Column("here", overflow="fold"), box=None)
    for model in KNOWN_MODELS.values():
        here = str(model.entry.folder) if model.entry.present() else f"no: wheatstone pull {model.name}"
        table.add_row(model.name, model.family, model.license, f"{model.wheel} (package index)", here)
    output.print(table)
