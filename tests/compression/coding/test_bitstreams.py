import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.compression.coding.bitstreams import (
    concatenate,
    decode_golomb,
    encode_golomb,
    omega,
    read_bits,
    read_omega,
    walk,
)
from fsim.core.errors import PayloadError


def text(number):
    codes, lengths = omega(np.array([number]))
    return f"{int(codes[0]):0{int(lengths[0])}b}"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (1, "0"), (2, "10" "0"), (3, "11" "0"), (4, "10" "100" "0"), (7, "10" "111" "0"),
        (8, "11" "1000" "0"), (16, "10" "100" "10000" "0"), (100, "10" "110" "1100100" "0"),
        (1000, "11" "1001" "1111101000" "0"),
    ],
)  # fmt: skip
def test_omega_codewords_worked_by_hand(number, code):
    assert text(number) == code


def test_omega_codewords_are_the_same_side_by_side():
    # The shorter ones are through while the longer ones go on; no bit is left above a codeword.
    codes, lengths = omega(np.array([1, 1000, 2, 16]))
    assert codes.tolist() == [0b0, 0b11_1001_1111101000_0, 0b10_0, 0b10_100_10000_0]
    assert lengths.tolist() == [1, 17, 3, 11]


def by_recursion(number):
    def head(n):
        return "" if n == 1 else head(len(f"{n:b}") - 1) + f"{n:b}"

    return head(number) + "0"


@given(st.integers(1, 2**32 - 1))
def test_omega_codewords_are_those_of_the_recursion(number):
    assert text(number) == by_recursion(number)


@given(st.lists(st.one_of(st.integers(1, 20), st.integers(1, 2**32 - 1)), max_size=60))
def test_omega_streams_are_read_back(numbers):
    data = concatenate(*omega(np.array(numbers, dtype=np.int64)))
    bits = read_bits(data)
    read, ends = read_omega(bits, 2**32 - 1)
    assert "".join(map(str, bits)).startswith("".join(map(by_recursion, numbers)))
    assert read[walk(ends, len(numbers), len(bits))].tolist() == numbers


@given(st.binary(max_size=40), st.integers(1, 2**32 - 1))
def test_whatever_the_bits_reading_goes_forward(data, largest):
    bits = read_bits(data)
    _, ends = read_omega(bits, largest)
    assert np.all(ends > np.arange(len(bits)))


def test_golomb_codewords_worked_by_hand():
    # With one bit for the rest: 0 is 0 0, 3 is 10 1, 1 is 0 1.
    assert encode_golomb(np.array([0, 3, 1]), 1) == bytes([0b00101010])
    assert encode_golomb(np.array([2, 0]), 0) == bytes([0b11000000])


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(0, 9))
def test_golomb_streams_are_read_back_and_as_long_as_they_should_be(numbers, width):
    data = encode_golomb(np.array(numbers, dtype=np.int64), width)
    assert decode_golomb(data, len(numbers), width).tolist() == numbers
    assert len(data) == (sum((n >> width) + 1 + width for n in numbers) + 7) // 8


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 40))
def test_hostile_golomb_streams_raise_one_error(data, count, width):
    with contextlib.suppress(PayloadError):
        assert len(decode_golomb(data, count, width)) == count
