"""Eigenvalues by products alone, against the whole Hessian and against matrices that are known."""

import builtins
import json
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import tinygrad_rnn as tr

mpl.use("Agg")


def network() -> tuple[Any, Any]:
    """An LSTM over six steps, and the loss of its parameters."""
    rng = np.random.default_rng(0)
    cell = tr.nn.LSTMCell(2, 3, rng=rng)
    xs, ys = rng.normal(size=(6, 2)), rng.normal(size=(6, 3))
    return cell, lambda cell: tr.add_n(tr.unroll(cell, xs).each(tr.mean_squared_error, ys))


def dense(loss: Any, cell: Any) -> Any:
    blocks, sizes = tr.hessian(loss)(cell), {name: p.size for name, p in cell.named_parameters().items()}
    return np.block([[blocks[a][b].reshape(sizes[a], sizes[b]) for b in sizes] for a in sizes])


@pytest.mark.parametrize("which", ["LM", "LA", "SA"])
@pytest.mark.parametrize("k", [1, 4])
def test_they_are_those_of_the_whole_hessian(which: str, k: int) -> None:
    cell, loss = network()
    values, vectors = np.linalg.eigh(dense(loss, cell))
    order = np.argsort({"LM": -np.abs(values), "LA": -values, "SA": values}[which])[:k]
    found = tr.top_eigenvalues(loss, cell, k, which)
    np.testing.assert_allclose(found.values, values[order], rtol=1e-9)
    assert np.all(found.residuals < 1e-9)
    for mine, theirs in zip(found.vectors, vectors[:, order].T, strict=True):
        assert list(mine) == list(cell.named_parameters())
        flat = np.concatenate([part.ravel() for part in mine.values()])
        assert abs(flat @ theirs) == pytest.approx(1.0, abs=1e-7)
    assert found.products < len(values)


def test_all_of_them_where_there_are_few() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4, 4))
    a = a + a.T

    def loss(p: Any) -> Any:
        v = tr.ops.concatenate([p["w"], tr.ops.stack([p["b"]])])
        return 0.5 * (v * (a @ v)).sum()

    found = tr.top_eigenvalues(loss, {"w": np.zeros(3), "b": 0.0}, k=4, which="SA")
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(a), rtol=1e-12)
    assert isinstance(found.vectors[0]["b"], float)
    v = np.array([*found.vectors[2]["w"], found.vectors[2]["b"]])
    np.testing.assert_allclose(a @ v, found.values[2] * v, atol=1e-12)


def test_two_runs_agree() -> None:
    cell, loss = network()
    one, two = (tr.top_eigenvalues(loss, cell, 2) for _ in range(2))
    assert one.to_dict() == two.to_dict()


def test_shares_say_where_the_eigenvector_lies() -> None:
    found = tr.top_eigenvalues(
        lambda p: 3 * (p["a"] ** 2).sum() + (p["b"] ** 2).sum(), {"a": np.ones(1), "b": np.ones(2)}
    )
    assert found.values.tolist() == [6.0]
    assert found.shares() == {"['a']": 1.0, "['b']": 0.0}


def test_it_shows_itself() -> None:
    cell, loss = network()
    found = tr.top_eigenvalues(loss, cell, 3)
    assert repr(found).startswith(f"<Spectrum of {found.values[0]:.4g}, ")
    assert str(found).splitlines()[2].split()[:2] == ["0", f"{found.values[0]:.4g}"]
    assert f"<td>{found.values[2]:.4g}</td>" in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["values"] == found.values.tolist()
    bars = found.plot(Figure().subplots()).patches
    assert [bar.get_height() for bar in bars] == found.values.tolist()


def test_what_cannot_be_asked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, loss = network()
    for k in (0, 85, 1.5, True):
        with pytest.raises(ValueError, match="k must be an integer from 1 to 84"):
            tr.top_eigenvalues(loss, cell, k)
    with pytest.raises(ValueError, match="which must be one of 'LM', 'LA', 'SA', got 'BE'"):
        tr.top_eigenvalues(loss, cell, which="BE")
    with pytest.raises(ValueError, match="no parameters"):
        tr.top_eigenvalues(loss, {})
    with np.errstate(all="ignore"), pytest.raises(ArithmeticError, match="is not finite"):
        tr.top_eigenvalues(lambda w: tr.ops.log(w).sum(), np.zeros(20))
    original = builtins.__import__

    def without_scipy(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_rnn\[analysis\]"'):
        tr.top_eigenvalues(loss, cell)
