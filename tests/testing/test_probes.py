"""Directions: every unit one of a small Jacobian; signed ones and a few units of a large one."""

import numpy as np
from numpy.random import default_rng

from tinygrad_rnn.testing import probes


def test_complete_probes_are_all_units():
    first, second, empty = probes.complete([(2, 3), (), (0, 2)])
    assert first.rows.shape == (6, 2, 3)
    assert [probes.unit_of(row) for row in first.rows] == list(np.ndindex(2, 3))
    assert second.rows.tolist() == [1.0]
    assert len(empty) == 0


def test_drawn_probes_have_both_signs_and_differ():
    (large, small) = probes.drawn([(100, 50), (3,)], default_rng(0), coordinates=True)
    directions = [row for row in large.rows if probes.unit_of(row) is None]
    units = {probes.unit_of(row) for row in large.rows} - {None}
    assert len(directions) == probes.DIRECTIONS
    assert len(units) == probes.COORDINATES // 2
    for row in directions:
        assert 0.4 < np.mean(row > 0) < 0.6
    assert not np.array_equal(directions[0], directions[1])
    assert small.rows.tolist() == np.eye(3).tolist()


def test_every_leaf_is_probed_however_many_there_are():
    drawn = probes.drawn([(50,)] * 200, default_rng(0), coordinates=True)
    assert [probe.number for probe in drawn] == list(range(200))
    assert all(len(probe) == 2 for probe in drawn)


def test_a_faulty_entry_is_found_by_halving():
    for place in (0, 17, 99):
        row = default_rng(1).normal(size=(10, 10))
        unit = probes.narrowed(row, lambda v, place=place: abs(v.ravel()[place]))
        assert probes.unit_of(unit) == divmod(place, 10)


def test_of_two_faulty_entries_one_is_found():
    row = default_rng(2).normal(size=64)
    unit = probes.narrowed(row, lambda v: abs(v[5] - v[40]))
    assert probes.unit_of(unit) in ((5,), (40,))
