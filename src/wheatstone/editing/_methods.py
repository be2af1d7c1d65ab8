"""Every method by name, and the one call that makes an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from wheatstone._errors import RequestError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone.editing._alphaedit import AlphaEdit
from wheatstone.editing._asked import asked, check_news
from wheatstone.editing._edit import Edit
from wheatstone.editing._editor import Editor
from wheatstone.editing._fine_tuning import FineTuning
from wheatstone.editing._locft import LocFT
from wheatstone.editing._lora import LoRA
from wheatstone.editing._memit import Memit
from wheatstone.editing._norm_anchor import NormAnchor
from wheatstone.editing._request import EditRequest
from wheatstone.editing._rome import Rome
from wheatstone.editing._ultraedit import UltraEdit
from wheatstone.models import ResidualModel

METHODS: Mapping[str, Editor] = MappingProxyType(
    {
        editor.name: editor
        for editor in (
            FineTuning(name="ft-l", loss="first", bound=5e-3),
            FineTuning(name="ft-m", loss="all", bound=None),
            LoRA(),
            Rome(name="rome", denominator="prompt"),
            Rome(name="r-rome", denominator="averaged"),
            Memit(),
            AlphaEdit(),
            NormAnchor(),
            UltraEdit(),
            LocFT(),
        )
    }
)
"""Name -> method with its default settings."""


def editor_named(method: str | Editor) -> Editor:
    """A method by its name, or as it is.

    Raises:
        RequestError: there is no such method.
    """
    if not isinstance(method, str):
        return method
    check_choice("a method", method, METHODS)
    return METHODS[method]


def make_edit(
    model: ResidualModel,
    requests: EditRequest | Sequence[EditRequest],
    method: str | Editor = "r-rome",
    *,
    layer: int | None = None,
    before: Sequence[Edit] = (),
    report: Reporter = silent,
) -> Edit:
    """Makes an edit. The model stays as it is until the edit is applied.

    Args:
        model: the model.
        requests: what to change; several at once by the methods that can.
        method: a name out of `METHODS`, or a method with settings of its own.
        layer: where to write; by default where causal tracing of these prompts peaks.
        before: edits in place.
        report: progress callback.

    Raises:
        RequestError: no such method or layer, or more requests than the method takes.
        PromptError: a target is the present answer, or a prompt cannot be used.
        ModelError: the layer's MLP cannot be edited.
        ComputationError: the change is not finite.
    """
    editor = editor_named(method)
    rows = [asked(model, request) for request in ([requests] if isinstance(requests, EditRequest) else requests)]
    if not rows:
        raise RequestError(expected="at least one request", got="none", do="say what to change")
    check_news(model, rows)
    return editor.edit(model, rows, layer=layer, before=before, report=report)
