"""The `wheatstone` command: one file per verb; each parses, calls the library and prints."""

from wheatstone.cli._app import main as main

__all__ = ["main"]
