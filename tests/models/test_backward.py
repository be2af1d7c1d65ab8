"""Backward rules against their sources' definitions, written out here, and on every family."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from assembled import AssembledRun
from slow import SlowRun
from tiny import make_tiny
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding
from torch import Tensor
from transformers import AttentionInterface

from wheatstone._errors import ModelError
from wheatstone.models import GIM, LINEAR, RELP, BackwardRules, ChannelGradients, ResidualModel, Tokens
from wheatstone.models._backward import backward_rules
from wheatstone.models._block import replaced_forward
from wheatstone.models._patterns import eager

CASES = list(FAMILY_CONFIGS)
PROMPTS = [[7, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [8, 9, 7, 9], [2, 7, 1, 8, 2, 8, 1, 8]]
RULES = {"gim": GIM, "relp": RELP, "linear": LINEAR}
PLAIN_MLPS = {"gpt2", "gptj", "opt", "gpt_neox", "phi"}
"""Families whose MLP has no gate."""
ROUTED = {"mixtral", "olmoe", "qwen3_moe"}
WITHOUT_BIASES = [
    *("llama", "llama-dynamic", "mistral", "qwen3", "smollm3", "gemma", "gemma2", "gemma3_text", "gemma3"),
    *("gemma3_text-longrope", "phi3", "phi3-longrope", "olmo2", "olmo3", "cohere", "cohere2", "mixtral", "qwen3_moe"),
]
"""Linear but for what the rules make constant: no bias, and no clamp on values."""

model_of = functools.cache(tiny_family)


def family_of(case: str) -> str:
    return case.partition("-")[0]


def difference(logits: Tensor) -> Tensor:
    """A metric that is linear in the logits, as conservation needs."""
    return logits[:, 3] - logits[:, 5]


def bending(logits: Tensor) -> Tensor:
    """A metric with a softmax of its own, which no rule may touch."""
    return logits.log_softmax(-1)[:, 3]


def rows_of(model: ResidualModel, run: ChannelGradients) -> Tensor:
    """[channel, batch, pos, d_model]."""
    return torch.cat([*(run.at_layer(layer) for layer in range(model.graph.layers)), run.at_logits()])


def gradients_of(
    model: ResidualModel,
    prompts: list[list[int]],
    rules: BackwardRules | None,
    values: Callable[[Tensor], Tensor] = bending,
) -> Tensor:
    return rows_of(model, model.channel_gradients(Tokens.of(prompts), values, rules=rules))


class Softened(torch.autograd.Function):
    """GIM's softmax: forward as it is, backward with the probabilities of scores divided by a temperature."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, temperature: float) -> Tensor:
        ctx.soft = (scores / temperature).softmax(-1)
        return scores.softmax(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return ctx.soft * (gradient - (gradient * ctx.soft).sum(-1, keepdim=True)), None


def scaled(x: Tensor, factor: float) -> Tensor:
    """x, with its gradient times a factor."""
    return x.detach() + factor * (x - x.detach())


def by_ratio(act: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """RelP's identity-rule: x times a constant ratio."""
    return x * (act(x) / x).detach()


class Ruled(SlowRun):
    """One prompt, one head at a time; attention as each source has it."""

    rules = "exact"

    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.rules == "gim":
            q, k, v = scaled(q, 0.25), scaled(k, 0.25), scaled(v, 0.5)
        scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(
            torch.ones(self.width, self.width).triu(1).bool(), -torch.inf
        )
        if self.rules == "gim":
            pattern: Any = Softened.apply(scores, 2.0)
        else:
            pattern = scores.softmax(-1)
        return (pattern.detach() if self.rules == "linear" else pattern) @ v


@contextmanager
def ruled_modules(model: ResidualModel, rules: str) -> Generator[None]:
    """Norms and MLPs as the sources define them: statistics detached, gates halved, activations by their ratio."""
    forwards: dict[Any, Callable[..., Any]] = {}

    def norm(module: Any) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            centred = isinstance(module, torch.nn.LayerNorm)
            x = x - x.mean(-1, keepdim=True) if centred else x
            eps = module.eps if centred else module.variance_epsilon
            y = x / (x.square().mean(-1, keepdim=True) + eps).sqrt().detach() * module.weight
            return y + module.bias if centred else y

        return forward

    def gated(mlp: Any) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            gate, up = mlp.gate_proj(x), mlp.up_proj(x)
            if rules == "gim":
                return mlp.down_proj(torch.nn.functional.silu(scaled(gate, 0.5)) * scaled(up, 0.5))
            product = by_ratio(torch.nn.functional.silu, gate) * up
            return mlp.down_proj(product / 2 + (product / 2).detach())

        return forward

    def plain(mlp: Any) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            hidden = mlp.c_fc(x)
            gelu = functools.partial(torch.nn.functional.gelu, approximate="tanh")
            return mlp.c_proj(gelu(hidden) if rules == "gim" else by_ratio(gelu, hidden))

        return forward

    for name, module in model.module.named_modules():
        if "Norm" in type(module).__name__:
            forwards[module] = norm(module)
        if name.endswith(".mlp"):
            forwards[module] = plain(module) if model.family.name == "gpt2" else gated(module)
    with replaced_forward(forwards):
        yield


@pytest.mark.parametrize("rules", RULES)
def test_gradients_are_those_of_the_sources_definition(rules: str, tiny64: ResidualModel) -> None:
    model, prompts = tiny64, PROMPTS[1:]
    got = gradients_of(model, prompts, RULES[rules])
    assert not torch.allclose(got, gradients_of(model, prompts, None), rtol=0.05)
    run = type("Run", (Ruled,), {"rules": rules})
    for row, ids in enumerate(prompts):
        leaves = {
            channel: torch.zeros(len(ids), model.d_model, dtype=torch.float64, requires_grad=True)
            for channel in model.graph.channels
        }
        with ruled_modules(model, rules):
            logits = run(model, ids, leaves=leaves).logits
        rounding(model).check(logits, model.forward(Tokens.of([ids])).logits[0])
        wanted = torch.autograd.grad(bending(logits[None]).sum(), list(leaves.values()), materialize_grads=True)
        for channel, gradient, expected in zip(leaves, got[:, row, : len(ids)], wanted, strict=True):
            rounding(model, passes=3).check(gradient, expected, say=channel)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("case", CASES)
def test_values_are_the_model_s_own_bit_for_bit_and_the_checkpoint_is_left_alone(case: str, rules: str) -> None:
    model = model_of(case)
    tokens = Tokens.of(PROMPTS)
    before = {name: module.__dict__.get("forward") for name, module in model.module.named_modules()}
    plain, ruled = (model.channel_gradients(tokens, bending, cache=True, rules=each) for each in (None, RULES[rules]))
    assert torch.equal(ruled.logits, plain.logits)
    assert plain.nodes is not None
    assert ruled.nodes is not None
    assert torch.equal(ruled.nodes, plain.nodes)
    assert {name: module.__dict__.get("forward") for name, module in model.module.named_modules()} == before
    with torch.no_grad(), backward_rules(model, RULES[rules]):  # on transformers' own forward too
        within = model.module(tokens.ids, use_cache=False).logits
    with torch.no_grad():
        assert torch.equal(within, model.module(tokens.ids, use_cache=False).logits)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("case", CASES)
def test_every_family_s_channels_are_autograds_with_one_leaf_per_channel(case: str, rules: str) -> None:
    model, ids = model_of(case), PROMPTS[0]
    got = gradients_of(model, [ids], RULES[rules])[:, 0]
    leaves = {channel: torch.zeros(len(ids), model.d_model, requires_grad=True) for channel in model.graph.channels}
    with backward_rules(model, RULES[rules]):
        logits = AssembledRun(model, ids, leaves=leaves, frozen_norms=True).logits
    wanted = torch.autograd.grad(bending(logits[None]).sum(), list(leaves.values()), materialize_grads=True)
    for channel, gradient, expected in zip(leaves, got, wanted, strict=True):
        rounding(model, passes=3).check(gradient, expected, say=channel)


@pytest.mark.parametrize("case", CASES)
def test_products_of_the_last_layer_are_shared_exactly_by_two(case: str) -> None:
    """Nothing follows the last layer but a norm that keeps its gradient, so each factor can be read off."""
    model = model_of(case)
    graph, last = model.graph, model.graph.layers - 1
    plain, attention, gates = (
        model.channel_gradients(Tokens.of(PROMPTS), bending, rules=rules).at_layer(last)
        for rules in (BackwardRules(), BackwardRules(shared_attention=True), BackwardRules(shared_gates=True))
    )
    queries, groups = graph.heads, graph.kv_groups
    factors = torch.tensor([0.25] * queries + [0.25] * groups + [0.5] * groups)[:, None, None, None]
    if not graph.parallel and family_of(case) not in ROUTED:
        # A sequential layer's attention also reaches the logits through its MLP, which no rule changes here.
        assert torch.equal(attention[-1], plain[-1])
    rounding(model, passes=3).check(attention[:-1], factors * plain[:-1])
    if family_of(case) in ROUTED:
        assert not torch.allclose(gates[-1], plain[-1])
    else:
        share = 1.0 if family_of(case) in PLAIN_MLPS else 0.5
        assert torch.equal(gates[-1], share * plain[-1])


@pytest.mark.parametrize("rules", ["gim", "linear"])
@pytest.mark.parametrize("case", CASES)
def test_attention_in_one_kernel_has_the_gradient_of_attention_written_out(case: str, rules: str) -> None:
    model = model_of(case)
    fast = gradients_of(model, PROMPTS, RULES[rules])
    with eager(model):
        slow = gradients_of(model, PROMPTS, RULES[rules])
    rounding(model, passes=3).check(fast, slow)


@pytest.mark.parametrize("case", WITHOUT_BIASES)
def test_relevance_is_conserved_at_every_node_where_nothing_has_a_bias(case: str) -> None:
    model = tiny_family(case)
    config: Any = model.module.config.get_text_config()
    if getattr(config, "final_logit_softcapping", None):
        config.final_logit_softcapping = None  # a cap is no line through the origin
    graph = model.graph
    run = model.channel_gradients(Tokens.of(PROMPTS), difference, cache=True, rules=LINEAR)
    assert run.nodes is not None
    relevance = torch.einsum("cbsd,nbsd->bcn", rows_of(model, run), run.nodes) * torch.from_numpy(graph.valid)
    read, wrote = relevance.sum(2), relevance.sum(1)
    metric = difference(run.logits)
    # A relevance is a sum of products of a gradient and a node's output, which may be much larger than the sum.
    close = functools.partial(rounding(model, passes=3).check, magnitude=float(relevance.abs().sum((1, 2)).max()))
    close(wrote[:, 0], metric, say="input")
    close(read[:, graph.logits_channel], metric, say="logits")
    for layer in range(graph.layers):
        close(read[:, graph.mlp_channel(layer)], wrote[:, graph.mlp_nodes(layer)].sum(1), say=f"m{layer}")
        channels = graph.attention_channels(layer)
        values = slice(channels.stop - graph.kv_groups, channels.stop)
        close(read[:, values].sum(1), wrote[:, graph.head_nodes(layer)].sum(1), say=f"a{layer}")
        assert (read[:, channels.start : values.start] == 0).all()  # nothing passes a constant pattern


@pytest.mark.parametrize("rules", ["gim", "relp", "linear"])
def test_a_routed_mlp_by_hand(rules: str) -> None:
    """Mixtral's last MLP from its definition: router, two experts a token, gates; every softmax and product ruled."""
    model = model_of("mixtral")
    block: Any = model.blocks[-1]
    run = model.channel_gradients(Tokens.of(PROMPTS[:1]), bending, cache=True, rules=RULES[rules])
    assert run.nodes is not None
    x = model.after_sublayers(run.nodes)[-2][0].requires_grad_()
    norm, router, experts = block.layer.post_attention_layernorm, block.mlp.gate, block.mlp.experts
    normed = norm.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.variance_epsilon).detach()
    scores = normed @ router.weight.T
    soft: Any = Softened.apply(scores, 2.0) if rules == "gim" else scores.softmax(-1)
    chances = soft.detach() if rules == "linear" else soft
    top, chosen = chances.topk(router.top_k, dim=-1)
    weights = top / top.sum(-1, keepdim=True)
    total = torch.zeros_like(x)
    for token in range(len(x)):
        for place, expert in enumerate(chosen[token].tolist()):
            gate, up = (experts.gate_up_proj[expert] @ normed[token]).chunk(2)
            silu = torch.nn.functional.silu
            inside = (silu(gate) if rules == "gim" else by_ratio(silu, gate)) * up
            written = experts.down_proj[expert] @ scaled(inside, 0.5)
            weighted = weights[token, place] * written
            # Where the router's weight is a constant, only one factor depends on the input and keeps all.
            total[token] = total[token] + (weighted if rules == "linear" else scaled(weighted, 0.5))
    rounding(model).check(total, run.nodes[-1, 0])
    (expected,) = torch.autograd.grad(total, x, run.at_logits()[0, 0])
    rounding(model, passes=3).check(run.at_layer(model.graph.layers - 1)[-1, 0], expected)


@pytest.mark.parametrize("rules", RULES)
def test_one_prompt_alone_is_the_same_prompt_in_a_padded_batch(rules: str, tiny64: ResidualModel) -> None:
    batch = gradients_of(tiny64, PROMPTS, RULES[rules])
    for row, ids in enumerate(PROMPTS):
        alone = gradients_of(tiny64, [ids], RULES[rules])[:, 0]
        rounding(tiny64, passes=3).check(batch[:, row, : len(ids)], alone)
        assert (batch[:, row, len(ids) :] == 0).all()


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("case", ["llama", "gpt2", "gemma2", "cohere", "mixtral"])
def test_bfloat16_keeps_its_values_and_stays_within_its_rounding(case: str, rules: str) -> None:
    half = tiny_family(case, torch.bfloat16)
    plain, ruled = (half.channel_gradients(Tokens.of(PROMPTS), bending, rules=each) for each in (None, RULES[rules]))
    assert torch.equal(ruled.logits, plain.logits)
    coarse, fine = rows_of(half, ruled), gradients_of(model_of(case), PROMPTS, RULES[rules])
    assert coarse.dtype == torch.bfloat16
    # As for the model's own gradients: these weights, drawn with a scale of 0.3, amplify bfloat16's rounding.
    assert float((coarse - fine).norm() / fine.norm()) < 0.3


def test_an_activation_s_slope_at_zero_is_finite() -> None:
    model = make_tiny("llama", torch.float64)
    with backward_rules(model, BackwardRules(linear_activations=True)):
        gate = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
        activation: Any = model.blocks[0].mlp.get_submodule("act_fn")
        written = activation(gate)
        model.forward(Tokens.of([[1, 2]]))
    written.sum().backward()
    assert torch.equal(written, torch.nn.functional.silu(gate))
    assert gate.grad is not None
    assert gate.grad.tolist() == rounding(model).near([0.0, 1 / (1 + 2.718281828459045**-2)])


@pytest.mark.parametrize("kind", ["attention", "norm"])
def test_a_model_whose_parts_the_rules_cannot_see_is_refused(kind: str) -> None:
    """A kernel of its own hides its operations: half of the rules would look like all of them."""
    model = make_tiny("llama", torch.float64)

    def opaque(module: Any, query: Tensor, key: Tensor, value: Tensor, *_args: Any, **_kwargs: Any) -> Any:
        return Hidden.apply(query).transpose(1, 2), None  # pyright: ignore[reportAttributeAccessIssue]

    if kind == "attention":
        AttentionInterface.register("opaque", opaque)
        model.module.config._attn_implementation = "opaque"
        match = "at least 3 patterns .*; got 0; .*attn_implementation"
    else:
        norm = model.blocks[0].attention_norm.module
        assert norm is not None
        norm.forward = lambda x: Hidden.apply(x)
        match = "at least 6 norms .*; got 6"  # six of seven: the final norm is the seventh
        model.blocks[1].mlp_norm.module.forward = lambda x: Hidden.apply(x)  # pyright: ignore
        match = "at least 6 norms .*; got 5"
    with pytest.raises(ModelError, match=match):
        gradients_of(model, PROMPTS, GIM)


class Hidden(torch.autograd.Function):
    """Something that torch does not show how it is computed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
