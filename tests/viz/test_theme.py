import itertools
import math
from dataclasses import fields

import pytest

import tinygrad_rnn as tr
from tinygrad_rnn.viz.theme import DARK, LIGHT, PRINT, THEMES, Palette, Scale

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
    color = {"white": "#ffffff", "black": "#000000"}.get(color, color)
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


COLORED = [(name, theme) for name, theme in THEMES.items() if not theme.borders]


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("name", "theme"), COLORED)
@pytest.mark.parametrize("ramp", ["ramp", "edge_ramp"])
def test_neighboring_colors_differ_in_lightness_for_everybody(ramp, name, theme, vision):
    colors = getattr(theme, ramp)
    steps = [lightness(a, vision) - lightness(b, vision) for a, b in itertools.pairwise(colors)]
    assert min(steps) > 2.5 if name == "light" else max(steps) < -2.5, steps


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_can_be_read_on_every_fill(theme):
    palette = Palette(Scale(1e-7, 1.0), theme)
    magnitudes = [None, 0.0, math.inf, math.nan, *(10.0**-k for k in range(9))]
    for magnitude in magnitudes:
        fill, ink = palette.fill(magnitude)
        assert contrast(fill, ink) >= 4.5, (magnitude, fill, ink)
    for back in (theme.background, theme.frame_fill):
        assert contrast(theme.ink, back) >= 7.0
        assert contrast(theme.muted, back) >= 4.0
        assert contrast(theme.alarm, back) >= 3.0
        assert min(contrast(color, back) for color in (theme.line, theme.edge_ramp[-1])) >= 3.0


def test_a_magnitude_that_vanishes_fades_into_the_page():
    for _, theme in COLORED:
        away = [contrast(color, theme.background) for color in theme.ramp]
        assert away == sorted(away)


def test_the_scale_is_logarithmic_and_bounded():
    scale = Scale.of([1e-3, 10.0, 0.0, math.inf, math.nan])
    assert (scale.low, scale.high) == (1e-3, 10.0)
    ratios = [b / a for a, b in itertools.pairwise(scale.bounds)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert Scale.of([1e-300, 1.0]).low == pytest.approx(1e-12)
    assert Scale.of([0.9, 1.0]).low == pytest.approx(1e-3)
    assert Scale.of([5e-324]).bounds == ()
    assert Scale.of([]) == Scale()


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_larger_gradients_stand_out_more(theme):
    palette = Palette(Scale.of([1e-6, 1.0]), theme)
    fills = [palette.fill(10.0**-k)[0] for k in range(7)]
    assert fills == list(reversed(theme.ramp))
    widths = [palette.line(10.0**-k)[1] for k in range(7)]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 7


def test_print_has_neither_color_nor_shade_and_tells_seven_widths_apart():
    palette = Palette(Scale.of([1e-6, 1.0]), PRINT)
    colors = {getattr(PRINT, f.name) for f in fields(PRINT) if isinstance(getattr(PRINT, f.name), str)}
    assert colors | {*PRINT.ramp, *PRINT.inks, *PRINT.edge_ramp} == {"black", "white", "#555555"}
    borders = [float(palette.border(10.0**-k).partition("=")[2]) for k in range(7)]
    assert borders == sorted(set(borders), reverse=True)
    assert [palette.dash(10.0**-k) for k in (0, 3, 5, 6)] == ["", "", ",style=dashed", ",style=dotted"]
    assert palette.border(math.nan) == ",peripheries=2"
    assert palette.border(None) == palette.dash(None) == palette.dash(math.inf) == ""
    assert "thick" in palette.legend()
    light = Palette(Scale.of([1e-6, 1.0]))
    assert {light.border(1.0), light.dash(1e-6)} == {""}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_no_magnitude_has_a_color_of_its_own(theme):
    palette = Palette(Scale.of([1e-6, 1.0]), theme)
    special = [palette.fill(m)[0] for m in (None, 0.0, math.inf)]
    assert len(set(special) | set(theme.ramp)) == 3 + len(theme.ramp)
    assert (palette.fill(math.nan)[0], palette.line(math.nan)[0]) == (theme.alarm_fill, theme.alarm)
    assert palette.fill(0.0)[0] == theme.zero


def test_the_legend_names_both_ends():
    assert Palette(Scale()).legend() == ""
    text = Palette(Scale.of([1e-6, 2.0])).legend()
    assert "1e-06" in text
    assert "to 2e+00" in text
    assert text.count("bgcolor") == len(LIGHT.ramp)
    assert all(color in text for color in LIGHT.ramp)


@pytest.mark.parametrize("name", ["blue", "", None, 3])
def test_an_unknown_theme_is_refused(name):
    with pytest.raises(ValueError, match=r"draw: theme=.* is unknown; legal: 'light', 'dark', 'print'"):
        tr.draw(tr.Value(1.0), theme=name)
