"""The gradient of a metric at every channel's input, in one forward and one backward pass.

A head's query channel has its own copy of the residual stream only on paper. Its gradient is

    g[h] = J(x)ᵀ W_hᵀ dq[h]

with dq[h] the gradient at the head's query, W_h its projection and J the norm's Jacobian. So one backward pass
through the ordinary forward gives dq, dk, dv for all heads, and the rest is a product per layer. Summed over
integration steps, the sum moves inside the projection, and no step pays for it (see `_pull_back`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models._backward import BackwardRules, backward_rules
from wheatstone.models._decoder import Decoder
from wheatstone.models._norm import Norm
from wheatstone.models._tokens import Tokens

Values = Callable[[Float[Tensor, "step_batch vocab"]], Float[Tensor, " step_batch"]]
Rewrite = Callable[[int, Float[Tensor, "step_batch pos d_model"]], Float[Tensor, "step_batch pos d_model"]]
"""What a sublayer writes instead: (2·layer + 1 for attention, 2·layer + 2 for the MLP; what it wrote) -> that."""


@dataclass(frozen=True, eq=False)
class _Trace:
    """What one layer kept for the way back: residuals before the sublayers, q, k, v and the MLP's normed input."""

    attention_in: Tensor
    qkv: list[Tensor]
    mlp_in: Tensor
    mlp_normed: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class ChannelGradients(Brief):
    """Gradients at the channels, summed over integration steps; assembled layer by layer when asked for.

    Args:
        nodes: what each node wrote at the last step, where asked for.
        logits: at each prompt's last position, [step*batch, vocab].
    """

    nodes: Float[Tensor, "node batch pos d_model"] | None
    logits: Tensor
    _model: Decoder
    _steps: int
    _traces: list[_Trace]
    _grads: list[Tensor]
    _rules: BackwardRules | None

    def at_layer(self, layer: int) -> Float[Tensor, "channel batch pos d_model"]:
        """Gradients at the layer's channels, in the graph's order: q, k, v, MLP."""
        with self._model.blocks[layer].present():
            return self._at_block(layer).to(self._model.device)

    def _at_block(self, layer: int) -> Float[Tensor, "channel batch pos d_model"]:
        block, trace = self._model.blocks[layer], self._traces[layer]
        *d_qkv, d_mlp = self._grads[4 * layer : 4 * layer + 4]
        rows: list[Tensor] = []
        for kind, offset in enumerate(block.offsets()):
            weight = block.qkv_weights[kind]

            def project(d: Tensor, weight: Tensor = weight) -> Tensor:
                return torch.einsum("bshe,hed->hbsd", d, weight)

            linear = trace.qkv[kind].detach() - offset
            rows.append(self._pull_back(block.attention_norm, trace.attention_in, d_qkv[kind], linear, project))
        bias = block.mlp_norm.bias
        linear = trace.mlp_normed.detach() - (0 if bias is None else bias)
        d, linear = d_mlp[..., None, :], linear[..., None, :]
        rows.append(self._pull_back(block.mlp_norm, trace.mlp_in, d, linear, lambda d: d.movedim(2, 0)))
        return torch.cat(rows).to(self._model.dtype)

    def at_logits(self) -> Float[Tensor, "1 batch pos d_model"]:
        """Gradient at the channel that the unembedding reads."""
        return self._grads[-1].unflatten(0, (self._steps, -1)).sum(0)[None].to(self._model.device)

    def _pull_back(
        self,
        norm: Norm,
        x: Float[Tensor, "step_batch pos d_model"],
        d: Float[Tensor, "step_batch pos row inner"],
        linear: Float[Tensor, "step_batch pos row inner"],
        project: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "row batch pos d_model"]:
        """Takes gradients d at (a projection of) a norm's output back to the norm's input, summed over steps.

        With `linear` the projection of w ⊙ x r, the term (x·u) r² / d_model of the Jacobian is
        (linear · d) r / d_model: it needs no product of size d_model per row, and the rest is linear in d.
        """
        steps = (self._steps, -1)
        if norm.module is None:
            return project(d.unflatten(0, steps).sum(0))
        x, r = norm.standardise(x.detach())
        direct = project((d * r[..., None]).unflatten(0, steps).sum(0).to(d.dtype))
        if norm.weight is not None:
            direct = norm.weight * direct
        if norm.centred:
            direct = direct - direct.mean(-1, keepdim=True)
        if self._rules is not None:  # r is a constant: what is left of the Jacobian is r times the centring
            return direct
        along = (linear * d).sum(-1) * r.square() / x.shape[-1]
        return direct - torch.einsum("nbsd,nbsh->hbsd", x.unflatten(0, steps), along.unflatten(0, steps))


def channel_gradients(
    model: Decoder,
    tokens: Tokens,
    values: Values,
    *,
    inputs: Float[Tensor, "step batch pos d_model"] | None,
    cache: bool,
    rewrite: Rewrite | None,
    rules: BackwardRules | None,
) -> ChannelGradients:
    """Forward and backward; see `ResidualModel.channel_gradients`."""
    graph = model.graph
    steps = 1 if inputs is None else len(inputs)
    traces: list[_Trace] = []
    final: list[Tensor] = []
    nodes: list[Tensor] = []

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        if index == 0:
            x = (x if inputs is None else inputs.flatten(0, 1)).detach().requires_grad_()
            if cache:
                nodes.append(x.detach().new_empty(len(graph.nodes), tokens.batch, *x.shape[1:]))
                nodes[0][0] = x.detach()[-tokens.batch :]
        qkv = block.qkv(block.attention_norm(x))
        z = block.attend(qkv, call)
        attention = block.attention_output(z)
        middle = x + (attention if rewrite is None else rewrite(2 * index + 1, attention))
        mlp_in = x if graph.parallel else middle
        normed = block.mlp_norm(mlp_in)
        mlp = block.mlp_output(normed)
        traces.append(_Trace(x, list(qkv), mlp_in, normed))
        if cache:
            with torch.no_grad():
                nodes[0][graph.head_nodes(index)] = block.head_outputs(z[-tokens.batch :])
                last = mlp[None] if block.parts is None else block.mlp_outputs(normed[-tokens.batch :])
                nodes[0][graph.mlp_nodes(index)] = last[:, -tokens.batch :]
        out = middle + (mlp if rewrite is None else rewrite(2 * index + 2, mlp))
        if index == graph.layers - 1:
            final.append(out)
        return out

    with torch.enable_grad():
        with backward_rules(model, rules):
            logits = model.run(tokens.repeat(steps), layer)
        at = [t for trace in traces for t in (*trace.qkv, trace.mlp_normed)] + final
        # Behind a constant pattern queries and keys are no longer in the graph: their gradient is 0.
        constant = rules is not None and rules.frozen_patterns
        grads = torch.autograd.grad(values(logits).sum(), at, materialize_grads=constant)
    return ChannelGradients(nodes[0] if cache else None, logits.detach(), model, steps, traces, list(grads), rules)
