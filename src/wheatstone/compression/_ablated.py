"""What a circuit is worth in bits: what each token of a text costs with it, without it, and with nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import PromptError, RequestError
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, PositionMeans, exchanged_heads
from wheatstone.models import ResidualModel, Tokens


@dataclass(frozen=True)
class CircuitBits(Brief):
    """What the tokens of a text cost a model, by which edges carry the text.

    Args:
        first: first token of the text, which has no price.
        tokens: of the text, those after it.
        intact: bits of each token, of the model as it is.
        ablated: the circuit's edges ablated, all others kept.
        alone: the circuit's edges kept, all others ablated.
        ablation: what an ablated edge carries: `counterfactual` or `mean`.
        control: the edges of each control circuit ablated, all others kept. Control circuits are the circuit's wiring
            between other heads of the same layers: as many edges, as deep and as connected.
        shared: share of the circuit's edges that a control circuit has too, on average: MLPs stay in place.
    """

    first: str
    tokens: tuple[str, ...]
    intact: tuple[float, ...]
    ablated: tuple[float, ...]
    alone: tuple[float, ...]
    ablation: str
    control: tuple[tuple[float, ...], ...]
    shared: float

    @property
    def worth(self) -> tuple[float, ...]:
        """Bits that the circuit saves on each token; below 0 where the model does better without it."""
        return tuple(without - whole for without, whole in zip(self.ablated, self.intact, strict=True))

    @property
    def control_worth(self) -> tuple[float, ...]:
        """Bits that each control circuit saves on the whole text."""
        return tuple(sum(costs) - sum(self.intact) for costs in self.control)

    @property
    def compared(self) -> str:
        """What the control circuits are worth on the text, in a sentence."""
        worth = self.control_worth
        if not worth:
            return "No control circuit was run."
        if self.shared == 1:
            return "No control circuit differs from it: other heads would make no other edges."
        beyond = sum(self.worth) - float(np.mean(worth))
        return (
            f"{len(worth)} control circuits, the same wiring between other heads, are worth {np.mean(worth):,.1f} bits "
            f"on average ({min(worth):,.1f} to {max(worth):,.1f}): beyond them the circuit is worth {beyond:+,.1f}. "
            f"{self.shared:.0%} of their edges are the circuit's."
        )

    def to_dict(self) -> dict[str, object]:
        """As JSON has it: sums, and a row a token."""
        columns = zip(self.tokens, self.intact, self.ablated, self.alone, self.worth, strict=True)
        names = ("token", "intact", "ablated", "alone", "worth")
        return {
            "ablation": self.ablation,
            "first": self.first,
            "bits": {"intact": sum(self.intact), "ablated": sum(self.ablated), "alone": sum(self.alone)},
            "worth": sum(self.worth),
            "control": {"worth": list(self.control_worth), "shared": self.shared},
            "tokens": [dict(zip(names, row, strict=True)) for row in columns],
        }


@torch.inference_mode()
def circuit_bits(
    model: ResidualModel,
    circuit: Circuit,
    text: str,
    *,
    counterfactual: str | None = None,
    controls: int = 5,
    seed: int = 0,
) -> CircuitBits:
    """Prices every token of a text with a circuit ablated, with it alone, and with the model intact.

        worth(t) = log₂ p(t | model) − log₂ p(t | model, the circuit's edges ablated)

    Nothing is put before the text, as in the prompts that circuits are found on; so its first token has no price.

    Ablating any edges costs something, on any text. The worth of control circuits, which are the same wiring between
    other heads, says how much: only what the circuit is worth beyond them belongs to it.

    Args:
        model: the circuit's model.
        circuit: which edges.
        text: the text, answer included.
        counterfactual: a text of as many tokens; an ablated edge carries what its node writes there. By default, of a
            text that goes on from one of the circuit's own prompts, that prompt's counterfactual with the same
            continuation. Otherwise an ablated edge carries what its node writes on average over this text's tokens
            after the first; at the first token, which has no other of its kind, it carries what it carries anyway.
        controls: how many control circuits.
        seed: of their draws.

    Raises:
        CircuitError: the model lacks one of the circuit's nodes.
        PromptError: text and counterfactual differ in length, or the text has one token or too many.
        RequestError: the circuit's edges are kept at some positions only, which another text does not have.

    When this misleads: the other edges are kept; where another circuit does the same, ablating one costs nothing.
    `alone` is a model with nearly everything ablated: only where the circuit was found for the next token does its
    price say something. A mean of this text is a mild ablation of a text that repeats itself. A control circuit keeps
    the MLPs in place, and with few heads it has many of the circuit's own edges; `shared` says how many.

    Source: bits as in Delétang et al. 2024 (arXiv 2309.10668), section 2; ablations as in `Experiment`.
    """
    if circuit.spans:
        raise RequestError(
            expected="a circuit whose edges are kept at all positions",
            got="one distinguished by position",
            do="find one without --positions",
        )
    model = model.like(circuit.model.graph)
    counterfactual = _own_counterfactual(circuit, text) if counterfactual is None else counterfactual
    tokens, most = model.tokens([text]), model.causal_context
    if not 2 <= tokens.width <= most:
        raise PromptError(
            expected=f"a text of 2 to {most:,} tokens", got=f"{tokens.width}", do="shorten it, or say more"
        )
    other = tokens if counterfactual is None else model.tokens([counterfactual])
    if other.width != tokens.width:
        raise PromptError(
            expected=f"a counterfactual of as many tokens as the text, {tokens.width}",
            got=f"{other.width}",
            do="change words for others of as many tokens",
        )
    written = model.forward(other, cache=True).nodes
    assert written is not None
    if counterfactual is None:
        written = PositionMeans.of(written, other).at(other.width)[:, None]
    kept, whole = circuit.mask(model.graph), torch.from_numpy(model.graph.valid)
    copies = exchanged_heads(model.graph, kept, controls, seed) if controls else kept[None][:0]

    def costs(keep: Bool[Tensor, "channel node"]) -> tuple[float, ...]:
        return _costs(tokens, model.forward_circuit(tokens, written, keep[None], all_positions=True).logits[0])

    first, *others = model.decode(tokens.ids[0].tolist())
    return CircuitBits(
        first=first,
        tokens=tuple(others),
        intact=_costs(tokens, model.forward(tokens, all_positions=True).logits),
        ablated=costs(whole & ~kept),
        alone=costs(kept),
        ablation="mean" if counterfactual is None else "counterfactual",
        control=tuple(costs(whole & ~copy) for copy in copies),
        shared=float((copies & kept).sum() / max(1, int(copies.sum()))),
    )


def _costs(tokens: Tokens, logits: Float[Tensor, "1 pos vocab"]) -> tuple[float, ...]:
    costs = torch.nn.functional.cross_entropy(logits[0, :-1].float(), tokens.ids[0, 1:], reduction="none")
    return tuple((costs / np.log(2)).tolist())


def _own_counterfactual(circuit: Circuit, text: str) -> str | None:
    """The text with one of the circuit's prompts exchanged for its counterfactual."""
    for pair in circuit.examples:
        if text.startswith(pair.prompt):
            return pair.counterfactual + text.removeprefix(pair.prompt)
    return None
