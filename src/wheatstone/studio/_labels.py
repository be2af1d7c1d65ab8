"""What a person wrote on a run's map: labels, supernodes, named views. Kept in the run, as `labels.json`.

Two tabs may write on one run. Whoever saves says what they had read (If-Match); where another wrote since, nothing is
saved and they are informed, so that no word is lost.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import ValidationError

from wheatstone._errors import RequestError, RunError, reason
from wheatstone.runs import Run, add_file
from wheatstone.studio._library import Library
from wheatstone.studio._problems import RESPONSES, described, problem
from wheatstone.studio._schema import Labels

FILE = "labels.json"
router = APIRouter(prefix="/api/v1", responses=RESPONSES)
_writing = threading.Lock()
_REFUSED = described(
    {403: "an example is read-only", 412: "changed since it was read", 428: "it was not said what was read"}
)


@router.get("/runs/{id}/labels")
def labels(request: Request, response: Response, id: str) -> Labels:
    """Labels, supernodes and named views of a run; the ETag says which version."""
    run = _library(request).find(id)
    written, response.headers["etag"] = read_labels(Run.open(run)), _version(run)
    return written


@router.put("/runs/{id}/labels", response_model=Labels, responses=_REFUSED)
def put_labels(
    request: Request, response: Response, id: str, labels: Labels, if_match: Annotated[str | None, Header()] = None
) -> Labels | Response:
    """Writes them, if they are still as the If-Match says that they were read."""
    run = _library(request).find(id)
    if id.startswith("example-"):
        return problem(
            403,
            "RequestError",
            expected="a run of your own",
            got="an example, which is read-only",
            do="keep its labels in the browser",
        )
    if if_match is None:
        return problem(
            428, "RequestError", expected="the ETag that was read, as If-Match", got="none", do="read the labels first"
        )
    with _writing:
        read_labels(Run.open(run))  # what cannot be read is not written over
        if if_match != _version(run):
            return problem(
                412,
                "RequestError",
                expected="labels as they were read",
                got="others: another tab or program wrote them since",
                do="read them again, and make the change on them",
            )
        try:
            add_file(run, FILE, labels.model_dump(mode="json"))
        except OSError as error:
            raise RequestError(
                expected="room and permission to write the labels",
                got=f"{run / FILE}: {reason(error)}",
                do="free some space, or change the folder's permissions",
            ) from error
        response.headers["etag"] = _version(run)
    return labels


def read_labels(run: Run) -> Labels:
    """A run's labels; none where no one wrote any.

    Raises:
        RunError: the file is damaged.
    """
    if not run.has("labels"):
        return Labels()
    try:
        return Labels.model_validate(run.document("labels"))
    except ValidationError as error:
        raise RunError(
            expected="labels of format wheatstone.labels/1",
            got=f"{run.path / FILE}: {error.errors()[0]['msg']}",
            do="repair the file, or move it away",
        ) from error


def _version(run: Path) -> str:
    """The entity tag of the labels as they are written."""
    path = run / FILE
    return f'"{hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()[:16]}"'


def _library(request: Request) -> Library:
    return request.app.state.library
