"""The gradient of a metric at every channel's input, in one forward and one backward pass.

A head's query channel has its own copy of the residual stream only on paper. Its gradient is

    g[h] = J(x)ᵀ W_hᵀ dq[h]

with dq[h] the gradient at the head's query, W_h its projection and J the norm's Jacobian. So one backward pass
through the ordinary forward gives dq, dk, dv for all heads, and the rest is a product per layer. Summed over
integration steps, the sum moves inside the projection, and no step pays for it (see `_Pulled`).

Layers are differentiated one at a time, from the last to the first, and each is dropped before the next. What they
need is either kept from the forward pass, or only what each layer reads is kept and the layer is run again on its way
back: a third more time, and memory for one layer in place of all.

Positions before the first at which a prompt differs from its counterfactual write nothing that is scored. Their keys
and values are computed once for all steps, and are constants of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from wheatstone.models._backward import BackwardRules, RuledRun
from wheatstone.models._decoder import Decoder
from wheatstone.models._node_outputs import NodeOutputs, OutputsBuilder
from wheatstone.models._norm import Norm
from wheatstone.models._tokens import Tokens

Values = Callable[[Float[Tensor, "step_batch vocab"]], Float[Tensor, " step_batch"]]
Rewrite = Callable[[int, Float[Tensor, "step_batch pos d_model"]], Float[Tensor, "step_batch pos d_model"]]
"""What a sublayer writes instead: (2·layer + 1 for attention, 2·layer + 2 for the MLP; what it wrote) -> that."""
TOGETHER = 512
"""Tokens of the steps that are run together where layers are run again, unless one step has more."""


@final
class ChannelGradients:
    """Gradients at the channels, summed over integration steps; made layer by layer, from the last to the first.

    Args:
        outputs: what each node wrote at the last step, where that was kept.
        logits: at each prompt's last position, [step*batch, vocab].
        start: gradients are those of the positions from here on.
    """

    def __init__(self, run: _Run, passes: list[_Pass], outputs: NodeOutputs | None) -> None:
        self.outputs, self.start = outputs, run.start
        self.logits = torch.cat([each.logits for each in passes])
        self._run, self._passes = run, passes
        at_logits = sum(each.d.unflatten(0, (-1, run.tokens.batch)).sum(0) for each in passes)
        assert isinstance(at_logits, Tensor)
        self._at_logits = at_logits[None].to(run.model.device)
        self._made: dict[int, Tensor] = {}

    @property
    def nodes(self) -> Float[Tensor, "node batch pos d_model"] | None:
        """What each node wrote at the last step, where that was kept."""
        return None if self.outputs is None else self.outputs.nodes()

    def each(self) -> Iterator[tuple[int, Float[Tensor, "channel batch pos d_model"]]]:
        """Each layer with the gradients at its channels in the graph's order (q, k, v, MLP), the last layer first.

        They can be gone through once; nothing is kept of them.
        """
        for layer in reversed(range(self._run.model.graph.layers)):
            yield layer, self._run.gradient(layer, self._passes)
        self._run.rules.check()

    def at_layer(self, layer: int) -> Float[Tensor, "channel batch pos d_model"]:
        """Gradients at the layer's channels; those of all layers are kept."""
        self._made = self._made or dict(self.each())
        return self._made[layer]

    def at_logits(self) -> Float[Tensor, "1 batch pos d_model"]:
        """Gradient at the channel that the unembedding reads."""
        return self._at_logits


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's graph: residuals before the sublayers, q, k, v, the MLP's normed input, and the residual after it."""

    x: Tensor
    qkv: list[Tensor]
    mlp_in: Tensor
    normed: Tensor
    out: Tensor


@dataclass(frozen=True, eq=False)
class _Run:
    """What all passes share."""

    model: Decoder
    tokens: Tokens
    rules: RuledRun
    rewrite: Rewrite | None
    start: int
    keep: bool

    def gradient(self, layer: int, passes: list[_Pass]) -> Float[Tensor, "channel batch pos d_model"]:
        """The gradients at a layer's channels, summed over passes, which are taken back through it."""
        block = self.model.blocks[layer]
        with block.present():
            offsets, bias = block.offsets(), block.mlp_norm.bias
            pulled = [_Pulled(block.attention_norm, self) for _ in range(3)] + [_Pulled(block.mlp_norm, self)]
            for each in passes:
                part, (*d_qkv, d_mlp) = each.back(layer)
                for to, d, own, offset in zip(pulled, d_qkv, part.qkv, offsets, strict=False):
                    to.add(part.x, d, own.detach() - offset)
                linear = part.normed.detach() - (0 if bias is None else bias)
                pulled[3].add(part.mlp_in, d_mlp[..., None, :], linear[..., None, :])
            rows = [
                to.back(lambda d, weight=weight: torch.einsum("bshe,hed->hbsd", d, weight))
                for to, weight in zip(pulled, block.qkv_weights, strict=False)
            ]
            rows.append(pulled[3].back(lambda d: d.movedim(2, 0)))
            return torch.cat(rows).to(self.model.device, self.model.dtype)


class _Pulled:
    """Takes gradients d at (a projection of) a norm's output back to the norm's input, summed over steps.

    With `linear` the projection of w ⊙ x r, the term (x·u) r² / d_model of the Jacobian is (linear · d) r / d_model: it
    needs no product of size d_model per row, and the rest is linear in d.
    """

    def __init__(self, norm: Norm, run: _Run) -> None:
        self.norm, self.run = norm, run
        self.direct: Tensor | None = None
        self.along: Tensor | None = None

    def add(
        self,
        x: Float[Tensor, "step_batch pos d_model"],
        d: Float[Tensor, "step_batch pos row inner"],
        linear: Float[Tensor, "step_batch pos row inner"],
    ) -> None:
        """The gradients of some steps."""
        steps = (-1, self.run.tokens.batch)
        if self.norm.module is None:
            direct = d.unflatten(0, steps).sum(0)
        else:
            x, r = self.norm.standardise(x.detach())
            direct = (d * r[..., None]).unflatten(0, steps).sum(0)
            if self.run.rules.rules is None:  # under rules r is a constant: r times the centring is what is left
                along = ((linear * d).sum(-1) * r.square() / x.shape[-1]).unflatten(0, steps)
                along = torch.einsum("nbsd,nbsh->hbsd", x.unflatten(0, steps), along)
                self.along = along if self.along is None else self.along + along
        self.direct = direct if self.direct is None else self.direct + direct

    def back(self, project: Callable[[Tensor], Tensor]) -> Float[Tensor, "row batch pos d_model"]:
        """Their sum at the norm's input."""
        assert self.direct is not None
        direct = project(self.direct.to(self.run.model.dtype))
        if self.norm.module is None:
            return direct
        if self.norm.weight is not None:
            direct = self.norm.weight * direct
        if self.norm.centred:
            direct = direct - direct.mean(-1, keepdim=True)
        return direct if self.along is None else direct - self.along


class _Pass:
    """Some integration steps of all prompts: forward at once, then back a layer at a time.

    Args:
        run: what all passes share.
        inputs: what the `input` node writes at each of the steps, from the first position on that is run.
        values: the metric.
        past: keys and values of the positions before.
        outputs: where to note what nodes write at the last of the steps.
    """

    def __init__(
        self,
        run: _Run,
        inputs: Float[Tensor, "step batch pos d_model"] | None,
        values: Values,
        past: _Prefix | None,
        outputs: OutputsBuilder | None,
    ) -> None:
        self._run, self._outputs = run, outputs
        self._kept: list[_Layer | tuple[Tensor, dict[str, Any]]] = []
        final: list[Tensor] = []

        def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
            if index == 0:
                x = x if inputs is None else inputs.flatten(0, 1)
                if outputs is not None:
                    outputs.input(x[-run.tokens.batch :])
            if run.keep:
                part = self._layer(index, x.detach().requires_grad_(), call)
                self._kept.append(part)
            else:
                with torch.no_grad(), run.rules.paused():
                    part = self._layer(index, x.detach(), call)
                self._kept.append((part.x, call))
            self._outputs = None if index == run.model.graph.layers - 1 else outputs
            out = part.out.detach()
            if index == run.model.graph.layers - 1:
                final.append(out.requires_grad_())
            return out

        with torch.enable_grad():
            with run.rules.on():
                logits = run.model.run(run.tokens.repeat(1 if inputs is None else len(inputs)), layer, past=past)
            (self.d,) = torch.autograd.grad(values(logits).sum(), final)
        self.logits = logits.detach()

    def back(self, index: int) -> tuple[_Layer, list[Tensor]]:
        """Goes back through a layer: its graph, and the gradients at q, k, v and the MLP's normed input."""
        part, rules = self._kept.pop(), self._run.rules
        if not isinstance(part, _Layer):
            x, call = part
            with torch.enable_grad(), rules.on():
                part = self._layer(index, x.requires_grad_(), call)
        # Behind a constant pattern queries and keys are no longer in the graph: their gradient is 0.
        constant = rules.rules is not None and rules.rules.frozen_patterns
        at = [*part.qkv, part.normed, *([part.x] if index else [])]
        grads = list(torch.autograd.grad(part.out, at, self.d.to(part.out.device), materialize_grads=constant))
        self.d = grads[-1]
        return part, grads[:4]

    def _layer(self, index: int, x: Tensor, call: dict[str, Any]) -> _Layer:
        run = self._run
        block, rewrite = run.model.blocks[index], run.rewrite
        qkv = block.qkv(block.attention_norm(x))
        z = block.attend(qkv, call)
        attention = block.attention_output(z)
        middle = x + (attention if rewrite is None else rewrite(2 * index + 1, attention))
        mlp_in = x if run.model.graph.parallel else middle
        normed = block.mlp_norm(mlp_in)
        mlp = block.mlp_output(normed)
        if self._outputs is not None:
            # A view of the last step alone would keep all steps.
            batch = run.tokens.batch
            last = [x.detach()[-batch:].clone() if len(x) > batch else x for x in (z, normed, mlp)]
            self._outputs.layer(block, *last)
        out = middle + (mlp if rewrite is None else rewrite(2 * index + 2, mlp))
        return _Layer(x, list(qkv), mlp_in, normed, out)


class _Prefix(DynamicCache):
    """Keys and values of the positions before `start`; a run reads them and adds nothing.

    Args:
        model: the model.
        tokens: the prompts, the same up to `start` in every run.
        start: how many positions.
    """

    def __init__(self, model: Decoder, tokens: Tokens, start: int) -> None:
        super().__init__()
        self._filled = False

        def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
            block = model.blocks[index]
            attention = block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
            middle = x + attention
            return middle + block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle))

        with torch.no_grad():
            model.run(Tokens(tokens.ids[:, :start], tokens.lengths.clamp(max=start)), layer, past=self)
        self._filled = True

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self._filled:
            return super().update(key_states, value_states, layer_idx, *args, **kwargs)
        layer = self.layers[layer_idx]
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        times = len(key_states) // len(layer.keys)
        before = (kept.repeat(times, 1, 1, 1) for kept in (layer.keys, layer.values))
        keys, values = (torch.cat(both, -2) for both in zip(before, (key_states, value_states), strict=True))
        return keys, values


def first_run(model: Decoder, tokens: Tokens, start: int) -> int:
    """The first position that is run for each integration step, where prompts are the same before `start`."""
    # Rotary tables that depend on a prompt's length are another's for its beginning alone.
    if model.rotary.last is not None or not model.takes_keys:
        return 0
    return min(start, int(tokens.lengths.min()) - 1)


def channel_gradients(
    model: Decoder,
    tokens: Tokens,
    values: Values,
    *,
    inputs: Float[Tensor, "step batch pos d_model"] | None,
    cache: bool,
    rewrite: Rewrite | None,
    rules: BackwardRules | None,
    start: int = 0,
    keep: bool = True,
) -> ChannelGradients:
    """Forward, and backward as far as the unembedding; see `ResidualModel.channel_gradients`."""
    start = 0 if inputs is None else first_run(model, tokens, start)
    run = _Run(model, tokens, RuledRun(model, rules), rewrite, start, keep)
    past = _Prefix(model, tokens, start) if start else None
    steps = 1 if inputs is None else len(inputs)
    together = steps
    if not keep and rewrite is None:
        together = min(steps, max(1, TOGETHER // (tokens.batch * (tokens.width - start))))
    outputs = OutputsBuilder(model) if cache else None
    passes: list[_Pass] = []
    for first in range(0, steps, together):
        last = first + together >= steps
        some = None if inputs is None else inputs[first : first + together, :, start:]
        passes.append(_Pass(run, some, values, past, outputs if last else None))
    if keep:
        run.rules.check()
    return ChannelGradients(run, passes, None if outputs is None else outputs.done())
