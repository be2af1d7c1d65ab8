"""Keeps transformers' and accelerate's log lines, warnings and progress bars off the user's terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quiet() -> Generator[None, None, None]:
    """Inside, both log and show nothing and Python warnings are dropped; then all is as before."""
    from transformers.utils import logging as transformers_logging

    accelerate = logging.getLogger("accelerate")
    level = accelerate.level
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    accelerate.setLevel(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        accelerate.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
