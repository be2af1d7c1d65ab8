"""`wheatstone pull`: a model into the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from wheatstone.cli._output import JsonOption, Output


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A bundled name (see `wheatstone models`), a Hugging Face id (org/name or "
            "org/name@revision), a folder with config.json and safetensors, or a .gguf file.",
            show_default=False,
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Fetch and convert again even where the model is already here.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model, convert it once, and check every byte of it. Safe to interrupt and repeat.

    The cache is $WHEATSTONE_HOME, or the platform's user cache; SmolLM2-135M takes 540 MB there.
    """
    from wheatstone.checkpoints import pull_model

    output = Output("pull", as_json)
    with output.progress() as report:
        files = pull_model(model, force=force, report=report)
    output.document({"id": files.id, "folder": str(files.folder), "sha256": files.sha256})
    output.print(f"{files.id} is here, every byte checked: {files.folder}")
