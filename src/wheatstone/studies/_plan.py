"""What a discovery would take, before it is begun: memory as an upper bound, and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._text import count
from wheatstone._view import Brief
from wheatstone.discovery import LEARNED, LEARNED_BATCH, DiscoverySettings, method_named
from wheatstone.models import (
    GIM,
    RELP,
    ResidualModel,
    channel_gradient_bytes,
    circuit_bytes,
    circuit_gradient_bytes,
    first_run,
    free_memory,
    mask_gradient_bytes,
    memory_budget,
    outputs_numbers,
)
from wheatstone.tasks import Encoded, PromptPair, encode

_CIRCUITS = 16
"""Circuits that the search runs at once, memory allowing."""


@dataclass(frozen=True)
class Plan(Brief):
    """What a discovery would take.

    Args:
        nodes: of the model.
        edges: of the model.
        prompts: pairs to explain.
        tokens: of all prompts, padding included.
        weights: bytes of the loaded model.
        needed: most bytes beside the weights.
        free: bytes that are free beside the weights.
        seconds: half and twice the time that is expected; None where it was not estimated.
    """

    nodes: int
    edges: int
    prompts: int
    tokens: int
    weights: int
    needed: int
    free: int
    seconds: tuple[float, float] | None = None

    @property
    def fits(self) -> bool:
        """Whether there is memory enough."""
        return self.needed <= self.free

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; memory in bytes."""
        return asdict(self) | {"fits": self.fits}

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.nodes:,} nodes, {self.edges:,} edges",
            f"{count(self.prompts, 'prompt')}, {self.tokens:,} tokens",
            f"memory  at most {gigabytes(self.needed)} beside the model's {gigabytes(self.weights)}; "
            f"{gigabytes(self.free)} free",
        ]
        if self.seconds is not None:
            least, most = self.seconds
            lines.append(f"time    about {2 * least:,.0f} s on this machine, roughly {least:,.0f} to {most:,.0f}")
        return "\n".join(lines)

    def check(self) -> None:
        """Refuses what cannot fit.

        Raises:
            RequestError: more memory is needed than there is.
        """
        if not self.fits:
            raise RequestError(
                expected=f"{gigabytes(self.needed)} of memory beside the model for "
                f"{count(self.prompts, 'prompt')} ({self.tokens:,} tokens)",
                got=f"{gigabytes(self.free)} free",
                do="give fewer or shorter prompts or --steps, or go on at your own risk with --force-memory",
            )


def plan_discovery(model: ResidualModel, pairs: Sequence[PromptPair], settings: DiscoverySettings) -> Plan:
    """Estimates the memory of `run_discovery`; `expected_seconds` estimates its time.

    Args:
        model: the model.
        pairs: the prompts.
        settings: what to look for.

    Raises:
        PromptError: the prompts cannot be compared.

    When this misleads: memory counts mixtures of experts as dense MLPs of one expert, and attention as fused.
    """
    encoded, graph, budget = encode(model, pairs), model.graph, memory_budget(model.device)
    tokens = encoded.clean
    every = tokens.batch * tokens.width
    kept = every * outputs_numbers(model) * model.dtype.itemsize
    spread = every * len(graph.nodes) * model.d_model * model.dtype.itemsize
    working = [_scoring(model, encoded, settings, budget) + min(spread, budget // 8)]
    each, mask = circuit_bytes(model, tokens, len(graph.nodes))
    working.append(min(_CIRCUITS * (tokens.batch * each + mask), max(budget, each + mask)))
    if settings.method in ("verified", "re-ranked"):
        working.append(_at_once(circuit_gradient_bytes(model, tokens), tokens.batch, budget))
    if settings.method == LEARNED:
        working.append(_at_once(mask_gradient_bytes(model, tokens), LEARNED_BATCH, budget) + budget // 4)
    return Plan(
        nodes=len(graph.nodes),
        edges=graph.edges,
        prompts=tokens.batch,
        tokens=every,
        weights=sum(weight.numel() * weight.element_size() for weight in model.module.parameters()),
        needed=2 * kept + min(spread, budget // 4) + max(working),
        free=free_memory(model.device),
    )


def _scoring(model: ResidualModel, encoded: Encoded, settings: DiscoverySettings, budget: int) -> int:
    """Bytes for scores by gradients, beside what is kept of both runs."""
    tokens = encoded.clean
    method = method_named(settings.scored_by)
    # Of these two, steps come one after another.
    steps = 1 if method.name in (LEARNED, "ceap") else settings.steps or method.steps or 1
    changed = (tokens.ids != encoded.counterfactual.ids).any(0).nonzero()
    shared = settings.ablation == "counterfactual" and method.name != "eap-ig-activations"
    start = first_run(model, tokens, int(changed[0])) if shared and len(changed) else 0
    rules = {"gim": GIM, "relp": RELP}.get(settings.scored_by)

    def each(keep: bool) -> int:
        rewritten = method.name == "eap-ig-activations"
        return channel_gradient_bytes(model, tokens, steps, rules, start=start, keep=keep, rewritten=rewritten)

    return _at_once(each(keep=each(True) <= budget), tokens.batch, budget)


def _at_once(each: int, prompts: int, budget: int) -> int:
    """Bytes of as many prompts as go together: all, or what the budget has room for, or one."""
    return min(prompts * each, max(each, budget))


def gigabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.2g} GB" if count < 1e10 else f"{count / 1e9:,.0f} GB"
