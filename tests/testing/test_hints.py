"""Every pattern is recognized, and what fits none gets no hint."""

import numpy as np
import pytest
from numpy.random import default_rng

from tinygrad_rnn.testing.hints import hint

RNG = default_rng(0)
M = RNG.normal(size=(4, 4))
V = RNG.normal(size=5)
STEPS = RNG.normal(size=(6, 3))
PARTS = [(f"t={t}", RNG.normal(size=(4, 4))) for t in range(5)]
TOTAL = sum(part for _, part in PARTS)

KNOWN = {
    "sign": (M, -M, {}, "the sign is wrong"),
    "half": (M, M / 2, {}, "got is 1/2 times expected"),
    "mean over time": (STEPS, STEPS / 6, {"sizes": {"T": 6, "batch": 3}}, "1/T: averaged where the loss is a sum"),
    "loss averaged": (STEPS, 3 * STEPS, {"sizes": {"T": 6, "B": 3}}, "= B: the loss is averaged"),
    "slightly": (M, M * (1 + 1e-7), {}, "1.0000001 times"),
    "transposed": (M, M.T, {}, "transposed"),
    "transposed shape": (STEPS, STEPS.T, {}, "transposed: shape (3, 6) instead of (6, 3)"),
    "not summed": (STEPS.sum(0), STEPS, {}, "broadcast, and not summed over axis 0"),
    "not summed, kept": (STEPS.sum(1, keepdims=True), STEPS, {}, "broadcast, and not summed over axis 1"),
    "wrong axis": (STEPS.sum(0), STEPS.sum(1), {}, "summed over the wrong axis"),
    "reshaped": (STEPS, STEPS.reshape(9, 2), {}, "the right numbers in the wrong shape"),
    "only the last use": (TOTAL, PARTS[0][1], {"parts": PARTS}, "overwritten instead of accumulated: only the"),
    "a step is missing": (TOTAL, TOTAL - PARTS[3][1], {"parts": PARTS}, "the contribution of t=3 is missing"),
    "first step": (TOTAL, TOTAL - PARTS[0][1], {"parts": PARTS}, "the initial state is forgotten"),
    "a step late": (STEPS, np.vstack([np.zeros((1, 3)), STEPS[:-1]]), {}, "got[t] is expected[t - 1]"),
    "a step early": (STEPS, np.vstack([STEPS[1:], np.zeros((1, 3))]), {}, "got[t] is expected[t + 1]"),
    "forgotten": (V, 0 * V, {"of": "argument 1"}, "no gradient arrives"),
    "initial state": (V, 0 * V, {"of": "argument 0['h0']"}, "the initial state is forgotten"),
    "clipped": (V, np.clip(V, -0.2, 0.2), {}, "clipped at 0.2"),
    "all of it clipped": (V, 0.01 * np.sign(V), {}, "clipped at 0.01"),
    "one entry": (STEPS, STEPS + np.eye(6, 3, -2) * [1, 0, 0], {}, "only index 2 of axis 0 is wrong"),
    "one of five": (V, V * [1, 1, 1 + 1e-8, 1, 1], {}, "1 of 5 entries are wrong"),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_pattern(name):
    expected, got, more, found = KNOWN[name]
    assert found in hint(expected, got, **more)


UNKNOWN = {
    "nothing wrong": (M, M.copy()),
    "no pattern": (M, RNG.normal(size=(4, 4))),
    "two numbers have some ratio": (np.array(0.37), np.array(1.13)),
    "a larger number of two": (np.array([0.84, 0.1]), np.array([0.6, 0.1])),
    "two numbers": (np.array([0.84, 0.1]), np.array([0.6, 0.2])),
    "half of the only entry": (np.array([0.0, 12.0]), np.array([0.0, 6.0])),
    "another unit": (np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])),
    "one number among zeros": (np.array([0.0, 0.37, 0.0]), np.array([0.0, 1.13, 0.0])),
    "nan": (M, M * np.nan),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3))),
    "expected zero": (np.zeros(3), np.ones(3)),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_no_hint_where_none_fits(name):
    assert hint(*UNKNOWN[name]) == ""
