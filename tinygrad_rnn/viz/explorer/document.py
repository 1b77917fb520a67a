"""The page as one text: the files of ``page/`` and the payload put into each other."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
from importlib import resources

LARGEST_PLAIN = 300_000  # characters of JSON; a larger payload is compressed
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.-]+)">')
_SCRIPT = re.compile(r'[ \t]*<script src="([\w.-]+)"></script>\n?')
_PAYLOAD = '<script type="application/json" id="payload"></script>'
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)


def document(title: str, payload: str) -> str:
    """Return the page for a payload of JSON text; ``title`` is plain text."""
    page = _STYLE.sub(lambda found: f"<style>\n{_read(found[1])}</style>", _read("page.html"))
    names = _SCRIPT.findall(page)
    script = '\n"use strict";\n' + "\n".join(map(_read, names)) + "\n"
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    first, *rest = _SCRIPT.split(page)[::2]
    page = f"{first}<script>{script}</script>\n{''.join(rest)}"
    page = page.replace("SCRIPT-HASH", digest, 1)
    page = _TITLE.sub(lambda _: f"<title>{html.escape(title)}</title>", page, count=1)
    return page.replace(_PAYLOAD, _element(payload), 1)


def _element(payload: str) -> str:
    """Return the script element that holds the payload; no text in it can close the element."""
    if len(payload) <= LARGEST_PLAIN:
        return _PAYLOAD.replace("></script>", f">{payload.replace('<', chr(92) + 'u003c')}</script>")
    packed = gzip.compress(payload.encode("utf-8"), compresslevel=9, mtime=0)
    text = base64.b64encode(packed).decode("ascii")
    return f'<script type="application/gzip" id="payload">{text}</script>'


def _read(name: str) -> str:
    return resources.files("tinygrad_rnn.viz.explorer").joinpath("page", name).read_text(encoding="utf-8")
