"""The web app's server: the runs there are, over HTTP on this machine. No model, no torch."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.studio._app import create_app as create_app
    from wheatstone.studio._library import Library as Library
    from wheatstone.studio._notebook import CircuitView as CircuitView
    from wheatstone.studio._notebook import show as show
    from wheatstone.studio._serve import serve as serve

__getattr__ = door(__name__)
