"""The schema is the API's: fuzzed for errors, and the web app's types are made from it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_foreman import Bounds

WEB = Path(__file__).parents[2] / "web"
# No room in the queue: what a request would start is no matter of its schema.
JOBS = Jobs(Library(), Path(tempfile.mkdtemp()) / "jobs", Bounds(waiting=0))
APP = create_app(jobs=JOBS, built=Path("/nowhere"))
SCHEMA = schemathesis.openapi.from_dict(APP.openapi())
SCHEMA.app = APP


@SCHEMA.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]
@settings(max_examples=8, deadline=None, database=None, suppress_health_check=[*HealthCheck])  # pyright: ignore[reportArgumentType]
def test_no_request_breaks_the_server(case: Case[Any]) -> None:
    response = case.call(headers={"host": "127.0.0.1"})
    assert response.status_code < 500


def test_the_web_app_s_schema_is_this_one() -> None:
    written = json.loads((WEB / "openapi.json").read_text())
    assert written == APP.openapi(), "run `make types`"
