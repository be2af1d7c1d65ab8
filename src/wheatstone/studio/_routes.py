"""The API, version 1. Nothing here knows a path that a browser sent: runs go by name, files are named by the server."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path as Folder
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, HTMLResponse

from wheatstone._version import __version__
from wheatstone.runs import Run as Opened
from wheatstone.studio._detail import contents_document, run_document, story, verifications
from wheatstone.studio._library import Library, State, state_of
from wheatstone.studio._portable import MOST as DRAWN
from wheatstone.studio._portable import portable_run
from wheatstone.studio._problems import RESPONSES
from wheatstone.studio._schema import About, Contents, Portable, Run, RunList, Sentence, VerificationResult
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


def _run(request: Request, id: str) -> Opened:
    return Opened.open(_library(request).find(id))


@router.get("/about")
def about(request: Request) -> About:
    """The server's version, where it looks, and whether its jobs can be saved."""
    folders = [str(folder) for folder in _library(request).folders]
    return About(version=__version__, folders=folders, trouble=request.app.state.jobs.trouble)


@router.get("/runs")
def runs(request: Request) -> RunList:
    """All runs, the user's own first, then the examples; those without a circuit apart."""
    return _library(request).runs()


@router.get("/runs/{id}")
def run(request: Request, id: str) -> Run:
    """A run, without its edges and tables."""
    return run_document(_run(request, id), id)


@router.get("/runs/{id}/contents")
def contents(request: Request, id: str) -> Contents:
    """What a run of any verb contains: its tables and figures."""
    return contents_document(_run(request, id), id)


@router.get("/runs/{id}/report", response_class=HTMLResponse)
async def report(request: Request, id: str) -> HTMLResponse:
    """The report of a run of any verb, which loads nothing. Its scripts do not run here: pictures are still."""
    folder = await run_in_threadpool(_library(request).find, id)
    return HTMLResponse(await request.app.state.drawings.figure(folder, "report", "html"))


@router.get("/runs/{id}/verifications")
def run_verifications(request: Request, id: str) -> list[VerificationResult]:
    """The circuit on the prompts it was found on, then on others, prompt by prompt."""
    return verifications(_run(request, id))


@router.get("/runs/{id}/story")
def run_story(request: Request, id: str) -> list[Sentence]:
    """What the run's explanation found, in sentences; empty where it was not explained."""
    return story(_run(request, id))


@router.get("/runs/{id}/edges", response_class=Response, responses=_BYTES)
def edges(request: Request, id: str, limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> Response:
    """The strongest edges and all of the circuit as an Arrow stream, sorted by |score|: a slider is a prefix."""
    run = _run(request, id)
    return Response(_edges(run.path, state_of(run.path, run.path_of("edges").name), limit), media_type=ARROW)


@lru_cache(maxsize=16)
def _edges(path: Folder, state: State, limit: int) -> bytes:
    """The edges of a run, half a megabyte that may be chosen from millions; see `state_of`."""
    return ipc(edge_columns(Opened.open(path), limit))


@router.get("/runs/{id}/tables/{name}", response_class=Response, responses=_BYTES)
def table(request: Request, id: str, name: str) -> Response:
    """A table of the run as an Arrow stream; the run's document lists them."""
    return Response(ipc(_run(request, id).table(name)), media_type=ARROW)


@router.get("/runs/{id}/portable")
def portable(request: Request, id: str, limit: Annotated[int, Query(ge=1, le=MOST)] = DRAWN) -> Portable:
    """The run with all that is drawn of it in one document, for a page that is read without a server."""
    return portable_run(_run(request, id), limit)


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
def circuit(request: Request, id: str) -> FileResponse:
    """The circuit's file, as the library and the command line read it."""
    return FileResponse(_run(request, id).file("circuit.json"), media_type="application/json")
