"""Sixty seeded faults beside the peers, and right gradients that must pass. Prints its figures.

CHECK_DRAWS sets how many right draws are checked, 10,000 unless told otherwise: half an hour of one core.
"""

import itertools
import os

import numpy as np
import pytest

from tests.benchmarks.agreement import vanishing
from tests.benchmarks.checkers import checkers, engine, external
from tests.benchmarks.checking import (
    FAULTS,
    FIRST_SEED,
    MOST_EXAMPLES,
    Score,
    counts,
    examples_needed,
    score,
    table,
)
from tests.benchmarks.right_draws import ENTROPY, EVERY, KINDS, LAST, draw
from tests.benchmarks.right_networks import GROUPS, called, reports
from tests.benchmarks.soundness import Soundness, soundness
from tests.benchmarks.third_party import proofs, summary
from tests.benchmarks.wrongness import alike, wrongness

OURS = ("gradcheck", "external")
EXAMPLES = 3
PROGRESS, ENOUGH = 500, 1000
NETWORKS = 20


def test_there_are_sixty_faults() -> None:
    assert len(FAULTS) == len({fault.name for fault in FAULTS}) == 60
    assert set(counts()) == {"operations", "accumulation", "losses", "cells", "unrolling", "optimizers"}


def test_every_fault_is_wrong_wherever_it_is_tested() -> None:
    for fault in FAULTS:
        for seed in (*range(20), *range(FIRST_SEED, FIRST_SEED + 20)):
            wrong = wrongness(fault, fault.draw(np.random.default_rng(seed)))
            assert wrong > 4e-7, (fault.name, seed, wrong)


def test_no_two_faults_are_the_same() -> None:
    assert [(a.name, b.name) for a, b in itertools.combinations(FAULTS, 2) if alike(a, b)] == []


@pytest.mark.parametrize("check", [engine, external])
def test_every_fault_is_caught_within_200_examples(check) -> None:
    needed = {fault.name: examples_needed(check, fault) for fault in FAULTS}
    assert all(count is not None and count <= MOST_EXAMPLES for count in needed.values()), needed


def test_beside_the_peers(capsys: pytest.CaptureFixture[str]) -> None:
    scores: dict[str, dict[str, Score]] = {}
    for name, check in checkers().items():
        scores[name] = {fault.name: score(check, fault, EXAMPLES) for fault in FAULTS}
    with capsys.disabled():
        print(f"\n{EXAMPLES} examples of each fault; defaults of each checker, float64\n{table(scores)}")
    for name in OURS:
        assert all(s.always for s in scores[name].values())


def test_false_alarms_beside_the_peers(capsys: pytest.CaptureFixture[str]) -> None:
    says = reports(checkers())
    for group in GROUPS:
        found = called(group, says, NETWORKS)
        said = "; ".join(
            f"{name} {', '.join(f'{n} {verdict}' for verdict, n in sorted(counts.items()))}"
            for name, counts in found.items()
        )
        with capsys.disabled():
            print(f"\n{NETWORKS} right networks, {group}: {said}", flush=True)
        assert found["gradcheck"]["PASS"] == NETWORKS
        assert found["external"]["FAIL"] == 0


def test_right_gradients_pass(capsys: pytest.CaptureFixture[str]) -> None:
    draws, printed = int(os.environ.get("CHECK_DRAWS", "10000")), 0
    for k, found in enumerate(soundness(draws), start=1):
        with capsys.disabled():
            for alarm in found.alarms[printed:]:
                print(f"\nFALSE ALARM\n{alarm}", flush=True)
            if k % PROGRESS == 0 or k == draws:
                print(f"\n{found}", flush=True)
        printed = len(found.alarms)
    assert found.alarms == []
    assert found.agreement.wrong == []
    assert found.agreement.usual >= 0.99 or draws < ENOUGH


def test_gradients_that_vanish_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    found = vanishing(100)
    with capsys.disabled():
        print(f"\n100 networks whose gradients vanish: {found}")
    assert found.wrong == []
    assert sum(size < 1e-200 for size in found.sizes) >= 20


def test_the_truth_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    found = proofs(80)
    with capsys.disabled():
        print(f"\n{summary(found)}")
    assert max(p.of_truth for p in found) <= 1e-10
    assert max(p.of_engine for p in found) <= 1e-10
    assert sum(p.size < 1e-100 for p in found) > 3


def test_what_is_drawn_is_long_and_steep() -> None:
    found = Soundness()
    for k in range(1000):
        found.count(draw(np.random.default_rng([0, k])))
    assert {*KINDS, LAST, EVERY, ENTROPY} <= set(found.drawn)
    assert found.drawn["T >= 200"] > 10
    assert found.drawn["both"] > 2
    assert found.drawn["gain >= 2"] > 250
