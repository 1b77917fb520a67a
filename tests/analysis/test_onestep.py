"""Products with the Jacobians of one step, against each other and against tr.jacobian."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.online_networks import NETWORKS
from tinygrad_rnn.analysis.onestep import OneStep, numbers, start
from tinygrad_rnn.core.tree import flatten


def test_rows_are_the_jacobians_of_the_cell() -> None:
    cell = tr.nn.LSTMCell(3, 2, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    x, h, c = rng.normal(size=3), rng.normal(size=2), rng.normal(size=2)
    rows = list(OneStep.record(cell, x, (h, c), cell.parameters()).rows())
    full = tr.jacobian(lambda cell, h, c: tr.ops.concatenate(cell(x, (h, c))), (0, 1, 2))(cell, h, c)
    state = np.concatenate([full[1], full[2]], axis=1)
    np.testing.assert_allclose([row for row, _ in rows], state, rtol=1e-13)
    for name, leaf in cell.named_parameters().items():
        np.testing.assert_allclose(
            [found[leaf] for _, found in rows], full[0][name], rtol=1e-13, err_msg=name
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_and_reverse_mode_agree(name: str) -> None:
    network = NETWORKS[name]()
    cell, state, _ = network.build(network.parameters)
    leaves = [leaf for _, leaf in flatten(network.parameters)]
    first = start(cell, network.inputs[0], state, leaves)
    step = OneStep.record(cell, network.inputs[0], numbers(first.after), leaves)
    tangent = np.random.default_rng(2).normal(size=step.size)
    by_rows = np.array([row for row, _ in step.rows()]) @ tangent
    np.testing.assert_allclose(step.push_state(tangent), by_rows, rtol=1e-12, atol=1e-15)
