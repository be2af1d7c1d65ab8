"""Backward rules: other gradients, same values.

A gradient is the slope at one point. Where a model multiplies two things or squashes one, the slope says little about
what a whole change does: a norm divides a large change away, a saturated softmax has no slope, and a product of two
parts that both change is counted twice. A rule replaces the slope of such an operation by one that estimates whole
changes better. Forward values stay the model's own, bit for bit.

    always               y = w ⊙ x r + b:      a norm's statistic r is a constant
    frozen_patterns      A = softmax(s):       A is a constant
    softmax_temperature  A = softmax(s):       the gradient of T softmax(s / T)
    shared_attention     s = q·k and z = A·v:  each factor gets half of its gradient
    shared_gates         h = act(g) ⊙ u:       each factor gets half of its gradient
    linear_activations   a = act(g):           a = c g, where the slope c = act(g) / g is a constant

The rules apply to operations, not to families: torch's functions are watched while the model runs, and a product is
shared where both of its factors depend on the input. They therefore cover norms of queries and keys, fused projections,
parallel layers, and routed MLPs, where the router's softmax counts as a pattern and its product with the output of an
expert as a gate. Softcaps, clamps and rotary embeddings keep their own gradients.

Sources: norms, softmax and products: Edin et al. 2025 (GIM, arXiv 2505.17630) and their code; norms, patterns, gates
and activations: Rezaei Jafari et al. 2025 (RelP, arXiv 2508.21258) and their code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers.activations import ACT2CLS

from wheatstone._errors import ModelError
from wheatstone.models._block import replaced_forward
from wheatstone.models._decoder import Decoder
from wheatstone.models._wide import wide


@dataclass(frozen=True, kw_only=True)
class BackwardRules:
    """Which operations have another gradient than their own.

    Under any rules the statistic that a norm divides by is a constant; the mean that a layer norm subtracts is not.

    Args:
        frozen_patterns: attention patterns, and a router's weights, are constants: queries and keys get no gradient.
        softmax_temperature: T above; 1 is the softmax's own gradient.
        shared_attention: halves the gradients of both factors of q·k and of pattern·v. A query's or key's gradient
            passes both products: it is a quarter, a value's a half.
        shared_gates: halves the gradients of both factors of an elementwise product, such as a gated MLP's.
        linear_activations: an MLP's activation function is a line through the origin.
    """

    frozen_patterns: bool = False
    softmax_temperature: float = 1.0
    shared_attention: bool = False
    shared_gates: bool = False
    linear_activations: bool = False

    @property
    def of_attention(self) -> bool:
        """Whether attention's gradient differs."""
        return self.frozen_patterns or self.shared_attention or self.softmax_temperature != 1


GIM = BackwardRules(softmax_temperature=2.0, shared_attention=True, shared_gates=True)
"""Gradient interaction modifications."""
RELP = BackwardRules(shared_gates=True, linear_activations=True)
"""Relevance patching: the rules that its code applies by default (LN-, identity- and half-rule)."""
LINEAR = replace(RELP, frozen_patterns=True)
"""With constant patterns too (RelP's AH-rule), each node is a sum over earlier nodes and biases. The relevance
(gradient times output) of the nodes before an MLP, or before a layer's values, adds up to that of what the MLP, or the
heads, write. In a model without biases the relevance of the embeddings adds up to the logit."""


@contextmanager
def backward_rules(model: Decoder, rules: BackwardRules | None) -> Generator[None, None, None]:
    """While this lasts, the model runs as ever, and what it computes has gradients by these rules.

    Compute metrics outside: a softmax over logits is no attention pattern.

    Args:
        model: whose MLPs' activation functions are replaced meanwhile.
        rules: which; None leaves all gradients the model's own.

    Raises:
        ModelError: at the end, where the rules found fewer norms, attention patterns or activation functions than the
            model has, as when attention runs in a kernel of its own.
    """
    run = RuledRun(model, rules)
    with run.on():
        yield
    run.check()


@final
class RuledRun:
    """Backward rules of a run that is made in parts.

    Args:
        model: whose MLPs' activation functions are replaced while it is on.
        rules: which; None leaves all gradients the model's own.
    """

    def __init__(self, model: Decoder, rules: BackwardRules | None) -> None:
        self.rules = rules
        self._model = model
        self._watch = None if rules is None else _Watch(rules)

    @contextmanager
    def on(self) -> Generator[None, None, None]:
        """While this lasts, what the model computes has gradients by the rules."""
        watch = self._watch
        if watch is None:
            yield
            return
        activations: dict[nn.Module, Callable[..., Any]] = {
            module: watch.activation(module)
            for block in self._model.blocks
            for module in block.mlp.modules()
            if isinstance(module, _ACTIVATIONS)
        }
        with replaced_forward(activations), watch:
            yield

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """While this lasts inside `on`, rules do nothing: for values that no gradient is taken of."""
        with nullcontext() if self._watch is None else self._watch.paused():
            yield

    def check(self) -> None:
        """Refuses rules that had nothing to act on.

        Raises:
            ModelError: they found fewer norms, attention patterns or activation functions than the model has, as when
                attention runs in a kernel of its own.
        """
        if self._watch is not None:
            self._watch.check(self._model)


_ACTIVATIONS = tuple(entry[0] if isinstance(entry, tuple) else entry for entry in ACT2CLS.values())
"""Classes of the activation functions that transformers knows."""
_MATRIX_PRODUCTS = {"matmul", "bmm", "baddbmm", "einsum"}
_ENTRYWISE_PRODUCTS = {"mul", "mul_", "multiply"}


@final
class _Watch(TorchFunctionMode):
    """Intercepts torch's functions while the model runs, and gives each operation the gradient of its rule.

    torch turns the mode off inside `__torch_function__`, so that a rule may use any operation itself.
    """

    def __init__(self, rules: BackwardRules) -> None:
        super().__init__()
        self._rules = rules
        self._off = False
        self._met: Counter[str] = Counter()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self._off:
            return func(*args, **kwargs)
        name = func.__name__
        if name == "scaled_dot_product_attention" and self._rules.of_attention:
            return self._attention(func, *args, **kwargs)
        if name == "softmax":
            return self._softmax(func, *args, **kwargs)
        if name == "layer_norm":
            return self._layer_norm(func, *args, **kwargs)
        result = func(*args, **kwargs)
        if name == "rsqrt":  # an RMS norm's statistic
            self._met["norms"] += 1
            return result.detach()
        if name in _MATRIX_PRODUCTS and self._rules.shared_attention:
            return _shared(result, args)
        if name in _ENTRYWISE_PRODUCTS and self._rules.shared_gates:
            return _shared(result, args)
        return result

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """While this lasts, operations keep their own gradients."""
        before, self._off = self._off, True
        try:
            yield
        finally:
            self._off = before

    def activation(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """What runs instead of an MLP's activation function."""
        own = module.forward

        def forward(gate: Tensor) -> Tensor:
            if self._off:
                return own(gate)
            # An activation is one operation, also if it is made of several: GELU by tanh holds a product of its own.
            with self.paused():
                self._met["activations"] += 1
                if not self._rules.linear_activations:
                    return own(gate)
                with torch.no_grad():
                    value = own(gate)
                    slope = torch.where(gate == 0, 0.0, value / gate)
                return _with_gradient_of(gate * slope, value)

        return forward

    def check(self, model: Decoder) -> None:
        """Refuses a run in which rules had nothing to act on.

        Raises:
            ModelError: fewer of something than the model has.
        """
        layers = len(model.blocks)
        expected = {
            "norms": sum(len({norm.module for norm in block.norms}) for block in model.blocks),
            "patterns": layers if self._rules.of_attention else 0,
            "activations": layers if self._rules.linear_activations or self._rules.shared_gates else 0,
        }
        for what, least in expected.items():
            if self._met[what] < least:
                raise ModelError(
                    expected=f"at least {least} {what} in a run of {model.id} that backward rules can act on",
                    got=str(self._met[what]),
                    do="load it with attn_implementation='sdpa' or 'eager', without kernels from a hub, and with "
                    "activation functions that are modules of torch or transformers; or choose eap-ig",
                )

    def _layer_norm(
        self,
        func: Callable[..., Tensor],
        x: Tensor,
        shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        self._met["norms"] += 1
        axes = tuple(range(-len(shape), 0))
        # Subtracting the mean is linear and keeps its gradient; only the division by the deviation is held fixed.
        centred = wide(x) - wide(x).mean(axes, keepdim=True)
        with torch.no_grad():
            value = func(x, shape, weight, bias, eps)
            factor = torch.rsqrt(centred.square().mean(axes, keepdim=True) + eps)
            factor = factor if weight is None else factor * weight
        return _with_gradient_of(centred * factor, value)

    def _softmax(self, func: Callable[..., Tensor], scores: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._met["patterns" if scores.ndim == 4 else "routers"] += 1
        temperature = self._rules.softmax_temperature
        if self._rules.frozen_patterns:
            return func(scores.detach(), *args, **kwargs)
        if temperature == 1:
            return func(scores, *args, **kwargs)
        with torch.no_grad():
            value = func(scores, *args, **kwargs)
        return _with_gradient_of(temperature * func(scores / temperature, *args, **kwargs), value)

    def _attention(
        self,
        kernel: Callable[..., Tensor],
        query: Float[Tensor, "batch head query d_head"],
        key: Float[Tensor, "batch group key d_head"],
        value: Float[Tensor, "batch group key d_head"],
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Float[Tensor, "batch head query d_head"]:
        """The kernel's value, with the gradient of the same attention written out under the rules."""
        # With gradients on, as without rules: which kernel torch takes, and so the last bits, may depend on it.
        output = kernel(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa).detach()
        if enable_gqa:
            repeats = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        # The same steps as the kernel's, each an operation with a rule: scores, mask, pattern, mixed values.
        scores = query @ key.transpose(-2, -1)
        if self._rules.shared_attention:
            _shared(scores, (query, key))
        scores = wide(scores) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None:
            masked = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if masked else scores + attn_mask
        pattern = self._softmax(torch.softmax, scores, -1).to(value.dtype)
        mixed = pattern @ value
        if self._rules.shared_attention:
            _shared(mixed, (pattern, value))
        return _with_gradient_of(mixed, output)


def _shared(product: Tensor, factors: Sequence[Any]) -> Tensor:
    """Halves what comes back through a product of two things that both depend on the input.

    Half of the product's gradient is half for each factor.
    """
    if product.requires_grad and sum(isinstance(factor, Tensor) and factor.requires_grad for factor in factors) >= 2:
        product.register_hook(lambda gradient: gradient / 2)
    return product


def _with_gradient_of(carrier: Tensor, value: Tensor) -> Tensor:
    """A value whose gradient is another expression's."""
    return _Carried.apply(carrier, value)  # pyright: ignore[reportReturnType]


@final
class _Carried(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, carrier: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
