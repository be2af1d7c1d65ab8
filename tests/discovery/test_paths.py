"""Path patching against edges really removed, against the definition path by path, and against raw hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tolerance import rounding
from torch import Tensor

from wheatstone import CircuitError, Experiment, RequestError
from wheatstone.discovery import node_scores, path_patching
from wheatstone.models import Tokens


@pytest.mark.parametrize("ablation", ["counterfactual", "zero", "mean"])
@pytest.mark.parametrize(
    "receivers",
    [("logits",), ("a2.h3<q>",), ("a1.g0<k>",), ("m1",), ("a1.h2<q>", "a1.g1<v>", "m1", "a2.h0<q>", "m2", "logits")],
)
def test_direct_paths_are_removed_edges(tiny_experiment: Experiment, ablation: str, receivers: tuple[str, ...]) -> None:
    experiment = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs, ablation=ablation, metric="kl")
    got = path_patching(experiment, receivers=receivers, through="direct")
    graph = experiment.graph
    keep = torch.from_numpy(graph.valid).repeat(len(got.senders), 1, 1)
    for circuit, sender in zip(keep, got.senders, strict=True):
        circuit[[graph.channel_index[name] for name in receivers], graph.node_index[sender]] = False
    # Without its edge a node may be out of the input's reach, and zero ablation then stops it altogether.
    reached = torch.from_numpy(graph.live_nodes(keep.numpy())).all(-1)
    assert reached.sum() >= len(reached) - 1
    expected = experiment.values(keep) - experiment.clean  # under kl, more is worse
    rounding(experiment.model).check(got.values[reached], expected[reached])


def test_paths_to_every_channel_are_the_nodes_effect(tiny_experiment: Experiment) -> None:
    expected = node_scores(tiny_experiment, method="exact").values
    for through in ("mlps", "direct"):
        got = path_patching(tiny_experiment, receivers=tiny_experiment.graph.channels, through=through)
        rounding(tiny_experiment.model).check(got.values, expected)


def test_all_nodes_directly_to_the_logits_give_the_ablated_run(tiny_experiment: Experiment) -> None:
    got = path_patching(tiny_experiment, [tiny_experiment.graph.nodes], through="direct", logits=True)
    assert got.logits is not None
    assert got.senders == ("+".join(tiny_experiment.graph.nodes),)
    rounding(tiny_experiment.model).check(got.logits[0], tiny_experiment.corrupt_logits)


def test_mlps_that_receive_are_not_passed_through_again(tiny_experiment: Experiment) -> None:
    receivers = ("m0", "m1", "m2", "logits")
    through, direct = (
        path_patching(tiny_experiment, receivers=receivers, through=way).values for way in ("mlps", "direct")
    )
    rounding(tiny_experiment.model).check(through, direct)


def test_a_sender_with_no_mlp_after_it_has_only_direct_paths(tiny_experiment: Experiment) -> None:
    through, direct = (path_patching(tiny_experiment, ["m2", "m0"], through=way).values for way in ("mlps", "direct"))
    rounding(tiny_experiment.model).check(through[0], direct[0])
    assert (through[1] - direct[1]).abs().min() > rounding(tiny_experiment.model).bound(10)


class HookedPaths:
    """Appendix B of Wang et al. by hooks on transformers' own llama or gpt2, one prompt at a time.

    Second pass: the sender writes what it wrote on the counterfactual, all other heads what they wrote on the clean
    prompt, MLPs are left to themselves (or frozen too); the receivers' queries, keys, values and inputs are noted.
    Third pass: the clean prompt with these in place.
    """

    def __init__(self, module: Any, heads: int, groups: int) -> None:
        self.module, self.heads, self.groups = module, heads, groups
        self.llama = hasattr(module, "model")
        body = module.model if self.llama else module.transformer
        self.layers = body.layers if self.llama else body.h
        self.input = body.embed_tokens if self.llama else body.drop

    def sites(self) -> dict[str, tuple[Any, bool, slice]]:
        """By name of node or channel: the module, whether its output (or its input) is meant, and which columns."""
        every = slice(None)
        sites: dict[str, tuple[Any, bool, slice]] = {"input": (self.input, True, every)}
        for index, layer in enumerate(self.layers):
            attention = layer.self_attn if self.llama else layer.attn
            width = attention.head_dim
            output = attention.o_proj if self.llama else attention.c_proj
            for head in range(self.heads):
                sites[f"a{index}.h{head}"] = (output, False, slice(head * width, (head + 1) * width))
            sites[f"m{index}"] = (layer.mlp, True, every)
            sites[f"m{index} reads"] = (layer.mlp, False, every)
            offset = 0
            for kind, count in zip("qkv", (self.heads, self.groups, self.groups), strict=True):
                module = getattr(attention, f"{kind}_proj") if self.llama else attention.c_attn
                offset = 0 if self.llama else offset
                for row in range(count):
                    name = f"a{index}.{'h' if kind == 'q' else 'g'}{row}<{kind}>"
                    sites[name] = (module, True, slice(offset + row * width, offset + (row + 1) * width))
                offset += count * width
        return sites

    def run(self, ids: Tensor, instead: dict[str, Tensor], note: list[str]) -> tuple[dict[str, Tensor], Tensor]:
        """Puts values at some sites, notes others, and gives the logits at the last position."""
        noted: dict[str, Tensor] = {}
        handles: list[Any] = []
        sites = self.sites()

        def touch(name: str, whole: Tensor) -> Tensor:
            columns = sites[name][2]
            if name in instead:
                whole = whole.clone()
                whole[..., columns] = instead[name]
            if name in note:
                noted[name] = whole[..., columns].clone()
            return whole

        for name in dict.fromkeys([*instead, *note]):
            module, output, _ = sites[name]
            if output:
                handles.append(module.register_forward_hook(lambda _m, _a, out, name=name: touch(name, out)))
            else:
                handles.append(
                    module.register_forward_pre_hook(lambda _m, args, name=name: (touch(name, args[0]), *args[1:]))
                )
        try:
            logits = self.module(ids, use_cache=False).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()
        return noted, logits

    @torch.no_grad()
    def logits(self, ids: Tensor, other: Tensor, sender: str, receivers: list[str], through: str) -> Tensor:
        nodes = [name for name in self.sites() if "<" not in name and "reads" not in name]
        (clean, _), (ablated, _) = self.run(ids, {}, nodes), self.run(other, {}, nodes)
        frozen = {name: value for name, value in clean.items() if through == "direct" or name.startswith("a")}
        frozen[sender] = ablated[sender]
        wanted = [f"{name} reads" if name.startswith("m") else name for name in receivers if name != "logits"]
        received, logits = self.run(ids, frozen, wanted)
        return logits if receivers == ["logits"] else self.run(ids, received, [])[1]


RECEIVERS = [["logits"], ["a2.h1<q>"], ["a2.g0<k>", "a2.g1<v>"], ["a1.h0<q>", "a1.h3<q>", "a1.g0<v>"], ["m2"], ["m1"]]


@pytest.mark.parametrize("through", ["direct", "mlps"])
@pytest.mark.parametrize("receivers", RECEIVERS, ids=" ".join)
def test_it_is_the_published_procedure(tiny_experiment: Experiment, receivers: list[str], through: str) -> None:
    experiment, model, graph = tiny_experiment, tiny_experiment.model, tiny_experiment.graph
    got = path_patching(experiment, receivers=receivers, through=through, logits=True)
    assert got.logits is not None
    hooked = HookedPaths(model.module, graph.heads, graph.kv_groups)
    for row, pair in enumerate(experiment.encoded.pairs):
        ids, other = (torch.tensor([model.encode(text)]) for text in (pair.prompt, pair.counterfactual))
        for sender in ("input", "a0.h2", "m0", "a1.h1", "m1", "a2.h3"):
            if sender in got.senders:
                expected = hooked.logits(ids, other, sender, receivers, through)
                found = got.logits[got.senders.index(sender), row]
                rounding(model).check(found, expected)


@pytest.mark.real_weights
@pytest.mark.parametrize("receivers", [["logits"], ["a23.g1<v>"]], ids=" ".join)
def test_the_published_procedure_on_real_weights(france: Experiment, receivers: list[str]) -> None:
    senders = ["input", "a10.h6", "m14", "a22.h1"]
    got = path_patching(france, senders, receivers, logits=True)
    assert got.logits is not None
    hooked = HookedPaths(france.model.module, 9, 3)
    encoded = france.encoded
    for sender, found in zip(senders, got.logits, strict=True):
        expected = hooked.logits(encoded.clean.ids, encoded.counterfactual.ids, sender, receivers, "mlps")
        rounding(france.model).check(found[0], expected)


def test_the_order_of_senders_and_how_many_run_together_do_not_matter(
    tiny_experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers = ["a1.g0<v>", "a2.h1<q>", "m2"]
    whole = path_patching(tiny_experiment, receivers=receivers)
    back = path_patching(tiny_experiment, whole.senders[::-1], receivers)
    rounding(tiny_experiment.model).check(back.values.flip(0), whole.values)
    monkeypatch.setattr("wheatstone.discovery._paths._PATHS", 9)
    rounding(tiny_experiment.model).check(path_patching(tiny_experiment, receivers=receivers).values, whole.values)
    monkeypatch.setattr(tiny_experiment, "memory", 1)
    rounding(tiny_experiment.model).check(path_patching(tiny_experiment, receivers=receivers).values, whole.values)


def test_by_default_every_node_before_a_receiver_sends(tiny_experiment: Experiment) -> None:
    nodes = tiny_experiment.graph.nodes
    assert path_patching(tiny_experiment).senders == nodes
    got = path_patching(tiny_experiment, receivers=["a1.h0<q>"])
    assert got.senders == nodes[:6]
    assert [name for name, _ in got.ranking()] == sorted(
        got.senders, key=lambda name: -abs(float(got.values[got.senders.index(name)].mean()))
    )


def test_hooks_name_senders_and_receivers_too(tiny_experiment: Experiment) -> None:
    hooks = path_patching(tiny_experiment, ["blocks.0.hook_mlp_out"], ["blocks.2.hook_q_input[1]"])
    names = path_patching(tiny_experiment, ["m0"], ["a2.h1<q>"])
    assert (hooks.senders, hooks.receivers) == (names.senders, names.receivers)
    assert hooks.values.equal(names.values)


def test_requests_that_are_refused(tiny_experiment: Experiment) -> None:
    with pytest.raises(CircuitError, match=r"a channel.*got 'a0\.h9<q>'"):
        path_patching(tiny_experiment, receivers=["a0.h9<q>"])
    with pytest.raises(CircuitError, match=r"a node.*got 'logits'"):
        path_patching(tiny_experiment, ["logits"])
    with pytest.raises(RequestError, match=r"comes before a1\.h0<q>; got a1\.h1"):
        path_patching(tiny_experiment, ["a1.h1"], ["a1.h0<q>"])
    with pytest.raises(RequestError, match="at least one receiver"):
        path_patching(tiny_experiment, receivers=[])
    with pytest.raises(RequestError, match="out of mlps, direct; got 'heads'"):
        path_patching(tiny_experiment, through="heads")


def test_a_batch_is_its_prompts_one_by_one(tiny_experiment: Experiment) -> None:
    whole = path_patching(tiny_experiment, receivers=["a2.g0<k>"]).values
    for row, pair in enumerate(tiny_experiment.encoded.pairs):
        alone = path_patching(Experiment(tiny_experiment.model, [pair]), receivers=["a2.g0<k>"]).values
        rounding(tiny_experiment.model).check(alone[:, 0], whole[:, row])


def test_nothing_is_sent_where_the_prompts_agree(tiny_experiment: Experiment) -> None:
    tokens = Tokens.of([[3, 1, 4], [1, 5]])
    plain = tiny_experiment.model.streams(tokens)
    senders = torch.eye(len(tiny_experiment.graph.nodes), dtype=torch.bool)
    got = tiny_experiment.model.path_logits(plain, plain.nodes, senders, [20, 30])
    rounding(tiny_experiment.model).check(got, tiny_experiment.model.forward(tokens).logits.expand_as(got))
