"""`wheatstone head`: where every head looks in running text, and one head's page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from wheatstone.cli._loading import load
from wheatstone.cli._new_file import new_file, reserved_file
from wheatstone.cli._options import (
    DeviceOption,
    DtypeOption,
    ExecutorOptions,
    ModelOption,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._scan import scan_command
from wheatstone.cli._settings import options_of

head_app = typer.Typer(
    name="head",
    no_args_is_help=True,
    help="Attention heads: where each looks in running text, what it moves, and who writes what it reads. A head is "
    "written a23.h4: head 4 of layer 23.",
)


head_app.command("scan")(
    scan_command(
        "heads",
        "Read texts and keep of every head where it looks, what it adds to the next token's logit, and examples.",
    )
)


@head_app.command()
def show(
    head: Annotated[str, typer.Argument(help="A head, such as a23.h4.", metavar="HEAD")],
    corpus: Annotated[Path, typer.Option("--scan", help="A scan of texts (`head scan`) to show it on.")],
    model: ModelOption = "smollm2-135m",
    out: Annotated[Path | None, typer.Option("--out", help="Page to write; HEAD.html by default.")] = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace the page if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write one head's page: where it looks, what it moves, who writes what it reads, and its circuits."""
    output = Output("head show", as_json)
    with output.starting() as report, reserved_file(path := _page(head, out), force=force):
        from wheatstone.figures import head_page
        from wheatstone.lenses import HeadCorpus, head_facts

        opened = HeadCorpus.load(corpus)
        loaded = load(model, device, dtype, report)
        facts = head_facts(loaded, head, opened, report=report)
        with new_file(path, force=force) as partial:
            partial.write_text(head_page(facts), encoding="utf-8")
    output.document(facts | {"page": str(path)})
    table = Table("of its attention", *(Column(name, justify="right") for name in ("share", "if even")), box=None)
    table.add_row("on the first token", f"{facts['first']:.0%}", "")
    for place, found in facts["places"].items():
        table.add_row(f"of the rest, on {place}", f"{found['share']:.1%}", f"{found['even']:.1%}")
    output.print(table)
    output.print(f"page     {path}", markup=False)


def _page(head: str, out: Path | None) -> Path:
    """The page to write.

    Raises:
        RequestError: it is no head's name.
    """
    from wheatstone.lenses import head_at

    layer, number = head_at(head)
    return out or Path(f"a{layer}.h{number}.html")


@head_app.command()
@options_of()
def pages(
    *,
    corpus: Annotated[Path, typer.Option("--scan", help="A scan of texts (`head scan`) to show the heads on.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the pages; an unfinished one is continued.")],
    model: ModelOption = "smollm2-135m",
    executor: ExecutorOptions,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Write the pages of all heads of a scan, and an index.

    Stopped and started again, it continues. Windows of the texts are read once for all heads.
    """
    output = Output("head pages", as_json)
    with output.starting() as report:
        from wheatstone.executors import alone_in
        from wheatstone.figures import write_head_pages
        from wheatstone.lenses import HeadCorpus, run_head_pages

        who = executor.named()
        opened = HeadCorpus.load(corpus)
        with alone_in(out, "pages"):
            loaded = load(model, device, dtype, report)
            heads = run_head_pages(loaded, opened, out, write_head_pages, executor=who, report=report)
    output.document({"heads": heads, "pages": str(out)})
    output.print(f"pages    {out / 'index.html'} ({len(heads):,} heads)", markup=False)
