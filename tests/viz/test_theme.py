import itertools
import math

import pytest

from tinygrad_rnn.viz.theme import ALARM, ALARM_FILL, EDGE_RAMP, RAMP, ZERO, Palette, Scale, legend

# Machado, Oliveira and Fernandes (2009), severity 1: what people without red, green or blue cones see, linear RGB
VISION = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def luminance(color, vision="full"):
    seen = [sum(a * b for a, b in zip(row, linear(color), strict=True)) for row in VISION[vision]]
    return 0.2126 * seen[0] + 0.7152 * seen[1] + 0.0722 * seen[2]


def lightness(color, vision):
    return 116 * luminance(color, vision) ** (1 / 3) - 16  # CIE L*


def contrast(a, b):
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ramp", [RAMP, EDGE_RAMP], ids=["fills", "edges"])
def test_neighboring_colors_differ_in_lightness_for_everybody(ramp, vision):
    steps = [lightness(a, vision) - lightness(b, vision) for a, b in itertools.pairwise(ramp)]
    assert min(steps) > 2.5, steps


def test_text_can_be_read_on_every_fill():
    palette = Palette(Scale(1e-7, 1.0))
    magnitudes = [None, 0.0, math.inf, math.nan, *(10.0**-k for k in range(9))]
    for magnitude in magnitudes:
        fill, ink = palette.fill(magnitude)
        assert contrast(fill, ink) >= 4.5, (magnitude, fill, ink)


def test_the_scale_is_logarithmic_and_bounded():
    scale = Scale.of([1e-3, 10.0, 0.0, math.inf, math.nan])
    assert (scale.low, scale.high) == (1e-3, 10.0)
    ratios = [b / a for a, b in itertools.pairwise(scale.bounds)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert Scale.of([1e-300, 1.0]).low == pytest.approx(1e-12)
    assert Scale.of([0.9, 1.0]).low == pytest.approx(1e-3)
    assert Scale.of([5e-324]).bounds == ()
    assert Scale.of([]) == Scale()


def test_larger_gradients_are_darker_and_wider():
    palette = Palette(Scale.of([1e-6, 1.0]))
    fills = [palette.fill(10.0**-k)[0] for k in range(7)]
    assert fills == list(reversed(RAMP))
    widths = [palette.line(10.0**-k)[1] for k in range(7)]
    assert widths == sorted(widths, reverse=True)


def test_what_is_no_magnitude_has_a_color_of_its_own():
    palette = Palette(Scale.of([1e-6, 1.0]))
    special = [palette.fill(m)[0] for m in (None, 0.0, math.inf)]
    assert len(set(special) | set(RAMP)) == 3 + len(RAMP)
    assert (palette.fill(math.nan)[0], palette.line(math.nan)[0]) == (ALARM_FILL, ALARM)
    assert palette.fill(0.0)[0] == ZERO


def test_the_legend_names_both_ends():
    assert legend(Scale()) == ""
    text = legend(Scale.of([1e-6, 2.0]))
    assert "1e-06" in text
    assert "to 2e+00" in text
    assert text.count("bgcolor") == len(RAMP)
    assert all(color in text for color in RAMP)
