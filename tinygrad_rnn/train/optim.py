"""Optimizers: a rule, the parameters it moves, and the state in between, for a training loop."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np

from tinygrad_rnn.train.clip import gradient_norm, leaves, named
from tinygrad_rnn.train.rules import AdagradRule, AdamRule, RMSpropRule, Rule, SGDRule, State


class Optimizer(ABC):
    """What all optimizers share; the constructors below choose the rule.

    Args:
        params: a Module, a list or a dict of leaves (Tensors or Values); their `.data` is assigned by `step`.
        rule: the frozen record of hyper-parameters; assign another one of the same kind to change them later.

    Raises:
        TypeError: `params` is none of these.
        ValueError: there are no parameters, or one occurs twice.

    >>> from tinygrad_rnn import Value
    >>> x = Value(3.0)
    >>> optimizer = SGD([x], lr=0.25)
    >>> (x * x).backward()
    >>> optimizer.step()
    >>> x.data
    1.5
    """

    @abstractmethod
    def __init__(self, params: Any, rule: Rule) -> None:
        self.params = leaves(params)
        self.rule = rule
        if not self.params:
            raise ValueError(f"{type(self).__name__}: there are no parameters")
        if len({id(param) for param in self.params.values()}) < len(self.params):
            raise ValueError(f"{type(self).__name__}: a parameter occurs twice; it would be moved twice")
        self._state = rule.init(self._data())

    def _data(self) -> dict[str, Any]:
        """Return the current value of each parameter."""
        return {name: param.data for name, param in self.params.items()}

    @property
    def lr(self) -> float:
        """The learning rate; assignable, for a schedule."""
        return self.rule.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.rule = dataclasses.replace(self.rule, lr=value)  # type: ignore[type-var]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for param in self.params.values():
            param.grad = None

    def step(self, grads: Any = None) -> None:
        """Move the parameters by their `.grad`, or by the gradients given.

        Parameters without a gradient stay, and so does what is remembered of them. All new values are
        computed before the first one is assigned: an error leaves parameters and state as they were.

        Args:
            grads: None, or arrays, floats or nodes in the structure of `params` (what `tr.grad` returned).

        Raises:
            NonFiniteGradientError: a gradient holds inf or nan; its parameter is named.
            ValueError: no parameter has a gradient, a gradient has another shape than its parameter, or a
                name in `grads` is no parameter's.
        """
        chosen = self._own_grads() if grads is None else self._given_grads(grads)
        gradient_norm(chosen)  # refuses inf and nan
        old = self._data(), self._state
        new = self.rule.update(old[0], chosen, self._state)
        try:
            self._assign(new, chosen)
        except BaseException:  # Ctrl-C in the middle: parameters and state of one and the same step
            self._assign(old, chosen)
            raise

    def _assign(self, values: tuple[Mapping[str, Any], State], names: Iterable[str]) -> None:
        """Assign the named parameters and the state."""
        for name in names:
            self.params[name].data = values[0][name]
        self._state = values[1]

    def _own_grads(self) -> dict[str, Any]:
        """Return the `.grad` of each parameter that has one."""
        grads = {name: param.grad for name, param in self.params.items() if param.has_grad}
        if not grads:
            raise ValueError("step: no parameter has a gradient; call backward() on the loss first")
        return grads

    def _given_grads(self, grads: Any) -> dict[str, Any]:
        """Return the given gradients as arrays or floats under the names of the parameters."""
        given = {name: _plain(grad) for name, grad in named(grads).items()}
        for name, grad in given.items():
            if name not in self.params:
                raise ValueError(
                    f"step: gradient {name!r} belongs to no parameter; legal: {list(self.params)}"
                )
            if np.shape(grad) != np.shape(self.params[name].data):
                raise ValueError(
                    f"step: the gradient of {name!r} has shape {np.shape(grad)}, "
                    f"the parameter {np.shape(self.params[name].data)}"
                )
        if not given:
            raise ValueError("step: there are no gradients")
        return given

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on, copied: {"rule": hyper-parameters, "state": {name: slots}}."""
        state = {
            name: {slot: _copy(value) for slot, value in slots.items()} for name, slots in self._state.items()
        }
        return {"rule": dataclasses.asdict(self.rule), "state": state}  # type: ignore[call-overload]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: a key is missing or not expected, or an array has another shape.
        """
        rule = type(self.rule)(**state_dict["rule"])
        expected = rule.init(self._data())
        state: State = {}
        _same_keys("state", state_dict["state"], expected)
        for name, slots in expected.items():
            given = state_dict["state"][name]
            _same_keys(name, given, slots)
            for slot, initial in slots.items():
                if np.shape(given[slot]) != np.shape(initial):
                    raise ValueError(
                        f"load_state_dict: {name!r}, {slot!r}: shape {np.shape(given[slot])}, "
                        f"expected {np.shape(initial)}"
                    )
            state[name] = {slot: _copy(given[slot]) for slot in slots}
        self.rule, self._state = rule, state


@final
class SGD(Optimizer):
    """Stochastic gradient descent; the formula is `SGDRule`'s."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, SGDRule(lr, momentum, nesterov, weight_decay))


@final
class Adagrad(Optimizer):
    """Adagrad; the formula is `AdagradRule`'s."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(params, AdagradRule(lr, lr_decay, weight_decay, initial_accumulator_value, eps))


@final
class RMSprop(Optimizer):
    """RMSprop; the formula is `RMSpropRule`'s."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(params, RMSpropRule(lr, alpha, eps, weight_decay, momentum, centered))


@final
class Adam(Optimizer):
    """Adam, its weight decay an addition to the gradient; the formula is `AdamRule`'s."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, AdamRule(lr, betas, eps, weight_decay))


@final
class AdamW(Optimizer):
    """Adam with decoupled weight decay; the formula is `AdamRule`'s."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, AdamRule(lr, betas, eps, weight_decay, decoupled=True))


def _plain(grad: Any) -> Any:
    """Return the float or array of a gradient that may be a node or a list."""
    if isinstance(grad, float | np.ndarray):
        return grad
    return np.asarray(grad, np.float64) if isinstance(grad, Sequence | int) else grad.data


def _copy(value: Any) -> Any:
    """Return a copy of a slot: a float is its own."""
    return value.copy() if isinstance(value, np.ndarray) else value


def _same_keys(where: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise a ValueError that lists missing and unknown keys."""
    if given.keys() != expected.keys():
        missing, unknown = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
        raise ValueError(f"load_state_dict: {where}: missing {missing}, unknown {unknown}")
