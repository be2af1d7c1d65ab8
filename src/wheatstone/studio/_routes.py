"""The API, version 1. Nothing here knows a path that a browser sent: runs go by name, files are named by the server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path as Folder
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse

from wheatstone._lists import listed
from wheatstone._version import __version__
from wheatstone.runs import Run as Opened
from wheatstone.runs import sound
from wheatstone.studio._detail import contents_document, run_document, story, verifications
from wheatstone.studio._library import Library, state_of
from wheatstone.studio._lines import State
from wheatstone.studio._portable import MOST as DRAWN
from wheatstone.studio._portable import portable_run
from wheatstone.studio._problems import RESPONSES
from wheatstone.studio._schema import About, Contents, Portable, Run, RunList, RunSummary, Sentence, VerificationResult
from wheatstone.studio._tables import MOST, edge_columns, ipc

ARROW = "application/vnd.apache.arrow.stream"
router = APIRouter(prefix="/api/v1", responses=RESPONSES)
_NAME = r"^[a-z-]{1,40}$"
"""What a figure may be called, so that its name is no path."""
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}
}


def _library(request: Request) -> Library:
    return request.app.state.library


def _opened(request: Request, id: str) -> Iterator[Opened]:
    """A run, which may come from anyone: an error that reading it raises says that the run is damaged."""
    run = Opened.open(_library(request).find(id))
    refused: RequestValidationError | None = None
    with sound(run.path):
        try:
            yield run
        except RequestValidationError as error:  # of the request's other arguments
            refused = error
    if refused:
        raise refused


OneRun = Annotated[Opened, Depends(_opened)]


@router.get("/about")
def about(request: Request) -> About:
    """The server's version, where it looks, and whether its jobs can be saved."""
    folders = [str(folder) for folder in _library(request).folders]
    return About(version=__version__, folders=folders, trouble=request.app.state.jobs.trouble)


@router.get("/tasks")
def tasks() -> list[str]:
    """Names of the bundled tasks."""
    return [task["name"] for task in listed("tasks")]


@router.get("/runs")
def runs(request: Request) -> RunList:
    """All runs, the user's own first, then the examples; those without a circuit apart."""
    return _library(request).runs()


@router.get("/runs/{id}")
def run(run: OneRun, id: str) -> Run:
    """A run, without its edges and tables."""
    return run_document(run, id)


@router.get("/runs/{id}/contents")
def contents(run: OneRun, id: str) -> Contents:
    """What a run of any verb contains: its tables and figures."""
    return contents_document(run, id)


@router.get("/runs/{id}/report", response_class=HTMLResponse)
async def report(request: Request, id: str) -> HTMLResponse:
    """The report of a run of any verb, which loads nothing. Its scripts do not run here: pictures are still."""
    folder = await run_in_threadpool(_library(request).find, id)
    return HTMLResponse(await request.app.state.drawings.figure(folder, "report", "html"))


@router.get("/runs/{id}/verifications")
def run_verifications(run: OneRun) -> list[VerificationResult]:
    """The circuit on the prompts it was found on, then on others, prompt by prompt."""
    return verifications(run)


@router.get("/runs/{id}/story")
def run_story(run: OneRun) -> list[Sentence]:
    """What the run's explanation found, in sentences; empty where it was not explained."""
    return story(run)


@router.get("/runs/{id}/scans")
def run_scans(request: Request, run: OneRun) -> list[RunSummary]:
    """Corpus scans of the run's model, the newest first: what they hold of a neuron is looked up by a job."""
    return _library(request).scans(run.manifest["model"].get("sha256", ""))


@router.get("/runs/{id}/edges", response_class=Response, responses=_BYTES)
def edges(run: OneRun, limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> Response:
    """The strongest edges and all of the circuit as an Arrow stream, sorted by |score|: a slider is a prefix."""
    return Response(_edges(run.path, state_of(run.path, run.path_of("edges").name), limit), media_type=ARROW)


@lru_cache(maxsize=16)
def _edges(path: Folder, state: State, limit: int) -> bytes:
    """The edges of a run, half a megabyte that may be chosen from millions; see `state_of`."""
    return ipc(edge_columns(Opened.open(path), limit))


@router.get("/runs/{id}/tables/{name}", response_class=Response, responses=_BYTES)
def table(run: OneRun, name: str) -> Response:
    """A table of the run as an Arrow stream; the run's document lists them."""
    return Response(ipc(run.table(name)), media_type=ARROW)


@router.get("/runs/{id}/portable")
def portable(run: OneRun, limit: Annotated[int, Query(ge=1, le=MOST)] = DRAWN) -> Portable:
    """The run with all that is drawn of it in one document, for a page that is read without a server."""
    return portable_run(run, limit)


@router.get(
    "/runs/{id}/figures/{name}.{format}",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}},
)
async def figure(
    request: Request, id: str, name: Annotated[str, Path(pattern=_NAME)], format: Literal["svg", "png"]
) -> Response:
    """A figure of the run, drawn for paper."""
    folder = await run_in_threadpool(_library(request).find, id)
    drawn = await request.app.state.drawings.figure(folder, name, format)
    return Response(drawn, media_type="image/svg+xml" if format == "svg" else "image/png")


@router.get("/runs/{id}/circuit.json", response_class=FileResponse)
def circuit(run: OneRun) -> FileResponse:
    """The circuit's file, as the library and the command line read it."""
    return FileResponse(run.file("circuit.json"), media_type="application/json")
