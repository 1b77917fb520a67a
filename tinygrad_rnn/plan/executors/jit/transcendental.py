"""exp, expm1 and tanh without a branch, so that a compiler turns a loop over them into vector instructions.

e^y = 2^k e^r with k = round(y / ln 2), so |r| <= ln(2)/2 (Cody and Waite 1980: ln 2 in two parts, the first with enough
trailing zeros that k times it is exact); e^r - 1 by its Taylor polynomial. Adding 1.5 * 2^52 rounds to an integer and
leaves it in the last bits. Errors: exp 1 ulp, expm1 and tanh 3. libm's tanh costs 10 times as much in a loop.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from tinygrad_rnn.plan.executors.jit.machine import OPTIONS, bits, real

LOG2_E = 1.0 / math.log(2.0)
HIGH, LOW = 0.693147180369123816490, 1.90821492927058770002e-10  # ln 2 (fdlibm's split)
ROUND = 1.5 * 2.0**52
C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13 = (1.0 / math.factorial(k) for k in range(2, 14))

f4 = np.float32
LOG2_E_4, HIGH_4, LOW_4, ROUND_4 = f4(LOG2_E), f4(0.693359375), f4(-2.12194440e-4), f4(1.5 * 2.0**23)
D2, D3, D4, D5, D6, D7, D8 = (f4(1.0 / math.factorial(k)) for k in range(2, 9))
ONE_4, TWO_4 = f4(1.0), f4(2.0)


@njit(**OPTIONS)
def _reduced(y: Any) -> Any:
    """Return k and e^r - 1."""
    z = y * LOG2_E + ROUND
    k = bits(z) - bits(ROUND)
    whole = z - ROUND
    r = (y - whole * HIGH) - whole * LOW
    p = C13 * r + C12
    p = ((((p * r + C11) * r + C10) * r + C9) * r + C8) * r + C7
    p = ((((p * r + C6) * r + C5) * r + C4) * r + C3) * r + C2
    return k, r + r * r * p


@njit(**OPTIONS)
def _power_of_two(k: Any) -> Any:
    return real((k + 1023) << 52)


@njit(**OPTIONS)
def exp(x: Any) -> Any:
    """e^x: 0, inf and nan where numpy gives them, gradual underflow included."""
    k, p = _reduced(min(max(x, -746.0), 710.0))
    half = k >> 1  # 2^k itself may overflow where the product does not
    y = (1.0 + p) * _power_of_two(half) * _power_of_two(k - half)
    return x if x != x else y


@njit(**OPTIONS)
def expm1(x: Any) -> Any:
    """e^x - 1, accurate near 0."""
    k, p = _reduced(min(max(x, -40.0), 710.0))
    half = k >> 1
    low, high = _power_of_two(half), _power_of_two(k - half)
    y = (p * low + (low - 1.0 / high)) * high
    return x if x != x or x == 0.0 else y


@njit(**OPTIONS)
def tanh(x: Any) -> Any:
    """-t / (2 + t) with t = e^(-2|x|) - 1, and the sign of x."""
    k, p = _reduced(-2.0 * min(abs(x), 20.0))
    scale = _power_of_two(k)
    t = p * scale + (scale - 1.0)
    y = math.copysign(t / (t + 2.0), x)
    return x if x != x else y


@njit(**OPTIONS)
def _reduced_4(y: Any) -> Any:
    z = y * LOG2_E_4 + ROUND_4
    k = bits(z) - bits(ROUND_4)
    whole = z - ROUND_4
    r = (y - whole * HIGH_4) - whole * LOW_4
    p = ((((D8 * r + D7) * r + D6) * r + D5) * r + D4) * r + D3
    return k, r + r * r * (p * r + D2)


@njit(**OPTIONS)
def _power_of_two_4(k: Any) -> Any:
    return real(np.int32(np.int32(k + np.int32(127)) << np.int32(23)))


@njit(**OPTIONS)
def exp_4(x: Any) -> Any:
    """e^x in float32."""
    k, p = _reduced_4(min(max(x, f4(-104.0)), f4(89.0)))
    half = np.int32(k >> 1)
    y = (ONE_4 + p) * _power_of_two_4(half) * _power_of_two_4(np.int32(k - half))
    return x if x != x else y


@njit(**OPTIONS)
def expm1_4(x: Any) -> Any:
    """e^x - 1 in float32."""
    k, p = _reduced_4(min(max(x, f4(-20.0)), f4(89.0)))
    half = np.int32(k >> 1)
    low, high = _power_of_two_4(half), _power_of_two_4(np.int32(k - half))
    y = (p * low + (low - ONE_4 / high)) * high
    return x if x != x or x == f4(0.0) else y


@njit(**OPTIONS)
def tanh_4(x: Any) -> Any:
    """tanh in float32."""
    k, p = _reduced_4(-TWO_4 * min(abs(x), f4(10.0)))
    scale = _power_of_two_4(k)
    t = p * scale + (scale - ONE_4)
    y = f4(math.copysign(t / (t + TWO_4), x))
    return x if x != x else y
