"""Large blocks go back to the system when they are freed, whatever was freed before them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FREED = """
import psutil, torch
from wheatstone.models._allocator import return_large_blocks

return_large_blocks()
del (largest := [torch.ones(30 << 18)])[:]  # 30 MB: glibc would now take all that is smaller from its heap
resident = psutil.Process().memory_info
blocks = [torch.ones(16 << 18) for _ in range(20)]
last = torch.ones(1 << 10)  # above them
before = resident().rss
del blocks
print((before - resident().rss) / (20 * (16 << 20)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")
def test_freed_blocks_are_the_system_s_again() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    words = [sys.executable, "-c", FREED]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) > 0.9
