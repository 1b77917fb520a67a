from tinygrad_rnn.nn.places import is_initial, place_of, series


def test_a_place_is_read_from_the_scope():
    place = place_of(("backward", "layer 1", "t=12", "gate"))
    assert (place.step, place.lane, place.frame) == (
        12,
        ("backward", "layer 1"),
        ("backward", "layer 1", "t=12"),
    )
    assert place_of(("t=1x",)).step == -1
    assert place_of(()).frame == ()


def test_series_of_names():
    assert [series(n) for n in ("h_3", "h_init", "x_12[0]", "h[1]_init", "weight_hh", "")] == [
        "h",
        "h",
        "x[0]",
        "h[1]",
        "weight_hh",
        "",
    ]
    assert is_initial("c_init")
    assert not is_initial("initial")
