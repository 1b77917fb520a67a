"""Products with the Jacobians of one step, against each other and against tr.jacobian."""

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.analysis.online_networks import NETWORKS
from tinygrad_rnn.analysis.online.onestep import OneStep, numbers, start
from tinygrad_rnn.core.tree import flatten


@pytest.mark.parametrize("most", [1, 3, 64])
def test_blocks_are_rows_of_the_jacobians_of_the_cell(most: int) -> None:
    cell = tr.nn.LSTMCell(3, 2, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    x, h, c = rng.normal(size=3), rng.normal(size=2), rng.normal(size=2)
    step = OneStep.record(cell, x, (h, c), cell.parameters())
    blocks = list(step.blocks(most=most))
    assert [block.first for block in blocks] == list(range(0, 4, most))
    full = tr.jacobian(lambda cell, h, c: tr.ops.concatenate(cell(x, (h, c))), (0, 1, 2))(cell, h, c)
    state = np.concatenate([full[1], full[2]], axis=1)
    np.testing.assert_allclose(np.concatenate([block.state for block in blocks]), state, rtol=1e-13)
    for name, leaf in cell.named_parameters().items():
        rows = np.concatenate([block.parameters[leaf] for block in blocks])
        np.testing.assert_allclose(rows, full[0][name].reshape(rows.shape), rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_and_reverse_mode_agree(name: str) -> None:
    network = NETWORKS[name]()
    cell, state, _ = network.build(network.parameters)
    leaves = [leaf for _, leaf in flatten(network.parameters)]
    first = start(cell, network.inputs[0], state, leaves)
    step = OneStep.record(cell, network.inputs[0], numbers(first.after), leaves)
    tangent = np.random.default_rng(2).normal(size=step.size)
    by_rows = np.concatenate([block.state for block in step.blocks()]) @ tangent
    np.testing.assert_allclose(step.push_state(tangent), by_rows, rtol=1e-12, atol=1e-15)
