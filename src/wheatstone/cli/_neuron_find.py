"""`wheatstone neuron find`: which neurons write a token."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Column, Table

from wheatstone._bounds import COUNT
from wheatstone.cli._loading import load
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, number
from wheatstone.cli._output import JsonOption, Output


def find(
    token: Annotated[
        str, typer.Option("--token", help="A text that is one token, with its leading space where it has one.")
    ],
    top: Annotated[int, number("--top", COUNT, "Neurons to list.")] = 20,
    model: ModelOption = "smollm2-135m",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """List the neurons that write a token most, by their output weights and the centred unembedding.

    sign −1: a negative activation raises the token. rank: of the token among all tokens that the neuron raises so.
    Weights do not say when a neuron is active: see `wheatstone neuron screen` and `wheatstone neuron scan`.
    """
    output = Output("neuron find", as_json)
    with output.starting() as report:
        from wheatstone.neurons import Congruence, token_of, writers_of

        loaded = load(model, device, dtype, report)
        found = writers_of(Congruence(loaded), token_of(loaded, token), most=top)
    output.document({"model": loaded.id, "token": token, "neurons": [row._asdict() for row in found]})
    table = Table("neuron", *(Column(name, justify="right") for name in ("sign", "write", "z", "rank")), box=None)
    for row in found:
        table.add_row(row.neuron, f"{row.sign:+d}", f"{row.write:+.2f}", f"{row.z:.1f}", f"{row.rank:,}")
    output.print(table)
