"""Errors as problem documents (RFC 9457), from the same tree as everywhere."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from wheatstone._errors import RequestError, RunError, WheatstoneError
from wheatstone.studio._schema import Problem

MEDIA_TYPE = "application/problem+json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def described(statuses: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Errors and when they come, for the OpenAPI schema."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": words, "content": content} for status, words in statuses.items()}


RESPONSES = described({404: "not there, or not readable", 422: "the request is wrong"})


def problem(
    status: int, title: str, *, expected: str = "", got: str = "", do: str = "", detail: str = ""
) -> JSONResponse:
    """A problem document as a response."""
    about = Problem(
        title=title,
        status=status,
        detail=detail or f"expected {expected}; got {got}; {do}",
        expected=expected,
        got=got,
        do=do,
    )
    return JSONResponse(about.model_dump(), status, media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""
    app.add_exception_handler(WheatstoneError, _wheatstone)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _file)


def status_of(error: WheatstoneError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RunError):
        return 404
    return 422 if isinstance(error, RequestError) else 500


async def _wheatstone(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, WheatstoneError)
    return problem(status_of(error), type(error).__name__, expected=error.expected, got=error.got, do=error.do)


async def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    if first["type"] == "string_too_long":
        most, got = first["ctx"]["max_length"], f"{len(first['input']):,}"
        return problem(
            422,
            "RequestError",
            expected=f"at most {most:,} characters in {field}",
            got=got,
            do="shorten it, or use the command line",
        )
    where = ".".join(map(str, first["loc"]))
    return problem(
        422,
        "RequestError",
        expected="a request as the API's schema says",
        got=f"{first['msg']} at {where}",
        do="correct it",
    )


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "RequestError", detail=str(error.detail))


async def _file(_: Request, error: Exception) -> JSONResponse:
    """A file that was there when it was looked for and then was not; or one that cannot be written."""
    assert isinstance(error, OSError)
    if error.errno in _FULL:
        return problem(
            507,
            "ComputationError",
            expected="room and permission to write",
            got=f"{error.filename or 'a file'}: {error.strerror}",
            do="free some space or change the folder's permissions, then repeat",
        )
    return problem(404, "RunError", expected="a run that can be read", got=str(error), do="reload the list of runs")
