"""Roles on planted truth, and their three numbers against runs made one at a time."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from induction import InductionModel
from materials import material_of
from tolerance import rounding

from wheatstone import Circuit, Experiment, PromptPair, ResidualModel, load_task
from wheatstone._progress import silent
from wheatstone.circuits import ModelInfo
from wheatstone.lenses import Explanation, Material
from wheatstone.mechanisms import HeadRole, RoleAblation, ablation_effects, head_roles, role_ablations, roles_of
from wheatstone.mechanisms._head_roles import ROLES, _Measured, _mixtures, _relation_writers
from wheatstone.mechanisms._role_numbers import role_attention, role_writing
from wheatstone.mechanisms._roles import FACT, IOI, REPEATED
from wheatstone.models import KnockOut, Replace


def spanned(pair: PromptPair) -> PromptPair:
    """With the places where the asked word stood before, and where what followed it stands."""
    words = pair.prompt.split()
    at = words.index(words[-1])
    starts = [sum(len(word) + 1 for word in words[:index]) for index in range(len(words))]
    ends = [start + len(word) for start, word in zip(starts, words, strict=True)]
    spans = {"previous": (starts[at], ends[at]), "subject": (starts[at + 1], ends[at + 1])}
    return pair.model_copy(update={"spans": spans})


@pytest.fixture(scope="module")
def planted(induction: InductionModel) -> Explanation:
    """Roles of the model that has learnt induction."""
    pairs = [spanned(pair) for pair in induction.pairs(30)]
    return head_roles(material_of(Experiment(induction.model, pairs)), silent)


def test_the_planted_heads_are_found_and_no_others(planted: Explanation, induction: InductionModel) -> None:
    previous, copying = induction.roles()
    rows = [HeadRole(*row) for row in planted.tables["head_roles"].rows]
    given = {
        role: tuple(row.head for row in rows if row.role == role and row.given) for role in planted.summary["roles"]
    }
    assert given == {"induction": copying, "duplicate-token": (), "previous-token": previous}
    for row in rows:
        assert row.attention_low is not None
        assert row.n == 15
        assert not row.confirmed or row.attention_low > row.attention_null
        assert row.confirmed or not row.given


def test_the_numbers_are_of_prompts_that_chose_no_role(planted: Explanation, induction: InductionModel) -> None:
    """Every other prompt chooses; what is printed is what the others alone give."""
    others = material_of(Experiment(induction.model, [spanned(pair) for pair in induction.pairs(30)][1::2]))
    assert (planted.summary["held_out"], planted.summary["chosen_on"], planted.summary["n"]) == (True, 15, 15)
    graph = others.experiment.graph
    for row in map(HeadRole._make, planted.tables["head_roles"].rows):
        role = next(role for role in REPEATED if role.name == row.role)
        layer, head = map(int, row.head[1:].split(".h"))
        look = role_attention(others, role)
        assert (row.attention, row.attention_null) == pytest.approx(
            (look.row(layer * graph.heads + head)[0], look.null), abs=1e-6
        )
        (costs,) = ablation_effects(others, role, [row.head], silent)
        assert row.ablation == pytest.approx(float(costs.double().mean()), abs=1e-4)


def test_few_prompts_are_not_halved_and_the_method_says_so(induction: InductionModel) -> None:
    found = head_roles(material_of(Experiment(induction.model, [spanned(pair) for pair in induction.pairs(7)])), silent)
    assert found.summary["held_out"] is False
    assert "chosen and measured on the same 7 prompts" in found.method


def test_without_the_planted_heads_the_copying_is_gone(planted: Explanation) -> None:
    rows = [RoleAblation(*row) for row in planted.tables["role_ablations"].rows]
    for role in ("induction", "previous-token"):
        before, after = (row for row in rows if row.role == role)
        assert (before.hit_at_1, before.ablated, after.ablated) == (1.0, "nothing", "its heads")
        assert after.hit_at_1 < 0.3


@pytest.mark.parametrize("role", [FACT[0], dataclasses.replace(FACT[1], key="subject")], ids=["answer", "relation"])
def test_ablation_effects_are_those_of_one_run_at_a_time(material: Material, role: object) -> None:
    experiment, heads = material.experiment, ["a0.h1", "a2.h3"]
    found = ablation_effects(material, role, heads, silent)  # pyright: ignore[reportArgumentType]
    for head, costs in zip(heads, found, strict=True):
        value = experiment.ablated[experiment.graph.node_index[head]]
        relation = role != FACT[0]
        edit = KnockOut(at=head, positions=(-1,)) if relation else Replace(at=head, positions=(-1,), value=value)
        logits = experiment.model.forward_with(experiment.encoded.clean, [edit]).logits
        answers = experiment.encoded.answers[:, 0]
        before, after = (rows.log_softmax(-1)[range(3), answers] for rows in (experiment.clean_logits, logits))
        expected = before - after if relation else experiment.clean - experiment.values_of(logits)
        rounding(experiment.model).check(costs, expected)


def test_attention_to_a_place_is_summed_over_it_without_the_first_token(material: Material) -> None:
    """A subject of the first two tokens counts the second alone, where every prompt has one left."""
    pairs = [
        pair.model_copy(update={"spans": {"subject": (0, pair.prompt.index(" ") + 3)}})
        for pair in material.experiment.encoded.pairs[:2]
    ]
    two = dataclasses.replace(material, experiment=Experiment(material.experiment.model, pairs))
    patterns = material.experiment.model.attention(two.experiment.encoded.clean)
    found = role_attention(two, FACT[0]).values.unflatten(0, patterns.shape[:3:2])
    for prompt, last in enumerate((3, 5)):
        rounding(material.experiment.model).check(found[..., prompt], patterns[:, prompt, :, last, 1])


def test_a_place_that_reaches_the_query_ends_before_it(material: Material) -> None:
    pairs = [
        pair.model_copy(update={"spans": {"relation": (pair.prompt.index(" ") + 1, len(pair.prompt))}})
        for pair in material.experiment.encoded.pairs[:2]
    ]
    two = dataclasses.replace(material, experiment=Experiment(material.experiment.model, pairs))
    patterns = material.experiment.model.attention(two.experiment.encoded.clean)
    found = role_attention(two, FACT[1]).values.unflatten(0, patterns.shape[:3:2])
    for prompt, last in enumerate((3, 5)):
        expected = patterns[:, prompt, :, last, 1:last].sum(-1)
        rounding(material.experiment.model).check(found[..., prompt], expected)


def test_heads_that_write_the_relation_s_answers_from_elsewhere(material: Material, several: Material) -> None:
    few = [role_attention(material, FACT[0]), role_writing(material, FACT[0])]
    sure = dataclasses.replace(few[1], values=few[1].values.abs() + 1, null=0.5)
    chosen = _Measured(few[0], sure, {})
    assert list(_relation_writers(material, [0, 5, 11], sure, chosen)) == []  # three prompts prove nothing
    material = several
    look, write = role_attention(material, FACT[0]), role_writing(material, FACT[0])
    sure = dataclasses.replace(write, values=write.values.abs() + 10, null=0.5)
    rows = list(_relation_writers(material, [0, 5, 11], sure, _Measured(look, sure, {})))
    assert [row.direct for row in rows] == sorted((row.direct for row in rows), reverse=True)
    assert {row.head for row in rows} == {"a0.h0", "a1.h1", "a2.h3"}
    for row in rows:
        layer, head = int(row.head[1]), int(row.head[-1])
        last = material.experiment.encoded.last
        first = material.patterns[layer, range(6), head, last, 0].mean()
        assert row.first == rounding(material.experiment.model).near(float(first))
        assert row.attention == rounding(material.experiment.model).near(float(look.values[4 * layer + head].mean()))
    weak = dataclasses.replace(sure, null=1e9)
    assert list(_relation_writers(material, [0], weak, _Measured(look, sure, {}))) == []


def test_random_heads_are_others_and_as_many(material: Material) -> None:
    every = [f"a{layer}.h{head}" for layer in range(3) for head in range(4)]
    rows = role_ablations(material, {FACT[0]: every[:2]}, every, silent)
    random = rows[2]
    assert [row.ablated for row in rows] == ["nothing", "its heads", "as many random heads"]
    assert len(random.names) == 2 * 5
    assert not set(random.names) & set(every[:2])


def test_a_mixture_is_a_mover_and_a_relation_head() -> None:
    number = (0.5, 0.4, 0.6, 0.1)
    mover = HeadRole("mover", "a1.h0", True, 3, *number, *number, *number, True, True)
    other = mover._replace(head="a1.h1", role="relation")
    assert list(_mixtures([mover, other])) == []
    both = list(_mixtures([mover, other._replace(head="a1.h0")]))
    assert [(row.role, row.head) for row in both] == [("mixture", "a1.h0")]
    assert list(_mixtures([mover, other._replace(head="a1.h0", given=False)])) == []


@pytest.mark.parametrize(("names", "roles"), [(("IO", "S1", "S1+1", "S2"), IOI), (("previous", "subject"), REPEATED)])
def test_spans_say_which_roles_there_are(material: Material, names: tuple[str, ...], roles: object) -> None:
    assert roles_of(material) == (FACT[0],)  # no relation span
    pairs = [
        pair.model_copy(update={"spans": dict.fromkeys(names, (0, 2))}) for pair in material.experiment.encoded.pairs
    ]
    spanned = dataclasses.replace(material, experiment=Experiment(material.experiment.model, pairs))
    assert roles_of(spanned) == roles
    alone = dataclasses.replace(
        material, experiment=Experiment(material.experiment.model, material.experiment.encoded.pairs[:1])
    )
    assert "4 prompts, for intervals (n = 1: too few for an interval)" in str(ROLES.missing(alone))


@pytest.mark.real_weights
def test_on_real_weights_induction_heads_do_the_copying(
    smollm2: ResidualModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablated, the found heads take the copying of random tokens away; as many random heads do not."""
    for name, few in (("_head_roles._RANDOM", 6), ("_role_ablations._DRAWS", 2)):
        monkeypatch.setattr(f"wheatstone.mechanisms.{name}", few)
    experiment = Experiment(smollm2, load_task("induction", smollm2, size=64, known=1).train)
    none = torch.zeros(smollm2.graph.valid.shape, dtype=torch.bool)
    circuit = Circuit.of_mask(ModelInfo.of(smollm2), none)
    found = head_roles(Material(experiment, circuit), silent, REPEATED[:1])
    before, after, random = found.summary["ablations"]
    assert before["hit_at_1"] > 0.5
    assert after["hit_at_1"] < before["hit_at_1"] / 2
    assert random["hit_at_1"] == pytest.approx(before["hit_at_1"], abs=0.2)
    assert after["value_high"] < random["value_low"]
