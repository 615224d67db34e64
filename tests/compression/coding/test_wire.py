import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.entropy import SymbolWriter
from fsim.compression.coding.tables import table_of
from fsim.compression.coding.wire import (
    HEADER_BYTES,
    Section,
    breakdown,
    decode_varint,
    encode_varint,
    framed_length,
    pack,
    unpack,
)
from fsim.core.errors import PayloadError
from fsim.core.types import Layout
from tests.conftest import ROOT

FORMAT = ROOT / "docs" / "wire-format.md"
LAYOUT = Layout.of({"w": np.zeros((2, 4))})
UPDATE = {"w": np.array([[4, -2, 0, 0.25], [1, -0.5, 3, 0]], dtype=np.float32)}
SHARES = {"share16": 0.125, "share4": 0.25, "share2": 0.25}

PLAIN = """
46 53 02 92 5c bc ec 8b d4 e2 2c c7 2c
01 02 00 ce
02 02 90 40
04 04 00 00 80 40
83 00 44 4c 50
"""
CODED = """
46 53 02 92 5c bc ec 8b d4 d8 d2 ea cf
04 04 00 00 80 40
05 12 ff f5 f5 e5 00 00 00 ff 00 ff 00 00 ff 00 11 02 ff 00
02 05 00 00 e0 0d 09
83 0d 00 40 03 00 00
"""


def of_hex(text):
    return bytes.fromhex(text)


def encoded(**options):
    fisher = {"w": np.ones((2, 4), dtype=np.float32)}
    policy = make_policy("fstq", {**SHARES, **options})
    return policy.encode(UPDATE, EncodingContext(np.random.default_rng(0), fisher))


@pytest.mark.parametrize(("text", "options"), [(PLAIN, {}), (CODED, {"coding": "entropy"})])
def test_the_worked_examples_of_the_documentation(text, options):
    documented = FORMAT.read_text(encoding="utf-8")
    for line in text.strip().splitlines():
        assert line in documented
    assert encoded(**options) == of_hex(text)
    decoded = make_policy("fstq", {**SHARES, **options}).decode(of_hex(text), LAYOUT)
    # u = 16, 4, 0, 1/16, 1, 1/4, 9, 0: 16 bits for the first, 4 for 3 and -2 in sevenths of 4, and
    # 2 for 1 and -0.5, which are less than half of 4.
    assert decoded["w"].ravel() == pytest.approx([4, -12 / 7, 0, 0, 0, 0, 20 / 7, 0], rel=1e-6)


def ans(data, lots):
    """The decoder as the documentation has it, in Python's integers."""
    data += bytes(-len(data) % 4)
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    state, found = 0, []

    def filled(state):
        return state << 32 | words.pop() if state < 2**32 and words else state

    state = filled(filled(state))
    for frequencies, number in lots:
        for _ in range(number):
            place, symbol, begin = state % 2**24, 0, 0
            while place >= begin + frequencies[symbol]:
                begin += frequencies[symbol]
                symbol += 1
            state = filled(frequencies[symbol] * (state >> 24) + place - begin)
            found.append(symbol)
    assert state == 0
    assert not words
    return found


def test_a_stream_decodes_as_documented_by_integers_alone():
    sections = unpack(of_hex(CODED), "fstq", LAYOUT)
    tags = table_of(sections[Section.TABLES][:4]).frequencies.tolist()
    assert sum(tags) == 2**24
    assert ans(sections[Section.TAGS], [(tags, 8)]) == [3, 2, 0, 0, 1, 1, 2, 0]
    # A longer one, in two lots, whose words are more than the state holds.
    rng = np.random.default_rng(0)
    tables = [table_of(bytes(codes)) for codes in ([255, 200, 180], [90, 100])]
    lots = [(table, rng.integers(0, len(table.frequencies), 50)) for table in tables]
    writer = SymbolWriter()
    for table, symbols in lots:
        writer.write(symbols, table)
    wanted = [symbol for _, symbols in lots for symbol in symbols]
    asked = [(table.frequencies.tolist(), 50) for table in tables]
    assert ans(writer.finish(), asked) == wanted


@given(
    st.lists(st.sampled_from(list(Section)), unique=True),
    st.lists(st.binary(max_size=300), min_size=5, max_size=5),
)
def test_sections_survive_and_their_sizes_add_up(kinds, contents):
    sections = dict(zip(kinds, contents, strict=False))
    payload = pack("topk", LAYOUT, sections)
    assert unpack(payload, "topk", LAYOUT) == sections
    assert len(payload) == framed_length([len(data) for data in sections.values()])
    parts = breakdown(payload)
    assert sum(parts.values()) == len(payload)
    assert list(parts) == ["header", "positions", "tags", "values", "scales", "tables"]
    for kind, data in sections.items():
        assert parts[kind.name.lower()] == len(data)


def test_the_frame_of_one_section_takes_14_bytes():
    assert len(pack("topk", LAYOUT, {Section.VALUES: b""})) == HEADER_BYTES + 1 == 14
    assert len(pack("topk", LAYOUT, {})) == 13


# The first three are of the LEB128 definition in the DWARF 5 standard, figure C.1.
@pytest.mark.parametrize(
    ("value", "data"),
    [(2, b"\x02"), (127, b"\x7f"), (128, b"\x80\x01"), (12857, b"\xb9\x64"), (0, b"\0")],
)
def test_varints_are_leb128(value, data):
    assert encode_varint(value) == data
    assert decode_varint(b"?" + data + b"?", 1) == (value, 1 + len(data))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\xff\xff\x01"])
def test_varints_that_nobody_writes_are_refused(data):
    with pytest.raises(PayloadError):
        decode_varint(data, 0)


def resealed(payload):
    checksum = zlib.crc32(payload[13:], zlib.crc32(payload[:9]))
    return payload[:9] + checksum.to_bytes(4, "little") + payload[13:]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:12], "shorter than its header"),
        (lambda data: b"GZ" + data[2:], "begins with b'GZ', allowed is b'FS'"),
        (lambda data: data[:2] + b"\x01" + data[3:], "found payload version 1, allowed is 2"),
        (lambda data: data[:-1] + b"\x51", "checksum does not match"),
        (lambda data: data[:-1], "checksum does not match"),
        (lambda data: resealed(data[:17]), "ends before its last section"),
        (lambda data: resealed(data[:16]), "within a section"),
        (lambda data: resealed(data[:13] + b"\x07\x00" + data[13:]), "repeated section 7"),
        (lambda data: resealed(data[:13] + b"\x03\x00" + data[13:]), "repeated section 3"),
    ],
)
def test_a_damaged_frame_says_what_is_wrong(damage, message):
    with pytest.raises(PayloadError) as caught:
        unpack(damage(of_hex(PLAIN)), "fstq", LAYOUT)
    assert message in str(caught.value)


def test_breakdown_needs_a_payload():
    with pytest.raises(PayloadError):
        breakdown(b"no payload at all")
