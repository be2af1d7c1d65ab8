"""The report: one page, complete, escaped, and silent on the network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wheatstone.figures import render_all, report_html
from wheatstone.figures._page import _setting  # pyright: ignore[reportPrivateUsage]

WriteRun = Callable[..., Path]


class _Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._silent = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def page(write_run: WriteRun) -> _Page:
    """The report of the plain run."""
    return _Page(report_html(write_run()))


def test_all_files_are_written_and_progress_told(write_run: WriteRun) -> None:
    run, told = write_run(), list[float]()
    written = render_all(run, lambda stage, done, total: told.append(done))
    names = [path.relative_to(run).as_posix() for path in written]
    figures = ("circuit", "curve", "answer", "attention")
    assert names == [f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")] + ["report.html"]
    assert all(path.stat().st_size > 500 for path in written)
    assert told == [0, 1, 2, 3, 4, 5]


def test_it_loads_nothing_and_forbids_loading(page: _Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    policies = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert policies[0] is not None
    assert policies[0].startswith("default-src 'none'")
    assert "http" not in policies[0]
    assert "unsafe-eval" not in policies[0]


def test_it_shows_the_numbers_of_the_files(page: _Page) -> None:
    words = page.words
    for said in (
        "6 of 37 edges (16%) keep 94% of the logit difference, “blue” against “bright”.",
        "“blue” stays the first choice with probability 0.44 (whole model: 0.44).",
        "0.322",  # KL of the circuit
        "3.688",  # its metric
        "98%",  # completeness
        "−6.2%",  # effect of the suppressing edge
        "−0.2500",  # its score
        "a1.g0<v>",
        "c0ffee" * 10,
        "4321",
        "1,234",
        "wheatstone 9.8.7",
        "score edges 0.7 s",
        "only the first token is scored",
        "With one prompt there is no interval",
    ):
        assert said in words


def test_settings_are_listed_once_and_those_that_are_not_set_not_at_all(write_run: WriteRun) -> None:
    run = write_run()
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["settings"] |= {"seed": manifest["seed"], "both_ways": True, "steps": None, "allow_weak": False}
    (run / "manifest.json").write_text(json.dumps(manifest))
    facts = re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", report_html(run))
    names = [name for name, _ in facts]
    assert sorted(set(names)) == sorted(names)
    assert ("both ways", "yes") in facts
    assert not {"steps", "allow weak"} & set(names)


def _complete(run: Path) -> Path:
    """The same run, as `--goal complete` writes it: judged by what is left without the circuit."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["settings"]["goal"] = "complete"
    (run / "manifest.json").write_text(json.dumps(manifest))
    stored = json.loads((run / "verification.json").read_text())
    for row in stored["prompts"]:
        row["complement"] = {"rank": 1203, "probability": 0.0007, "top": " a"}
    (run / "verification.json").write_text(json.dumps(stored))
    return run


def test_a_complete_circuit_is_judged_by_what_is_left_without_it(write_run: WriteRun) -> None:
    words = _Page(report_html(_complete(write_run()))).words
    said = words.partition("What was found")[2].partition("Pictures")[0]
    assert (
        "Ablated in the otherwise intact model, 6 of 37 edges (16%) take away 98% of the logit difference, “blue” "
        "against “bright”. “blue” then has rank 1,203 and probability 0.0007 (whole model: rank 1, 0.44); the first "
        "choice is “a”. Alone, these edges keep 94%: the search looked for edges that the behaviour cannot do without, "
        "not for edges that are enough."
    ) in re.sub(r"\s+", " ", said)
    assert "random" not in said  # random edges kept alone say nothing about edges that were ablated
    assert "the orange one what is left without them" in words
    assert "far to the left of the blue curve" not in words
    many = _Page(report_html(_complete(write_run(prompts=3)))).words
    assert "The answer is then first on 0% of 3 prompts; in the whole model on 100%." in many


def test_many_prompts_give_intervals(write_run: WriteRun) -> None:
    words = _Page(report_html(write_run(prompts=3))).words
    assert "0.876 to 0.965" in words or "0.877 to 0.965" in words
    assert "no interval" not in words
    assert "gives the answer first on 100% of 3 prompts" in words


def test_strings_are_escaped(write_run: WriteRun, page: _Page) -> None:
    evil = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", '"><b>{{ 7*7 }}')
    odd = _Page(report_html(write_run(prompt=evil[0], answer=f" {evil[1]}", tokens=evil)))
    tags = [tag for tag, _ in odd.tags if tag in ("script", "img", "b")]
    assert tags == [tag for tag, _ in page.tags if tag in ("script", "img", "b")]
    assert all(text in odd.words for text in evil)


def test_it_can_be_read_without_seeing_it(page: _Page) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4
    assert all(len(image["alt"] or "") > 40 for image in images)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]
    assert ("html", {"lang": "en"}) in page.tags


def test_settings_of_nothing_are_left_out_and_zero_is_said() -> None:
    given = {"seed": 0, "steps": None, "stable": False, "task": "", "ways": ["a", "b"]}
    assert _setting(given) == "seed 0, ways a, b"
    assert _setting(0) == "0"
