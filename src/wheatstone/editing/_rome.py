"""ROME: a fact as one rank of one matrix, written at the subject's key.

    W' = W + δ* (C⁻¹ k*)ᵀ / ((C⁻¹ k*)ᵀ k°)

k* is the subject's key averaged over contexts, δ* the value's change (`ValueSearch`), C the keys' second moments. So
W' k° = W k° + δ*, and of all such W' this one changes least for keys as texts have them. In ROME as published k° is the
key of the bare prompt, in r-ROME k* itself. The published asymmetry lets the denominator come near zero, and single
edits then destroy the model.

Sources: ROME, Meng et al. 2022 (arXiv 2202.05262), equation 2; r-ROME, Gupta et al. 2024 (arXiv 2403.07175).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from wheatstone._errors import ComputationError
from wheatstone._progress import Reporter, silent
from wheatstone.editing._asked import Asked
from wheatstone.editing._contexts import in_contexts, keys_of
from wheatstone.editing._edit import Edit
from wheatstone.editing._editor import one_request
from wheatstone.editing._statistics import RIDGE, key_statistics
from wheatstone.editing._tracing import traced_layer
from wheatstone.editing._value import ValueSearch, search_value
from wheatstone.editing._weights import down_projection
from wheatstone.models import ResidualModel


@dataclass(frozen=True, kw_only=True)
class Rome:
    """ROME and r-ROME.

    Args:
        name: `rome` or `r-rome`.
        denominator: which key it has: that of the bare `prompt`, or the `averaged` one.
        contexts: prefixes that the key is averaged over.
        value_contexts: of them, those the value is searched in.
        search: of the value.
        tokens: of text for C; see `key_statistics`.
    """

    name: str
    denominator: Literal["prompt", "averaged"]
    contexts: int = 10
    value_contexts: int = 3
    search: ValueSearch = field(default_factory=ValueSearch)
    tokens: int | None = None

    @property
    def summary(self) -> str:
        """One sentence."""
        key = "the bare prompt's" if self.denominator == "prompt" else "the same averaged"
        return f"One rank of one matrix at the subject's averaged key, with {key} key in the denominator."

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None = None,
        before: Sequence[Edit] = (),
        report: Reporter = silent,
    ) -> Edit:
        """See `Editor`.

        Raises:
            RequestError: more than one request.
            ComputationError: the denominator is zero.
        """
        request = one_request(requests, self.name)
        layer = traced_layer(model, requests, report=report) if layer is None else layer
        where = down_projection(model, layer)
        statistics = key_statistics(model, [layer], tokens=self.tokens, report=report)[layer]
        contexts = in_contexts(model, request, self.contexts)
        keys = keys_of(model, layer, contexts).double().cpu()
        key = keys.mean(0)
        asked_with = keys[0] if self.denominator == "prompt" else key
        report("searching the value", 0, 1)
        value = search_value(model, layer, contexts[: 1 + self.value_contexts], self.search)
        report("searching the value", 1, 1)
        direction = statistics.solve(key[:, None])[:, 0]
        scale = float(direction @ asked_with)
        if scale == 0.0:
            raise ComputationError(
                expected=f"a key in layer {layer} that is not zero", got="zero", do="choose another layer"
            )
        values = value.change.double().cpu()[:, None] / scale
        delta = where.write(values.float(), direction[:, None].float())
        notes = (
            *statistics.notes,
            f"layer {layer}: C⁻¹k by one half of the keys and by the other: cosine {statistics.agreement(key):.3f}",
            f"value found in {value.steps} steps, −log P(target) {value.loss:.3f}",
        )
        settings = asdict(self) | {"layer": layer, "ridge": RIDGE, "keys": statistics.keys}
        return Edit.of(
            model,
            self.name,
            [request.request],
            settings,
            {where.name: delta},
            keys={where.name: key[:, None].float()},
            notes=notes,
        )
