"""Runs the numerical tests with several vector instructions and numbers of threads.

    python scripts/kernels.py [--all] [pytest options …]

Float sums are added in another order by every kernel. `make test` runs these tests with the processor's own kernels on
one thread; here they run with the plain ones, with AVX2 and with the processor's own, on one and on two threads. torch,
oneDNN and MKL choose their kernels by settings of their own, so all three are set; MKL follows them only on Intel's
processors. Each run begins with what torch says it uses and with a fingerprint of products, sums, norms and activations
in four types: a setting whose fingerprint is that of an earlier one makes no difference on this machine, and is left
out, unless `--all` is given.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

KERNELS: dict[str, dict[str, str]] = {
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "own": {},
}
RUNS = (("default", 1), ("default", 2), ("avx2", 1), ("avx2", 2), ("own", 2))
"""The processor's own kernels on one thread are those of `make test`."""

PROBE = """
import hashlib, torch
from torch.nn import functional as f
draw, digest = torch.Generator().manual_seed(0), hashlib.sha256()
for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    for rows, inner, columns in ((1, 8, 24), (5, 64, 33), (7, 576, 1536), (300, 300, 300)):
        a, b = torch.randn(rows, inner, generator=draw).to(dtype), torch.randn(inner, columns, generator=draw).to(dtype)
        many = torch.randn(4, rows, inner, generator=draw).to(dtype)
        found = (a @ b, f.linear(a, b.T), many @ b, (many @ many.mT).softmax(-1), f.layer_norm(a, (inner,)))
        found += (a.sum(), a.square().mean(-1), a.exp(), a.tanh(), f.silu(a), f.gelu(a), a.float().log_softmax(-1))
        for value in found:
            digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), digest.hexdigest()[:16])
"""


def environment(kernel: str, threads: int) -> dict[str, str]:
    """What a run's processes find set."""
    return os.environ | KERNELS[kernel] | {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000"}


def _probe(kernel: str, threads: int) -> tuple[str, str]:
    """What torch says it uses, and the number of threads with a hash of the results."""
    words = [sys.executable, "-c", PROBE]
    done = subprocess.run(words, env=environment(kernel, threads), capture_output=True, text=True, check=True)
    capability, fingerprint = done.stdout.strip().split(maxsplit=1)
    return capability, fingerprint


def main() -> int:
    """Runs the tests once for each setting and says at the end which failed."""
    options = [word for word in sys.argv[1:] if word != "--all"]
    failed: list[str] = []
    seen: dict[str, str] = {}
    for kernel, threads in (("own", 1), *RUNS):
        name, begun = f"{kernel} kernels on {threads} thread{'s' * (threads > 1)}", time.monotonic()
        capability, fingerprint = _probe(kernel, threads)
        same = None if "--all" in sys.argv else seen.get(fingerprint)
        seen.setdefault(fingerprint, name)
        print(f"\n{name}: torch uses {capability}, fingerprint {fingerprint}", flush=True)
        if (kernel, threads) not in RUNS or same:
            print(f"left out: {f'the same results as {same}' if same else '`make test` runs them'}", flush=True)
            continue
        words = ["-m", "pytest", "-q", "-m", "numerical", "-n", "auto", "--maxprocesses", "4", "--dist", "loadscope"]
        words += ["--durations=3", *options]
        done = subprocess.run([sys.executable, *words], env=environment(kernel, threads), check=False)
        print(f"{name}: {'failed' if done.returncode else 'passed'} in {time.monotonic() - begun:.0f} s", flush=True)
        failed += [name] * bool(done.returncode)
    print(f"\nfailed with {', '.join(failed)}" if failed else "\nthe numerical tests pass with every kernel")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
