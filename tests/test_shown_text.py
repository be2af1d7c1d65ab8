"""Characters that nobody sees are shown, wherever a text is drawn, printed or written as XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheatstone._text import lines_of, shown
from wheatstone.cli._output import Output
from wheatstone.figures._render import png_of, spec_of, svg_of
from wheatstone.figures._report import template

CONTROLS = "".join(map(chr, [*range(32), *range(0x7F, 0xA0)]))
HARMLESS = "France, ·Frankreich, フランス、法国　的, می‌خواهم, 👩‍🚀, a\u00a0b"


def test_a_control_character_is_an_escape() -> None:
    assert shown("\x18a\u202eb\x1b[0m\n") == "\\x18a\\u202eb\\x1b[0m\\n"
    assert shown("a\nb", keep="\n") == "a\nb"
    assert shown("\ud800") == "\\ud800"


def test_scripts_spaces_and_joiners_stay() -> None:
    assert shown(HARMLESS) == HARMLESS


@given(st.text(st.characters(codec=None)))
def test_what_is_shown_is_allowed_in_xml(text: str) -> None:
    ElementTree.fromstring(f"<a>{''.join(f'&#{ord(sign)};' for sign in shown(text))}</a>")


@pytest.mark.parametrize("sign", CONTROLS)
def test_every_control_character_can_be_drawn(sign: str) -> None:
    chart = (
        alt.Chart(alt.Data(values=[{"x": f"a{sign}b", "y": 1}]), title=f"t{sign}").mark_bar().encode(x="x:N", y="y:Q")
    )
    svg = svg_of(spec_of(chart))
    ElementTree.fromstring(svg)
    assert png_of(svg).startswith(b"\x89PNG")


def test_a_page_shows_them() -> None:
    page = template("bits.html.jinja").environment.from_string("{{ text }}").render(text="\x18<b>\x00")
    assert page == "\\x18&lt;b&gt;\\x00"


def test_a_terminal_gets_no_control_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output("runs", as_json=False)
    output.print(f"a{CONTROLS}b", markup=False)
    output.table({f"a{CONTROLS}": f"b{CONTROLS}"})
    printed = capsys.readouterr().out
    assert not set(printed) & set(CONTROLS) - {"\n"}
    assert "\\x1b" in printed


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    assert lines_of('{"a": "\u2028\x85\x0b"}\n{}') == ['{"a": "\u2028\x85\x0b"}', "{}"]
