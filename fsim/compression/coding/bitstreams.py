"""Codewords of differing lengths, one after another, written and read without a loop over bits.

A prefix code is read in two steps: what a codeword beginning at each bit would say, for all bits at
once, then a walk from each codeword's end to the next.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fsim.core.errors import PayloadError

IntArray = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]


def concatenate(codes: npt.NDArray[np.uint64], lengths: IntArray) -> bytes:
    """Codewords of up to 64 bits, most significant bit first, the last byte filled with zeros.

    Parameters
    ----------
    codes
        Each codeword in the lowest ``lengths`` bits of its number.
    """
    total = int(lengths.sum())
    ends = np.cumsum(lengths)
    # A bit's place within its codeword, counted from the codeword's last bit.
    shifts = np.repeat(ends, lengths) - 1 - np.arange(total)
    bits = (np.repeat(codes, lengths) >> shifts.astype(np.uint64)) & np.uint64(1)
    return np.packbits(bits.astype(np.uint8)).tobytes()


def read_bits(data: bytes) -> Bits:
    """Each bit as a number, most significant first."""
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8))


def walk(after: IntArray, count: int, bits: int) -> IntArray:
    """Beginnings of ``count`` codewords, the first at 0, one behind the other.

    Parameters
    ----------
    after
        For each bit, where a codeword that begins there ends; beyond ``bits`` if it does not.
    bits
        Length of the stream; the last codeword ends within its last byte.

    Raises
    ------
    PayloadError
        There are more or fewer than ``count``.
    """
    # A view reads what the walk visits; a list would make a number of every bit first.
    nexts = np.ascontiguousarray(after).data
    begins, at = [], 0
    for _ in range(count):
        if at >= bits:
            raise PayloadError(f"the payload's codewords end before the last of {count}")
        begins.append(at)
        at = nexts[at]
    if not bits - 8 < at <= bits:
        raise PayloadError(f"the payload's {count} codewords do not end with their section")
    return np.array(begins, dtype=np.int64)


def omega(numbers: IntArray) -> tuple[npt.NDArray[np.uint64], IntArray]:
    """Elias omega codewords of positive integers below 2**32, and their lengths.

    Elias, "Universal Codeword Sets and Representations of the Integers", IEEE Transactions on
    Information Theory 21(2), 1975: a 0; before it the number in binary; before that the length of
    that, less one, in binary; and so on until the length is 1.
    """
    codes = np.zeros(len(numbers), dtype=np.uint64)
    lengths = np.ones(len(numbers), dtype=np.int64)
    remaining = numbers.astype(np.int64)
    while np.any(remaining > 1):
        width = np.where(remaining > 1, np.frexp(remaining)[1], 0).astype(np.int64)
        codes |= np.where(width > 0, remaining, 0).astype(np.uint64) << lengths.astype(np.uint64)
        lengths += width
        remaining = np.maximum(width - 1, 1)
    return codes, lengths


_WINDOW = 16


def read_omega(bits: Bits, largest: int) -> tuple[IntArray, IntArray]:
    """Number that an Elias omega codeword at each bit stands for, and the codeword's end.

    The stream is read as if zeros followed it.

    Parameters
    ----------
    largest
        The largest number that is expected, below 2**32; the codeword of a larger one is either
        read all the same or ends far beyond the stream.
    """
    data = np.packbits(np.concatenate([bits, np.zeros(64 + _WINDOW, np.uint8)]))
    entries = _TABLE[_windows(data, len(bits))].astype(np.int64)
    numbers = entries >> 8
    ends = np.arange(len(bits)) + (entries & 0xFF)
    long = np.flatnonzero(entries == 0)
    ends[long] = _beyond(len(bits))
    if omega(np.array([largest]))[1][0] > _WINDOW:
        numbers[long], ends[long] = _read_long(data, long, len(bits))
    return numbers, ends


def _windows(data: Bits, count: int) -> npt.NDArray[np.uint32]:
    """The 16 bits from each of the first ``count`` bits on."""
    single = data.astype(np.uint32)
    triple = single[:-2] << np.uint32(16) | single[1:-1] << np.uint32(8) | single[2:]
    windows = triple[:, None] >> np.arange(8, 0, -1, dtype=np.uint32) & np.uint32(0xFFFF)
    return windows.reshape(-1)[:count]


def _read_long(data: Bits, begins: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Codewords too long for the table, group by group."""
    words = np.zeros(len(data) - 7, dtype=np.uint64)
    for place in range(8):
        words |= data[place : place + len(words)].astype(np.uint64) << np.uint64(56 - 8 * place)
    numbers = np.ones(len(begins), dtype=np.int64)
    at = begins.copy()
    going = np.arange(len(begins))
    while len(going):
        # Behind the stream all is zeros, which end a codeword.
        here = np.minimum(at[going], count)
        ahead = words[here >> 3] << (here & 7).astype(np.uint64)
        complete = ahead >> np.uint64(63) == 0
        at[going[complete]] += 1
        width = numbers[going] + 1
        hopeless = ~complete & (width > 32)
        at[going[hopeless]] = _beyond(count)
        more = ~complete & ~hopeless
        going, ahead, width = going[more], ahead[more], width[more]
        numbers[going] = (ahead >> (64 - width).astype(np.uint64)).astype(np.int64)
        at[going] += width
    return numbers, at


def _beyond(count: int) -> int:
    """An end that no codeword of a stream of so many bits has."""
    return 2 * count + 128


def _table() -> npt.NDArray[np.int32]:
    """By window, the codeword that it begins with: its number times 256 plus its length, or 0."""
    table = np.zeros(2**_WINDOW, dtype=np.int32)
    codes, lengths = omega(np.arange(1, 2 ** (_WINDOW // 2 + 1)))
    for number, (code, length) in enumerate(zip(codes.tolist(), lengths.tolist(), strict=True), 1):
        if length <= _WINDOW:
            begin = code << (_WINDOW - length)
            table[begin : begin + (1 << (_WINDOW - length))] = number << 8 | length
    return table


_TABLE = _table()


def encode_golomb(numbers: IntArray, width: int) -> bytes:
    """Golomb codewords of integers from 0: the quotient by ``2**width`` in ones, a zero, the rest.

    Golomb, "Run-Length Encodings", IEEE Transactions on Information Theory 12(3), 1966, for a
    parameter that is a power of two.
    """
    quotients, rests = numbers >> width, numbers & ((1 << width) - 1)
    ends = np.cumsum(quotients + 1 + width)
    bits = np.ones(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    bits[ends - width - 1] = 0
    for place in range(width):
        bits[ends - 1 - place] = rests >> place & 1
    return np.packbits(np.concatenate([bits, np.zeros(-len(bits) % 8, np.uint8)])).tobytes()


def decode_golomb(data: bytes, count: int, width: int) -> IntArray:
    """The inverse of :func:`encode_golomb`; memory in proportion to the data.

    Raises
    ------
    PayloadError
        The data are not ``count`` codewords.
    """
    bits = read_bits(data)
    far = len(bits)
    zeros = np.where(bits == 0, np.arange(len(bits)), far + 1)
    stops = np.minimum.accumulate(zeros[::-1])[::-1]
    begins = walk(stops + 1 + width, count, len(bits))
    stops = stops[begins]
    numbers = (stops - begins) << width
    for place in range(width):
        numbers |= bits[stops + width - place].astype(np.int64) << place
    return numbers
