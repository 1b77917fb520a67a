"""Side effects, and what they leave behind: neither is part of a function that is traced."""

from __future__ import annotations

from tinygrad_rnn.core.errors import TraceError
from tinygrad_rnn.core.graph import RECORDING


def refuse_effect(what: str) -> None:
    """Refuse a side effect while a function is traced: a replay would not repeat it."""
    if RECORDING.get().inputs is not None:
        raise TraceError(
            f"{what} inside compile is a side effect, which a replay would not repeat: return the values instead "
            "(tr.value_and_grad, and an optimizer's pure update)"
        )


def refuse_gradient() -> None:
    """Refuse to read a stored gradient while a function is traced: it is no node, so that it would stay as it is."""
    if RECORDING.get().inputs is not None:
        raise TraceError(
            "reading .grad inside compile would use today's gradient for ever: compute it inside (tr.grad, "
            "tr.value_and_grad), or pass it as an argument"
        )
