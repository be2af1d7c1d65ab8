"""Runs the numerical tests with several vector instructions and numbers of threads.

    python scripts/kernels.py [pytest options …]

Float sums are added in another order by every kernel. `make test` runs these tests with the processor's own kernels on
one thread; here they run with the plain ones, with AVX2 and with the processor's own, on one and on two threads. torch,
oneDNN and MKL choose their kernels by settings of their own, so all three are set; MKL follows them only on Intel's
processors. Each run begins with what torch says it uses and with a fingerprint of a product and an exponential: where
two fingerprints are equal, the setting made no difference on this machine.
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
draw = torch.Generator().manual_seed(0)
a, b = torch.randn(2, 300, 300, generator=draw)
def fingerprint(x): return hashlib.sha256(x.numpy().tobytes()).hexdigest()[:8]
print(f"torch uses {torch.backends.cpu.get_cpu_capability()} on {torch.get_num_threads()} threads; "
      f"fingerprints: product {fingerprint(a @ b)}, exponential {fingerprint(a.exp().sum(-1))}")
"""


def environment(kernel: str, threads: int) -> dict[str, str]:
    """What a run's processes find set."""
    return os.environ | KERNELS[kernel] | {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "10000"}


def main() -> int:
    """Runs the tests once for each setting and says at the end which failed."""
    failed: list[str] = []
    for kernel, threads in RUNS:
        name, begun = f"{kernel} kernels on {threads} thread{'s' * (threads > 1)}", time.monotonic()
        found = environment(kernel, threads)
        probe = subprocess.run([sys.executable, "-c", PROBE], env=found, capture_output=True, text=True, check=True)
        print(f"\n{name}: {probe.stdout.strip()}", flush=True)
        words = ["-m", "pytest", "-q", "-m", "numerical", "-n", "auto", "--maxprocesses", "4", "--dist", "loadscope"]
        done = subprocess.run([sys.executable, *words, "--durations=3", *sys.argv[1:]], env=found, check=False)
        print(f"{name}: {'failed' if done.returncode else 'passed'} in {time.monotonic() - begun:.0f} s", flush=True)
        failed += [name] * bool(done.returncode)
    print(f"\nfailed with {', '.join(failed)}" if failed else "\nthe numerical tests pass with every kernel")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
