"""The lens ends in the model's answer, agrees with the run's own lens, and is what the final norm says between."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tolerance import Rounding, rounding

from wheatstone import RequestError
from wheatstone._progress import silent
from wheatstone.lenses import LensPlace, LensPoint, Material, TunedLens, answer_by_layer, logit_lens
from wheatstone.models import ResidualModel


def points(material: Material, **where: object) -> list[LensPoint]:
    rows = [LensPoint(*row) for row in logit_lens(material, silent).tables["lens_by_layer"].rows]
    return [row for row in rows if all(getattr(row, name) == value for name, value in where.items())]


def places(material: Material, **where: object) -> list[LensPlace]:
    rows = [LensPlace(*row) for row in logit_lens(material, silent).tables["lens_by_position"].rows]
    return [row for row in rows if all(getattr(row, name) == value for name, value in where.items())]


def near(expected: torch.Tensor, logits: torch.Tensor) -> object:
    """The lens reads its logits in float32, so that they are rounded by their size, and adds over the vocabulary."""
    size = max(1.0, float(logits.abs().max()))
    return Rounding(logits.shape[-1], torch.float32).near(float(expected), magnitude=size)


def test_the_last_half_layer_is_what_the_model_answers(material: Material) -> None:
    experiment, (end,) = material.experiment, points(material, site="last", half=6)
    answers = experiment.encoded.answers[:, 0]
    probability = experiment.clean_logits.softmax(-1)[torch.arange(3), answers]
    assert end.after == "m2"
    assert end.probability == near(probability.mean(), experiment.clean_logits)
    assert end.difference == near(experiment.clean.mean(), experiment.clean_logits)
    assert (end.first_low, end.probability_low, end.difference_low) == (None, None, None)  # three prompts are too few


def test_ends_hold_the_mean_of_enough_prompts(several: Material) -> None:
    for row in points(several):
        for name in ("first", "probability", "difference"):
            low, high = (getattr(row, f"{name}_{end}") for end in ("low", "high"))
            assert low <= getattr(row, name) <= high
            assert name == "difference" or 0 <= low < high <= 1


def test_whole_layers_agree_with_the_run_s_own_lens(material: Material) -> None:
    rows = [row for row in answer_by_layer(material.experiment) if row.kind == "answer"]
    for layer in range(4):
        for site in ("last", "subject"):
            own = [row for row in rows if (row.layer, row.site) == (layer, site)]
            (point,) = points(material, site=site, half=2 * layer)
            assert point.rank == sorted(row.rank for row in own)[1]
            kept = Rounding(3, torch.float32)  # a run keeps its rows in float32
            assert point.probability == kept.near(sum(row.probability for row in own) / 3)


def test_every_position_of_a_prompt_at_the_end_is_the_model_s_next_token(material: Material) -> None:
    experiment = material.experiment
    everywhere = experiment.model.forward(experiment.encoded.clean, all_positions=True).logits
    rows = places(material, half=6)
    assert len(rows) == 4 + 6 + 2
    for row in rows:
        logits = everywhere[row.prompt, row.position]
        assert row.tops == experiment.model.decode(logits.topk(5).indices.tolist())
        assert row.top_probability == near(logits.softmax(-1).max(), logits)
        answer = int(experiment.encoded.answers[row.prompt, 0])
        assert row.rank == int((logits >= logits[answer]).sum())


def test_half_layers_add_attention_before_the_mlp(material: Material) -> None:
    """What stands after `a1` is what transformers' second layer has when its MLP is about to read."""
    model, ids = material.experiment.model, material.experiment.encoded.clean.ids[:1, :4]
    seen: list[torch.Tensor] = []
    norm = model.blocks[1].mlp_norm.module
    assert norm is not None
    hook = norm.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    model.module(ids, use_cache=False)
    hook.remove()
    logits = model.unembed(seen[0][0, -1:])[0]
    (row,) = places(material, prompt=0, position=3, after="a1")
    assert row.top_probability == near(logits.softmax(-1).max(), logits)
    assert row.tops == model.decode(logits.topk(5).indices.tolist())


def test_one_prompt_has_no_interval_and_no_distractor_no_difference(material: Material) -> None:
    pair = material.experiment.encoded.pairs[0].model_copy(update={"distractors": ()})
    experiment = type(material.experiment)(material.experiment.model, [pair], metric="prob_diff")
    (end,) = points(dataclasses.replace(material, experiment=experiment), site="last", half=6)
    assert (end.first_low, end.probability_high, end.difference, end.difference_low) == (None, None, None, None)


def lens_file(path: Path, model: ResidualModel, *, about: dict[str, str], layers: int = 3, width: int = 16) -> Path:
    """A lens that adds each layer's number to the stream's first entry."""
    weights = {f"{layer}.weight": torch.zeros(width, width) for layer in range(layers)}
    biases = {f"{layer}.bias": torch.eye(width)[0] * layer for layer in range(layers)}
    save_file(weights | biases, path, about)
    return path


def test_a_tuned_lens_translates_whole_layers_but_the_last(material: Material, tmp_path: Path) -> None:
    model = material.experiment.model
    file = lens_file(tmp_path / "lens.safetensors", model, about={"model": model.id})
    stream = torch.zeros(1, 16, dtype=torch.float64)
    lens = TunedLens.load(file, model)
    assert [float(lens(layer, stream)[0, 0]) for layer in range(4)] == [0, 1, 2, 0]
    tuned = dataclasses.replace(material, tuned_lens=file)
    assert [row.half for row in points(tuned, lens="tuned", site="last")] == [0, 2, 4, 6]
    for half, same in ((0, True), (2, False), (6, True)):
        ours, plain = (points(tuned, lens=lens, site="last", half=half)[0] for lens in ("tuned", "plain"))
        assert (ours.probability == rounding(model).near(plain.probability)) == same


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"about": {"model": "pythia"}}, "a tuned lens of tiny.*which names model pythia"),
        ({"about": {}}, "which names no model"),
        ({"layers": 2}, r"2\.weight of shape \(16, 16\).*which has none"),
        ({"width": 8}, r"0\.weight of shape \(16, 16\).*which has \(8, 8\)"),
    ],
)
def test_a_lens_of_another_model_is_refused(
    material: Material, tmp_path: Path, settings: dict[str, object], line: str
) -> None:
    model = material.experiment.model
    file = lens_file(tmp_path / "lens.safetensors", model, **({"about": {"model": model.id}} | settings))  # pyright: ignore[reportArgumentType]
    with pytest.raises(RequestError, match=line):
        TunedLens.load(file, model)


def test_a_file_that_is_no_lens_is_refused(material: Material, tmp_path: Path) -> None:
    (tmp_path / "lens.safetensors").write_bytes(b"nothing")
    for name in ("lens.safetensors", "none.safetensors"):
        with pytest.raises(RequestError, match="a safetensors file of tuned-lens weights"):
            TunedLens.load(tmp_path / name, material.experiment.model)
