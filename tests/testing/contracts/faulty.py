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


class ForgetsTheState(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        return x @ self.weight_ih.T + self.bias_ih + self.bias_hh


class ForgetsABias(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        return x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T


class DetachesHalfAWeight(Base):
    """Behind an operation, where no gradcheck of recorded nodes can know that the cut was not meant."""

    def mixed(self, x: Any, h: Any) -> Any:
        squared = self.weight_hh * self.weight_hh
        return (
            x @ self.weight_ih.T
            + self.bias_ih
            + h @ (0.5 * squared + 0.5 * tr.detach(squared)).T
            + self.bias_hh
        )


class HalvesTheSlope(Base):
    def squash(self, z: Any) -> Any:
        y = ops.tanh(z)
        return 0.5 * y + 0.5 * tr.detach(y)


class DetachesItsOutput(Base):
    def step(self, x: Any, state: Any) -> Any:
        new = super().step(x, state)
        return tr.detach(new), new


class ClipsInsideTheLoop(Base):
    def squash(self, z: Any) -> Any:
        y = ops.tanh(z)
        y.register_hook(lambda g: np.clip(g, -0.1, 0.1))
        return y


class TransposesItsWeight(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        return x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh + self.bias_hh


class WritesIntoTheState(Base):
    def step(self, x: Any, state: Any) -> Any:
        new = super().step(x, state)
        state.data[...] *= 0.9
        return new


class WritesIntoAWeight(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        self.weight_hh.data = self.weight_hh.data * 0.99
        return super().mixed(x, h)


class RunsInSinglePrecision(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z.astype(np.float32)).astype(z.dtype)


class ReversesTheRows(Base):
    def mixed(self, x: Any, h: Any) -> Any:
        return super().mixed(x, h[::-1])


class ScalesByTheLargestRow(Base):
    def squash(self, z: Any) -> Any:
        return ops.tanh(z / (1e-3 + ops.abs(z).max()))


class LosesTheAxisOfOneRow(Base):
    def squash(self, z: Any) -> Any:
        y = ops.tanh(z)
        return y.reshape(y.shape[1:]) if y.shape[0] == 1 else y


class KeepsItsOwnState(Base):
    """What it was given at a cut or at a new start it does not look at."""

    last: Any = None

    def mixed(self, x: Any, h: Any) -> Any:
        z = super().mixed(x, h if self.last is None or self.last.shape != h.shape else self.last)
        self.last = ops.tanh(z)
        return z


class KeepsATransposedWeight(Base):
    cached: Any = None

    def mixed(self, x: Any, h: Any) -> Any:
        self.cached = self.weight_hh.T if self.cached is None else self.cached
        return x @ self.weight_ih.T + self.bias_ih + h @ self.cached + self.bias_hh


class SeedsTheWorld(Base):
    """The same mask in each run, at the expense of everybody else's random numbers."""

    def squash(self, z: Any) -> Any:
        np.random.seed(0)
        return ops.tanh(z) * (np.random.random(z.shape[-1]) > 0.2).astype(z.dtype)


class CountsSevenSteps(Base):
    """The weight of a step depends on its place; after T = 7 steps it begins again."""

    calls = 0

    def mixed(self, x: Any, h: Any) -> Any:
        self.calls += 1
        return super().mixed(x, h) * (1.0 + 0.1 * (self.calls % 7))


class AveragesOverTime(Base):
    mean = 0.0

    def squash(self, z: Any) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * float(np.mean(z.data))
        return ops.tanh(z - self.mean)


class BeginsAtTheSizeOfTheBatch(Base):
    def initial_state(self, x: Any) -> Any:
        return tr.constant(np.full((len(x), self.hidden_size), 0.1 * len(x), x.dtype))


class BeginsInDoublePrecision(Base):
    def initial_state(self, x: Any) -> Any:
        return tr.constant(np.zeros((len(x), self.hidden_size)))


class LearnsItsStart(Base):
    """Right: the state before the first step is a parameter."""

    def __init__(self, *sizes: int, rng: np.random.Generator) -> None:
        super().__init__(*sizes, rng=rng)
        self.start = tr.Tensor(rng.normal(size=sizes[1]), name="start")

    def initial_state(self, x: Any) -> Any:
        return self.start + np.zeros((len(x), 1), self.start.dtype)


class ReadsItsStartOut(LearnsItsStart):
    def initial_state(self, x: Any) -> Any:
        return tr.constant(super().initial_state(x).data)


class DetachesHalfItsStart(LearnsItsStart):
    def initial_state(self, x: Any) -> Any:
        start = super().initial_state(x)
        return 0.5 * start + 0.5 * tr.detach(start)


class NaiveTanh(Base):
    def squash(self, z: Any) -> Any:
        return (ops.exp(z) - ops.exp(-z)) / (ops.exp(z) + ops.exp(-z))


class KnowsTheNumberOfAxes(Base):
    odd = tr.Op(name="odd", symbol="o", forward=lambda xp, x: x * (1.0 + np.ndim(x)),
                partials=(lambda xp, y, x: 1.0 + np.ndim(x),))  # fmt: skip

    def squash(self, z: Any) -> Any:
        return ops.tanh(self.odd(z))


# what is wrong -> (cell, the tests of whose names at least these must fail)
FAULTS: dict[type, tuple[str, ...]] = {
    ForgetsTheState: ("test_every_parameter_and_the_state_are_used",),
    ForgetsABias: ("test_every_parameter_and_the_state_are_used",),
    DetachesHalfAWeight: ("test_gradient_reaches_every_parameter",),
    HalvesTheSlope: ("test_gradient_reaches_every_step",),
    DetachesItsOutput: ("test_gradient_reaches_every_step",),
    ClipsInsideTheLoop: ("test_gradient_is_the_derivative",),
    WritesIntoTheState: ("test_running_it_again_gives_the_same",),
    WritesIntoAWeight: ("test_running_it_again_gives_the_same",),
    RunsInSinglePrecision: ("test_double_precision_stays_double",),
    ReversesTheRows: ("test_order_of_the_batch_does_not_matter",),
    ScalesByTheLargestRow: ("test_batch_is_the_sum_of_its_examples",),
    LosesTheAxisOfOneRow: ("test_a_batch_of_one_keeps_its_axis",),
    KeepsItsOwnState: ("test_running_it_again_gives_the_same", "test_a_step_does_not_know_its_time"),
    KeepsATransposedWeight: ("test_other_parameters_are_read_not_old_ones",),
    SeedsTheWorld: ("test_running_it_again_gives_the_same",),
    CountsSevenSteps: (
        "test_a_step_does_not_know_its_time",
        "test_shared_weights_are_the_sum_of_untied_copies",
    ),
    AveragesOverTime: ("test_running_it_again_gives_the_same", "test_a_prefix_sees_nothing_of_what_follows"),
    BeginsAtTheSizeOfTheBatch: ("test_initial_state_fits_every_batch",),
    BeginsInDoublePrecision: ("test_float32_is_near_float64",),
    ReadsItsStartOut: ("test_every_parameter_and_the_state_are_used",),
    DetachesHalfItsStart: ("test_initial_state_fits_every_batch",),
    NaiveTanh: ("test_gradient_is_finite_where_the_output_is",),
    KnowsTheNumberOfAxes: ("test_scalarized_equals_tensor",),
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
