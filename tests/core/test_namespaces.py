"""The worlds a rule runs in: branches of the complex one go by the real part, and the printed one says it in short."""

import numpy as np
import pytest

from tinygrad_rnn.core.namespaces import COMPLEX, NUMPY, Source, below_peak

H = 1e-20
INF = np.inf


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_complex_step_of_a_tie_is_half_of_each_slope(name: str) -> None:
    function = getattr(COMPLEX, name)
    got = function(np.array([1.0 + 3j * H, 1.0]), np.array([1.0 + 1j * H, 2.0 + 5j * H]))
    assert got.real.tolist() == [1.0, 2.0 if name == "maximum" else 1.0]
    np.testing.assert_allclose(got.imag, [2 * H, 5 * H if name == "maximum" else 0.0], rtol=1e-12)


@pytest.mark.parametrize(("largest", "value"), [(True, 1.0), (False, -1.0)])
def test_the_complex_step_of_an_extremum_is_shared_by_those_that_tie(largest: bool, value: float) -> None:
    x = np.array([[1.0 + 1j * H, -1.0 + 2j * H, 1.0 + 3j * H], [-1.0 + 5j * H, 1.0 + 6j * H, -1.0 + 7j * H]])
    rows = COMPLEX.extremum(x, 1, largest)
    assert rows.real.tolist() == [[value], [value]]
    np.testing.assert_allclose(rows.imag[:, 0] / H, [2.0, 6.0], rtol=1e-12)
    whole = COMPLEX.extremum(x, None, largest)
    assert whole.shape == (1, 1)
    expected = (1 + 3 + 6) / 3 if largest else (2 + 5 + 7) / 3
    np.testing.assert_allclose(whole.imag / H, expected, rtol=1e-12)


def test_the_complex_product_that_weighs_is_0_only_where_it_would_be_nan() -> None:
    a = np.array([0.0 + 2j * H, INF, INF, 0.0, 3.0 + 1j * H])
    b = np.array([3.0, 0.0, 2.0, INF, 0.0 + 4j * H])
    with np.errstate(invalid="ignore"):
        got = COMPLEX.weigh(a, b)
    np.testing.assert_array_equal(got[[1, 3]], 0.0)
    assert got[2].real == INF
    np.testing.assert_allclose(got[[0, 4]].imag / H, [6.0, 12.0], rtol=1e-12)


def test_an_infinite_peak_is_0_below_itself() -> None:
    peak, below = below_peak(NUMPY, np.array([[INF, 1.0, -INF], [2.0, 5.0, -INF]]), 1)
    assert peak.tolist() == [[INF], [5.0]]
    assert below.tolist() == [[0.0, -INF, -INF], [-3.0, 0.0, -INF]]
    peak, below = below_peak(NUMPY, np.array([-INF, -INF]), 0)
    assert (peak.tolist(), below.tolist()) == ([-INF], [0.0, 0.0])


def test_the_peak_of_nothing_is_0() -> None:
    peak, below = below_peak(NUMPY, np.zeros((0, 2)), 0)
    assert (peak.tolist(), below.shape) == ([[0.0, 0.0]], (0, 2))


def test_a_printed_product_with_1_is_the_other_factor() -> None:
    source = Source()
    x = source.name("x")
    assert [source.infix(1.0, "*", x).text, source.infix(x, "*", 1).text] == ["x", "x"]
    assert [source.infix(1.0, "*", 2.0).text, source.infix(2.0, "*", 1.0).text] == ["2.0", "2.0"]
    assert source.lines == []
    for a, sign, b in ((x, "*", 2.0), (x, "+", 1.0), (1.0, "-", x), (x, "*", x)):
        source.infix(a, sign, b)
    assert [line.partition(" = ")[2] for line in source.lines] == ["x * 2.0", "x + 1.0", "1.0 - x", "x * x"]
