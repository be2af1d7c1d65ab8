"""The API's part for jobs: asking for one, following it, stopping it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ValidationError

from wheatstone._errors import RequestError
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_schema import Draft, DraftTokens, Job, JobEvent, JobList, JobRequest
from wheatstone.studio._problems import RESPONSES
from wheatstone.studio._tokens import draft_tokens

router = APIRouter(prefix="/api/v1", responses=RESPONSES)
_FILE = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def _jobs(request: Request) -> Jobs:
    return request.app.state.jobs


@router.post("/tokens")
def tokens(draft: Draft) -> DraftTokens:
    """A prompt pair in tokens, and what is wrong with it, before the job is started."""
    return draft_tokens(draft)


@router.get("/jobs")
def jobs(request: Request) -> JobList:
    """All jobs that are remembered, the newest first."""
    return _jobs(request).list()


@router.post("/jobs", status_code=202)
def submit(request: Request, asked: JobRequest) -> Job:
    """Puts a job into the queue."""
    return _jobs(request).submit(asked)


@router.post("/imports", status_code=202, openapi_extra=_FILE)
async def send(
    request: Request,
    name: Annotated[str, Query(min_length=1, max_length=200, description="what the run is called by")],
    model: Annotated[str, Query(max_length=200, description="of a circuit; an attribution graph needs none")] = "",
) -> Job:
    """Puts the import of a JSON file, which is the body, into the queue: a circuit or an attribution graph."""
    content = await request.body()
    return await run_in_threadpool(_sent, _jobs(request), content, name, model)


def _sent(jobs: Jobs, content: bytes, name: str, model: str) -> Job:
    if content[:100].lstrip()[:1] != b"{":
        raise RequestError(expected="a JSON object", got="another file", do="send a circuit or an attribution graph")
    try:
        return jobs.submit_file(content, name, model)
    except ValidationError as error:
        raise RequestError(
            expected="the name of a model", got=repr(model)[:200], do="choose one of `wheatstone models list`"
        ) from error


@router.get("/jobs/{id}")
def job(request: Request, id: str) -> Job:
    """A job and how far it is."""
    return _jobs(request).job(id)


@router.post("/jobs/{id}/cancel")
def cancel(request: Request, id: str) -> Job:
    """Drops a job from the queue, or stops it; nothing half done remains."""
    return _jobs(request).cancel(id)


@router.post("/jobs/{id}/resume")
def resume(request: Request, id: str) -> Job:
    """Starts a job once more that was interrupted, was cancelled or failed."""
    return _jobs(request).resume(id)


@router.delete("/jobs/{id}", status_code=204)
def forget(request: Request, id: str) -> None:
    """Takes a job that has ended off the list; what it made stays."""
    _jobs(request).forget(id)


def _followed(
    request: Request,
    id: str,
    after: Annotated[int, Query(ge=0, le=2**31, description="the last event that is known")] = 0,
    last_event_id: Annotated[str, Header(description="the same, as a browser sends it when it comes back")] = "",
) -> AsyncIterator[JobEvent]:
    known = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else 0
    return _jobs(request).follow(id, max(after, known))


@router.get("/jobs/{id}/events", response_class=EventSourceResponse)
async def events(followed: Annotated[AsyncIterator[JobEvent], Depends(_followed)]) -> AsyncIterable[ServerSentEvent]:
    """What happened to the job and what happens, each event once and in order, until it has ended."""
    async for event in followed:
        yield ServerSentEvent(data=event, id=str(event.id))
