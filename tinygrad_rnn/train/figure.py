"""A matplotlib figure that shows itself in a notebook. Only this module imports matplotlib; import it late."""

from __future__ import annotations

import io
from typing import final

from matplotlib.figure import Figure


@final
class ShownFigure(Figure):
    """A figure that no window and no list of figures knows about, with its picture as its notebook display.

    IPython draws plain figures only after `matplotlib.pyplot` was imported; nothing here imports it.
    """

    def __init__(self) -> None:
        super().__init__(figsize=(8.0, 6.0), layout="constrained")

    def _repr_png_(self) -> bytes:
        """Return the picture as a PNG file."""
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
