"""Shapes and types of the package checked while the tests run, at a price that a suite of thousands of tests can pay.

`--jaxtyping-packages` in pyproject.toml puts a decorator around every function. jaxtyping's own binds the arguments by
hand and calls beartype twice, once more for the result: some 40 microseconds a call, which tripled the time of tests
of small models. Here beartype checks arguments and result in one call, and only a function whose annotations name an
array opens jaxtyping's context, in which dimensions of one name must agree. A function that a test calls thousands of
times is checked at its first calls in that test: checks of the rest took a third of the suite's time. Import this
before the package.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jaxtyping

_jaxtyped: Any = jaxtyping.jaxtyped
_CALLS = 50
"""Of a function that are checked in each test."""
_tests = 0
"""That have begun."""


def test_begins() -> None:
    """Checks the first calls of every function again."""
    global _tests
    _tests += 1


def checked(fn: Any = None, *, typechecker: Any = None) -> Any:
    """A function whose arguments and result are checked at each call; for the rest see `jaxtyping.jaxtyped`."""
    if fn is None:
        return functools.partial(checked, typechecker=typechecker)
    if not inspect.isfunction(fn):  # classes, properties and the like: jaxtyping takes them apart
        return _jaxtyped(fn, typechecker=typechecker)
    if getattr(fn, "__no_type_check__", False):
        return fn
    written = fn.__annotations__
    fn.__annotations__ = hints = {name: _evaluated(hint, fn.__globals__) for name, hint in written.items()}
    inner: Callable[..., Any] = typechecker(fn)
    fn.__annotations__ = inner.__annotations__ = written
    context = "jaxtyping." in repr(hints)
    if inspect.isgeneratorfunction(fn) or inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
        # A function around it would be of another kind, and without one dimensions are its caller's.
        return fn if context else inner
    test = calls = 0

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal test, calls
        __tracebackhide__ = True
        if test != _tests:
            test, calls = _tests, 0
        elif calls == _CALLS:
            return fn(*args, **kwargs)
        calls += 1
        if not context:
            return inner(*args, **kwargs)
        with _jaxtyped("context"):
            return inner(*args, **kwargs)

    return wrapped


def _evaluated(hint: Any, names: dict[str, Any]) -> Any:
    """An annotation by the names of its module; one that names what only type checkers import is not checked."""
    try:
        return eval(hint, names) if isinstance(hint, str) else hint
    except Exception:
        return Any


jaxtyping.jaxtyped = checked  # of the modules that are imported from now on
