from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.compression.coding.entropy import SymbolReader, SymbolWriter
from fsim.compression.coding.tables import Table, count, encode_table, mirrored_table_of, table_of
from fsim.core.errors import PayloadError


def coded(*lots):
    writer = SymbolWriter()
    for symbols, table in lots:
        writer.write(np.array(symbols), table)
    return writer.finish()


def test_codes_are_small_floating_point_numbers_worked_by_hand():
    # The largest weight is (16 + 14) << 15. Half of it is 30 << 14, sixteen codes lower; a
    # thousandth of it is 983.04, whose neighbours are 30 << 5 = 960 and 31 << 5 = 992.
    assert list(encode_table(np.array([1000, 500, 1, 0]))) == [255, 239, 6 * 16, 0]
    # What occurs at all has another code than what never does.
    assert list(encode_table(np.array([2**40, 1, 0]))) == [255, 1, 0]
    assert Table.of_weights(np.array([983040, 491520, 992, 0])).frequencies.tolist() == (
        table_of(bytes([255, 239, 96, 0])).frequencies.tolist()
    )


def test_frequencies_are_shares_in_integers_worked_by_hand():
    # 2^24 - 3 shared 2 : 1 : 1, rounded down, and 1 for each; what is left goes to the first.
    free = 2**24 - 3
    quarter = 1 + free // 4
    assert Table.of_weights(np.array([2, 1, 1])).frequencies.tolist() == [
        2**24 - 2 * quarter,
        quarter,
        quarter,
    ]
    assert Table.of_weights(np.array([0, 0])).frequencies.tolist() == [2**23, 2**23]
    assert Table.of_weights(np.array([5, 0])).frequencies.tolist() == [2**24 - 1, 1]


def test_a_mirrored_table_gives_both_signs_the_same():
    table = mirrored_table_of(encode_table(np.array([600, 300, 100])))
    shares = table.frequencies / 2**24
    assert shares == pytest.approx([0.05, 0.15, 0.6, 0.15, 0.05], rel=0.04)
    assert shares[0] == shares[4]


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=300))
def test_every_table_is_exact(counts):
    table = table_of(encode_table(np.array(counts)))
    assert table.frequencies.sum() == 2**24
    assert table.frequencies.min() >= 1


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=40))
def test_rounding_a_table_costs_next_to_nothing(counts):
    counts = np.array(counts)
    table = table_of(encode_table(counts))
    entropy = -np.sum(counts * np.log2(counts / counts.sum()))
    cost = -np.sum(counts * np.log2(table.frequencies / 2**24))
    assert entropy - 1e-6 <= cost <= entropy + 0.001 * counts.sum()


@given(st.data())
def test_the_coder_models_exactly_the_tables_frequencies(data):
    # A stream of one symbol decodes from a state s to the symbol whose interval holds s mod 2^24,
    # which tells where constriction put the interval's ends.
    weights = data.draw(st.lists(st.integers(0, 10**6), min_size=2, max_size=20))
    table = Table.of_weights(np.array(weights))
    ends = np.concatenate([[0], np.cumsum(table.frequencies)])
    for symbol, (begin, end) in enumerate(pairwise(ends)):
        for state in {int(begin), int(end) - 1}:
            stream = state.to_bytes(4, "little").rstrip(b"\0")
            assert SymbolReader(stream).read(table, 1).tolist() == [symbol]


@given(st.data())
def test_what_is_written_is_read(data):
    lots = []
    for _ in range(data.draw(st.integers(0, 4))):
        size = data.draw(st.integers(2, 30))
        symbols = data.draw(st.lists(st.integers(0, size - 1), max_size=200))
        lots.append((symbols, table_of(encode_table(count(np.array(symbols, int), size)))))
    reader = SymbolReader(coded(*lots))
    for symbols, table in lots:
        assert reader.read(table, len(symbols)).tolist() == symbols
    reader.finish()


def test_nothing_but_zeros_is_cut_from_the_end_of_a_stream():
    table = table_of(b"\x80\x20\x00\xff")
    lots = np.random.default_rng(0).integers(0, 4, (20_000, 30))
    streams = [coded((symbols, table)) for symbols in lots]
    # Nearly every byte ends one of them.
    assert len({stream[-1] for stream in streams}) > 200
    for stream, symbols in zip(streams, lots, strict=True):
        assert SymbolReader(stream).read(table, 30).tobytes() == symbols.astype("i4").tobytes()


@pytest.mark.parametrize("shares", [(0.85, 0.10, 0.04, 0.01), (0.999, 0.001), (0.5, 0.5)])
def test_size_is_the_entropy_and_a_few_bytes(shares):
    symbols = np.random.default_rng(0).choice(len(shares), size=65_536, p=shares)
    counts = count(symbols, len(shares))
    codes = encode_table(counts)
    entropy = -np.sum(counts * np.log2(counts / counts.sum()))
    size = len(codes) + len(coded((symbols, table_of(codes))))
    assert entropy / 8 <= size <= 1.0005 * entropy / 8 + len(shares) + 4


@pytest.mark.parametrize("data", [b"\0", b"abc\0", bytes(8)])
def test_a_stream_with_zeros_at_its_end_is_refused(data):
    with pytest.raises(PayloadError, match="ends with a zero byte"):
        SymbolReader(data)


@given(st.binary(max_size=64), st.integers(0, 500))
def test_any_bytes_give_symbols_or_one_error(data, number):
    table = table_of(b"\x80\x20\x00\xff")
    try:
        reader = SymbolReader(data)
        symbols = reader.read(table, number)
        assert len(symbols) == number
        assert np.all((symbols >= 0) & (symbols < 4))
        reader.finish()
    except PayloadError:
        return
    assert coded((symbols, table)) == data
