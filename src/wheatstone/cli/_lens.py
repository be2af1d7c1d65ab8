"""`wheatstone lens` and `wheatstone attribution`: a prompt read layer by layer, and who writes its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.table import Column, Table

from wheatstone._bounds import COUNT, POSITION
from wheatstone._errors import RequestError
from wheatstone.cli._loading import load
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, number
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone.models import ResidualModel

_PROMPT = Annotated[str, typer.Argument(metavar="PROMPT", help="Any text; what is read is the token after it.")]
_ANSWER = Annotated[
    str | None,
    typer.Option(
        "--answer",
        help="Token to follow, with its leading space where it has one; by default the model's own first choice.",
    ),
]
_POSITION = Annotated[
    int, number("--position", POSITION, "Read after this token instead, from 0; negative ones count from the end.")
]


def lens(
    prompt: _PROMPT,
    answer: _ANSWER = None,
    position: _POSITION = -1,
    top: Annotated[int, number("--top", COUNT, "Most likely tokens to list after each layer.")] = 5,
    model: ModelOption = "smollm2-135m",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Read the residual stream after every layer as if it were the last (logit lens): the answer's rank, top tokens.

    Needs no circuit. `wheatstone explain` reads every sublayer, over all prompts of a run, with intervals.
    """
    output = Output("lens", as_json)
    with output.starting() as report:
        from wheatstone.lenses import run_lens

        loaded = load(model, device, dtype, report)
        read = _read(loaded, prompt, answer, position)
        found = run_lens(loaded(prompt), read and read.token, position=position, top=top)
    output.document(
        {
            "model": loaded.id,
            "prompt": prompt,
            "position": position,
            "answer": found.answers[0],
            "layers": [row._asdict() for row in found.rows],
        }
    )
    titles = (Column("layer", justify="right"), Column("rank", justify="right"), Column("p", justify="right"))
    table = Table(*titles, Column("most likely tokens", overflow="fold"), box=None)
    for row in found.rows:
        tokens = [f"{row.top!r} {row.top_probability:.2f}", *map(repr, row.others)]
        table.add_row(str(row.layer), f"{row.rank:,}", f"{row.probability:.3f}", "  ".join(tokens))
    output.print(f"Rank and probability of {found.answers[0]!r}")
    output.print(table)
    _print_notes(output, read)


def attribution(
    prompt: _PROMPT,
    answer: _ANSWER = None,
    distractor: Annotated[
        str | None, typer.Option("--distractor", help="Token to compare it with; by default the mean over all tokens.")
    ] = None,
    position: _POSITION = -1,
    top: Annotated[int, number("--top", COUNT, "Heads and MLPs to list.")] = 20,
    model: ModelOption = "smollm2-135m",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Show what each head and MLP itself writes into the answer's logit (direct logit attribution).

    Needs no circuit. The terms add up to the logit, with the final norm's scale held. What passes through later layers
    is left out; `wheatstone discover` finds and verifies that.
    """
    output = Output("attribution", as_json)
    with output.starting() as report:
        from wheatstone.lenses import logit_attribution

        loaded = load(model, device, dtype, report)
        run = loaded(prompt)
        read, other = (_read(loaded, prompt, text, position) for text in (answer, distractor))
        first = read.token if read else int(run.last(position).argmax())
        found = logit_attribution(run, first, other and other.token, position=position)
    total = float(found.direct.sum())
    output.document(
        {
            "model": loaded.id,
            "prompt": prompt,
            "position": position,
            "answer": loaded.decode([first])[0],
            "distractor": other and loaded.decode([other.token])[0],
            "total": total,
            "nodes": [{"node": row.node, "direct": row.direct} for row in found.rows],
        }
    )
    table = Table("node", Column("logits", justify="right"), box=None)
    for row in found.rows[:top]:
        table.add_row(row.node, f"{row.direct:+.3f}")
    if len(found.rows) > top:
        table.add_row(f"{len(found.rows) - top} others", f"{sum(row.direct for row in found.rows[top:]):+.3f}")
    output.print(f"{found.what}: {total:+.3f}, written directly by")
    output.print(table)
    _print_notes(output, read, other)


class _Read(NamedTuple):
    """Of a text after the prompt, the token that is read, and what to say of its other tokens."""

    token: int
    note: str | None


def _read(model: ResidualModel, prompt: str, text: str | None, position: int) -> _Read | None:
    """Tokenised as it continues the whole prompt; on its own where an earlier position is read."""
    from wheatstone.models import continued, scored_note

    if text is None:
        return None
    tokens = model.continuation(text)
    if not tokens:
        raise RequestError(expected="a text of at least one token", got=repr(text), do="write the answer")
    if prompt and position == -1:
        tokens = continued(model, prompt, text)
    return _Read(tokens[0], scored_note(model, text, tokens))


def _print_notes(output: Output, *read: _Read | None) -> None:
    for one in read:
        if one and one.note:
            output.print(f"note: {one.note}", markup=False)
