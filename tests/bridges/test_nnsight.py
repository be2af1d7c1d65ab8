"""nnsight's own models, taken apart by ours."""

from __future__ import annotations

from pathlib import Path

import nnsight
import pytest
import torch
from tolerance import rounding

import wheatstone as ws

PROMPT = "w3 w1 w4 w1 w5"


@pytest.mark.parametrize("kind", ["TransformersModel", "LanguageModel"])
@pytest.mark.filterwarnings("ignore::nnsight.NNsightDeprecationWarning")  # the second is the first by its earlier name
def test_a_model_of_nnsight_is_taken_apart(kind: str, tiny_folder: Path) -> None:
    options = {"task": "text-generation", "dispatch": True, "dtype": torch.float32}
    theirs = getattr(nnsight, kind)(str(tiny_folder), **options)
    plain = ws.load_model(str(tiny_folder))
    wrapped = ws.wrap_model(theirs, id="mine")
    rounding(plain).check(wrapped(PROMPT).logits, plain(PROMPT).logits)
    with theirs.trace(PROMPT):
        stream = theirs.model.layers[1].output.save()
    rounding(plain).check(stream, wrapped(PROMPT)["r1.post"])
