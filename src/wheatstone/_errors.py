"""Every error Wheatstone raises on purpose.

WheatstoneError
├── RequestError          the request is wrong; nothing was written   (exit code 2)
│   ├── ModelError        unknown model, broken or unsupported weights
│   ├── PromptError       prompts, answers or counterfactuals that cannot be used
│   ├── CircuitError      a circuit or graph that does not fit
│   └── RunError          a run folder that is missing, occupied or of another format
└── ComputationError      it failed midway; nothing half-written is left  (exit code 1)
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable


def reason(error: BaseException) -> str:
    """What an exception says, in one line: of a file that cannot be used, the system's words without number and path.

    The caller names the path, and says what was expected and what to do.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = _NUMBER.sub("", text.strip().partition("\n")[0])
    words, _, _ = text.partition(": ")
    return words if words in _SYSTEM else text or type(error).__name__  # without the path that safetensors adds


_NUMBER = re.compile(r"\[[Ee]rrno -?\d+\] ?| ?\(os error \d+\)")
_SYSTEM = frozenset(map(os.strerror, errno.errorcode))


class WheatstoneError(Exception):
    """Base of all errors raised on purpose. Says what was expected, what was got and what to do.

    Args:
        expected: what would have been right, as a noun phrase.
        got: what was there instead.
        do: the next step for the reader, as an imperative.
    """

    exit_code = 1

    def __init__(self, *, expected: str, got: str, do: str) -> None:
        self.expected = expected
        self.got = got
        self.do = do
        super().__init__(f"expected {expected}; got {got}; {do}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.expected, self.got, self.do))


def _rebuild(kind: type[WheatstoneError], expected: str, got: str, do: str) -> WheatstoneError:
    return kind(expected=expected, got=got, do=do)


class RequestError(WheatstoneError):
    """The request cannot be carried out."""

    exit_code = 2


class ModelError(RequestError):
    """Unknown model, broken weights, or an architecture that is not supported."""


class PromptError(RequestError):
    """Prompts, answers or counterfactuals that cannot be used."""


class CircuitError(RequestError):
    """A circuit that does not fit the model or the format."""


class RunError(RequestError):
    """A run folder that is missing, occupied, damaged or of another format."""


class ComputationError(WheatstoneError):
    """The work failed midway."""


def check_choice(what: str, value: object, choices: Iterable[str], *, do: str = "choose one of these") -> None:
    """Refuses a name that is not among those that are known; None passes.

    Args:
        what: what it names, such as `a method`.
        value: the name.
        choices: the names that are known.
        do: the next step for the reader.

    Raises:
        RequestError: it is not among them.
    """
    if value is not None and value not in (known := tuple(choices)):
        raise RequestError(expected=f"{what} out of {', '.join(known)}", got=repr(value)[:200], do=do)
