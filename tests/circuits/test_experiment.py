"""Every number about a circuit, against transformers run by plain hooks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tolerance import rounding
from torch import Tensor, nn

from wheatstone import Experiment, PromptError, PromptPair, RequestError, ResidualModel
from wheatstone.discovery._scores import attribute

READABLE = """
input->m0, m0->m7, m0->m14, m0->a23.g1<v>, m7->a23.g1<v>, m14->a23.g1<v>, a23.h4->m23, a23.h4->a29.g0<v>,
m23->a29.g0<v>, a23.h4->m29, a23.h4->logits, m23->logits, a29.h1->logits, a29.h2->logits, m29->logits
"""
"""A circuit of 15 edges for the official language of France, found by hand."""


def mask_of(experiment: Experiment, *edges: str) -> Tensor:
    keep = torch.zeros(experiment.graph.valid.shape, dtype=torch.bool)
    for edge in edges:
        keep[experiment.graph.edge(*edge.strip().split("->"))] = True
    return keep


class HookedLlama:
    """The ablation once more, from raw hooks on transformers' llama and nothing of the engine.

    Every module that reads the residual stream is made to read what the circuit lets it read: the projections of
    q, k and v head by head, the MLPs, the final norm. Whatever the model itself adds up on the way is ignored.
    """

    def __init__(self, module: Any) -> None:
        self.module, self.body = module, module.model
        self.config = module.config
        self.d_head = module.model.layers[0].self_attn.head_dim
        self.order: list[str] = []

    @contextmanager
    def hooks(self, *handles: Any) -> Generator[None, None, None]:
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def writes(self, into: dict[str, Tensor]) -> list[Any]:
        """Hooks that note what every node writes, in order of computation."""

        def head_writer(layer: int, o_proj: nn.Linear) -> Any:
            def pre_hook(_: nn.Module, args: tuple[Tensor]) -> None:
                for head in range(self.config.num_attention_heads):
                    columns = slice(head * self.d_head, (head + 1) * self.d_head)
                    into[f"a{layer}.h{head}"] = args[0][..., columns] @ o_proj.weight[:, columns].T

            return pre_hook

        def writer(name: str) -> Any:
            def hook(_: nn.Module, __: Any, output: Tensor) -> None:
                into[name] = output

            return hook

        handles = [self.body.embed_tokens.register_forward_hook(writer("input"))]
        for index, layer in enumerate(self.body.layers):
            o_proj = layer.self_attn.o_proj
            handles += [
                o_proj.register_forward_pre_hook(head_writer(index, o_proj)),
                layer.mlp.register_forward_hook(writer(f"m{index}")),
            ]
        return handles

    def outputs(self, ids: Tensor) -> dict[str, Tensor]:
        """What every node writes in a plain run."""
        written: dict[str, Tensor] = {}
        with self.hooks(*self.writes(written)), torch.no_grad():
            self.module(ids, use_cache=False)
        return written

    def logits(self, ids: Tensor, counterfactual: Tensor, edges: list[tuple[str, str]]) -> Tensor:
        """Logits at the last position with every edge but these carrying the counterfactual."""
        ablated = self.outputs(counterfactual)
        current: dict[str, Tensor] = {}

        def read(channel: str) -> Tensor:
            total = sum(ablated[name] for name in current)
            assert isinstance(total, Tensor)
            for sender, receiver in edges:
                if receiver == channel:
                    total = total + current[sender] - ablated[sender]
            return total

        def projected(layer: Any, names: list[str]) -> Any:
            def hook(module: nn.Linear, _: Any, __: Tensor) -> Tensor:
                rows = module.weight.split(self.d_head)
                return torch.cat(
                    [layer.input_layernorm(read(name)) @ row.T for name, row in zip(names, rows, strict=True)], dim=-1
                )

            return hook

        def reading(name: str, norm: Any) -> Any:
            return lambda _module, _args: (norm(read(name)) if norm else read(name),)

        handles = self.writes(current)
        heads, groups = range(self.config.num_attention_heads), range(self.config.num_key_value_heads)
        for index, layer in enumerate(self.body.layers):
            attention = layer.self_attn
            queries = [f"a{index}.h{head}<q>" for head in heads]
            keys, values = ([f"a{index}.g{group}<{kind}>" for group in groups] for kind in "kv")
            for module, names in ((attention.q_proj, queries), (attention.k_proj, keys), (attention.v_proj, values)):
                handles.append(module.register_forward_hook(projected(layer, names)))
            reads_mlp = reading(f"m{index}", layer.post_attention_layernorm)
            handles.append(layer.mlp.register_forward_pre_hook(reads_mlp))
        handles.append(self.body.norm.register_forward_pre_hook(reading("logits", None)))
        with self.hooks(*handles), torch.no_grad():
            return self.module(ids, use_cache=False).logits[0, -1]


@pytest.mark.real_weights
@pytest.mark.parametrize("which", ["a readable circuit", "the top 40 edges of EAP-IG", "no edge"])
def test_faithfulness_is_what_raw_hooks_on_transformers_give(france: Experiment, which: str) -> None:
    edges = READABLE.split(",") if which == "a readable circuit" else []
    keep = attribute(france).top([40])[0] if "EAP-IG" in which else mask_of(france, *edges)
    graph = france.graph
    named = [(graph.nodes[node], graph.channels[channel]) for channel, node in keep.nonzero().tolist()]
    model = france.model
    answer, distractor = (model.continuation(text)[0] for text in (" French", " Japanese"))
    clean_ids, corrupt_ids = (torch.tensor([model.encode(text)]) for text in (
        "The official language of France is", "The official language of Japan is"
    ))  # fmt: skip

    def difference(logits: Tensor) -> float:
        return float(logits[answer] - logits[distractor])

    with torch.no_grad():
        clean = difference(model.module(clean_ids).logits[0, -1])
        corrupt = difference(model.module(corrupt_ids).logits[0, -1])
    circuit = difference(HookedLlama(model.module).logits(clean_ids, corrupt_ids, named))
    expected = (circuit - corrupt) / (clean - corrupt)
    assert france.faithfulness(keep[None])[0] == rounding(france.model).near(expected)
    if which == "a readable circuit":
        assert expected == pytest.approx(0.92, abs=0.01)


@pytest.mark.real_weights
def test_the_numbers_of_france(france: Experiment) -> None:
    assert france.clean.tolist() == pytest.approx([9.02], abs=0.01)
    assert france.corrupt.tolist() == pytest.approx([-5.12], abs=0.01)
    whole = torch.from_numpy(france.graph.valid)
    assert france.faithfulness(torch.stack([whole, ~whole & whole])) == rounding(france.model).near([1, 0])


@pytest.mark.real_weights
def test_a_counterfactual_answered_the_same_way_is_refused_with_the_two_metrics(smollm2: ResidualModel) -> None:
    same = PromptPair(
        prompt="The official language of France is",
        counterfactual="The spoken language of France is",
        answers=(" French",),
        distractors=(" Japanese",),
    )
    with pytest.raises(PromptError, match=r"logit_diff 9\.\d+ on the prompt and \d+\.\d+ logits ablated.*nothing to"):
        Experiment(smollm2, [same])


def test_whole_and_empty_circuits_have_faithfulness_one_and_zero(tiny_experiment: Experiment) -> None:
    whole = torch.from_numpy(tiny_experiment.graph.valid)
    got = tiny_experiment.faithfulness(torch.stack([whole, torch.zeros_like(whole)]))
    assert got == rounding(tiny_experiment.model).near([1, 0])
    assert tiny_experiment.corrupt.tolist() == pytest.approx(
        tiny_experiment.values_of(tiny_experiment.model.forward(tiny_experiment.encoded.counterfactual).logits).tolist()
    )


@pytest.mark.parametrize("metric", ["logit_diff", "prob_diff", "kl"])
def test_faithfulness_averages_over_prompts_before_dividing(tiny_experiment: Experiment, metric: str) -> None:
    experiment = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs, metric=metric)
    draw = torch.Generator().manual_seed(0)
    keep = torch.from_numpy(experiment.graph.valid) & (torch.rand(experiment.graph.valid.shape, generator=draw) < 0.6)
    logits = experiment.model.forward_circuit(experiment.encoded.clean, experiment.ablated, keep[None]).logits[0]
    circuit, clean, corrupt = (values.mean() for values in (
        experiment.values_of(logits), experiment.clean, experiment.corrupt
    ))  # fmt: skip
    assert experiment.faithfulness(keep[None]) == pytest.approx([float((circuit - corrupt) / (clean - corrupt))])


def test_edge_gradients_are_slopes_of_faithfulness(tiny_experiment: Experiment) -> None:
    whole = torch.from_numpy(tiny_experiment.graph.valid)
    plain = tiny_experiment.model.circuit_gradients(
        tiny_experiment.encoded.clean, tiny_experiment.ablated, whole, tiny_experiment.values_of
    )
    scale = float(tiny_experiment.clean.sum() - tiny_experiment.corrupt.sum())
    torch.testing.assert_close(tiny_experiment.edge_gradients(whole), plain / scale)


def test_circuits_are_run_in_chunks_that_fit(tiny_experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    valid = torch.from_numpy(tiny_experiment.graph.valid)
    keep = valid & (torch.rand(5, *valid.shape, generator=draw) < 0.5)
    together, before = tiny_experiment.logits(keep), tiny_experiment.evaluations
    monkeypatch.setattr(tiny_experiment, "memory", 1)
    rounding(tiny_experiment.model).check(tiny_experiment.logits(keep), together)
    assert tiny_experiment.evaluations == before + 5


def test_zero_ablation_runs_in_the_models_own_precision(tiny_experiment: Experiment) -> None:
    experiment = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs[:1], ablation="zero", metric="kl")
    assert experiment.ablated.dtype == experiment.corrupt_logits.dtype == torch.float64
    whole = torch.from_numpy(experiment.graph.valid)[None]
    rounding(experiment.model).check(experiment.logits(whole)[0], experiment.clean_logits)


def test_a_mean_is_taken_position_by_position_where_all_prompts_are_as_long(tiny_experiment: Experiment) -> None:
    model, pair = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    swapped = pair.swapped()
    assert swapped is not None
    pairs = [pair, swapped]
    experiment = Experiment(model, pairs[:1], ablation="mean", reference=pairs)
    first, second = (model.forward(model.tokens([pair.counterfactual]), cache=True).nodes for pair in pairs)
    assert first is not None
    assert second is not None
    rounding(model).check(experiment.ablated, (first + second) / 2)
    whole = torch.from_numpy(experiment.graph.valid)
    assert experiment.faithfulness(torch.stack([whole, ~whole & whole])) == rounding(model).near([1, 0])


def test_where_lengths_differ_a_mean_is_taken_over_first_tokens_and_over_all_others(
    tiny_experiment: Experiment,
) -> None:
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs
    experiment = Experiment(model, pairs, ablation="mean")
    written = [model.forward(model.tokens([pair.counterfactual]), cache=True).nodes for pair in pairs]
    each = [nodes[:, 0] for nodes in written if nodes is not None]
    first = torch.stack([nodes[:, 0] for nodes in each], dim=1).mean(1)
    later = torch.cat([nodes[:, 1:] for nodes in each], dim=1).mean(1)
    expected = torch.stack([first] + [later] * (experiment.ablated.shape[2] - 1), dim=1)
    rounding(model).check(experiment.ablated, expected[:, None].expand_as(experiment.ablated))


def test_the_mean_of_a_prompt_does_not_depend_on_its_neighbours(tiny_experiment: Experiment) -> None:
    """Prompts as long as all reference prompts have means by position, alone and beside a longer or a shorter one."""
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs
    lengths = tiny_experiment.encoded.clean.lengths.tolist()
    assert len(set(lengths)) > 1
    for reference in pairs:
        together = Experiment(model, pairs, ablation="mean", reference=[reference], allow_weak=True)
        for row, (pair, length) in enumerate(zip(pairs, lengths, strict=True)):
            alone = Experiment(model, [pair], ablation="mean", reference=[reference], allow_weak=True)
            rounding(model).check(together.ablated[:, row, :length], alone.ablated[:, 0])
            rounding(model).check(together.corrupt[row], alone.corrupt[0])


def test_an_unknown_ablation_is_refused(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="counterfactual, mean, zero; got 'noise'"):
        Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs, ablation="noise")


def test_tokens_shared_with_the_counterfactual_are_not_run_again(tiny_experiment: Experiment) -> None:
    """As with every position computed: logits, slopes, and runs that start from another's state."""
    experiment = tiny_experiment.on(tiny_experiment.encoded.pairs[:1])
    assert (tiny_experiment.start, experiment.start) == (0, 1)
    valid = torch.from_numpy(experiment.graph.valid)
    keep = valid & (torch.rand(6, *valid.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    keep[1:] &= keep[0]
    states = experiment.state(keep[0])[0], experiment.logits(keep), experiment.edge_gradients(keep[0])
    resumed = experiment.logits(keep, resume=states[0])
    experiment.start = 0
    rounding(experiment.model).check(states[1], experiment.logits(keep))
    rounding(experiment.model).check(resumed, experiment.logits(keep))
    rounding(experiment.model, passes=3).check(states[2], experiment.edge_gradients(keep[0]))
