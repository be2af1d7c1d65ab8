from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tiny_families import tiny_family
from tolerance import rounding
from torch import nn

from wheatstone import ModelError, wrap_model
from wheatstone.models import ResidualModel, Tokens

TOKENS = Tokens.of([[1, 2, 3, 4]])


class Bridged(nn.Module):
    """What TransformerLens 4.3 puts in a module's place: a component that keeps the original."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self._original_component = original

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._original_component(*args, **kwargs)


@pytest.mark.parametrize("case", ["llama", "gpt2"])
@pytest.mark.parametrize("carrier", ["transformers", "bridge", "nnsight", "earlier nnsight"])
def test_the_model_inside_is_taken_apart(case: str, carrier: str) -> None:
    plain = tiny_family(case)
    expected = plain.forward(TOKENS).logits
    weights = {weight.data_ptr() for weight in plain.module.parameters()}
    module: Any = plain.module
    if carrier == "bridge":
        for block in plain.blocks:
            for name in (plain.family.attention, plain.family.mlp):
                assert isinstance(name, str)
                setattr(block.layer, name, Bridged(block.layer.get_submodule(name)))
        module = SimpleNamespace(original_model=plain.module, tokenizer=plain.tokenizer)
    elif "nnsight" in carrier:
        name = "_module" if carrier == "nnsight" else "_model"
        module = SimpleNamespace(**{name: plain.module}, tokenizer=plain.tokenizer)
    wrapped = wrap_model(module, plain.tokenizer if carrier == "transformers" else None, id="mine")
    assert isinstance(wrapped, ResidualModel)
    assert wrapped.id == "mine"
    rounding(plain).check(wrapped.forward(TOKENS).logits, expected)
    assert {weight.data_ptr() for weight in wrapped.module.parameters()} == weights
    if carrier == "bridge":
        assert isinstance(plain.blocks[0].layer.get_submodule(plain.family.attention), Bridged)


@pytest.mark.parametrize("what", [object(), SimpleNamespace(original_model=nn.Linear(2, 2), tokenizer=None)])
def test_anything_else_is_refused(what: object) -> None:
    with pytest.raises(ModelError, match="a TransformerLens bridge or an nnsight LanguageModel"):
        wrap_model(what, id="odd")


def test_a_model_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM without a tokenizer"):
        wrap_model(tiny_family("llama").module, id="odd")


def test_weights_that_are_elsewhere_are_refused() -> None:
    model = tiny_family("llama")
    model.blocks[1].layer.to("meta")
    with pytest.raises(ModelError, match=r"weights of layer 1 on one device, .*; got weights on meta"):
        wrap_model(model.module, model.tokenizer, id="offloaded")
