"""The README shows what the program draws today, and its links lead somewhere (its examples are doctests)."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.make_pictures import FOLDER, make_pictures

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
        assert texts(path) == texts(FOLDER / path.name), "run: python docs/make_pictures.py"
    assert "S_2 = tanh" in texts(remade[0])


def test_every_link_leads_to_a_file() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    local = [target for target in targets if not target.startswith("https://")]
    assert len(local) >= 5
    assert [target for target in local if not (ROOT / target).is_file()] == []


def test_every_picture_is_one_that_is_made(remade: list[Path]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]+\]\(docs/pictures/([^)]+)\)", text)
    assert sorted(shown) == sorted(path.name for path in remade)
    assert sorted(shown) == sorted(path.name for path in FOLDER.iterdir())
