"""A differentiator that is slow and obviously right: numbers, formulas, and the chain rule as it stands in a book.

A node is a number, the nodes that it was made from, and the partial derivative by each of them, worked out as a plain
float when the node is made. The derivative of one node by another is the sum over the paths between them of the
products of the partials along a path, found by recursion with no order of nodes, no ledger and no sharing of code with
the library.
"""

import math


class Number:
    """A node: its value, its arguments, and the partial derivative by each argument."""

    def __init__(self, value, arguments=(), partials=(), leaf=False):
        self.value = float(value)
        self.edges = list(zip(arguments, partials, strict=True))
        self.leaf = leaf
        self.stale = False  # a leaf below was assigned since this was made
        self.grad = None
        self.users = []
        for argument in arguments:
            argument.users.append(self)


def leaf(value):
    return Number(value, leaf=True)


def constant(value):
    return Number(value)


def add(a, b):
    return Number(a.value + b.value, (a, b), (1.0, 1.0))


def subtract(a, b):
    return Number(a.value - b.value, (a, b), (1.0, -1.0))


def multiply(a, b):
    return Number(a.value * b.value, (a, b), (b.value, a.value))


def divide(a, b):
    return Number(a.value / b.value, (a, b), (1 / b.value, -a.value / b.value**2))


def _sech2(x):
    """1 / cosh(x)^2; written so that it does not overflow, as cosh does beyond 710."""
    e = math.exp(-2 * abs(x))
    return 4 * e / (1 + e) ** 2


def tanh(a):
    return Number(math.tanh(a.value), (a,), (_sech2(a.value),))


def sin(a):
    return Number(math.sin(a.value), (a,), (math.cos(a.value),))


def sigmoid(a):
    y = 0.5 * (1 + math.tanh(a.value / 2))
    return Number(y, (a,), (0.25 * _sech2(a.value / 2),))


def relu(a):
    return Number(max(a.value, 0.0), (a,), (1.0 if a.value > 0 else 0.0,))


def absolute(a):
    return Number(abs(a.value), (a,), (0.0 if a.value == 0 else math.copysign(1, a.value),))


def maximum(a, b):
    share = 0.5 if a.value == b.value else float(a.value > b.value)
    return Number(max(a.value, b.value), (a, b), (share, 1 - share))


def total(*terms):
    return Number(math.fsum(t.value for t in terms), terms, [1.0] * len(terms))


def inner(xs, ws):
    value = math.fsum(x.value * w.value for x, w in zip(xs, ws, strict=True))
    return Number(value, (*xs, *ws), [w.value for w in ws] + [x.value for x in xs])


def derivative(y, x, known):
    """dy/dx; ``known`` remembers dy'/dx of the nodes between."""
    if y is x:
        return 1.0
    if y not in known:
        known[y] = math.fsum(partial * derivative(argument, x, known) for argument, partial in y.edges)
    return known[y]


def below(y):
    """The nodes that y was made from, y included, each once."""
    found = {y}
    for argument, _ in y.edges:
        if argument not in found:
            found |= below(argument)
    return found


def backward(y, seed):
    """Add seed * dy/dx to every leaf below y, set it on every node between that depends on a leaf."""
    nodes = below(y)
    for x in nodes:
        if x.leaf:
            x.grad = (x.grad or 0.0) + seed * derivative(y, x, {})
        elif depends_on_a_leaf(x):
            x.grad = seed * derivative(y, x, {})


def depends_on_a_leaf(y):
    return any(x.leaf for x in below(y))


def assign(x, value):
    """Give a leaf a new value; whatever was made from it no longer describes it."""
    x.value = float(value)
    waiting = list(x.users)
    while waiting:
        node = waiting.pop()
        if not node.stale:
            node.stale = True
            waiting.extend(node.users)


# by the names of the operations
UNARY = {
    "tanh": tanh, "sin": sin, "sigmoid": sigmoid, "relu": relu, "abs": absolute,
}  # fmt: skip
BINARY = {
    "add": add, "subtract": subtract, "multiply": multiply, "divide": divide,
    "maximum": maximum,
}  # fmt: skip
