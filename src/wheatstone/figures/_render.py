"""Writes a chart to a file, without a browser and without the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import vl_convert

from wheatstone._errors import RequestError
from wheatstone._path import StrPath
from wheatstone._text import shown

SUFFIXES = (".svg", ".png", ".html")
_SCALE = 2.0
"""Pixels of a PNG per pixel of the drawing."""


def render(chart: Any, path: StrPath) -> None:
    """Writes an Altair chart as SVG, PNG (at twice its size) or a page of HTML that needs nothing else.

    Raises:
        RequestError: the file's ending is none of these.
    """
    path = Path(path)
    spec = spec_of(chart)
    if path.suffix == ".svg":
        path.write_text(svg_of(spec), encoding="utf-8")
    elif path.suffix == ".png":
        path.write_bytes(png_of(svg_of(spec)))
    elif path.suffix == ".html":
        page = vl_convert.vegalite_to_html(spec, bundle=True, renderer="svg")
        path.write_text(page, encoding="utf-8")
    else:
        raise RequestError(
            expected=f"a file ending in {', '.join(SUFFIXES)}", got=str(path), do="choose one of these formats"
        )


def spec_of(chart: Any) -> dict[str, Any]:
    """A chart as Vega-Lite; not validated, which takes as long as drawing it and is done in the tests."""
    return _readable(chart.to_dict(validate=False))


def _readable(part: Any) -> Any:
    """A specification without characters at which the renderer stops the whole process."""
    if isinstance(part, str):
        return part if part.isprintable() else shown(part, keep="\n\t")
    if isinstance(part, dict):
        return {_readable(name): _readable(value) for name, value in part.items()}
    return [_readable(value) for value in part] if isinstance(part, list | tuple) else part


def svg_of(spec: dict[str, Any]) -> str:
    """A Vega-Lite specification as SVG; it may load no data."""
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])


def png_of(svg: str, scale: float = _SCALE) -> bytes:
    """An SVG as PNG, at a number of pixels per unit."""
    return vl_convert.svg_to_png(svg, scale=scale)
