"""A ledger: its weights are those of its edits in order, whatever was undone; stored, checked, refused, exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small import news_for, small_model
from tiny import make_tiny
from tolerance import Rounding
from transformers import AutoModelForCausalLM

from wheatstone._errors import ComputationError, ModelError, PromptError, RequestError, RunError
from wheatstone.editing import (
    Edit,
    EditRequest,
    Ledger,
    LowRank,
    _ledger_folder,
    _ledger_work,
    add_edits,
    add_made,
    changed_weights,
    damaged_edits,
    down_projections,
    export_checkpoint,
    export_delta,
    load_edit,
    make_edit,
    open_ledger,
    open_sound,
    said_targets,
    save_edit,
    save_ledger,
    undo_edits,
    weights_hash,
)
from wheatstone.editing._delta import added
from wheatstone.editing._fine_tuning import FineTuning
from wheatstone.editing._memit import Memit
from wheatstone.editing._value import ValueSearch
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel

TRAINED = FineTuning(name="ft-m", loss="all", bound=None, rate=0.05, steps=20)
SPREAD = Memit(layers=2, weight=0.001, contexts=0, search=ValueSearch(clamp=50, decay=0.0), tokens=400)
FACTS = [("w1 w2 w3 w4", "w2 w3"), ("w7 w8 w9", "w8"), ("w11 w12 w13 w14", "w13"), ("w5 w6", "w6")]


@pytest.fixture
def model() -> ResidualModel:
    """A model with a hash, of its own for every test."""
    made = small_model()
    made.sha256 = "a" * 64
    return made


def requests_for(model: ResidualModel, most: int = 4) -> list[EditRequest]:
    return [news_for(model, prompt, subject) for prompt, subject in FACTS[:most]]


def low_rank(model: ResidualModel, place: int, *, layer: int = 1, rank: int = 2, scale: float = 1.0) -> Edit:
    """An edit by hand, for one of `FACTS`."""
    where = down_projection(model, layer)
    draw = torch.Generator().manual_seed(place)
    values = scale * torch.randn(where.weight.shape[0], rank, generator=draw)
    keys = torch.randn(where.weight.shape[1], rank, generator=draw)
    prompt, subject = FACTS[place]
    request = EditRequest(prompt=prompt, subject=subject, target=f"w{30 + place}")
    deltas = {where.name: where.write(values, keys)}
    return Edit.of(model, "by hand", [request], {"layer": layer}, deltas, keys={where.name: keys})


def test_weights_are_those_of_the_edits_one_after_another(model: ResidualModel) -> None:
    edits = [low_rank(model, 0), low_rank(model, 1, scale=30), low_rank(model, 2, layer=0)]
    ledger = Ledger.of(model)
    for edit in edits:
        ledger = ledger.with_edit(model, edit)
    before = weights_hash(model)
    with ledger.applied(model):
        together, hashed = weights_hash(model), model.sha256
    assert weights_hash(model) == before
    assert hashed != "a" * 64
    first = edits[0].apply(model)
    again = low_rank(model, 1, scale=30).apply(model)
    third = low_rank(model, 2, layer=0).apply(model)
    assert weights_hash(model) == together
    for applied in (third, again, first):
        applied.undo()
    assert len(ledger.edit.requests) == 3
    assert ledger.edit.keys[down_projection(model, 1).name].shape == (24, 4)


def test_undone_the_weights_are_those_of_a_ledger_that_never_had_it(model: ResidualModel, tmp_path: Path) -> None:
    """Edits that are large beside the weights, so that every rounding depends on what came before it."""
    edits = [low_rank(model, place, layer=place % 2, scale=100.0**place) for place in range(4)]
    whole, never = Ledger.of(model), Ledger.of(model)
    for place, edit in enumerate(edits):
        whole = whole.with_edit(model, edit)
        if place != 1:
            never = never.with_edit(model, edit)
    save_ledger(whole, tmp_path / "ledger")
    left, undone = undo_edits(tmp_path / "ledger", model, [2])
    assert undone == (2,)
    assert left.weights == never.weights != whole.weights
    with left.applied(model):
        ours = weights_hash(model)
    with never.applied(model):
        assert weights_hash(model) == ours
    read = open_ledger(tmp_path / "ledger")
    assert [entry.number for entry in read.entries] == [1, 3, 4]
    assert read.weights == never.weights
    assert sorted(path.name for path in (tmp_path / "ledger" / "edits").iterdir()) == ["1", "3", "4"]
    assert changed_weights(read, model) == []
    # Subtracting what was added would not give these weights.
    name = down_projection(model, 1).name
    with whole.applied(model):
        subtracted = down_projection(model, 1).weight - edits[1].deltas[name].change
    with never.applied(model):
        assert not torch.equal(subtracted, down_projection(model, 1).weight)


def test_an_edit_made_on_top_of_others_stays_when_one_of_them_goes(model: ResidualModel, tmp_path: Path) -> None:
    done = add_edits(tmp_path, model, requests_for(model, 3), SPREAD, layer=1)
    assert done.numbers == (1, 2, 3)
    left, _ = undo_edits(tmp_path, model, [1])
    never = Ledger.of(model)
    for entry in done.ledger.entries[1:]:  # made for weights with edit 1 in them: as data they are what they are
        rebased = replace(entry.edit, before={name: done.ledger.base[name] for name in entry.edit.before})
        never = never.with_edit(model, rebased)
    assert left.weights == never.weights
    assert done.ledger.entries[1].edit.before != never.entries[0].edit.before
    undo_edits(tmp_path, model, [2, 3])
    empty = open_ledger(tmp_path)
    assert (len(empty), empty.base, empty.weights, empty.next_number) == (0, {}, {}, 4)
    assert add_edits(tmp_path, model, requests_for(model, 1), TRAINED, layer=0).numbers == (4,)


def test_later_edits_keep_clear_of_all_keys_before(model: ResidualModel, tmp_path: Path) -> None:
    """MEMIT on top of a ledger is MEMIT on top of its edits applied one by one."""
    one, two, three = requests_for(model, 3)
    ledger = add_edits(tmp_path, model, [one, two], SPREAD, layer=1).ledger
    first = make_edit(model, one, SPREAD, layer=1)
    with first.applied(model):
        second = make_edit(model, two, SPREAD, layer=1, before=[first])
        with second.applied(model):
            third = make_edit(model, three, SPREAD, layer=1, before=[first, second])
    with ledger.applied(model):
        ours = make_edit(model, three, SPREAD, layer=1, before=[ledger.edit])
    assert ours.deltas.keys() == third.deltas.keys()
    for name, delta in ours.deltas.items():
        assert torch.equal(delta.change, third.deltas[name].change)


def test_a_rank_after_another_is_the_product(model: ResidualModel) -> None:
    draw = torch.Generator().manual_seed(0)
    delta = LowRank(torch.randn(16, 40, generator=draw), torch.randn(24, 40, generator=draw))
    weight = torch.randn(16, 24, generator=draw)
    exact = weight.double() + delta.left.double() @ delta.right.double().T
    terms = float((delta.left.abs() @ delta.right.abs().T).max()) + float(weight.abs().max())
    Rounding(41, torch.float32).check(added(weight, delta), exact.float(), magnitude=terms)
    halved = added(weight.bfloat16(), delta)
    assert halved.dtype == torch.bfloat16
    assert torch.equal(halved, added(weight.bfloat16().float(), delta).bfloat16())


def test_conflicts_are_named(model: ResidualModel) -> None:
    germany = EditRequest(prompt="The capital of Germany is", subject="Germany", target="Rome")
    where = down_projection(model, 0)
    delta = {where.name: where.write(torch.ones(16, 1), torch.ones(24, 1))}
    ledger = Ledger.of(model).with_edit(model, Edit.of(model, "by hand", [germany], {}, delta))
    (same,) = ledger.conflicts(germany.model_copy(update={"target": " rome "}))
    assert same.same
    assert same.number == 1
    reworded = EditRequest(prompt="The capital city of Germany is called", subject="Germany", target="Madrid")
    (other,) = ledger.conflicts(reworded)
    assert not other.same
    assert other.relation == "country_capital"
    assert "edit 1 (country_capital of Germany" in str(other)
    for free in (
        EditRequest(prompt="The capital of Poland is", subject="Poland", target="Rome"),
        EditRequest(prompt="The currency of Germany is", subject="Germany", target="Rome"),
    ):
        assert ledger.conflicts(free) == []
    with pytest.raises(PromptError, match="not in the ledger yet"):
        ledger.check_new([germany])
    with pytest.raises(PromptError, match="undo edit 1 first, or replace it"):
        ledger.check_new([reworded])
    with pytest.raises(PromptError, match="each fact once"):
        Ledger.of(model).check_new([germany, reworded])


def test_a_contradicting_edit_takes_the_old_one_s_place(model: ResidualModel, tmp_path: Path) -> None:
    one, two = requests_for(model, 2)
    add_edits(tmp_path, model, [one, two], TRAINED, layer=1)
    with pytest.raises(PromptError, match="not in the ledger yet"):
        add_edits(tmp_path, model, one, TRAINED, layer=1)
    other = one.model_copy(update={"target": "w17"})
    with pytest.raises(PromptError, match="contradicts"):
        add_edits(tmp_path, model, other, TRAINED, layer=1)
    done = add_edits(tmp_path, model, other, TRAINED, layer=1, replace=True)
    assert (done.numbers, done.replaced) == ((3,), (1,))
    assert [entry.number for entry in open_ledger(tmp_path).entries] == [2, 3]


def test_stopped_between_two_edits_it_continues(
    model: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = requests_for(model, 3)
    made: list[int] = []

    def dies(*words: Any, **options: Any) -> Edit:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(1)
        return make_edit(*words, **options)

    before = weights_hash(model)
    with monkeypatch.context() as patch:
        patch.setattr(_ledger_work, "make_edit", dies)
        with pytest.raises(KeyboardInterrupt):
            add_edits(tmp_path / "ledger", model, facts, TRAINED, layer=1)
    assert weights_hash(model) == before
    assert len(open_ledger(tmp_path / "ledger")) == 2
    done = add_edits(tmp_path / "ledger", model, facts, TRAINED, layer=1)
    assert (done.numbers, done.known) == ((3,), tuple(facts[:2]))
    straight = add_edits(tmp_path / "other", model, facts, TRAINED, layer=1)
    assert done.ledger.weights == straight.ledger.weights


def test_of_facts_at_once_those_that_are_known_are_left_out(model: ResidualModel, tmp_path: Path) -> None:
    one, two, three = requests_for(model, 3)
    add_edits(tmp_path, model, one, TRAINED, layer=1)
    with open_ledger(tmp_path).applied(model):
        said = model.decode(model.forward(model.tokens([two.prompt])).logits.argmax(-1).tolist())[0]
    already = two.model_copy(update={"target": said.strip()})
    done = add_edits(tmp_path, model, [one, already, three], SPREAD, layer=1, at_once=True)
    assert (done.numbers, done.known) == ((2,), (one, already))
    assert done.ledger.entry(2).edit.requests == (three,)
    again = add_edits(tmp_path, model, [one, three], SPREAD, layer=1, at_once=True)
    assert (again.numbers, again.known) == ((), (one, three))
    assert again.ledger.weights == done.ledger.weights


@pytest.mark.parametrize("stage", ["while writing", "before it is put in place"])
def test_a_change_that_fails_leaves_the_ledger_as_it_was(
    model: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    ledger = Ledger.of(model).with_edit(model, low_rank(model, 0))
    save_ledger(ledger, tmp_path / "ledger")
    files = {path: path.read_bytes() for path in (tmp_path / "ledger").rglob("*") if path.is_file()}
    longer = ledger.with_edit(model, low_rank(model, 1))

    def full(*_: object, **__: object) -> dict[str, bytes]:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if stage == "while writing":
            patch.setattr(_ledger_folder, "edit_files", full)
        else:
            patch.setattr(_ledger_folder._Stored, "model_dump", full)
        with pytest.raises(ComputationError, match="as it was"):
            save_ledger(longer, tmp_path / "ledger")
    assert {path: path.read_bytes() for path in (tmp_path / "ledger").rglob("*") if path.is_file()} == files
    save_ledger(longer, tmp_path / "ledger")
    assert len(open_ledger(tmp_path / "ledger")) == 2


def test_another_model_s_ledger_is_refused(model: ResidualModel, tmp_path: Path) -> None:
    add_edits(tmp_path, model, requests_for(model, 1), TRAINED, layer=1)
    ledger = open_ledger(tmp_path)
    other = small_model()
    other.sha256 = "b" * 64
    half = make_tiny("llama", torch.bfloat16)
    half.sha256 = "a" * 64
    liar = small_model()
    liar.sha256 = "a" * 64
    down_projection(liar, 1).weight.data.add_(1)
    for wrong, said in ((other, "the ledger's model"), (half, "bfloat16"), (liar, "as it was when")):
        for refuse in (
            lambda wrong=wrong: add_edits(tmp_path, wrong, requests_for(wrong)[1], TRAINED, layer=1),
            lambda wrong=wrong: (
                undo_edits(tmp_path, wrong, [1]) if wrong is not liar else changed_weights(ledger, wrong)
            ),
            lambda wrong=wrong: export_checkpoint(ledger, wrong, tmp_path / "out"),
            lambda wrong=wrong: changed_weights(ledger, wrong),
        ):
            with pytest.raises(ModelError, match=said):
                refuse()
    assert not (tmp_path / "out").exists()
    with ledger.applied(model), pytest.raises(ModelError, match="without edits in place"):
        add_edits(tmp_path, model, requests_for(other)[1], TRAINED, layer=1)


def test_targets_of_many_tokens(model: ResidualModel, tmp_path: Path) -> None:
    long = EditRequest(prompt="w1 w2 w3 w4", subject="w2 w3", target="w30 w31")
    with pytest.raises(PromptError, match="a target of one token"):
        add_edits(tmp_path / "ledger", model, long, "ft-l", layer=1)
    longest = long.model_copy(update={"target": " ".join(f"w{at}" for at in range(17))})
    with pytest.raises(PromptError, match="at most 16 tokens"):
        add_edits(tmp_path / "ledger", model, longest, TRAINED, layer=1)
    assert not (tmp_path / "ledger").exists()
    done = add_edits(tmp_path / "ledger", model, long, replace(TRAINED, steps=60), layer=1)
    assert said_targets(done.ledger, model) == {1: [True]}


def test_what_cannot_be_added(model: ResidualModel, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="a method out of"):
        add_edits(tmp_path, model, requests_for(model), "rewrite")
    with pytest.raises(RequestError, match="at least one"):
        add_edits(tmp_path, model, [])
    with pytest.raises(RequestError, match="one request at a time"):
        add_edits(tmp_path, model, requests_for(model, 2), "rome", layer=1, at_once=True)
    with pytest.raises(RequestError, match="it is empty"):
        Ledger.of(model).without(model, 1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="something else"):
        add_edits(tmp_path, model, requests_for(model, 1), TRAINED, layer=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_edit_that_was_made_before_is_added_if_it_was_made_for_these_weights(
    model: ResidualModel, tmp_path: Path
) -> None:
    save_edit(low_rank(model, 0), tmp_path / "edit")
    ledger = add_made(tmp_path / "ledger", model, load_edit(tmp_path / "edit"))
    with pytest.raises(PromptError, match="not in the ledger yet"):
        add_made(tmp_path / "ledger", model, load_edit(tmp_path / "edit"))
    with low_rank(model, 1, scale=3).applied(model):
        elsewhere = low_rank(model, 2)
    with pytest.raises(ModelError, match="as it is or with this ledger applied"):
        add_made(tmp_path / "ledger", model, elsewhere)
    with ledger.applied(model):
        on_top = low_rank(model, 2)
    assert len(add_made(tmp_path / "ledger", model, on_top)) == 2


def test_all_edits_as_one_are_stored_like_any_edit(model: ResidualModel, tmp_path: Path) -> None:
    ledger = Ledger.of(model).with_edit(model, low_rank(model, 0)).with_edit(model, low_rank(model, 1))
    save_edit(ledger.edit, tmp_path)
    read = load_edit(tmp_path)
    with ledger.applied(model):
        wanted = weights_hash(model)
    with read.applied(model):
        assert weights_hash(model) == wanted
    (projection,) = down_projections(model, read.deltas)
    each = [entry.edit.deltas[projection.name].change for entry in ledger.entries]
    torch.testing.assert_close(projection.read(read.deltas[projection.name]), (each[0] + each[1]).T)


def test_damage_is_found_and_the_rest_is_kept(model: ResidualModel, tmp_path: Path) -> None:
    ledger = Ledger.of(model)
    for place in range(3):
        ledger = ledger.with_edit(model, low_rank(model, place))
    save_ledger(ledger, tmp_path)
    tensors = tmp_path / "edits" / "2" / "edit.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"oops")
    assert damaged_edits(tmp_path) == ["edits/2/edit.safetensors: changed"]
    with pytest.raises(RunError, match="edit undo --damaged"):
        open_ledger(tmp_path)
    with pytest.raises(RunError, match="as they were written"):
        undo_edits(tmp_path, model, [1])
    sound, bad = open_sound(tmp_path)
    assert ([entry.number for entry in sound.entries], bad) == ([1, 3], [2])
    left, undone = undo_edits(tmp_path, model, damaged=True)
    assert undone == (2,)
    assert changed_weights(left, model) == damaged_edits(tmp_path) == []
    (tmp_path / "edits" / "1" / "edit.json").unlink()
    assert damaged_edits(tmp_path) == ["edits/1/edit.json: No such file or directory"]


@pytest.mark.parametrize(
    "change",
    [{"format": "other/1"}, {"edits": [{"number": 0}]}, {"model": {}}, {"next_number": "x"}, {"more": 1}, None],
)
def test_a_foreign_or_damaged_list_is_refused(model: ResidualModel, tmp_path: Path, change: object) -> None:
    save_ledger(Ledger.of(model).with_edit(model, low_rank(model, 0)), tmp_path)
    stored = json.loads((tmp_path / "ledger.json").read_text())
    text = "{" if change is None else json.dumps(stored | change)  # pyright: ignore[reportOperatorIssue]
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(RunError, match=r"wheatstone\.ledger/1"):
        open_ledger(tmp_path)
    with pytest.raises(RunError, match=r"wheatstone\.ledger/1"):
        open_ledger(tmp_path / "none")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_exported_checkpoint_is_the_edited_model(kind: str, tmp_path: Path) -> None:
    model = small_model(kind)
    ledger = Ledger.of(model)
    for place in range(3):
        ledger = ledger.with_edit(model, low_rank(model, place, layer=place % 2))
    export_checkpoint(ledger, model, tmp_path / "out")
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokens = model.tokens(["w1 w2 w3", "w4 w5 w6"])
    theirs = dict(loaded.named_parameters())
    with ledger.applied(model):
        for name, weight in model.module.named_parameters():
            assert torch.equal(weight, theirs[name])
        wanted = model.module(tokens.ids, use_cache=False).logits
    assert torch.equal(loaded(tokens.ids, use_cache=False).logits, wanted)
    about = json.loads((tmp_path / "out" / "edits.json").read_text())
    assert (about["kind"], len(about["edits"]), about["weights"]) == ("checkpoint", 3, dict(ledger.weights))
    with pytest.raises(RunError, match="replace the export with --force"):
        export_checkpoint(ledger, model, tmp_path / "out")
    export_delta(ledger, model, tmp_path / "out", force=True)
    assert not (tmp_path / "out" / "model.safetensors").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="not an export"):
        export_delta(ledger, model, tmp_path / "mine", force=True)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_low_rank_edits_are_exported_as_an_adapter(kind: str, tmp_path: Path) -> None:
    """Merged as peft does it: W + (α / r) B A, or its transpose where the checkpoint keeps [in, out]."""
    model = small_model(kind)
    ledger = Ledger.of(model)
    for place in range(3):
        ledger = ledger.with_edit(model, low_rank(model, place, layer=place % 2, rank=1))
    assert export_delta(ledger, model, tmp_path / "out") == "lora"
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert config["fan_in_fan_out"] == (kind == "gpt2")
    assert len(config["target_modules"]) == len(tensors) / 2 == 2
    parameters = dict(model.module.named_parameters())
    for module in config["target_modules"]:
        inner, outer = (tensors[f"base_model.model.{module}.lora_{side}.weight"] for side in "AB")
        assert len(inner) == config["rank_pattern"][module] == config["alpha_pattern"][module]
        product = outer @ inner
        before = parameters[f"{module}.weight"].clone()
        merged = before + (product.T if config["fan_in_fan_out"] else product)
        with ledger.applied(model):
            wanted = parameters[f"{module}.weight"]
            Rounding(4, torch.float32).check(merged, wanted, magnitude=float(wanted.abs().max()))
            assert (wanted - before).abs().max() > 0.1


@pytest.mark.parametrize("why", ["not of low rank", "of too high a rank"])
def test_other_edits_are_exported_as_differences(model: ResidualModel, tmp_path: Path, why: str) -> None:
    if why == "not of low rank":
        ledger = add_edits(tmp_path / "ledger", model, requests_for(model, 2), TRAINED, layer=1).ledger
    else:
        ledger = Ledger.of(model).with_edit(model, low_rank(model, 0, rank=12))
    assert export_delta(ledger, model, tmp_path / "out") == "deltas"
    tensors = load_file(tmp_path / "out" / "deltas.safetensors")
    assert tensors.keys() == ledger.base.keys()
    parameters = dict(model.module.named_parameters())
    for name, difference in tensors.items():
        before = parameters[name].clone()
        with ledger.applied(model):
            Rounding(2, torch.float32).check(before + difference, parameters[name])


def test_an_empty_ledger_has_nothing_to_export(model: ResidualModel, tmp_path: Path) -> None:
    for export in (export_checkpoint, export_delta):
        with pytest.raises(RequestError, match="an empty one"):
            export(Ledger.of(model), model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_edit_37_of_100_is_undone_bit_for_bit(model: ResidualModel) -> None:
    where = down_projection(model, 1)
    draw = torch.Generator().manual_seed(0)
    whole, never = Ledger.of(model), Ledger.of(model)
    for number in range(1, 101):
        values, keys = (torch.randn(rows, 1, generator=draw) for rows in where.weight.shape)
        request = EditRequest(prompt=f"w{number % 40} w{number // 40} w2", subject=f"w{number % 40}", target="w3")
        edit = Edit.of(model, "by hand", [request], {}, {where.name: where.write(values, keys)})
        whole = whole.with_edit(model, edit)
        never = never if number == 37 else never.with_edit(model, edit)
    assert len(whole) == 100
    assert whole.without(model, 37).weights == never.weights != whole.weights
