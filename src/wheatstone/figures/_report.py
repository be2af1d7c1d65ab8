"""The report of a run: one HTML page that carries its pictures, its scripts and every number in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wheatstone._effects import BOTH_WAYS, effect_words, gain_kept, lost, score_words
from wheatstone._intervals import MINIMUM, interval_text
from wheatstone._side import SWAPPED, attempt
from wheatstone._text import shown
from wheatstone.checkpoints import shown_name
from wheatstone.figures import _words as words
from wheatstone.figures._load import RunData
from wheatstone.figures._render import png_of, spec_of, svg_of

_ROWS = ("model", "circuit", "complement", "random", "empty")
_MEANS = {
    "model": "whole model",
    "circuit": "circuit alone",
    "complement": "model without the circuit",
    "random": "as many random edges",
    "empty": "every edge ablated",
}
_CAPTIONS = {
    "circuit": "Follow the thick lines from the bottom to the top: they are the main route from the prompt to the "
    "answer. Blue supports the answer; dashed orange suppresses it. Point at a component to see its edges alone.",
    "curve": "The higher a point, the more of the behaviour is left when only that many edges are kept. The circuit is "
    "good where its diamond is far to the left of the blue curve, and the grey one stays at the bottom.",
    "answer": "Follow the blue line to the right: where it reaches the top of the left panels the model has made up "
    "its mind. Where the dashed line follows the solid one, the circuit does as the whole model does.",
    "attention": "Read the framed row: from the last token, where does the head look? A dark first column is common "
    "and usually means that the head does nothing at that token.",
}
_COMPLETE_CURVE = (
    "The blue curve is what the first edges of the ranking hold alone, the orange one what is left without them. The "
    "circuit is good where its diamond is low and far to the left: few edges take the behaviour away."
)
"""Read instead of the caption of `curve` where the circuit's edges were ablated, not kept."""
_BOOT = """
for (const figure of document.querySelectorAll("[data-spec]")) {
  const spec = JSON.parse(document.getElementById(figure.dataset.spec).textContent);
  const live = document.createElement("div");
  vegaEmbed(live, spec, { actions: false, renderer: "svg", ast: true })
    .then(() => figure.replaceChildren(live));
}
"""
"""Puts the interactive drawing where the still one was; where scripts are off the still one stays."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn chart.

    Args:
        spec: as Vega-Lite.
        svg: as SVG.
    """

    spec: dict[str, Any]
    svg: str

    @classmethod
    def of(cls, chart: Any) -> Picture:
        """Draws an Altair chart."""
        spec = spec_of(chart)
        return cls(spec, svg_of(spec))

    @property
    def data_uri(self) -> str:
        """The SVG as the source of an image."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"

    def save(self, folder: Path, name: str) -> list[Path]:
        """Writes `NAME.svg` and `NAME.png` into a folder, which is made where it is missing."""
        folder.mkdir(exist_ok=True)
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        svg.write_text(self.svg, encoding="utf-8")
        png.write_bytes(png_of(self.svg))
        return [svg, png]


class Drawing:
    """The pictures of a run, drawn one after the other; one that cannot be drawn costs that picture and a line.

    Args:
        folder: where `NAME.svg` and `NAME.png` are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: dict[str, Picture] = {}
        self.written: list[Path] = []
        self.missing: dict[str, str] = {}
        """By `figure NAME`, why it could not be drawn."""

    def draw(self, name: str, chart: Callable[[], Any]) -> Picture | None:
        """Draws and writes one picture.

        Args:
            name: of its files.
            chart: makes its Altair chart.

        Returns:
            The picture; None where it could not be drawn or written.
        """

        def saved() -> Picture:
            picture = Picture.of(chart())
            self.written += picture.save(self.folder, name)
            self.pictures[name] = picture
            return picture

        return attempt(self.missing, f"figure {name}", saved, None)


_MOST_LISTED = 5000
"""Edges of the table: a page of tens of thousands opens slowly."""


def compose(run: RunData, pictures: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    """The page.

    Args:
        run: the run.
        pictures: by name, in order.
        missing: by name, why a side result is missing.
    """
    scripts = page_scripts()
    captions = _CAPTIONS | ({"curve": _COMPLETE_CURVE} if run.goal == "complete" else {})
    figures = [
        {"name": name, "caption": captions[name], "alt": p.spec["description"], "src": p.data_uri, "spec": p.spec}
        for name, p in pictures.items()
    ]
    return template("report.html.jinja").render(
        run=run,
        minimum=MINIMUM,
        manifest=run.manifest,
        verification=run.verification,
        title=title_of(run),
        warnings=words.warnings_of(run.manifest),
        found=_found(run),
        rows=[(name, _MEANS[name]) for name in _ROWS],
        share=_faithfulness_of(run),
        interval=lambda key, name="": _interval(run, key, name),
        figures=figures,
        missing=missing,
        effect=effect_words(run.goal, run.granularity),
        score=score_words(str(run.circuit["metric"])),
        units=any(edge.unit for edge in run.edges),
        most_listed=_MOST_LISTED,
        measured=lost(run.goal),
        scripts=scripts,
        hashes=[script_hash(script) for script in scripts],
    )


def title_of(run: RunData) -> str:
    """What a run is called."""
    prompts = run.manifest["prompts"]
    if len(prompts) == 1:
        first = prompts[0]
        return f"{words.clipped(first['prompt'], 60)} → {words.clipped(first['answers'][0], 20)}"
    return str(run.circuit["task"]["name"] or words.count(len(prompts), "prompt"))


def _found(run: RunData) -> list[str]:
    """What was found, in sentences made of the run's numbers."""
    verified, n = run.verification, int(run.verification["n"])
    said = [*words.own_answer(run.manifest), *_on_test(run)]
    if run.goal == "complete":
        return [*said, *_found_complete(run)]
    said.append(f"{words.size(run)} keep {words.percent(run.faithfulness)} of the {words.comparison(run)}.")
    swapped = next((one for one in run.held_out if one["split"] == SWAPPED), None)
    if run.goal == BOTH_WAYS and swapped is not None:
        share = words.percent(float(swapped["faithfulness"]))
        said.append(f"With prompt and counterfactual swapped it keeps {share}: the circuit is proven both ways.")
    if n == 1 and verified["prompts"]:
        said.append(_one_prompt(verified["prompts"][0]))
    else:
        hit = verified["hit_at_1"]
        said.append(
            f"The circuit alone gives the answer first on {words.percent(hit['circuit'])} of "
            f"{words.count(n, 'prompt')}; the whole model on {words.percent(hit['model'])}."
        )
    left = _faithfulness_of(run)["complement"]
    said.append(
        f"The model without {'this edge' if len(run.edges) == 1 else 'these edges'} keeps {words.percent(left)}; "
        f"the same number of random edges leaves a KL divergence of {words.decimal(verified['kl']['random'])} nats "
        f"to the model (the circuit: {words.decimal(verified['kl']['circuit'])})."
    )
    return said


def _found_complete(run: RunData) -> list[str]:
    """What a circuit takes away where it is ablated in the intact model: what its search looked for."""
    verified, n = run.verification, int(run.verification["n"])
    gone = words.percent(float(verified["completeness"]))
    said = [
        f"Ablated in the otherwise intact model, {words.size(run)} take away {gone} of the {words.comparison(run)}."
    ]
    if n == 1 and verified["prompts"]:
        row = verified["prompts"][0]
        left, whole = row["complement"], row["model"]
        said.append(
            f"{words.quoted(row['answer'])} then has rank {left['rank']:,} and probability "
            f"{words.probability(left['probability'])} (whole model: rank {whole['rank']:,}, "
            f"{words.probability(whole['probability'])}); the first choice is {words.quoted(left['top'])}."
        )
    else:
        hit = verified["hit_at_1"]
        said.append(
            f"The answer is then first on {words.percent(hit['complement'])} of {words.count(n, 'prompt')}; in the "
            f"whole model on {words.percent(hit['model'])}."
        )
    said.append(
        f"Alone, {'this edge keeps' if len(run.edges) == 1 else 'these edges keep'} {words.percent(run.faithfulness)}: "
        "the search looked for edges that the behaviour cannot do without, not for edges that are enough."
    )
    return said


def _on_test(run: RunData) -> list[str]:
    """What the circuit keeps on prompts that it was not found on, where the run has a test split."""
    test = next((one for one in run.held_out if one["split"] == "test"), None)
    if test is None:
        return []
    hit = test["hit_at_10"]
    gain = gain_kept(hit["model"], hit["circuit"], hit["empty"])
    hits = "" if gain is None else f" and {words.percent(gain)} of the model's gain in Hit@10"
    return [
        f"On {words.count(test['n'], 'test prompt')} that it was not found on, the circuit keeps "
        f"{words.percent(float(test['faithfulness']))} of the {run.circuit['metric']}{hits}. The numbers below are of "
        "the prompts it was found on, unless they say otherwise."
    ]


def _one_prompt(row: Mapping[str, Any]) -> str:
    answer, alone, whole = words.quoted(row["answer"]), row["circuit"], row["model"]
    chances = f"with probability {words.probability(alone['probability'])}"
    compare = f"(whole model: {words.probability(whole['probability'])})"
    if alone["rank"] == 1:
        return f"{answer} {'stays' if whole['rank'] == 1 else 'becomes'} the first choice {chances} {compare}."
    return (
        f"In the circuit alone {answer} has rank {alone['rank']:,} {chances} {compare}; "
        f"the first choice is {words.quoted(alone['top'])}."
    )


def _faithfulness_of(run: RunData) -> dict[str, float]:
    """Faithfulness of every row of the table, by its definition from the metric's values."""
    values = run.verification["metric_value"]
    gap = values["model"] - values["empty"]
    return {name: (values[name] - values["empty"]) / gap if gap else 0.0 for name in _ROWS}


def _interval(run: RunData, key: str, name: str) -> str:
    """A 95% interval as text, or nothing where there is none."""
    found = (run.verification.get("ci95") or {}).get(key)
    if isinstance(found, Mapping):
        found = found.get(name)
    elif name not in ("", "circuit"):
        return ""
    return interval_text(found, 3)


def page_scripts() -> tuple[str, ...]:
    """What makes the pictures of a page answer to the pointer."""
    return (_vega(), _BOOT)


def script_hash(script: str) -> str:
    """By which a page's security policy knows a script of its own."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    bundle: Any = vl_convert.javascript_bundle  # its stub asks for a snippet that it does not need
    return bundle().replace("</script", "<\\/script")


@cache
def template(name: str) -> Any:
    """A page that is to be filled in."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value, keep="\n\t") if type(value) is str else value,
    )
    environment.filters.update(
        visible=words.visible,
        percent=words.percent,
        decimal=words.decimal,
        probability=words.probability,
        quoted=words.quoted,
        shown_name=shown_name,
    )
    return environment.get_template(name)
