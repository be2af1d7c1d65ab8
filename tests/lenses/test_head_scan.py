"""A scan of heads: its sums and signals are those of plain patterns and writes; killed, it ends in the same bytes."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from killed_scan import killed_scan
from tiny import make_tiny
from tolerance import rounding

from wheatstone._errors import ModelError, RequestError, RunError
from wheatstone.cli import main
from wheatstone.figures import head_page, write_head_pages
from wheatstone.lenses import HEADS, PLACES, HeadCorpus, HeadScan, Readout, head_at, head_facts, run_head_pages
from wheatstone.lenses._names import name_ends
from wheatstone.models import ResidualModel, Tokens
from wheatstone.neurons import ScanSettings, Window, plan_scan, run_scan
from wheatstone.runs import damaged_files

FAMILIES = ("llama", "gpt2", "gemma2", "qwen3")


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number, length in enumerate((30, 5, 21, 16, 40, 2)):
        (folder / f"{number}.txt").write_text(" ".join(f"w{word}" for word in draw.integers(12, size=length)))
    return folder


def settings_for(folder: Path) -> ScanSettings:
    return ScanSettings(texts=(str(folder),), window=8, top=3, batch=24, shard=2)


@pytest.mark.numerical
@pytest.mark.parametrize("family", FAMILIES)
def test_sums_are_those_of_the_patterns(family: str) -> None:
    """Windows of three lengths, with repeated tokens; every number from the model's own patterns and writes."""
    model = make_tiny(family, torch.float32)
    rows = [(5, 6, 7, 5, 6, 7, 5), (5, 8, 8, 5), (9, 5), (6, 7, 5, 9, 5, 6, 7)]
    scan = HeadScan(model, top=2, width=7)
    scan.see([Window(0, 0, row) for row in rows[:2]])
    scan.see([Window(0, 0, row) for row in rows[2:]])
    assert scan.windows == 4
    bound = rounding(model)
    for layer in range(model.graph.layers):
        first = torch.zeros(model.graph.heads, dtype=torch.float64)
        places, even = (torch.zeros(model.graph.heads, len(PLACES), dtype=torch.float64) for _ in range(2))
        tokens, effects, strongest = torch.zeros_like(scan.sums[layer]["tokens"]), list[torch.Tensor](), []
        for row in rows:
            names = name_ends(model.decode(row))
            run = model.forward(Tokens.of([row]), cache=True)
            assert run.nodes is not None
            pattern = model.attention(Tokens.of([row]), [layer])[0, 0]
            streams = model.streams(Tokens.of([row])).stream[-1, 0]
            for query in range(1, len(row) - 1):
                seen = pattern[:, query]
                first += seen[:, 0]
                kinds = [
                    [query],
                    [query - 1],
                    [key for key in range(query) if row[key] == row[query]],
                    [key for key in range(1, query + 1) if row[key - 1] == row[query] and key - 1 < query],
                    [key for key in range(query) if names[key]],
                ]
                for place, keys in enumerate(kinds):
                    counted = [key for key in keys if key > 0]
                    places[:, place] += seen[:, counted].sum(-1)
                    even[:, place] += (1 - seen[:, 0]) * len(counted) / query
                for key in range(1, query + 1):
                    tokens[:, row[key]] += seen[:, key]
                readout = Readout.at(model, streams[query : query + 1])
                direction = readout.directions(torch.tensor([row[query + 1]])) - readout.mean_directions
                written = run.nodes[model.graph.head_nodes(layer), 0, query]
                effects.append(written @ direction[0])
                strongest.append(seen[:, 1 : query + 1].amax(-1))
        sums = scan.sums[layer]
        for name, value in (("first", first), ("places", places), ("places_even", even), ("tokens", tokens)):
            bound.check(sums[name], value)
        if model.module.config.to_dict().get("final_logit_softcapping") is None:  # else the scale is a fit
            bound.check(scan.signals[layer]["effect"].arrays["moments"][0], torch.stack(effects).double().mean(0))
        bound.check(scan.signals[layer]["attention"].arrays["end"][0, 0], torch.stack(strongest).amax(0))
        assert scan.signals[layer]["effect"].count == sum(len(row) - 2 for row in rows) == 12


def test_a_head_s_page_from_a_scan(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan"
    manifest = run_scan(model, settings_for(texts), out, of=HEADS)
    assert damaged_files(out) == []
    assert (manifest["verb"], manifest["settings"]["task"]) == ("head scan", f"heads on {texts}")
    assert plan_scan(model, settings_for(texts), of=HEADS)["tokens"] == manifest["tokens"]
    corpus = HeadCorpus.load(out)
    found = corpus.head("a1.h0")
    assert found.counted == manifest["counted"]
    assert 0 < found.first < 1
    assert {one.signal for one in found.examples} == {"effect", "attention"}
    facts = json.loads(json.dumps(head_facts(model, "a1.h0", corpus)))
    strongest = max(facts["examples"], key=lambda row: row["value"] if row["signal"] == "attention" else 0)
    weights = strongest["weights"][1 : strongest["position"] + 1]
    assert max(weights) == rounding(model).near(strongest["value"])
    assert facts["senders"]["n"] == 6
    page = head_page(facts)
    assert "Who makes it look there?" in page
    assert "a1.h0" in page
    with pytest.raises(RequestError, match="a head of a layer that was scanned"):
        corpus.head("a9.h0")
    with pytest.raises(ModelError, match="the model of the scan"):
        head_facts(make_tiny("gpt2", torch.float32), "a1.h0", corpus)


def test_all_pages_say_what_each_alone_says(
    model: ResidualModel,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stopped after some shards it continues; windows are read once for all heads, and the bytes are the same."""
    scan = tmp_path / "scan"
    one_layer = replace(settings_for(texts), layers=(1,))
    run_scan(model, one_layer, scan, of=HEADS)
    corpus, out = HeadCorpus.load(scan), tmp_path / "pages"
    heads = run_head_pages(model, corpus, out, write_head_pages)
    assert heads == corpus.heads == [f"a1.h{head}" for head in range(4)]
    for head in heads:
        assert (out / f"{head}.html").read_text() == head_page(head_facts(model, head, corpus), still=True)
        assert f'<a href="{head}.html">{head}</a>' in (out / "index.html").read_text()
    shards = sorted(path.name for path in (out / "places").iterdir())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        run_head_pages(model, corpus, part, interrupted)
    assert not (part / "index.html").exists()
    shutil.rmtree(part / "places" / shards[-1])  # as if it had been stopped before
    run_head_pages(model, corpus, part, write_head_pages)
    names = ["index.html", "pages-settings.json", *(f"{head}.html" for head in heads)]
    names += [f"places/{shard}/places.json" for shard in shards]
    for name in names:
        assert (part / name).read_bytes() == (out / name).read_bytes()
    for words, code, said in (
        (("show", out), 0, "pages of heads"),
        (("check", out), 0, "every file is as it was written"),
        (("check", part), 1, "damaged or missing: a1.h0.html"),
    ):
        (part / "a1.h0.html").write_text("no page", encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["wheatstone", "runs", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert (stopped.value.code or 0) == code
        assert said in " ".join(capsys.readouterr().out.split())
    run_scan(model, replace(one_layer, top=2), tmp_path / "other", of=HEADS)
    with pytest.raises(RunError, match="to go on as it began"):
        run_head_pages(model, HeadCorpus.load(tmp_path / "other"), out, write_head_pages)


@pytest.mark.parametrize("name", ["m1", "a1", "a1.h", "a-1.h0", "a1.h0<q>", "a٣.h1", "a99999999999.h1", ""])
def test_what_is_no_head_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="a head, written as"):
        head_at(name)


def test_killed_at_every_write_it_ends_in_the_same_bytes(model: ResidualModel, texts: Path, tmp_path: Path) -> None:
    killed_scan("heads", tmp_path / "killed", texts, after=False)
    run_scan(model, settings_for(texts), tmp_path / "plain", of=HEADS)
    for name in ("heads.safetensors", "head_examples.parquet", "windows/00000.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
