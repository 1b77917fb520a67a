"""``uncollected``: rest for the cyclic garbage collector while very many objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no cycles inside.

    Recording and planning make millions of objects, none of them in a cycle; visiting them again and again takes more
    time than making them. It holds for the process: where several threads overlap, the collector works again when the
    one that stopped it is done.
    """
    worked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if worked:
            gc.enable()
