"""Causal tracing: where in the model a fact about a subject is brought back.

The subject's tokens are blurred by noise of 3σ, σ the standard deviation of their embeddings (of what the first layer
reads there). Then, in runs that are blurred, what the clean run had at one place is put back, and the answer's
probability noted:

    indirect effect(place) = P(answer | blurred, place restored) − P(answer | blurred)

Places are a position and a layer: the residual stream after that layer; or what the MLPs, or the attention layers, of a
window of layers around it write. All positions of a layer and all draws of the noise go through one run, which begins
at the first layer that is restored.

Source: Meng et al. 2022 (arXiv 2202.05262), section 2; there windows of 10 of GPT2-XL's 48 layers.

When this misleads: an effect says where the fact can be brought back, not where it is best changed (Hase et al. 2023,
arXiv 2301.04213). Probabilities hide effects on answers that are unlikely throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._bounds import COUNT, SEED
from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.editing._asked import Asked
from wheatstone.editing._passes import Site, run_from
from wheatstone.models import ResidualModel, Tokens

SITES: tuple[Site, ...] = ("state", "mlp", "attention")
Role = Literal["first subject", "middle subject", "last subject", "first after", "further", "last"]


def chosen_sites(sites: Sequence[str]) -> list[Site]:
    """The sites of these names, in their usual order.

    Raises:
        RequestError: none, one twice, or one that is not there.
    """
    chosen: list[Site] = [site for site in SITES if sites.count(site)]
    if not chosen or len(chosen) != len(sites):
        raise RequestError(
            expected=f"sites out of {', '.join(SITES)}", got=", ".join(sites) or "none", do="choose some of these"
        )
    return chosen


ROLES: tuple[Role, ...] = ("first subject", "middle subject", "last subject", "first after", "further", "last")
"""What a token is in its prompt; a one-token subject is `last subject`, a prompt's end `last`."""


@dataclass(frozen=True, kw_only=True)
class TracingSettings:
    """How to trace.

    Args:
        noise: of the embeddings, in standard deviations.
        draws: of it, over which effects are averaged.
        window: layers whose MLPs or attention are restored together; by default a fifth of the model's.
        seed: of the noise.
    """

    noise: float = 3.0
    draws: int = 4
    window: int | None = None
    seed: int = 0

    def check(self, layers: int | None) -> None:
        """Refuses what cannot be traced with.

        Args:
            layers: of the model; None where no model is loaded yet.

        Raises:
            RequestError: no noise or draw, or a window that is wider than the model or empty.
        """
        SEED.check("a seed", self.seed)
        COUNT.check("a number of draws", self.draws)
        if not (isfinite(self.noise) and self.noise > 0) or self.draws < 1:
            raise RequestError(
                expected="noise above 0 standard deviations, in at least one draw",
                got=f"noise {self.noise:g}, {self.draws} draws",
                do="use noise 3 in 4 draws",
            )
        if self.window is not None and not 1 <= self.window <= (self.window if layers is None else layers):
            raise RequestError(
                expected="a window of at least 1 layer" if layers is None else f"a window of 1 to {layers} layers",
                got=str(self.window),
                do="leave it out for a fifth of them",
            )

    def width(self, layers: int) -> int:
        """Layers that are restored together."""
        return self.window or max(1, round(layers / 5))


@dataclass(frozen=True, eq=False)
class Trace(Brief):
    """What was found on one prompt, in probability of the answer's first token.

    Args:
        request: the prompt and its subject; what is traced is the model's own present answer.
        answer: that answer's first token.
        clean: its probability.
        blurred: with the subject blurred, mean over draws.
        effects: by site, indirect effect at every layer and traced position.
        positions: which positions those are.
    """

    request: Asked
    answer: int
    clean: float
    blurred: float
    effects: dict[Site, Float[Tensor, "layer place"]]
    positions: tuple[int, ...]

    def role(self, position: int) -> Role:
        """What a token is in the prompt."""
        start, end = self.request.subject
        if position == len(self.request.prompt) - 1:
            return "last"
        if position < end:
            return "last subject" if position == end - 1 else "first subject" if position == start else "middle subject"
        return "first after" if position == end else "further"


@torch.no_grad()
def causal_trace(
    model: ResidualModel,
    request: Asked,
    settings: TracingSettings | None = None,
    *,
    sites: Sequence[Site] = SITES,
    positions: Sequence[int] | None = None,
    report: Reporter = silent,
) -> Trace:
    """Traces one prompt.

    Args:
        model: the model.
        request: the prompt and its subject.
        settings: how.
        sites: what to restore.
        positions: where; from the subject's first token on by default. Before it nothing is blurred.
        report: progress callback.

    Raises:
        RequestError: see `TracingSettings.check`.
    """
    settings = settings or TracingSettings()
    layers, draws = model.graph.layers, settings.draws
    settings.check(layers)
    start, end = request.subject
    places = tuple(range(start, len(request.prompt)) if positions is None else positions)
    window = settings.width(layers)
    clean = Tokens.of([request.prompt], model.device)
    kept, (logits,) = _recorded(model, clean, None, start)
    spread = settings.noise * float(kept["input"][0][:, start:end].std())
    draw = torch.Generator().manual_seed(settings.seed)
    noise = spread * torch.randn(draws, end - start, model.d_model, generator=draw)
    answer = int(logits.argmax())
    blurred, worse = _recorded(model, clean.repeat(draws), noise, start)
    base = worse.softmax(-1)[:, answer]
    many = clean.repeat(draws * len(places))
    which = torch.tensor(places, device=model.device).repeat(draws)
    rows = torch.arange(len(which), device=model.device)

    def restored(site: Site, middle: int) -> Float[Tensor, " place"]:
        low = middle if site == "state" else max(0, middle - window // 2)
        high = middle + 1 if site == "state" else min(layers, middle - window // 2 + window)

        def rewrite(here: Site, layer: int, there: Tensor) -> Tensor:
            if here != site or not low <= layer < high:
                return there
            there = there.clone()
            there[rows, which] = kept[site][layer][0, which]
            return there

        stream = (blurred["state"][low - 1] if low else blurred["input"][0]).repeat_interleave(len(places), 0)
        likely = run_from(model, many, low, stream, rewrite).softmax(-1)[:, answer].unflatten(0, (draws, -1))
        return (likely - base[:, None]).mean(0).float().cpu()

    effects: dict[Site, Tensor] = {}
    for done, site in enumerate(sites):
        found: list[Tensor] = []
        for layer in range(layers):
            report("tracing (layers)", done * layers + layer, len(sites) * layers)
            found.append(restored(site, layer))
        effects[site] = torch.stack(found)
    report("tracing (layers)", len(sites) * layers, len(sites) * layers)
    return Trace(request, answer, float(logits.softmax(-1)[answer]), float(base.mean()), effects, places)


def traced_layer(model: ResidualModel, requests: Sequence[Asked], *, draws: int = 2, report: Reporter = silent) -> int:
    """The layer whose MLPs, restored at the subject's last token, bring the present answer back best.

    Windows with layer 0 in them cannot be chosen: its MLP sees little but the token, and restoring it restores
    the token itself, for any fact (of one-token subjects, everything).

    Args:
        model: the model.
        requests: prompts and subjects; effects are averaged.
        draws: of the noise.
        report: progress callback.
    """
    traces: list[Trace] = []
    for request in requests:
        settings = TracingSettings(draws=draws)
        traces.append(causal_trace(model, request, settings, sites=["mlp"], positions=[request.key_at], report=report))
    return peak_layer(model, traces)


def peak_layer(model: ResidualModel, traces: Sequence[Trace], window: int | None = None) -> int:
    """The layer that traces choose for an edit, of those whose windows leave layer 0 out.

    Args:
        model: that was traced.
        traces: with MLPs restored at the subject's last token, among other places.
        window: as in `TracingSettings`.
    """
    each = [trace.effects["mlp"][:, trace.positions.index(trace.request.key_at)] for trace in traces]
    total = torch.stack(each).sum(0)
    editable = [block.index for block in model.blocks[first_window_above(model, window) :] if block.dense]
    return max(editable or [model.graph.layers - 1], key=lambda layer: float(total[layer]))


def first_window_above(model: ResidualModel, window: int | None = None) -> int:
    """The first layer whose window leaves layer 0 out."""
    layers = model.graph.layers
    return min(layers - 1, TracingSettings(window=window).width(layers) // 2 + 1)


def _recorded(
    model: ResidualModel, tokens: Tokens, noise: Float[Tensor, "draw subject d_model"] | None, start: int
) -> tuple[dict[Site, list[Tensor]], Float[Tensor, "batch vocab"]]:
    """A run, with noise on what the subject's tokens give the first layer: what is there at every site, and logits."""
    found: dict[Site, list[Tensor]] = {"input": [], "attention": [], "mlp": [], "state": []}

    def note(site: Site, _layer: int, there: Tensor) -> Tensor:
        if site == "input" and noise is not None:
            there = there.clone()
            there[:, start : start + noise.shape[1]] += noise.to(there)
        found[site].append(there)
        return there

    return found, run_from(model, tokens, 0, None, note)
