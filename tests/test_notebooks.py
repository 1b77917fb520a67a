"""Each notebook runs from top to bottom in a new kernel and prints what is committed in it."""

import os
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST = 60.0  # seconds
LARGEST = 500_000  # bytes


def printed(cell: Any) -> list[str]:
    """Return what a cell printed and the text of its results; pictures and stderr (progress, fonts) are left out."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts += [output.text] if output.name == "stdout" else []
        elif output.output_type == "error":
            texts.append(f"{output.ename}: {output.evalue}")
        else:
            texts.append(output.data.get("text/plain", ""))
    return texts


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> set[str]:
    """Return the MIME types that a cell shows."""
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def executed(path: Path, folder: Path) -> Any:
    """Return the notebook as a new kernel, started in an empty folder, leaves it."""
    notebook = nbformat.read(path, as_version=4)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONWARNDEFAULTENCODING"}
    client = NotebookClient(
        notebook,
        timeout=LONGEST,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute(env=environment)


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "01_the_engine.ipynb",
        "02_unrolling.ipynb",
        "03_vanishing_and_exploding_gradients.ipynb",
        "04_truncated_bptt_and_rtrl.ipynb",
        "05_why_lstm_and_gru_remember.ipynb",
        "06_find_the_bug.ipynb",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_prints_what_is_committed(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("profile")))  # nobody's own start-up files
    folder = tmp_path_factory.mktemp("work")
    committed = code_cells(nbformat.read(path, as_version=4))
    start = time.perf_counter()
    fresh = code_cells(executed(path, folder))
    assert time.perf_counter() - start < LONGEST
    for number, (old, new) in enumerate(zip(committed, fresh, strict=True), start=1):
        assert printed(new) == printed(old), f"cell {number} of {path.name}:\n{old.source}"
        assert kinds(new) == kinds(old), f"cell {number} of {path.name}:\n{old.source}"
    assert [path.name for path in folder.iterdir() if path.name != ".hypothesis"] == []  # its own cache


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_as_run_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any("execution" in cell.metadata for cell in cells), "execution times change with every run"
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert any("image/svg+xml" in kinds(cell) for cell in cells)
    assert path.stat().st_size < LARGEST
