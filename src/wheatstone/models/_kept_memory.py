"""How much a run keeps, compared with the memory there is before it begins."""

from __future__ import annotations

from collections.abc import Iterable

from wheatstone._errors import RequestError
from wheatstone._text import count
from wheatstone.models._decoder import Decoder
from wheatstone.models._memory import memory_room
from wheatstone.models._places import Place, units, width_of
from wheatstone.models._tokens import Tokens


def check_memory(model: Decoder, tokens: Tokens, keep: Iterable[tuple[str, int]]) -> None:
    """Refuses a run that keeps more than the memory budget.

    Args:
        model: the model.
        tokens: the prompts.
        keep: kinds of place, with the layer.

    Raises:
        RequestError: it does.
    """
    numbers = model.vocabulary
    for kind, layer in keep:
        if kind == "e":
            parts = model.blocks[layer].parts
            numbers += 0 if parts is None else parts.count * model.d_model
        elif kind == "n":
            numbers += units(model, kind, layer) or 0
        else:
            width = tokens.width if kind == "pattern" else width_of(model, Place(kind, layer))
            numbers += (units(model, kind, layer) or 1) * (width or 1)
    needed = numbers * tokens.batch * tokens.width * max(4, model.dtype.itemsize)
    if needed > (budget := memory_room(model.device)):
        raise RequestError(
            expected=f"a run that keeps at most {budget / 2**30:.2g} GiB, what memory has room for",
            got=f"{needed / 2**30:.2g} GiB for {count(tokens.batch, 'prompt')} of {tokens.width} tokens",
            do="give fewer or shorter prompts, or cache=False for the logits alone",
        )
