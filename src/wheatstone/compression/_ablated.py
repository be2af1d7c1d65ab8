"""What a circuit is worth in bits: what each token of a text costs with it, without it, and with nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import PromptError, RequestError
from wheatstone.circuits import Circuit
from wheatstone.models import ResidualModel, Tokens


@dataclass(frozen=True)
class CircuitBits:
    """What the tokens of a text cost a model, by which edges carry the text.

    Args:
        first: token of the text, which nothing stands before: it has no price.
        tokens: of the text, those after it.
        intact: bits of each token, of the model as it is.
        ablated: the circuit's edges ablated, all others kept.
        alone: the circuit's edges kept, all others ablated.
        ablation: what an ablated edge carries: `counterfactual` or `mean`.
    """

    first: str
    tokens: tuple[str, ...]
    intact: tuple[float, ...]
    ablated: tuple[float, ...]
    alone: tuple[float, ...]
    ablation: str

    @property
    def worth(self) -> tuple[float, ...]:
        """Bits that the circuit saves on each token; below 0 where the model does better without it."""
        return tuple(without - whole for without, whole in zip(self.ablated, self.intact, strict=True))

    def to_dict(self) -> dict[str, object]:
        """As JSON has it: sums, and a row a token."""
        columns = zip(self.tokens, self.intact, self.ablated, self.alone, self.worth, strict=True)
        names = ("token", "intact", "ablated", "alone", "worth")
        return {
            "ablation": self.ablation,
            "first": self.first,
            "bits": {"intact": sum(self.intact), "ablated": sum(self.ablated), "alone": sum(self.alone)},
            "worth": sum(self.worth),
            "tokens": [dict(zip(names, row, strict=True)) for row in columns],
        }


@torch.inference_mode()
def circuit_bits(
    model: ResidualModel, circuit: Circuit, text: str, *, counterfactual: str | None = None
) -> CircuitBits:
    """Prices every token of a text with a circuit ablated, with it alone, and with the model intact.

        worth(t) = log₂ p(t | model) − log₂ p(t | model, the circuit's edges ablated)

    Nothing is put before the text, as in the prompts that circuits are found on; so its first token has no price.

    Args:
        model: the circuit's model.
        circuit: which edges.
        text: what is said, answer included.
        counterfactual: a text of as many tokens; an ablated edge carries what its node writes there. By default, of a
            text that goes on from one of the circuit's own prompts, that prompt's counterfactual with the same
            continuation. Otherwise an ablated edge carries what its node writes on average over this text's tokens.

    Raises:
        CircuitError: the model lacks one of the circuit's nodes.
        PromptError: text and counterfactual differ in length, or the text has one token or too many.
        RequestError: the circuit's edges are told apart by position, which another text does not have.

    When this misleads: it is the worth of edges beside all others that are kept; where another circuit does the same,
    ablating one costs nothing. `alone` is a model with nearly everything ablated: only where the circuit was found
    for the next token does its price say something. A mean of this text is a mild ablation of a text that says the
    same thing all along.

    Source: bits as in Delétang et al. 2024 (arXiv 2309.10668), section 2; ablations as in `Experiment`.
    """
    if circuit.spans:
        raise RequestError(
            expected="a circuit whose edges are kept at all positions",
            got="one told apart by position",
            do="find one without --positions",
        )
    model = model.like(circuit.model.graph)
    counterfactual = _own_counterfactual(circuit, text) if counterfactual is None else counterfactual
    tokens = model.tokens([text])
    if not 2 <= tokens.width <= model.context:
        raise PromptError(
            expected=f"a text of 2 to {model.context:,} tokens", got=f"{tokens.width}", do="shorten it, or say more"
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
        written = written.mean(2, keepdim=True).expand_as(written)
    kept = circuit.mask(model.graph)
    keep = torch.stack((torch.from_numpy(model.graph.valid) & ~kept, kept))
    intact = model.forward(tokens, all_positions=True).logits
    logits = [model.forward_circuit(tokens, written, one[None], all_positions=True).logits[0] for one in keep]
    ablated, alone = (_costs(tokens, found) for found in logits)
    first, *others = model.decode(tokens.ids[0].tolist())
    return CircuitBits(
        first,
        tuple(others),
        _costs(tokens, intact),
        ablated,
        alone,
        "mean" if counterfactual is None else "counterfactual",
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
