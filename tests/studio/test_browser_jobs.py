"""Starting work from the browser: a discovery on SmolLM2 watched to its end, one that is stopped, nodes changed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from browser import NEEDED, pictured, ready, served
from needs import AXE
from playwright.sync_api import Browser, Locator, Page, expect

from wheatstone._lists import listed
from wheatstone.discovery import DiscoverySettings
from wheatstone.models import load_model
from wheatstone.runs import add_file, new_run
from wheatstone.studies import run_discovery
from wheatstone.studio import Library
from wheatstone.studio._library import identity
from wheatstone.tasks import PromptPair

pytestmark = NEEDED
LONG = 600_000
"""Milliseconds for what takes seconds on an idle machine."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("studio") / "runs"
    runs.mkdir()
    return runs


@pytest.fixture(scope="module")
def address(runs: Path, with_smollm2: Path) -> Generator[str, None, None]:
    with served(Library((runs,))) as address:
        yield address


def field(page: Page, name: str) -> Locator:
    return page.get_by_role("form", name="New circuit").get_by_label(re.compile(f"^{name}"))


def said(page: Page) -> Locator:
    return page.locator(".new .said")


@pytest.mark.real_weights
def test_a_discovery_is_started_watched_and_opened(page: Page, address: str, tmp_path: Path, runs: Path) -> None:
    before = set(runs.iterdir())
    ready(page, address, "?run=example-a-or-an")
    page.keyboard.press("n")
    page.get_by_role("button", name="Fill in an example").click()
    expect(page.get_by_test_id("tokens-prompt")).to_contain_text("·France")
    expect(page.get_by_test_id("tokens-answer")).to_contain_text("·French")
    field(page, "Method").select_option("eap")
    field(page, "Faithfulness").fill("0.3")
    page.keyboard.press("Enter")
    job = page.get_by_test_id("job").first
    expect(job.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_test_id("jobs-now")).not_to_be_empty()
    expect(job.get_by_role("button", name=re.compile("^Open"))).to_be_visible(timeout=LONG)
    pictured(page, "studio-new", tmp_path)
    job.get_by_role("button", name=re.compile("^Open")).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=2).first).to_have_text("The official language of France is")
    expect(page.get_by_test_id("faithfulness")).to_contain_text(re.compile(r"\d\.\d"))
    expect(page.get_by_role("combobox", name="Run", exact=True)).to_contain_text("The official language of France is")
    (made,) = set(runs.iterdir()) - before
    assert re.fullmatch(r"the-official-language-of-france-is-french(-\d)?", made.name)


@pytest.mark.real_weights
def test_a_discovery_is_stopped_and_leaves_nothing(page: Page, address: str, runs: Path) -> None:
    before = sorted(runs.iterdir())
    ready(page, address, "?run=example-a-fact")
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_role("button", name="Fill in an example").click()
    field(page, "Faithfulness").fill("1")
    page.get_by_role("button", name="Find its circuit").click()
    job = page.get_by_test_id("job").first
    job.get_by_role("button", name=re.compile("^Cancel")).click()
    expect(job).to_contain_text("cancelled", timeout=LONG)
    job.get_by_role("button", name=re.compile("^Resume")).click()  # the same worker goes on with it
    expect(job.get_by_role("progressbar")).to_be_visible()
    expect(job).to_contain_text(re.compile(r"\d of \d"), timeout=LONG)
    expect(job).not_to_contain_text("interrupted")
    job.get_by_role("button", name=re.compile("^Cancel")).click()
    expect(job).to_contain_text("cancelled", timeout=LONG)
    job.get_by_role("button", name=re.compile("^Remove")).click()
    expect(page.get_by_text("cancelled")).to_have_count(0)
    assert sorted(runs.iterdir()) == before


@pytest.mark.real_weights
def test_without_its_head_the_language_is_less_french(page: Page, address: str, tmp_path: Path) -> None:
    ready(page, address, "?run=example-a-fact&sel=a23.h4")
    page.keyboard.press("5")
    expect(page.get_by_label("What to do to a23.h4")).to_have_value("ablate")
    page.get_by_role("button", name="Run", exact=True).click()
    changed = page.get_by_test_id("changed").first
    expect(changed).to_contain_text("without a23.h4", timeout=LONG)
    row = changed.get_by_role("row", name=re.compile("French"))
    before, after = (float(text.rstrip("%")) for text in row.get_by_role("cell").all_inner_texts()[:2])
    assert after < before
    pictured(page, "studio-change", tmp_path)
    page.reload()  # what was found is kept with the jobs
    expect(changed).to_contain_text("without a23.h4")
    page.get_by_label("What to do to a23.h4").select_option("scale")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(changed).to_contain_text("a23.h4 × 2", timeout=LONG)
    page.get_by_text("Earlier changes").click()
    expect(page.get_by_test_id("changed").nth(1)).to_contain_text("without a23.h4")
    ready(page, address, "?run=example-a-fact&pins=m0|a23.h4")
    page.get_by_role("button", name="Measure these 2 nodes together").click()
    measured = page.get_by_test_id("measured").first
    expect(measured).to_contain_text("m0, a23.h4: alone, with 3 edges of the circuit, faithfulness 0.295", timeout=LONG)
    expect(measured).to_contain_text("without them 0.999 of the metric is lost")
    pictured(page, "studio-measure", tmp_path)


def test_the_test_split_is_asked_for_where_the_proof_is(
    page: Page, address: str, runs: Path, tiny_task: tuple[Path, Path]
) -> None:
    records = [json.loads(line) for line in tiny_task[1].read_text(encoding="utf-8").splitlines()]
    pairs = [
        PromptPair.model_validate({name: record[name] for name in PromptPair.model_fields if name in record})
        for record in records
    ]
    model = load_model(str(tiny_task[0]))
    found = run_discovery(model, pairs[:2], DiscoverySettings(method="eap", faithfulness=0.5))
    with new_run(runs / "tiny") as folder:
        found.save(folder)
        add_file(folder, "task.json", {"pairs": {"test": [pair.model_dump() for pair in pairs[3:]]}})
    try:
        ready(page, address, f"?run={identity(str(runs / 'tiny'))}&tab=proof")
        proof = page.locator(".proof")
        expect(proof).to_contain_text("n = 2")
        page.get_by_role("button", name="Verify on the test split (3 pairs)").click()
        page.get_by_role("button", name="test split", exact=True).click(timeout=LONG)
        expect(proof).to_contain_text("n = 3: too few for an interval")
        page.get_by_role("tab", name="Circuit").click()
        page.keyboard.press("n")
        job = page.get_by_test_id("job").first
        expect(job).to_contain_text("on the test split")
        job.get_by_role("button", name=re.compile("^Open")).click()
        expect(page.get_by_role("button", name="test split", exact=True)).to_have_attribute("aria-pressed", "true")
    finally:
        shutil.rmtree(runs / "tiny")


def test_bundled_tasks_are_offered_by_their_names(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    page.keyboard.press("n")
    page.get_by_role("button", name="A task").click()
    names = [task["name"] for task in listed("tasks")]
    form = page.get_by_role("form", name="New circuit")
    expect(form).to_contain_text(f"one of {len(names)} bundled ones")
    assert page.locator("#tasks option").evaluate_all("all => all.map(one => one.value)") == names
    go = page.get_by_role("button", name="Find its circuit")
    expect(go).to_be_disabled()
    form.get_by_label(re.compile("^Task")).fill(names[0])
    expect(go).to_be_enabled()


def test_what_cannot_be_asked_is_said_before_it_is(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    page.keyboard.press("n")
    go = page.get_by_role("button", name="Find its circuit")
    expect(go).to_be_disabled()
    page.get_by_role("button", name="Fill in an example").click()
    expect(go).to_be_enabled()
    field(page, "Counterfactual").fill("The official language of the Netherlands is")
    expect(said(page)).to_contain_text("6 tokens and the counterfactual 7")
    expect(go).to_be_disabled()
    field(page, "Counterfactual").fill("The official language of Japan is")
    field(page, "Answer").fill("French")
    expect(said(page)).to_contain_text("with its leading space: ' French'")
    field(page, "Answer").fill(" French")
    expect(said(page)).to_have_count(0)
    field(page, "Prompt").fill("France " * 1429)
    expect(said(page)).to_contain_text("at most 5,000 characters in prompt; got 10,003")
    field(page, "Prompt").fill("The official language of France is")
    field(page, "Model").fill("no-such-model")
    expect(said(page)).to_contain_text("which is none of these")
    field(page, "Model").fill("smollm2-135m")
    expect(go).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_form_shows_what_the_model_says_and_the_title_of_a_weak_run_says_so(
    page: Page, address: str, runs: Path, tiny_task: tuple[Path, Path]
) -> None:
    record = json.loads(tiny_task[1].read_text().splitlines()[0])
    ready(page, address, "?run=example-a-fact")
    page.keyboard.press("n")
    field(page, "Model").fill(str(tiny_task[0]))
    texts = {"Prompt": record["prompt"], "Counterfactual": record["counterfactual"]}
    for name, text in (texts | {"Answer": record["distractors"][0], "Distractor": record["answers"][0]}).items():
        field(page, name).fill(text)
    page.get_by_role("button", name="What does the model say?").click()
    answers = page.get_by_test_id("model-answers")
    expect(answers).to_contain_text("The model itself prefers the distractor", timeout=LONG)
    expect(answers).to_contain_text("first choice")
    field(page, "Method").select_option("eap")
    field(page, "Faithfulness").fill("0.3")
    page.get_by_role("button", name="Find its circuit").click()
    expect(page.get_by_test_id("job").first).to_contain_text("or allow weak answers", timeout=LONG, ignore_case=True)
    page.get_by_label("allow a weak answer").check()
    page.get_by_role("button", name="Find its circuit").click()
    job = page.get_by_test_id("job").first
    expect(job.get_by_role("button", name=re.compile("^Open"))).to_be_visible(timeout=LONG)
    job.get_by_role("button", name=re.compile("^Open")).click()
    expect(page.get_by_role("heading", level=2).first).to_have_text(f"{record['prompt']} (weak answer)")
    expect(page.locator(".weak").first).to_contain_text("explains a preference between two tokens")


@pytest.mark.needs("web tools")
def test_axe_finds_nothing_serious_where_work_is_asked_for(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&sel=a23.h4&tab=change")
    page.evaluate(AXE.read_text(encoding="utf-8"))

    def serious() -> list[str]:
        found = page.evaluate("axe.run({ resultTypes: ['violations'] }).then(result => result.violations)")
        return [
            f"{one['id']}: {one['nodes'][0]['target']}" for one in found if one["impact"] in ("serious", "critical")
        ]

    assert serious() == []
    page.keyboard.press("n")
    page.get_by_role("button", name="Fill in an example").click()
    expect(page.get_by_test_id("tokens-prompt")).to_be_visible()
    assert serious() == []


def test_a_server_that_is_started_again_says_what_was_interrupted(
    browser: Browser, tmp_path: Path, with_smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").symlink_to(with_smollm2 / "models")
    monkeypatch.setenv("WHEATSTONE_HOME", str(tmp_path))
    page = browser.new_page()
    page.set_default_timeout(20_000)
    with served(Library((tmp_path / "runs",))) as address:
        ready(page, address, "?run=example-a-fact")
        page.keyboard.press("n")
        page.get_by_role("button", name="Fill in an example").click()
        page.get_by_role("button", name="Find its circuit").click()
        expect(page.get_by_test_id("job").get_by_role("progressbar")).to_be_visible()
    with served(Library((tmp_path / "runs",))) as address:
        ready(page, address, "?run=example-a-fact")
        page.keyboard.press("n")
        expect(page.get_by_test_id("job")).to_contain_text("interrupted")
        expect(page.get_by_role("button", name=re.compile("^Resume"))).to_be_visible()
        page.close()
