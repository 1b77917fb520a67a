"""``components``: the strongly connected components of a graph of classes, and which of them are recurrences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator


def recurrent(edges: list[set[int]], rank: list[int]) -> set[int]:
    """Return the components of several classes, or of one that depends on itself."""
    sizes = Counter(rank)
    return {rank[c] for c, before in enumerate(edges) if c in before or sizes[rank[c]] > 1}


def components(edges: list[set[int]]) -> list[int]:
    """Return for each class the rank of its strongly connected component, arguments first (Tarjan 1972)."""
    rank, order, low = ([-1] * len(edges) for _ in range(3))
    path: list[int] = []
    closed = visited = 0
    for root in range(len(edges)):
        stack: list[tuple[int, Iterator[int]]] = [(root, iter(()))] if order[root] < 0 else []
        while stack:
            node, rest = stack[-1]
            if order[node] < 0:
                order[node] = low[node] = visited
                visited += 1
                path.append(node)
                stack[-1] = node, rest = node, iter(sorted(edges[node]))
            step = next(rest, None)
            if step is None:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
                if low[node] == order[node]:
                    _close(node, path, rank, closed)
                    closed += 1
            elif order[step] < 0:
                stack.append((step, iter(())))
            elif rank[step] < 0:
                low[node] = min(low[node], order[step])
    return rank


def _close(node: int, path: list[int], rank: list[int], number: int) -> None:
    """Give all that lie on the path from ``node`` on their rank."""
    while rank[node] < 0:
        rank[path.pop()] = number
