"""The map as an anywidget. Imported only where anywidget is installed: it needs half of Jupyter."""

from __future__ import annotations

import anywidget
import traitlets

from wheatstone.studio._app import BUILT


class CircuitWidget(anywidget.AnyWidget):
    """A circuit's map in a notebook.

    Its code is given as text, not as a file: anywidget would watch a file that is not in site-packages for changes.
    """

    _esm = (BUILT / "widget.js").read_text(encoding="utf-8")
    circuit = traitlets.Dict().tag(sync=True)
