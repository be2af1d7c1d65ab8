"""An MLP's parts, whose writes add up to its own: the neurons of a dense MLP, the experts of a routed one.

Each kind says at which module the MLP is opened, and what its parts write given what the MLP gives that module.
An output bias belongs to no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from wheatstone.models._graph import MlpParts


def weight_of(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """A projection's weight as [out, in], whichever way round the checkpoint keeps it, and its bias."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    return (weight if isinstance(module, nn.Linear) else weight.T), bias  # pyright: ignore[reportReturnType]


@final
@dataclass(frozen=True, eq=False)
class Neurons:
    """Each writes its activation (in a gated MLP, gate x up) times its column of the last projection.

    Args:
        module: the MLP's last projection.
    """

    module: nn.Module
    into: MlpParts = "neurons"

    @property
    def count(self) -> int:
        """How many there are."""
        return weight_of(self.module)[0].shape[1]

    @property
    def bias(self) -> Float[Tensor, " d_model"] | None:
        """What the MLP writes in addition to its neurons."""
        return weight_of(self.module)[1]

    def outputs(
        self, activations: Float[Tensor, "*n neuron"], *, parts: list[int] | None
    ) -> Float[Tensor, "part *n d_model"]:
        """What neurons write.

        Args:
            activations: what the projection is given.
            parts: which neurons; all by default.
        """
        columns = weight_of(self.module)[0].T
        if parts is not None and len(parts) < len(columns):
            activations, columns = activations[..., parts], columns[parts]
        return activations.movedim(-1, 0)[..., None] * columns.view(len(columns), *(1,) * (activations.ndim - 1), -1)


@final
@dataclass(frozen=True, eq=False)
class Experts:
    """Each writes its output on the tokens routed to it, times the router's weight, and nothing on the others.

    Args:
        module: the experts, as one module called with (tokens, chosen experts, their weights).
    """

    module: nn.Module
    into: MlpParts = "experts"
    bias: None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.module.num_experts)  # pyright: ignore[reportArgumentType]

    def outputs(
        self,
        tokens: Float[Tensor, "token d_model"],
        chosen: Tensor,
        weights: Tensor,
        *,
        parts: list[int] | None,
    ) -> Float[Tensor, "part token d_model"]:
        """What experts write.

        Args:
            tokens: normed, of all prompts.
            chosen: experts of each token, [token, choice].
            weights: the router's, [token, choice].
            parts: which experts; all by default.
        """
        experts = range(self.count) if parts is None else parts
        written = tokens.new_zeros(len(experts), *tokens.shape)
        run = type(self.module).forward
        for row, expert in enumerate(experts):
            token, choice = (chosen == expert).nonzero(as_tuple=True)
            if len(token):
                alone = (tokens[token], chosen[token, choice, None], weights[token, choice, None])
                written[row, token] = run(self.module, *alone)
        return written
