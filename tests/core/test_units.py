import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.units import format_bytes, format_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("20 Mbit/s", "rate", 2.5e6),
        ("20Mbit/s", "rate", 2.5e6),
        ("1e3 bit/s", "rate", 125),
        ("1 KiB/s", "rate", 1024),
        ("1 kB/s", "rate", 1000),
        (".5 MiB/s", "rate", 2**19),
        ("80 ms", "duration", 0.08),
        ("1.5 h", "duration", 5400),
        ("2 W", "power", 2),
        ("0 s", "duration", 0),
    ],
)
def test_quantities(text, dimension, value):
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("20", "rate"),
        (20, "rate"),
        ("20 mbit/s", "rate"),
        ("20 Mbps", "rate"),
        ("20 ms", "rate"),
        ("fast", "rate"),
        ("", "duration"),
        (None, "duration"),
        ("1 KB/s", "rate"),
    ],
)
def test_what_has_no_unit_or_another_is_refused(text, dimension):
    with pytest.raises(ValueError, match="allowed is a " + dimension) as caught:
        parse_quantity(text, dimension)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["-1 Mbit/s", "1e999 Mbit/s"])
def test_negative_and_infinite_are_refused(text):
    with pytest.raises(ValueError, match="cannot be negative or infinite"):
        parse_quantity(text, "rate")


@given(st.floats(0, 1e12))
def test_a_value_written_in_its_base_unit_is_read_back(value):
    assert parse_quantity(f"{value!r} B/s", "rate") == value


def test_formatting():
    assert format_bytes(999) == "999 B"
    assert format_bytes(163_861) == "164 kB"
    assert format_bytes(153_600_000) == "154 MB"
    assert format_duration(42.06) == "42.1 s"
    assert format_duration(725) == "12.1 min"
    assert format_duration(12_000) == "3.3 h"
