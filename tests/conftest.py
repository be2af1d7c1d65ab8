"""What several tests share: tiny checkpoints made on the spot, and the real one, pulled once."""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does, before torch is loaded
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typechecks  # from here on it checks shapes and types
from hypothesis import HealthCheck, settings
from induction import InductionModel, train_induction
from materials import material_of
from needs import not_run, require
from prompts import FRANCE
from tiny import explainable_pairs, make_tiny, write_tiny_task
from tiny_gguf import write_tiny_gguf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tolerance import is_numerical
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from wheatstone._home import home
from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.checkpoints._sources import resolve_model
from wheatstone.circuits import Experiment
from wheatstone.discovery import Discovery, discover_in
from wheatstone.lenses import Material
from wheatstone.models import ResidualModel, load_model

KERNEL_SETTINGS = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""By which torch, MKL and oneDNN choose their vector instructions; `make kernels` sets them."""

# How long an example takes says how busy the machine is.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("patient")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores: workers wait for browsers and for processes of their own."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_report_header() -> list[str]:
    """What the last digits of numerical tests depend on."""
    chosen = {name: os.environ[name] for name in KERNEL_SETTINGS if name in os.environ}
    kernel = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    return [f"kernels: {kernel}" + "".join(f", {name}={value}" for name, value in chosen.items())]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that compare with a rounding bound as numerical, and puts the files that take minutes first.

    A file is one worker's. A long one that begins last leaves the other workers idle.
    """
    here = Path(__file__).parent
    waits = ("test_ray.py", "test_shards.py", "test_sweep.py")
    items.sort(
        key=lambda item: (
            item.get_closest_marker("browser") is None and item.path.name not in waits,
            item.path.parent != here,
        )
    )
    for item in items:
        if isinstance(item, pytest.Function) and is_numerical(item.function):
            item.add_marker("numerical")


def pytest_runtest_setup(item: pytest.Item) -> None:
    typechecks.test_begins()
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            require(name)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the run with what was not run and why."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and "PYTEST_XDIST_WORKER" not in os.environ:
        for line in not_run(str(report.longrepr) for report in reporter.stats.get("skipped", [])):
            print(line)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leaves the user's own catalogue alone; models and what was measured of them are shared with the user's cache."""
    users, own = home(), tmp_path_factory.mktemp("cache")
    for name in ("models", "editing", "known", "hashes"):
        (users / name).mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(users / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEATSTONE_HOME", str(own))
        yield


@pytest.fixture(scope="session")
def smollm2_files() -> ModelFiles:
    """SmolLM2-135M from the user's own cache; the first session ever pulls it."""
    return resolve_model("smollm2-135m")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    home = tmp_path / "home"
    monkeypatch.setenv("WHEATSTONE_HOME", str(home))
    return home


@pytest.fixture
def tiny_llama() -> LlamaForCausalLM:
    """A random llama of 2 layers and 2 heads over 1 key-value group."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
        )
    ).eval()


@pytest.fixture
def tiny_folder(tiny_llama: LlamaForCausalLM, tmp_path: Path) -> Path:
    """`tiny_llama` with a tokenizer, as a folder of one safetensors file."""
    folder = tmp_path / "tiny"
    tiny_llama.save_pretrained(folder)
    words = {word: index for index, word in enumerate(["[UNK]", "a", "b", "c"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    """A random one-layer llama as a GGUF file."""
    return write_tiny_gguf(tmp_path / "tiny.gguf")


@pytest.fixture(scope="session", params=["llama", "llama-biased", "gpt2"])
def tiny(request: pytest.FixtureRequest) -> ResidualModel:
    """A tiny random model in float32; the llamas have two heads to a KV group."""
    return make_tiny(request.param, torch.float32)


@pytest.fixture(scope="session", params=["llama", "llama-biased", "gpt2"])
def tiny64(request: pytest.FixtureRequest) -> ResidualModel:
    """A tiny random model in float64, where finite differences are sharp."""
    return make_tiny(request.param, torch.float64)


@pytest.fixture(scope="session")
def smollm2(smollm2_files: ModelFiles) -> ResidualModel:
    """SmolLM2-135M, to be read only."""
    return load_model(smollm2_files.id)


@pytest.fixture(scope="session")
def tiny_experiment(tiny64: ResidualModel) -> Experiment:
    """Three prompts of two lengths on a tiny model in float64."""
    prompts = [("w1 w2 w3 w4", "w1 w9 w3 w4"), ("w5 w6 w7 w8 w9 w10", "w5 w6 w17 w8 w9 w10"), ("w11 w12", "w30 w12")]
    return Experiment(tiny64, explainable_pairs(tiny64, prompts))


@pytest.fixture(scope="session")
def tiny_several(tiny64: ResidualModel) -> Experiment:
    """Six prompts on a tiny model in float64: enough for intervals."""
    prompts = [(f"w{at} w{at + 1} w{at + 2} w4", f"w{at} w{at + 13} w{at + 2} w4") for at in range(1, 7)]
    return Experiment(tiny64, explainable_pairs(tiny64, prompts))


@pytest.fixture(scope="session")
def france(smollm2: ResidualModel) -> Experiment:
    """The official language of France, on real weights."""
    return Experiment(smollm2, [FRANCE])


@pytest.fixture(scope="session")
def material(tiny_experiment: Experiment) -> Material:
    """Three prompts of two lengths on a tiny model in float64."""
    return material_of(tiny_experiment)


@pytest.fixture(scope="session")
def several(tiny_several: Experiment) -> Material:
    """Six prompts on a tiny model in float64: enough for intervals."""
    return material_of(tiny_several)


@pytest.fixture(scope="session")
def france_material(france: Experiment) -> Material:
    """The official language of France, on real weights."""
    return material_of(france)


@pytest.fixture(scope="session")
def france_found(france: Experiment) -> Discovery:
    """What discovery finds for it, without the curve."""
    return discover_in(Experiment(france.model, [FRANCE]), curve=False)


@pytest.fixture(scope="session")
def induction() -> InductionModel:
    """Two attention-only layers that have learnt induction, to be read only."""
    return train_induction()


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny model's folder, and a file of pairs with splits on which it changes its answer."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_task(folder)
    return folder / "model", folder / "pairs.jsonl"
