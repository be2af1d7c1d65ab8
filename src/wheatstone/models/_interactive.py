"""The model in a researcher's hands: call it on a text, patch, ablate and steer it, let it write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.models._decoder import Decoder
from wheatstone.models._generate import Generation, Sampling, Written, generated
from wheatstone.models._interventions import Add, Apply, Intervention, Positions, Replace
from wheatstone.models._kept_memory import check_memory
from wheatstone.models._model_run import ModelRun
from wheatstone.models._places import every_place, place_of, width_of
from wheatstone.models._record import record
from wheatstone.models._taken import taken_from
from wheatstone.models._texts import Texts, batch_of, fitting
from wheatstone.models._tokens import Tokens
from wheatstone.models._wide import wide

At = str | Sequence[str]
"""A place or several, by name or TransformerLens' hook; `wheatstone.models.Place` lists them."""


class Interactive(Decoder):
    """Runs on texts. Every one is a call of the model with interventions, which are data and can be combined."""

    def __repr__(self) -> str:
        graph = self.graph
        heads = f"{graph.heads} heads" + (f" in {graph.kv_groups} groups" if graph.kv_groups < graph.heads else "")
        return (
            f"{type(self).__name__}({self.id!r}: {graph.layers} layers, {heads}, d_model {self.d_model}, "
            f"{self.vocabulary:,} tokens, {self.precision} on {self.device})"
        )

    def tokens(self, texts: Texts) -> Tokens:
        """Prompts as a batch of tokens, padded on the right.

        Args:
            texts: a text or several, token ids of one prompt or several, or a batch, which is given back.

        Raises:
            PromptError: no prompt, an empty one, or an id that is no token.
        """
        return batch_of(self, texts)

    def __call__(
        self,
        texts: Texts,
        *,
        interventions: Sequence[Intervention] = (),
        cache: bool = True,
        attention: bool = False,
    ) -> ModelRun:
        """Runs the model and keeps what is at every place.

        Args:
            texts: a text or several, or token ids.
            interventions: such as `Replace`, `Apply` and `KnockOut`, in the order they act at one place.
            cache: whether to keep more than the logits.
            attention: whether to keep attention weights too. The run then uses transformers' eager attention, which
                rounds differently.

        Raises:
            ModelError: the logits are not finite.
            PromptError: no prompt, an empty one, or one longer than the context.
            RequestError: a place or position that is not there, a value of another shape, or more to keep than fits
                in memory.
        """
        if cache:
            keep = every_place(self, attention=attention)
        else:
            keep = [("pattern", layer) for layer in range(self.graph.layers)] if attention else []
        return self._kept(fitting(self, texts), keep, interventions, cache=cache)

    def patch(
        self,
        texts: Texts,
        source: Texts | ModelRun,
        at: At,
        *,
        positions: Positions = None,
        interventions: Sequence[Intervention] = (),
        cache: bool = True,
        attention: bool = False,
    ) -> ModelRun:
        """Runs the model with what is at some places taken from another run (activation patching).

        Args:
            texts: the prompts.
            source: the other run, or texts to run; one prompt, or as many as there are texts.
            at: where.
            positions: at which positions, counted in each prompt and in its source alike: -1 is the last of both. By
                default all; both then need the same length.
            interventions: others, which act before.
            cache: as in a call.
            attention: as in a call.

        Raises:
            RequestError: the runs do not line up; else see a call.
        """
        tokens, places = fitting(self, texts), _several(at)
        if not isinstance(source, ModelRun):
            wanted = [place_of(self, name) for name in places]
            source = self._kept(fitting(self, source), [(place.kind, place.layer) for place in wanted])
        taken = [taken_from(self, tokens, source, name, positions) for name in places]
        return self(tokens, interventions=[*interventions, *taken], cache=cache, attention=attention)

    def _kept(
        self,
        tokens: Tokens,
        keep: list[tuple[str, int]],
        interventions: Sequence[Intervention] = (),
        *,
        cache: bool = False,
    ) -> ModelRun:
        """Runs the model and keeps what is at some places, after checking that it fits in memory."""
        check_memory(self, tokens, keep)
        run = record(self, tokens, cache=cache, all_positions=True, interventions=interventions, keep=keep)
        return ModelRun(self, tokens, run.logits, run.kept)

    def ablate(
        self,
        texts: Texts,
        at: At,
        *,
        value: float | Tensor = 0.0,
        direction: Tensor | None = None,
        positions: Positions = None,
        interventions: Sequence[Intervention] = (),
        cache: bool = True,
        attention: bool = False,
    ) -> ModelRun:
        """Runs the model with what is at some places set to a value, or without its part along a direction.

        Args:
            texts: the prompts.
            at: where.
            value: what to set it to, such as a mean; broadcast. Zero by default.
            direction: what to project out instead, of the size of the place's last axis; its length does not matter.
            positions: at which positions; all by default.
            interventions: others, which act before.
            cache: as in a call.
            attention: as in a call.

        Raises:
            RequestError: a direction that is not one finite vector other than zero; else see a call.

        When this misleads: zero is no value the model was trained on. A mean over other prompts, or `patch` with a
        counterfactual, stays closer to what the model knows.
        """
        changes: list[Intervention] = []
        for name in _several(at):
            if direction is None:
                changes.append(Replace(at=name, value=torch.as_tensor(value), positions=positions))
            else:
                along = _vector(direction, "a direction")
                _check_size(self, name, along)
                changes.append(Apply(at=name, function=_without(along), positions=positions))
        return self(texts, interventions=[*interventions, *changes], cache=cache, attention=attention)

    def steer(
        self,
        texts: Texts,
        vector: Tensor | Sequence[float],
        at: At,
        *,
        scale: float = 1.0,
        positions: Positions = None,
        interventions: Sequence[Intervention] = (),
        cache: bool = True,
        attention: bool = False,
    ) -> ModelRun:
        """Runs the model with a vector added at some places.

        Args:
            texts: the prompts.
            vector: of the size of the place's last axis: d_model in the residual stream.
            at: where, such as `r14.post`.
            scale: times which it is added.
            positions: at which positions; all by default.
            interventions: others, which act before.
            cache: as in a call.
            attention: as in a call.

        Raises:
            RequestError: not one finite vector, or one of another size; else see a call.
        """
        value = scale * _vector(vector, "a steering vector")
        for name in _several(at):
            _check_size(self, name, value)
        changes = [Add(at=name, value=value, positions=positions) for name in _several(at)]
        return self(texts, interventions=[*interventions, *changes], cache=cache, attention=attention)

    def generate(
        self,
        texts: Texts,
        *,
        new: int = 20,
        interventions: Sequence[Intervention] = (),
        temperature: float = 0.0,
        seed: int = 0,
        cache: bool = True,
        written: Written = lambda _prompt, _token: None,
    ) -> Generation:
        """Continues texts, up to the token that ends a text.

        Args:
            texts: the prompts; each is continued by itself.
            new: tokens to write, at most.
            interventions: those without positions act on every token that is read, written ones included; positions
                are those of the prompt.
            temperature: that logits are divided by before a token is drawn, from 0 to 10; 0, the default, takes the
                likeliest token.
            seed: of the draws. Runs with the same seed draw with the same noise, with interventions or without, so
                that what differs between their texts comes from the interventions.
            cache: whether to keep the keys and values of earlier positions; without it every step runs the whole
                text again. Where rotary tables depend on the length it is not used.
            written: called with the number of the prompt and the id of each token as soon as it is chosen.

        Raises:
            RequestError: more tokens than the context has room for, a temperature or seed out of range; else see a
                call.

        When this misleads: one text is one draw. After the first token that differs, the two texts are continued from
        different prompts.
        """
        sampling = Sampling(temperature, seed)
        return generated(
            self, fitting(self, texts), new, interventions, cache=cache, sampling=sampling, written=written
        )


def _several(at: At) -> list[str]:
    return [at] if isinstance(at, str) else list(at)


def _vector(given: Tensor | Sequence[float], what: str) -> Tensor:
    vector = wide(torch.as_tensor(given))
    if vector.ndim != 1 or not vector.isfinite().all():
        shape = f"a tensor of shape {list(vector.shape)}"
        raise RequestError(
            expected=f"{what}: one axis of finite numbers",
            got=shape if vector.ndim != 1 else "NaN or infinity in it",
            do="give one vector, such as run['r5.post'][0, -1]",
        )
    return vector


def _check_size(model: Decoder, name: str, vector: Tensor) -> None:
    width = width_of(model, place_of(model, name))
    if width != len(vector):
        raise RequestError(
            expected=f"a place that holds vectors of {len(vector)} numbers",
            got=f"{name}, which holds {'single numbers' if width is None else f'vectors of {width}'}",
            do="choose a vector of that size, or Add and Apply for single numbers",
        )


def _without(direction: Tensor) -> Callable[[Tensor], Tensor]:
    """Takes out of vectors their part along a direction."""
    size = direction.norm()
    if not size:
        raise RequestError(expected="a direction", got="a vector of zeros", do="give another vector")
    unit = direction / size

    def without(x: Tensor) -> Tensor:
        along = unit.to(x)
        return x - (x @ along)[..., None] * along

    return without
