"""The app: the API, the built web app, and the guard before both."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from wheatstone._path import StrPath
from wheatstone._version import __version__
from wheatstone.studio._chance import router as chance
from wheatstone.studio._crowd import Crowd, Doorman
from wheatstone.studio._drawing import Drawings
from wheatstone.studio._graphs import router as graphs
from wheatstone.studio._guard import LOOPBACK, Guard, Limits
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_foreman import Bounds
from wheatstone.studio._jobs_routes import router as jobs_router
from wheatstone.studio._labels import router as labels
from wheatstone.studio._library import Library
from wheatstone.studio._problems import add_handlers
from wheatstone.studio._routes import router
from wheatstone.studio._schema import Problem

BUILT = Path(__file__).with_name("app")
"""The web app as Vite builds it out of `web/`."""


def create_app(
    library: Library | None = None,
    *,
    jobs: Jobs | None = None,
    hosts: tuple[str, ...] = LOOPBACK,
    token: str | None = None,
    limits: Limits | None = None,
    crowd: Crowd | None = None,
    built: StrPath = BUILT,
) -> FastAPI:
    """The studio as an ASGI app.

    Args:
        library: the runs; by default those of the catalogue and the examples.
        jobs: what runs them; by default the user's own queue.
        hosts: names the server may be called by; empty for any.
        token: that a browser has to show; None for none.
        limits: of one request.
        crowd: how many requests at once.
        built: the web app's files; without them only the API is served.
    """
    app = FastAPI(
        title="Wheatstone studio",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.library = library = library or Library()
    app.state.jobs = jobs or Jobs(library, bounds=Bounds(paths=token is None))
    app.state.drawings = Drawings()
    app.include_router(router)
    app.include_router(jobs_router)
    app.include_router(labels)
    app.include_router(graphs)
    app.include_router(chance)
    add_handlers(app)
    app.add_middleware(Doorman, crowd=crowd)
    app.add_middleware(Guard, hosts=hosts, token=token, limits=limits)
    built = Path(built)
    if (built / "index.html").is_file():
        app.mount("/", StaticFiles(directory=built, html=True), name="app")
    document = app.openapi()
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return app
