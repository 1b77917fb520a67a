"""Cells and operations that are wrong in one way each: what a contract must see."""

from typing import Any

import numpy as np

import tinygrad_rnn as tr
from tinygrad_rnn import ops

WRONG_TANH = tr.Op(
    name="tanh", symbol="tanh", forward=lambda xp, x: xp.tanh(x), partials=(lambda xp, y, x: 1.0 - y,)
)
NOT_LINEAR = tr.Op(
    name="squash", symbol="s", forward=lambda xp, x: x / xp.sqrt(1.0 + x * x), linear="jointly",
    transpose=(lambda xp, g, y, x: g * (1.0 - y * y) * xp.sqrt(1.0 - y * y),),
)  # fmt: skip
# right to first order; its rule hides that the slope itself depends on x
HALF_BLIND = tr.Op(
    name="tanh", symbol="tanh", forward=lambda xp, x: xp.tanh(x),
    partials=(lambda xp, y, x: 1.0 - xp.square(ops.detach(y) if isinstance(y, tr.Tensor) else y),),
)  # fmt: skip


class Base(tr.nn.RNNCell):
    """A right cell, with a place where each heir goes wrong."""

    def step(self, x: Any, state: Any) -> Any:
        return self.squash(self.mixed(x, state))

    def mixed(self, x: Any, h: Any) -> Any:
        return x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T + self.bias_hh

    def squash(self, z: Any) -> Any:
        return ops.tanh(z)


class WrongSlope(Base):
    def squash(self, z: Any) -> Any:
        return WRONG_TANH(z)


class CutsTheState(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        return super().mixed(x, tr.detach(h))


class ReadsTheStateOut(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        return super().mixed(x, tr.Tensor(h.data))


class CutsOddSteps(Base):
    calls = 0

    def mixed(self, x: Any, h: Any) -> Any:
        self.calls += 1
        return super().mixed(x, tr.detach(h) if self.calls % 2 else h)


class WrongForwardMode(Base):
    def squash(self, z: Any) -> Any:
        return NOT_LINEAR(z)


class WrongSecondDerivative(Base):
    def squash(self, z: Any) -> Any:
        return HALF_BLIND(z)


class CentersTheBatch(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z - z.mean(axis=0))


class KnowsItsRow(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z + np.arange(z.shape[0], dtype=float)[:, None])


class SqueezesOneRow(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z if z.shape[0] > 1 else z + 1.0)


class OneUnitIsSpecial(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z + np.eye(1, z.shape[-1])[0])


class Counts(Base):
    calls = 0

    def squash(self, z: Any) -> Any:
        self.calls += 1
        return ops.tanh(z * (1.0 + 0.1 * self.calls))


class DrawsNoise(Base):
    noise = np.random.default_rng(0)

    def squash(self, z: Any) -> Any:
        return ops.tanh(z + 0.1 * self.noise.normal(size=z.shape))


class KeepsAWeightToItself(Base):
    def __init__(self, *sizes: int, rng: np.random.Generator) -> None:
        super().__init__(*sizes, rng=rng)
        self.hidden = rng.normal(size=sizes[1])

    def squash(self, z: Any) -> Any:
        return ops.tanh(z * self.hidden)


class CachesItsWeight(Base):
    def __init__(self, *sizes: int, rng: np.random.Generator) -> None:
        super().__init__(*sizes, rng=rng)
        self.cache = [np.array(self.weight_hh.data)]

    def mixed(self, x: Any, h: Any) -> Any:
        return (
            x @ self.weight_ih.T
            + h @ self.cache[0].T
            + self.bias_ih
            + self.bias_hh
            + 0.0 * h @ self.weight_hh.T
        )


class BranchesOnNumbers(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z) if float(z.data.sum()) > 0 else ops.sin(z)


class PromotesToDouble(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z * np.ones(z.shape[-1]))


class PeeksBack(Base):
    """Adds the last input of its previous call: a state that unroll knows nothing of."""

    last: Any = 0.0

    def mixed(self, x: Any, h: Any) -> Any:
        before, self.last = self.last, x
        return super().mixed(x + (before if np.shape(before) == x.shape else 0.0), h)


# what is wrong -> (cell, the tests of whose names at least these must fail)
FAULTS: dict[type, tuple[str, ...]] = {
    WrongSlope: ("test_gradient_is_the_derivative",),
    CutsTheState: ("test_gradient_reaches_every_step",),
    ReadsTheStateOut: ("test_gradient_reaches_every_step",),
    CutsOddSteps: ("test_gradient_reaches_every_step",),
    WrongForwardMode: ("test_both_modes_agree",),
    WrongSecondDerivative: ("test_second_derivative_is_the_derivative_of_the_gradient",),
    CentersTheBatch: ("test_batch_is_the_sum_of_its_examples", "test_ragged_rows_equal_each_row_alone"),
    KnowsItsRow: ("test_order_of_the_batch_does_not_matter",),
    SqueezesOneRow: ("test_a_batch_of_one_keeps_its_axis",),
    OneUnitIsSpecial: ("test_hidden_units_can_be_renamed",),
    Counts: ("test_running_it_again_gives_the_same",),
    DrawsNoise: ("test_running_it_again_gives_the_same",),
    KeepsAWeightToItself: ("test_state_dict_round_trip",),
    CachesItsWeight: ("test_state_dict_round_trip",),
    BranchesOnNumbers: ("test_compiled_equals_eager",),
    PromotesToDouble: ("test_float32_is_near_float64",),
    PeeksBack: ("test_running_it_again_gives_the_same",),
}
