"""Texts to read: 3.4 MB in the package, or a user's own."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.texts._document import Document as Document
    from wheatstone.texts._document import Skipped as Skipped
    from wheatstone.texts._document import bundled_texts as bundled_texts
    from wheatstone.texts._reading import BUNDLED as BUNDLED
    from wheatstone.texts._reading import check_sources as check_sources
    from wheatstone.texts._reading import read_documents as read_documents

__getattr__ = door(__name__)
