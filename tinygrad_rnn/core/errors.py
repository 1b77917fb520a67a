"""The exceptions of this package; each is also the builtin one that a caller would expect."""


class GraphMutationError(RuntimeError):
    """A value that a recorded graph relies on was changed, or was about to be."""


class GraphCycleError(ValueError):
    """A graph feeds into itself: there is no order in which to differentiate it until it is unrolled."""


class TraceError(TypeError):
    """A value was read out of the graph where a transformation must be able to follow it."""
