"""A run that came from anyone: what reading it gives besides errors of files, said as one kind of error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wheatstone._bounds import HEADS, LAYERS, WIDTH
from wheatstone._errors import RunError, WheatstoneError
from wheatstone._path import StrPath


@contextmanager
def sound(run: StrPath) -> Generator[None, None, None]:
    """Says of a run whose documents or tables are not of its format that the run is damaged.

    When this misleads: a mistake in what reads the run is told as damage too; the error's cause has the traceback.

    Raises:
        RunError: instead of the errors that reading it gives.
    """
    run = Path(run)
    try:
        yield
    except (WheatstoneError, OSError):
        raise
    except Exception as error:  # pyarrow's, altair's and jinja2's have no root in common
        raise RunError(
            expected="a run as Wheatstone writes it",
            got=f"{run}: {error!r}".replace("\n", " ")[:500],
            do="check it with `wheatstone runs check`, or make it again",
        ) from error


def check_manifest(run: Path, manifest: dict[str, Any]) -> None:
    """Refuses a manifest whose fields are not of their types. Not by a model: a list of runs should not load pydantic.

    Raises:
        RunError: a field is missing or of another type.
    """
    required = {"verb": str, "created": str, "model": dict, "settings": dict}
    optional = {
        "prompts": list,
        "versions": dict,
        "timings": dict,
        "computed_on": dict,
        "notes": list,
        "seed": int,
        "evaluations": int,
        "title": str,
        "missing": dict,
    }
    wrong = [name for name, kind in required.items() if not isinstance(manifest.get(name), kind)]
    wrong += [name for name, kind in optional.items() if name in manifest and not isinstance(manifest[name], kind)]
    if not wrong:
        model, prompts = manifest["model"], manifest.get("prompts", [])
        texts = {"id", *({"sha256", "family", "dtype", "device"} & model.keys())}
        wrong += [f"model.{name}" for name in sorted(texts) if not isinstance(model.get(name), str)]
        sizes = {"layers": LAYERS, "heads": HEADS, "kv_groups": HEADS, "d_model": WIDTH}
        wrong += [f"model.{name}" for name, range_ in sizes.items() if name in model and not range_.holds(model[name])]
        if not all(isinstance(row, dict) and isinstance(row.get("prompt"), str) for row in prompts):
            wrong.append("prompts")
        if not isinstance(manifest["settings"].get("task") or "", str):
            wrong.append("settings.task")
        if not all(isinstance(value, str) for value in manifest.get("missing", {}).values()):
            wrong.append("missing")
        if not all(isinstance(value, int | float) for value in manifest.get("timings", {}).values()):
            wrong.append("timings")
    if wrong:
        raise RunError(
            expected="a manifest.json as Wheatstone writes it",
            got=f"{run}, whose {', '.join(wrong)} is not",
            do="check the run with `wheatstone runs check`, or make it again",
        )
