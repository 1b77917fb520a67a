"""Update rules: how a gradient changes a parameter, as pure functions of hyper-parameters.

A `Rule` is a frozen record. `rule.init(params)` gives the state, `rule.update(params, grads, state)` the next
parameters and the next state; both map names to arrays, floats or nodes, and nothing is changed in place. The
formulas are written in `tinygrad_rnn.ops`, so that they run on plain arrays in a loop and can be recorded
into one plan together with the forward and the backward pass; a learning rate that is an argument of the compiled
function (`SGDRule(lr=lr)` inside of it) may then change from step to step. The numbers are those of PyTorch's
optimizers.

>>> import numpy as np
>>> rule = SGDRule(lr=0.5)
>>> params = {"w": np.array([1.0])}
>>> rule.update(params, {"w": np.array([0.2])}, rule.init(params))[0]
{'w': array([0.9])}
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from tinygrad_rnn.core import arguments as check
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.op import Carrier

Slots: TypeAlias = dict[str, Any]
"""What a rule remembers of a parameter: slot name -> array of the parameter's shape, or a step count."""

State: TypeAlias = dict[str, Slots]
"""What a rule remembers: parameter name -> slots."""

NODES = ("lr", "lr_decay", "weight_decay", "eps")
"""The hyper-parameters that may be nodes without axes: they only enter operations."""


class Rule(ABC):
    """The interface of all rules: `_slots` and `_next` say what happens to a single parameter."""

    __slots__ = ()

    lr: float

    @final
    def init(self, params: Mapping[str, Any]) -> State:
        """Return the state before the first update: every slot of every parameter at its initial value."""
        return {name: self._slots(_raw(param)) for name, param in params.items()}

    @final
    def update(
        self, params: Mapping[str, Any], grads: Mapping[str, Any], state: Mapping[str, Slots]
    ) -> tuple[dict[str, Any], State]:
        """Return (next parameters, next state); names without a gradient keep their value and their slots.

        Raises:
            KeyError: a gradient's name is not among the parameters.
        """
        unknown = grads.keys() - params.keys()
        if unknown:
            raise KeyError(
                f"update: gradient {min(unknown)!r} belongs to no parameter; legal: {list(params)}"
            )
        new_params, new_state = dict(params), dict(state)
        for name, grad in grads.items():
            new_params[name], new_state[name] = self._next(params[name], grad, state[name])
        return new_params, new_state

    @abstractmethod
    def _slots(self, param: Any) -> Slots:
        """Return the initial slots of a parameter."""

    @abstractmethod
    def _next(self, param: Any, grad: Any, slots: Slots) -> tuple[Any, Slots]:
        """Return (next parameter, next slots)."""


@final
@dataclass(frozen=True, slots=True)
class SGDRule(Rule):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013).

    g' = g + weight_decay p; b' = momentum b + g'; d = g' + momentum b' (Nesterov) | b' | g' (no momentum);
    p' = p - lr d.
    """

    lr: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _at_least_zero(self, "lr", "momentum", "weight_decay")
        if check.truth("SGDRule: nesterov", self.nesterov) and not self.momentum:
            raise ValueError("SGDRule: nesterov needs a momentum above 0")

    def _slots(self, param: Any) -> Slots:
        return {"momentum_buffer": _zeros(param)} if self.momentum else {}

    def _next(self, param: Any, grad: Any, slots: Slots) -> tuple[Any, Slots]:
        grad = _decayed(param, grad, self.weight_decay)
        if not self.momentum:
            return _moved(param, grad, self.lr), {}
        buffer = ops.add(ops.multiply(slots["momentum_buffer"], self.momentum), grad)
        direction = ops.add(grad, ops.multiply(buffer, self.momentum)) if self.nesterov else buffer
        return _moved(param, direction, self.lr), {"momentum_buffer": buffer}


@final
@dataclass(frozen=True, slots=True)
class AdagradRule(Rule):
    """Adagrad (Duchi, Hazan and Singer 2011).

    g' = g + weight_decay p; s' = s + g'^2; p' = p - lr / (1 + (step - 1) lr_decay) g' / (sqrt(s') + eps).
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        _at_least_zero(self, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def _slots(self, param: Any) -> Slots:
        return {"step": _zero_count(param), "sum": _full(param, self.initial_accumulator_value)}

    def _next(self, param: Any, grad: Any, slots: Slots) -> tuple[Any, Slots]:
        grad = _decayed(param, grad, self.weight_decay)
        total = ops.add(slots["sum"], ops.square(grad))
        direction = ops.divide(grad, ops.add(ops.sqrt(total), self.eps))
        if self.lr_decay:
            direction = ops.divide(direction, ops.add(ops.multiply(slots["step"], self.lr_decay), 1.0))
        return _moved(param, direction, self.lr), {"step": ops.add(slots["step"], 1.0), "sum": total}


@final
@dataclass(frozen=True, slots=True)
class RMSpropRule(Rule):
    """RMSprop (Tieleman and Hinton 2012); centered after Graves (2013, eq. 38-45).

    g' = g + weight_decay p; v' = alpha v + (1 - alpha) g'^2; a' = alpha a + (1 - alpha) g' if centered, else
    0; d = g' / (sqrt(v' - a'^2) + eps); b' = momentum b + d; p' = p - lr b' (p - lr d without momentum).
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        _at_least_zero(self, "lr", "alpha", "eps", "weight_decay", "momentum")
        check.truth("RMSpropRule: centered", self.centered)
        if self.alpha > 1.0:
            raise ValueError(f"RMSpropRule: alpha must be at most 1; it is {self.alpha}")

    def _slots(self, param: Any) -> Slots:
        wanted = {"square_avg": True, "grad_avg": self.centered, "momentum_buffer": self.momentum > 0.0}
        return {slot: _zeros(param) for slot, used in wanted.items() if used}

    def _next(self, param: Any, grad: Any, slots: Slots) -> tuple[Any, Slots]:
        grad = _decayed(param, grad, self.weight_decay)
        new: Slots = {"square_avg": _averaged(slots["square_avg"], ops.square(grad), self.alpha)}
        variance = new["square_avg"]
        if self.centered:
            new["grad_avg"] = _averaged(slots["grad_avg"], grad, self.alpha)
            variance = ops.subtract(variance, ops.square(new["grad_avg"]))
        direction = ops.divide(grad, ops.add(ops.sqrt(variance), self.eps))
        if self.momentum:
            direction = ops.add(ops.multiply(slots["momentum_buffer"], self.momentum), direction)
            new["momentum_buffer"] = direction
        return _moved(param, direction, self.lr), new


@final
@dataclass(frozen=True, slots=True)
class AdamRule(Rule):
    """Adam (Kingma and Ba 2015, algorithm 1); `decoupled` is AdamW (Loshchilov and Hutter 2019, algorithm 2).

    g' = g + weight_decay p (Adam) or p <- (1 - lr weight_decay) p before the step (AdamW);
    m' = beta1 m + (1 - beta1) g'; v' = beta2 v + (1 - beta2) g'^2;
    p' = p - lr m' / (1 - beta1^step) / (sqrt(v' / (1 - beta2^step)) + eps).
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        _at_least_zero(self, "lr", "eps", "weight_decay")
        if not isinstance(self.betas, (tuple, list)):
            raise TypeError(f"AdamRule: betas must be two numbers, got {type(self.betas).__name__}")
        betas = [check.number("AdamRule: betas: each", beta, 0.0) for beta in self.betas]
        if len(betas) != 2 or not max(betas) < 1.0:
            raise ValueError(f"AdamRule: betas must be two numbers in 0 <= beta < 1; they are {self.betas}")

    def _slots(self, param: Any) -> Slots:
        return {"step": _zero_count(param), "exp_avg": _zeros(param), "exp_avg_sq": _zeros(param)}

    def _next(self, param: Any, grad: Any, slots: Slots) -> tuple[Any, Slots]:
        if self.decoupled:
            param = ops.multiply(param, 1.0 - self.lr * self.weight_decay)
        else:
            grad = _decayed(param, grad, self.weight_decay)
        (beta1, beta2), step = self.betas, ops.add(slots["step"], 1.0)
        mean = _averaged(slots["exp_avg"], grad, beta1)
        square = _averaged(slots["exp_avg_sq"], ops.square(grad), beta2)
        scale = ops.divide(ops.sqrt(square), ops.sqrt(_bias_correction(step, beta2)))
        unbiased = ops.divide(mean, _bias_correction(step, beta1))
        direction = ops.divide(unbiased, ops.add(scale, self.eps))
        return _moved(param, direction, self.lr), {"step": step, "exp_avg": mean, "exp_avg_sq": square}


def _raw(param: Any) -> Any:
    """Return the array or float behind a parameter that may be a node."""
    return param if isinstance(param, float | np.ndarray) else param.data


def _zeros(param: Any) -> Any:
    """Return a zero of the parameter's shape and dtype: a float for a float."""
    return _full(param, 0.0)


def _full(param: Any, value: float) -> Any:
    """Return ``value`` in the parameter's shape and dtype: a float for a float."""
    return value if isinstance(param, float) else np.full(param.shape, value, param.dtype)


def _zero_count(param: Any) -> Any:
    """Return the count 0 in the parameter's dtype, so that it promotes nothing; float32 counts to 2**24."""
    return 0.0 if isinstance(param, float) else np.zeros((), param.dtype)


def _decayed(param: Any, grad: Any, weight_decay: float) -> Any:
    """Return grad + weight_decay param: the gradient of an added weight_decay/2 |param|^2."""
    return ops.add(grad, ops.multiply(param, weight_decay)) if weight_decay else grad


def _moved(param: Any, direction: Any, lr: float) -> Any:
    """Return param - lr direction."""
    return ops.subtract(param, ops.multiply(direction, lr))


def _averaged(average: Any, new: Any, keep: float) -> Any:
    """Return keep average + (1 - keep) new."""
    return ops.add(ops.multiply(average, keep), ops.multiply(new, 1.0 - keep))


def _bias_correction(step: Any, beta: float) -> Any:
    """Return 1 - beta^step as -expm1(step log(beta)), exact in float32 too where beta is near 1."""
    return ops.negative(ops.expm1(ops.multiply(step, math.log(beta)))) if beta else 1.0


def _at_least_zero(rule: Any, *names: str) -> None:
    """Raise an error unless the named hyper-parameters are finite numbers and not negative.

    A node (the learning rate of a schedule, in a plan) has no number yet and is not checked.
    """
    for name in names:
        value = getattr(rule, name)
        if not isinstance(value, Carrier) or name not in NODES or getattr(value, "shape", ()) != ():
            check.number(f"{type(rule).__name__}: {name}", value, 0.0)
