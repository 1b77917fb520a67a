"""Strongly connected components of a graph of classes, against reachability found step by step."""

import numpy as np
import pytest

from tinygrad_rnn.plan.scheduling.components import components, recurrent


@pytest.mark.parametrize("seed", range(30))
def test_classes_that_reach_each_other_are_one_component_and_arguments_come_first(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    edges = [set(rng.integers(0, n, rng.integers(0, 3)).tolist()) for _ in range(n)]
    reach = np.eye(n, dtype=bool)
    for _ in range(n):
        for a, before in enumerate(edges):
            for b in before:
                reach[a] |= reach[b]
    rank = components(edges)
    for a in range(n):
        for b in range(n):
            assert (rank[a] == rank[b]) == bool(reach[a, b] and reach[b, a])
            assert rank[b] <= rank[a] or not reach[a, b]
    loops = {rank[a] for a in range(n) if a in edges[a] or sum(reach[a] & reach[:, a]) > 1}
    assert recurrent(edges, rank) == loops


def test_long_chains_need_no_recursion():
    edges = [set()] + [{k} for k in range(20_000)]
    assert components(edges) == list(range(20_001))
    edges[0] = {20_000}
    assert len(set(components(edges))) == 1
