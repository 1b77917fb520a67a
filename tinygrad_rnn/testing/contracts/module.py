"""``ModuleContract``: what every module keeps to, one test for each property."""

from __future__ import annotations

import copy
import pickle
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.scalarize import scalarize
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import grad, jvp, value_and_grad
from tinygrad_rnn.core.tree import flatten, tree_map, unflatten
from tinygrad_rnn.core.variable import Variable
from tinygrad_rnn.nn.module import Module, functional_call
from tinygrad_rnn.plan.compiled import compile
from tinygrad_rnn.testing.contracts.comparing import (
    DOUBLE,
    array,
    close,
    identical,
    refused,
    skip,
    unless_opaque,
    without_dice,
)
from tinygrad_rnn.testing.contracts.contract import Contract
from tinygrad_rnn.testing.contracts.differences import every_leaf_moves_as_told, hessian_differences
from tinygrad_rnn.testing.contracts.problem import dot
from tinygrad_rnn.testing.gradcheck import assert_gradients


class ModuleContract(Contract, ABC):
    """Tests for a module, inherited: ``class TestMine(ModuleContract)`` with the methods ``make`` and ``inputs``.

    Attributes:
        seed: of everything that is drawn.
        tolerance: by how much two ways to the same sum may differ, relative to its largest entry.
        second_order: whether second derivatives are promised; an opaque operation has none, and need not say so.
        float32: whether single precision is promised.
        batch_axis: the axis of the batch in every array of the inputs; None leaves out the test of the rows.
        picklable: whether copies by pickle are promised (a class made inside a function has none).
    """

    seed: int = 0
    tolerance: float = 1e-11
    second_order: bool = True
    float32: bool = True
    batch_axis: int | None = None
    picklable: bool = True

    @abstractmethod
    def make(self, rng: np.random.Generator) -> Any:
        """Return a new module, its parameters drawn from ``rng``."""

    @abstractmethod
    def inputs(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the arguments of a call, ``(x,)`` for one.

        Float arrays, also within tuples, lists and dicts, are differentiated; integers and others are passed on.
        """

    def _parts(self, seed: int = 0) -> tuple[Any, tuple[Any, ...]]:
        rng = np.random.default_rng(self.seed + seed)
        module, inputs = self.make(rng), self.inputs(rng)
        who = type(self).__name__
        if not (isinstance(module, Module) and callable(module)):
            raise TypeError(
                f"{who}.make must return a tr.nn.Module with a __call__, got a {type(module).__name__}"
            )
        if not isinstance(inputs, (tuple, list)):
            raise TypeError(
                f"{who}.inputs must return a tuple of arguments, (x,) for one; got a {type(inputs).__name__}"
            )
        return module, tuple(inputs)

    def _close(self, what: str, got: Any, expected: Any) -> None:
        close(what, got, expected, self.tolerance)

    @staticmethod
    def _arrays(module: Any) -> dict[str, np.ndarray]:
        return {name: np.array(leaf.data) for name, leaf in module.named_parameters().items()}

    def _loss(self, module: Any, named: Any, args: Any) -> Any:
        """Return the sum of all float results, each entry with a weight of its own."""
        result = functional_call(module, named, *args)
        terms = []
        for i, (_, y) in enumerate(flatten(result)):
            if isinstance(y, Variable) and y.dtype.kind == "f":
                terms.append((y * np.random.default_rng(i).normal(size=y.shape)).sum())
        if not terms:
            raise AssertionError("the module returns no Value or Tensor that could be differentiated")
        return ops.add_n(*terms)

    def _problem(self, seed: int = 0) -> tuple[Any, Any, Any]:
        """Return the loss as a function of (parameters, float arguments), and the two."""
        module, inputs = self._parts(seed)
        leaves = [x for _, x in flatten(list(inputs))]

        def loss(named: Any, floats: Any) -> Any:
            given = iter(floats)
            args = unflatten(list(inputs), iter([next(given) if _is_float(x) else x for x in leaves]))
            return self._loss(module, named, args)

        return loss, self._arrays(module), [np.asarray(array(x), dtype=float) for x in leaves if _is_float(x)]

    def _results(self, module: Any, inputs: Any) -> Any:
        return tree_map(array, module(*inputs))

    def test_gradient_is_the_derivative(self) -> None:
        """By every parameter and float input, against the complex step."""
        loss, named, floats = self._problem()
        assert_gradients(loss, named, floats)

    def test_gradient_reaches_every_parameter(self) -> None:
        """Nothing is cut off or read out of the graph: each parameter and input moves the loss as its gradient says."""
        loss, named, floats = self._problem()
        every_leaf_moves_as_told(loss, (named, floats), self.seed)

    def test_both_modes_agree(self) -> None:
        """Forward mode along a direction is the gradient times that direction."""
        loss, named, floats = self._problem()
        unless_opaque(loss(tree_map(Tensor, named), tree_map(Tensor, floats)))
        rng = np.random.default_rng(self.seed + 1)
        along = tree_map(lambda a: rng.normal(size=np.shape(a)), (named, floats))
        pushed = float(jvp(loss, (named, floats), along)[1])
        gradients = grad(loss, (0, 1))(named, floats)
        parts = [dot(g, d) for g, d in zip(gradients, along, strict=True)]
        if abs(pushed - sum(parts)) > self.tolerance * sum(abs(part) for part in parts):
            raise AssertionError(f"forward mode gives {pushed:.17g}, reverse mode {sum(parts):.17g}")

    def test_second_derivative_is_the_derivative_of_the_gradient(self) -> None:
        """The gradient is differentiated once more: against the complex step, and against its own differences."""
        if not self.second_order:
            skip("second_order is False")
        loss, named, floats = self._problem()
        unless_opaque(loss(tree_map(Tensor, named), tree_map(Tensor, floats)))
        rng = np.random.default_rng(self.seed + 2)
        along = tree_map(lambda a: rng.normal(size=np.shape(a)), (named, floats))

        def slope(*args: Any) -> Any:
            pairs = zip(flatten(grad(loss, (0, 1))(*args)), flatten(along), strict=True)
            return ops.add_n(*[(g * d).sum() for (_, g), (_, d) in pairs])

        assert_gradients(slope, named, floats)
        hessian_differences(loss, (named, floats), along)

    def test_rows_of_a_batch_do_not_see_each_other(self) -> None:
        """Each row alone gives what it gives in the batch, along the axis of the results that is then shorter."""
        module, inputs = self._parts()
        if (axis := self.batch_axis) is None:
            skip("set batch_axis to say which axis of the inputs is the batch")
        rows = next((x.shape[axis] for _, x in flatten(list(inputs)) if np.ndim(x) > axis), 0)
        whole = flatten(self._results(module, inputs))
        for row in range(rows):
            pick = lambda x, row=row: np.take(x, [row], axis) if np.ndim(x) > axis else x  # noqa: E731
            alone = flatten(self._results(module, tree_map(pick, list(inputs))))
            for (path, y), (_, single) in zip(whole, alone, strict=True):
                self._close(f"result{path} of row {row} alone", single, _row_like(y, single, row))

    def test_every_parameter_is_used(self) -> None:
        """The result depends on each parameter: a weight that gets no gradient was replaced or forgotten."""
        module, inputs = self._parts()
        for leaf in module.parameters():
            leaf.grad = None
        self._loss(module, module.named_parameters(), inputs).backward()
        unused = [name for name, leaf in module.named_parameters().items() if not leaf.has_grad]
        if unused:
            raise AssertionError(f"no gradient reaches {', '.join(unused)}")

    def test_functional_call_equals_call(self) -> None:
        """Computed with given parameters, the module reads those and no cached ones, and stays as it was."""
        module, inputs = self._parts()
        other = self.make(np.random.default_rng(self.seed + 99))
        before = self._arrays(module)
        found = tree_map(array, functional_call(module, self._arrays(other), *inputs))
        identical("a call with another's parameters", found, self._results(other, inputs))
        identical("the module's own parameters", self._arrays(module), before)

    def test_state_dict_round_trip(self) -> None:
        """All that a module has learned is in its state_dict: loaded into a new one, it computes the same."""
        module, inputs = self._parts()
        fresh = self.make(np.random.default_rng(self.seed + 99))
        fresh.load_state_dict(module.state_dict())
        identical("the state_dict of the copy", fresh.state_dict(), module.state_dict())
        identical("results of the copy", self._results(fresh, inputs), self._results(module, inputs))

    def test_a_wrong_state_dict_is_refused_whole(self) -> None:
        """A missing key, an unknown one or a wrong shape is an error, and changes nothing."""
        module, _ = self._parts()
        before = module.state_dict()
        if not before:
            skip("the module has no parameters")
        name = next(iter(before))
        other = {key: value + 1.0 for key, value in before.items()}
        wrong = {
            "a missing key": {key: value for key, value in other.items() if key != name},
            "an unknown key": other | {"no such parameter": np.zeros(1)},
            "a wrong shape": other | {name: np.zeros((*before[name].shape, 2))},
        }
        for what, state in wrong.items():
            refused(what, lambda state=state: module.load_state_dict(state), ValueError, KeyError)
            identical(f"parameters after {what}", module.state_dict(), before)

    def test_copies_live_lives_of_their_own(self) -> None:
        """Deep copies and pickles compute the same and share no parameter."""
        module, inputs = self._parts()
        expected = self._results(module, inputs)
        copies = [copy.deepcopy(module)]
        copies += [_unpickled(module)] if self.picklable else []
        for twin in copies:
            identical("results of a copy", self._results(twin, inputs), expected)
            for leaf in twin.parameters():
                leaf.data = leaf.data + 1.0
        identical("results after the copies were changed", self._results(module, inputs), expected)

    def test_zero_grad_forgets_every_gradient(self) -> None:
        """After ``zero_grad`` no parameter has a gradient."""
        module, inputs = self._parts()
        self._loss(module, module.named_parameters(), inputs).backward()
        module.zero_grad()
        kept = [name for name, leaf in module.named_parameters().items() if leaf.has_grad]
        if kept:
            raise AssertionError(f"zero_grad left the gradient of {', '.join(kept)}")

    def test_parameters_are_leaves_with_names_of_their_own(self) -> None:
        """Every parameter is a leaf, listed once."""
        module, _ = self._parts()
        if not isinstance(module, Module):
            raise AssertionError(f"{type(module).__name__} is not a subclass of tr.nn.Module")
        leaves = module.parameters()
        wrong = [name for name, leaf in module.named_parameters().items() if leaf.kind != "leaf"]
        if wrong or len(leaves) != len(set(leaves)):
            raise AssertionError(f"not a leaf, or listed twice: {', '.join(wrong) or 'a shared leaf'}")

    def test_scalarized_equals_tensor(self) -> None:
        """The module written out in single numbers has the same value."""
        loss, named, floats = self._problem()
        node = loss(tree_map(Tensor, named), tree_map(Tensor, floats))
        unless_opaque(node)
        self._close("the scalarized loss", scalarize(node).outputs[0].data, node.data)

    def test_compiled_equals_eager(self) -> None:
        """A replay of the recorded plan gives the same numbers, for other numbers too."""
        loss, named, floats = self._problem()
        compiled = compile(value_and_grad(loss, (0, 1)))
        for shift in (0.0, 0.125):
            args = (named, [x + shift for x in floats])
            self._close("compiled beside eager", compiled(*args), value_and_grad(loss, (0, 1))(*args))

    def test_float32_is_near_float64(self) -> None:
        """In single precision the result stays in single precision, and is right to its digits."""
        if not self.float32:
            skip("float32 is False")
        loss, named, floats = self._problem()
        single = tree_map(lambda a: Tensor(np.asarray(a, np.float32)), (named, floats))
        close("the loss in float32", loss(*single), loss(named, floats), 1e-3)
        module, inputs = self._parts()
        cast = tree_map(
            lambda x: Tensor(np.asarray(array(x), np.float32)) if _is_float(x) else x, list(inputs)
        )
        for path, y in flatten(functional_call(module, single[0], *cast)):
            if isinstance(y, Variable) and y.dtype.kind == "f" and y.dtype != np.float32:
                raise AssertionError(
                    f"float32 parameters and inputs gave result{path} of {y.dtype}: {DOUBLE}"
                )

    def test_running_it_again_gives_the_same(self) -> None:
        """A module has no memory and no randomness of its own, and changes neither inputs nor parameters."""
        module, inputs = self._parts()
        before = tree_map(lambda x: np.copy(array(x)), [self._arrays(module), list(inputs)])
        first = without_dice("the module", lambda: self._results(module, inputs))
        identical("a second run", self._results(module, inputs), first)
        identical("parameters and inputs after a run", [self._arrays(module), list(inputs)], before)


def _is_float(x: Any) -> bool:
    return array(x).dtype.kind == "f"


def _row_like(whole: np.ndarray, single: np.ndarray, row: int) -> np.ndarray:
    """Return one row of a result, along the axis in which the result of that row alone is shorter."""
    axes = [i for i, (a, b) in enumerate(zip(whole.shape, single.shape, strict=False)) if a != b]
    if whole.ndim != single.ndim or len(axes) != 1:
        raise AssertionError(
            f"results of shape {whole.shape} for the batch and {single.shape} for one row: they must differ in one axis"
        )
    return np.take(whole, [row], axes[0])


def _unpickled(module: Any) -> Any:
    try:
        return pickle.loads(pickle.dumps(module))
    except Exception as error:
        raise AssertionError(
            f"{type(module).__name__} cannot be pickled ({error}); if that is not promised, set picklable = False"
        ) from error
