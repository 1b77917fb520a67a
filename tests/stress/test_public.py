"""Every public function met with what nobody should pass it: the right result, or an error that names what is wrong."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tr
from tests.core.op_samples import NOT_DIFFERENTIABLE, REFERENCES, SAMPLES, cases, reference
from tests.stress.above import checks, initializers, instruments, training
from tests.stress.hostile import HOSTILE, Call, verdict
from tests.stress.public import INTERNAL, networks, operations, transformations
from tinygrad_rnn import ops
from tinygrad_rnn.testing.strategies.arrays import LAYOUTS

CALLS = [
    *operations(), *transformations(), *networks(), *initializers(), *instruments(), *checks(), *training(),
]  # fmt: skip
# numpy's own way with raw arrays, where nothing of ours is among the arguments
NUMPYS = {("getitem", 0, "a masked array")}
SPECIAL = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "huge": 1e308, "tiny": 5e-324, "-0": -0.0}


# What a result, an error or a rule is made of: given back or raised by what is tried, and never made by a user.
GIVEN_BACK = {
    "AnomalyError", "ExternalFlow", "GradientComparison", "GraphCycleError", "GraphMutationError", "Omega",
    "Scalarized", "Spectrum", "TraceError", "Unrolled", "BackwardDiff", "GradientReport", "Localisation",
    "Mismatch", "Verdict", "Bigram", "CheckpointError", "Chunk", "Corpus", "History", "NonFiniteGradientError",
    "NonFiniteLossError", "OneShotBatchesError", "Reading", "TextError", "WordShare", "Program", "RaggedBatch",
    "Step", "Drawing", "Explorer", "LayoutProgramNotFound",
}  # fmt: skip
# Tried under another name: of the optimizer, of the class that is subclassed, of the method.
BASES = {
    "AdagradRule", "AdamRule", "RMSpropRule", "SGDRule", "Rule", "Optimizer", "Cell", "Module", "CellContract",
    "ModuleContract", "OpContract", "Graph",
}  # fmt: skip
WITHOUT_ARGUMENTS = {"no_grad", "xor_pairs"}
ELSEWHERE = {"Op": "tests/core/test_ops_of_users.py", "widget": "tests/viz/test_widget.py"}
PLACES = [tr, tr.nn, tr.nn.initializers, tr.train, tr.testing, tr.testing.strategies, tr.viz]


def test_every_public_name_is_in_the_table_or_has_a_reason_not_to_be() -> None:
    names = {
        name for place in PLACES for name in getattr(place, "__all__", vars(place))
        if not name.startswith("_") and callable(getattr(place, name))
    }  # fmt: skip
    excused = GIVEN_BACK | BASES | WITHOUT_ARGUMENTS | set(ELSEWHERE)
    tried = {call.name for call in CALLS}
    assert names - tried - excused == set()
    assert excused - names == set(), "an excuse for a name that is gone"
    assert excused & tried == set(), "an excuse for a name that is tried"


def test_every_public_operation_is_in_the_table() -> None:
    known = {call.name for call in operations()}
    wanted = {
        getattr(getattr(ops, name), "name", name) for name in set(ops.__all__) - {"ALL"} - set(INTERNAL)
    }
    assert wanted - known == set()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_an_argument_that_does_not_fit_is_named(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # "a text" is a path, too
    wrong = []
    for what, args, place in call.attempts():
        if (call.name, place, what) in NUMPYS:
            continue
        found = verdict(call, args, place)
        if found is not None:
            wrong.append(f"argument {place} = {what}: {found}")
    assert not wrong, "\n".join([call.name, *wrong])


def test_how_much_was_tried(report: Callable[[str], None]) -> None:
    tried = sum(len(list(call.attempts())) for call in CALLS)
    report(
        f"{len(CALLS)} public functions, {tried:,} calls with one of {len(HOSTILE)} arguments that do not fit"
    )


PLAIN = [
    c for c in cases(SAMPLES | NOT_DIFFERENTIABLE) if c[0].name not in REFERENCES and hasattr(np, c[0].name)
]


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize(("op", "call", "args"), [c[:3] for c in PLAIN], ids=[c[3] for c in PLAIN])
def test_special_numbers_give_what_numpy_gives(op: Any, call: Any, args: Any, special: str) -> None:
    arrays = [np.where(np.arange(np.size(a)).reshape(np.shape(a)) % 2, SPECIAL[special], a) for a in args]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.asarray(call(reference(op), *arrays))
        got = call(op, *map(tr.Tensor, arrays))
    np.testing.assert_allclose(np.asarray(got.data), expected, rtol=1e-12, atol=0, equal_nan=True)


SHAPED = [c for c in cases(SAMPLES) if c[0] not in (ops.item,)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("op", "call", "args"), [c[:3] for c in SHAPED], ids=[c[3] for c in SHAPED])
def test_the_layout_makes_no_difference(op: Any, call: Any, args: Any, layout: str) -> None:
    """Values and gradients are bitwise the same, and no argument is changed."""
    found = []
    for lay in (LAYOUTS[layout], np.array):
        arrays = [np.asarray(lay(a)).reshape(np.shape(a)) for a in args]
        before = [a.tobytes() for a in arrays]
        leaves = [tr.Tensor(a) for a in arrays]
        y = call(op, *leaves)
        y.backward(np.random.default_rng(0).normal(size=y.shape))
        found.append([y.data.tobytes(), *(leaf.grad.tobytes() for leaf in leaves)])
        assert [a.tobytes() for a in arrays] == before
    assert found[0] == found[1]
