from tinygrad_rnn.analysis.table import Table


def test_html_escapes_every_text() -> None:
    page = Table("<b>", ("<i>",), [("<img src=x onerror=alert(1)>",)]).html()
    assert not any(tag in page for tag in ("<b>", "<i>", "<img"))
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_long_table_says_what_it_leaves_out() -> None:
    table = Table("t", ("k", "norm"), [(k, 0.5**k) for k in range(100)])
    lines = str(table).splitlines()
    assert len(lines) == 2 + 21
    assert "… 80 more …" in lines[12]
    assert lines[-1].split() == ["99", "1.578e-30"]
    assert '<td colspan="2">… 80 more …</td>' in table.html()


def test_a_missing_number_is_an_empty_cell() -> None:
    assert str(Table("t", ("k", "norm"), [(0, None), (1, float("nan"))])).splitlines()[2:] == [
        "  0",
        "  1   nan",
    ]
