"""The page that asks for the token. It holds no script, and leads on to the view that was requested."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from starlette.responses import HTMLResponse

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Wheatstone studio</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; }}
input, button {{ font: inherit; padding: 0.3rem 0.6rem; }}
</style>
<h1>Wheatstone studio</h1>
<p>{said} The address that <code>wheatstone studio</code> printed ends with it, after <code>token=</code>.</p>
<form action="/">
{hidden}<label>Token <input name="token" type="password" autocomplete="off" required autofocus></label>
<button>Open</button>
</form>
</html>
"""


def login_page(view: Iterable[tuple[str, str]], *, refused: bool) -> HTMLResponse:
    """The page, with status 401.

    Args:
        view: names and values of the address that was requested, without the token.
        refused: whether a wrong token was given.
    """
    hidden = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n' for name, value in view)
    said = "This is not the token of this studio." if refused else "This studio asks for a token."
    return HTMLResponse(_PAGE.format(said=said, hidden=hidden), 401)
