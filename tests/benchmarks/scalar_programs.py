"""Programs over scalars that run unchanged on micrograd's Value and on ours: the operators, and ``relu()``.

Each is given the class that makes leaves and returns its loss and its leaves, nothing else that holds nodes.
"""

import random
from collections.abc import Callable
from typing import Any

Leaves = list[Any]


def dag_recipe(layers: int = 100, width: int = 1000, seed: int = 0) -> list[list[tuple[str, int, int]]]:
    """Return what each node of a random DAG does: (operation, index in the layer before, index of the other).

    Node i of a layer takes node p(i) of the layer before, p a random permutation, so that every node is used. "add"
    takes a second random node of that layer, "mul" a random leaf, and "relu" nothing more.
    """
    draw = random.Random(seed)
    recipe = []
    for _ in range(layers):
        order = list(range(width))
        draw.shuffle(order)
        kinds = draw.choices(("add", "mul", "relu"), (0.45, 0.45, 0.1), k=width)
        recipe.append([(kind, i, draw.randrange(width)) for kind, i in zip(kinds, order, strict=True)])
    return recipe


def random_dag(make: Callable[[float], Any], recipe: list[list[tuple[str, int, int]]]) -> tuple[Any, Leaves]:
    """Return the sum of the last layer of the DAG of ``recipe``, added up in pairs, and the leaves."""
    draw = random.Random(1)
    leaves = [make(draw.uniform(-1.5, 1.5)) for _ in recipe[0]]
    layer = leaves
    for instructions in recipe:
        following = []
        for kind, i, j in instructions:
            if kind == "add":
                following.append(layer[i] + layer[j])
            elif kind == "mul":
                following.append(layer[i] * leaves[j])
            else:
                following.append(layer[i].relu())
        layer = following
    while len(layer) > 1:
        odd = layer[-1:] if len(layer) % 2 else []
        layer = [a + b for a, b in zip(layer[::2], layer[1::2], strict=False)] + odd
    return layer[0], leaves


def sum_of_products(weights: list[Any], values: list[Any]) -> Any:
    """Return the inner product in micrograd's own idiom: Python's sum over products."""
    return sum((w * v for w, v in zip(weights, values, strict=True)), 0.0)


def scalar_rnn(
    make: Callable[[float], Any],
    inner: Callable[[list[Any], list[Any]], Any] = sum_of_products,
    total: Callable[[list[Any]], Any] = sum,
    hidden: int = 8,
    inputs: int = 4,
    outputs: int = 1,
    steps: int = 50,
) -> tuple[Any, Leaves]:
    """Return the sum of squared errors of S_t = relu(Wx x_t + Ws S_{t-1} + b), y_t = Wy S_t, and the weights.

    Args:
        make: makes a leaf.
        inner: the inner product of two lists.
        total: the sum of a list of nodes.
        hidden: the length of S_t.
        inputs: the length of x_t, which is a list of plain numbers.
        outputs: the length of y_t.
        steps: T.
    """
    draw = random.Random(2)

    def leaves(n: int, scale: float) -> Leaves:
        return [make(draw.uniform(-scale, scale)) for _ in range(n)]

    Wx = [leaves(inputs, 0.5) for _ in range(hidden)]
    Ws = [leaves(hidden, 0.35) for _ in range(hidden)]
    b, Wy = leaves(hidden, 0.1), [leaves(hidden, 0.5) for _ in range(outputs)]
    S, errors = leaves(hidden, 0.5), []
    start = S
    for _ in range(steps):
        x = [draw.uniform(-1, 1) for _ in range(inputs)]
        S = [(inner(Wx[i], x) + inner(Ws[i], S) + b[i]).relu() for i in range(hidden)]
        errors += [(inner(row, S) - draw.uniform(-1, 1)) ** 2 for row in Wy]
    return total(errors), [*start, *b, *(w for row in (*Wy, *Wx, *Ws) for w in row)]
