"""Congruence by hand, and against what the model's own logits do."""

from __future__ import annotations

import pytest
import torch
from sentencepiece import make_model, make_tokenizer
from tiny import make_tiny
from tolerance import Rounding, rounding

from wheatstone import ModelError, RequestError, ResidualModel
from wheatstone.models import Add, Neuron, Tokens
from wheatstone.neurons import Congruence, Histogram, ends_of, neurons_of_token, token_of, writers_of


def _by_hand() -> ResidualModel:
    """Two tokens and two neurons that are told apart at a glance."""
    model = make_tiny("llama", torch.float64, layers=1)
    with torch.no_grad():
        module = model.module
        down, head, norm = (
            model.blocks[0].neurons_in.get_parameter("weight"),
            model.unembedding.get_parameter("weight"),
            module.get_submodule("model.norm").get_parameter("weight"),
        )
        for weight in (down, head):
            weight.zero_()
        norm.fill_(1.0)
        norm[0], norm[1] = 2.0, 0.5
        down[0, 3], down[1, 3], down[1, 5] = 1.0, 4.0, 3.0  # n3 writes (1, 4, 0 …), n5 writes (0, 3, 0 …)
        head[7, 0], head[7, 1], head[9, 1] = 5.0, 1.0, -2.0
    return model


def test_by_hand_through_the_final_norm_s_weight() -> None:
    congruence = Congruence(_by_hand())
    # U · γ ⊙ w: token 7 with n3: 5·2·1 + 1·0.5·4 = 12; with n5: 1·0.5·3; token 9 with n3: −2·0.5·4, with n5: −2·0.5·3.
    # To five digits: the norm adds its epsilon under the root.
    of_3, of_5 = congruence.of_neuron(Neuron(0, 3)), congruence.of_neuron(Neuron(0, 5))
    assert of_3[[7, 9]].tolist() == pytest.approx([12, -4], rel=1e-5)
    assert of_5[[7, 9]].tolist() == pytest.approx([1.5, -3], rel=1e-5)
    assert of_3.abs().sum() == pytest.approx(16, rel=1e-5)
    assert congruence.of_token(7)[[3, 5]].tolist() == pytest.approx([12, 1.5], rel=1e-5)
    promoted, suppressed, spread = ends_of(congruence, Neuron(0, 3), most=1)
    assert (promoted[0].text, suppressed[0].text) == ("w7", "w9")
    assert (spread.low, spread.high) == pytest.approx((-4, 12), rel=1e-5)
    assert sum(spread.counts) == 40
    found, _ = neurons_of_token(congruence, 9, most=2)
    assert [str(neuron) for neuron, _ in found] == ["m0.n3", "m0.n5"]


def test_writers_of_a_token_by_hand_through_the_centred_unembedding() -> None:
    # U_9 less the mean of 40 rows, (5, 1 − 2) / 40: (−0.125, −1.975). γ ⊙ w: (2, 2) for n3 and (0, 1.5) for n5.
    first, second, *rest = writers_of(Congruence(_by_hand()), 9)
    assert [(row.neuron, row.layer, row.sign, row.rank) for row in (first, second)] == [
        ("m0.n3", 0, -1, 1),
        ("m0.n5", 0, -1, 1),
    ]
    assert (first.write, second.write) == pytest.approx((-4.2, -2.9625), rel=1e-5)  # norms add an epsilon
    assert len(rest) == 18
    assert {row.write for row in rest} == {0.0}
    writes = torch.tensor([-4.2, -2.9625, *[0.0] * 22])
    assert first.z == pytest.approx(-float((writes[0] - writes.mean()) / writes.std()), rel=1e-5)


def test_a_constant_added_to_all_logits_changes_no_writer() -> None:
    """As the softmax does not see it; the plain product with U_t does."""
    model = _by_hand()
    before = writers_of(Congruence(model), 7, most=2)
    with torch.no_grad():
        model.unembedding.get_parameter("weight")[:, 1] += 100.0
    after = writers_of(Congruence(model), 7, most=2)
    assert [row.neuron for row in after] == [row.neuron for row in before]
    # 100 times what n3 writes to that dimension, 2, is added and taken away with the mean.
    expected = rounding(model).near([row.write for row in before], magnitude=200)
    assert [row.write for row in after] == expected


def test_the_embedding_is_the_plain_product() -> None:
    model = _by_hand()
    embeddings = model.module.get_input_embeddings().get_parameter("weight")
    got = Congruence(model, "embedding").of_neuron(Neuron(0, 3))
    Rounding(16).check(got, embeddings[:, 0] + 4 * embeddings[:, 1])


def test_a_write_in_the_last_layer_moves_logits_by_it(tiny64: ResidualModel) -> None:
    """Logits times the stream's size are linear in what is written last: congruence is the slope."""
    model, tokens = tiny64, Tokens.of([[3, 1, 4, 1]])
    layer = model.graph.layers - 1
    bias = model.unembed(torch.zeros(1, model.d_model, dtype=torch.float64))  # a layer norm's bias, unembedded

    def sized(amount: float) -> torch.Tensor:
        written = Add(at=f"m{layer}.n4", value=torch.full((1, 1), amount, dtype=torch.float64), positions=(-1,))
        run = model.forward_with(tokens, [written], cache=True)
        assert run.nodes is not None
        stream = model.after_layers(run.nodes)[-1][:, -1]
        if model.family.norm_kind == "layer":
            stream = stream - stream.mean(-1, keepdim=True)
        return (run.logits - bias)[0] * stream.square().mean().sqrt()

    slope = (sized(1.0) - sized(-1.0)) / 2
    got = Congruence(model).of_neuron(Neuron(layer, 4))
    torch.testing.assert_close(got, slope, atol=1e-4, rtol=1e-4)  # norms add an epsilon under the root


def test_a_histogram_counts_everything() -> None:
    found = Histogram.of(torch.tensor([0.0, 0.0, 1.0, 4.0]), bins=4)
    assert found == (0.0, 4.0, (2, 1, 0, 1), 1.25, pytest.approx(1.6393596))


def test_what_cannot_be_asked(tiny: ResidualModel) -> None:
    with pytest.raises(RequestError, match="readout or embedding"):
        Congruence(tiny, "unembedding")
    with pytest.raises(RequestError, match=r"'w1 w2', which is 2 tokens \('w1', 'w2'\)"):
        token_of(tiny, "w1 w2")
    assert token_of(tiny, "w7") == 7
    with pytest.raises(RequestError, match=r"tokens \('<E9>', '<BE>', '<99>'\); choose another text"):
        token_of(make_model(make_tokenizer("first")), "龙")  # in no vocabulary
    narrow = make_tiny("llama", torch.float32)
    narrow.module.set_input_embeddings(torch.nn.Embedding(40, 8))
    with pytest.raises(ModelError, match="as wide as what neurons write"):
        Congruence(narrow, "embedding")
