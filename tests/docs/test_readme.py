"""The README shows what the program draws today, and its links lead somewhere (its examples are doctests)."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.make_pictures import FOLDER, make_flow, make_pictures
from docs.make_plots import PLOTS, make_plots
from docs.make_screenshots import SCREENSHOTS
from tests.viz.pictures import lines

ROOT = Path(__file__).parent.parent.parent


def texts(svg: Path) -> list[str]:
    """Return every text that stands in the picture, sorted: where it stands is the layout program's affair."""
    found = ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")
    return sorted("".join(element.itertext()) for element in found)


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


def test_the_pictures_show_what_the_program_draws(remade: list[Path]) -> None:
    for path in remade:
        assert texts(path) == texts(FOLDER / path.name), "run: python -m docs.make_pictures"
    unrolled = next(path for path in remade if path.name == "unrolled.svg")
    assert "S_2 = tanh" in lines(ElementTree.parse(unrolled).getroot())


def test_the_heat_maps_show_what_the_program_measures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = texts(make_flow(tmp_path))
    assert found == texts(FOLDER / "flow.svg"), "run: python -m docs.make_pictures"
    titles = ["".join(text.split()) for text in found if "‖" in text]
    assert all("thegradientvanishes,×0." in title for title in titles)
    assert len(titles) == 2


def test_every_link_leads_to_a_file() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    local = [target for target in targets if not target.startswith("https://")]
    assert len(local) >= 5
    assert [target for target in local if not (ROOT / target).is_file()] == []


def test_every_picture_is_one_that_is_made(remade: list[Path]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?:\]\(|src=\"|srcset=\")docs/pictures/([^)\"]+)", text)
    assert sorted(shown) == sorted([*PLOTS, *SCREENSHOTS, "flow.svg", *(path.name for path in remade)])
    assert len(re.findall(r'<img alt="[^"]{20,}"', text)) == text.count("<img")
    assert sorted(shown) == sorted(path.name for path in FOLDER.iterdir())


def test_the_screenshots_are_small() -> None:
    for name in SCREENSHOTS:
        picture = (FOLDER / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < 200_000


def test_plots_are_made_of_saved_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "threads-1").mkdir()
    rows = [("RNN-1x25x65x100-float64", "hand", 1.0), ("RNN-1x25x65x100-float64", "compile", 1.5)]
    rows += [("scalar-rnn-T50", "micrograd", 1.0), ("scalar-rnn-T50", "compile", 0.02)]
    timings = [{"workload": workload, "who": who, "seconds": seconds} for workload, who, seconds in rows]
    (tmp_path / "threads-1" / "train_steps.json").write_text(
        json.dumps({"timings": timings}), encoding="utf-8"
    )
    nodes = [{"nodes": 1000, "trace": 0.1, "plan": 0.2, "replay": 0.001}]
    steps = [{"steps": 10, "replay": 1.0, "hand": 1.0, "replay_bytes": 1, "hand_bytes": 2}]
    (tmp_path / "growth.json").write_text(json.dumps({"nodes": nodes, "steps": steps}), encoding="utf-8")
    first = [path.read_bytes() for path in make_plots(tmp_path, tmp_path)]
    assert "RNN, B=1 T=25 H=100" in texts(tmp_path / "speed.svg")
    assert "recorded nodes" in texts(tmp_path / "growth.svg")
    assert [path.read_bytes() for path in make_plots(tmp_path, tmp_path)] == first
