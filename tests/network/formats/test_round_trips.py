"""What was written is read again as it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import TraceError
from fsim.network.formats import read_trace, write_trace
from fsim.network.formats.pieces import merged


@st.composite
def staircases(draw):
    gaps = draw(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=10))
    rate = st.one_of(st.just(0.0), st.floats(1, 1e9))
    rates = draw(st.lists(rate, min_size=len(gaps), max_size=len(gaps)))
    edges = np.concatenate([[0], np.cumsum(gaps)])
    return merged((edges[:-1], np.array(rates), float(edges[-1])))


@pytest.mark.parametrize(
    ("name", "options", "exact"),
    [
        ("csv", {}, True),
        ("simgrid", {}, True),
        # Rates are multiplied by a unit and divided again: right but for the last bit.
        ("cooked", {}, False),
        ("cooked", {"alignment": "right"}, False),
        ("cooked", {"unit": "KiB/s"}, False),
        ("simgrid", {"factor_of": "3 Mbit/s"}, False),
        # Lengths are added up again: right but for the last bits.
        ("tc", {}, False),
    ],
)
@given(pieces=staircases())
def test_round_trip(name, options, exact, pieces, tmp_path_factory):
    path = tmp_path_factory.mktemp("r") / "trace"
    write_trace(pieces, path, name, **options)
    starts, rates, duration = read_trace(path, name, **options)
    if exact:
        assert starts.tolist() == pieces[0].tolist()
        assert rates.tolist() == pieces[1].tolist()
    assert starts == pytest.approx(pieces[0], rel=1e-12)
    assert rates == pytest.approx(pieces[1], rel=1e-12)
    assert duration == pytest.approx(pieces[2], rel=1e-12)


def test_a_tc_script_as_it_is_written(tmp_path):
    path = tmp_path / "trace.sh"
    pieces = (np.array([0.0, 2.5]), np.array([5e5, 0.0]), 3.0)
    write_trace(pieces, path, "tc", dev="wlan0")
    assert path.read_text() == (
        "#!/bin/sh\n"
        "tc qdisc replace dev wlan0 root netem rate 4000000bit\nsleep 2.5\n"
        "tc qdisc replace dev wlan0 root netem loss 100%\nsleep 0.5\n"
    )
    # What the kernel would take for no limit is refused; a device cannot carry a command.
    with pytest.raises(TraceError, match=r"found a rate of 0.5 bytes/s"):
        write_trace((np.zeros(1), np.full(1, 0.5), 1.0), path, "tc")
    with pytest.raises(TraceError, match=r"dev: found 'a; rm x'"):
        write_trace(pieces, path, "tc", dev="a; rm x")
