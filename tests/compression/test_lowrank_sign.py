"""Signs of rows times a short vector."""

import itertools

import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.wire import HEADER_BYTES, Section, pack, unpack
from fsim.errors import PayloadError
from fsim.vocabulary import Layout


def coded(update, seed=7, columns=100, gain=1.0, **options):
    policy = make_policy("lowrank-sign", {"columns": columns, "gain": gain, **options})
    context = EncodingContext(np.random.default_rng(0), seed=seed)
    payload = policy.encode(update, context)
    return payload, policy.decode(payload, Layout.of(update))


def captured(update, decoded):
    """Share of the energy that is not lost."""
    lost = sum(np.sum((update[name] - decoded[name]) ** 2.0) for name in update)
    return 1 - lost / sum(np.sum(array**2.0) for array in update.values())


def outer(rows=50, short=(1.0, -2.0, 3.0, 0.0), seed=0):
    signs = np.where(np.random.default_rng(seed).random(rows) < 0.5, -1, 1)
    return np.outer(signs, short).astype(np.float32)


@pytest.mark.parametrize("turned", [False, True])
def test_a_sign_vector_times_a_short_vector_survives(turned):
    matrix = outer().T if turned else outer()
    _, decoded = coded({"x": matrix})
    assert np.array_equal(np.sign(decoded["x"]), np.sign(matrix))
    # The scale is within half a step of a sixth of an octave; levels 1, 2, 3 are then exact.
    np.testing.assert_allclose(decoded["x"], matrix, rtol=0.06)


def test_a_payload_is_a_sign_a_row_and_a_few_bits_a_column():
    payload, _ = coded({"a": outer(100), "b": outer(33).T}, bits=4)
    # Seed; 2 scales, 8 levels of 4 bits; 133 signs; 2 bytes before a section, 1 before the last.
    assert len(payload) == HEADER_BYTES + 2 + 4 + 2 + 2 + 4 + 1 + 17


def best_of_all(matrix):
    """The most energy that signs times a vector can capture, by trying all signs."""
    return max(
        np.sum((np.array(signs) @ matrix) ** 2) / len(matrix)
        for signs in itertools.product((-1, 1), repeat=len(matrix))
    ) / np.sum(matrix**2)


def test_the_fit_comes_close_to_the_best_there_is():
    """On matrices that are nowhere near low rank, the hardest; within 5% at large."""
    shares = []
    for seed in range(60):
        matrix = np.random.default_rng(seed).normal(size=(10, 3)).astype(np.float32)
        _, decoded = coded({"x": matrix}, bits=8)
        shares.append(captured({"x": matrix}, decoded) / best_of_all(matrix.astype(np.float64)))
    assert np.mean(shares) > 0.95
    assert max(shares) <= 1 + 1e-6


def test_low_rank_is_what_it_lives_by():
    """Of a matrix of rank one, 2/pi is what signs can say of Gaussian rows, and the columns all."""
    rng = np.random.default_rng(0)
    lowrank = np.outer(rng.normal(size=4000), rng.normal(size=8)).astype(np.float32)
    _, decoded = coded({"x": lowrank}, bits=8)
    assert captured({"x": lowrank}, decoded) == pytest.approx(2 / np.pi, abs=0.02)


def test_a_share_of_the_rows():
    update = {"x": outer(200)}
    payload, decoded = coded(update, share=0.25, gain=4.0)
    rows = np.any(decoded["x"] != 0, axis=1)
    assert rows.sum() == 50
    np.testing.assert_allclose(decoded["x"][rows], 4 * update["x"][rows], rtol=0.06)
    chosen = [np.any(coded(update, seed, share=0.25)[1]["x"] != 0, axis=1) for seed in range(99)]
    assert np.all(np.sum(chosen, axis=0) > 0)
    whole, _ = coded(update)
    assert len(payload) < len(whole)


def test_other_columns_each_time():
    rng = np.random.default_rng(0)
    update = {"x": rng.normal(size=(64, 8)).astype("f4"), "y": rng.normal(size=(5, 64))}
    columns, rows = np.zeros(8, int), np.zeros(5, int)
    for seed in range(200):
        _, decoded = coded(update, seed, columns=3, bits=8)
        sent = np.any(decoded["x"] != 0, axis=0)
        assert sent.sum() == 3
        columns += sent
        rows += np.any(decoded["y"] != 0, axis=1)
    # Each is sent by three eighths of them, or three fifths; five standard deviations allowed.
    assert np.all(np.abs(columns - 75) < 5 * np.sqrt(200 * 3 / 8 * 5 / 8))
    assert np.all(np.abs(rows - 120) < 5 * np.sqrt(200 * 3 / 5 * 2 / 5))


def test_one_column_at_a_time_is_unbiased_in_direction():
    """The mean of many decodings is the mean magnitude of each column times its signs."""
    matrix = np.random.default_rng(0).normal(size=(40, 4)).astype("f4")
    decodings = [coded({"x": matrix}, seed, columns=1, bits=8)[1]["x"] for seed in range(800)]
    expected = np.sign(matrix) * np.abs(matrix).mean(axis=0) / 4
    # Scales are within 6%, and a column comes 200 times of 800, give or take 12.
    np.testing.assert_allclose(np.mean(decodings, axis=0), expected, rtol=0.06 + 3 * 12 / 200)


def test_vectors_and_matrices_that_are_zero():
    update = {"bias": np.array([0.5, -0.5, 0.5], np.float32), "zero": np.zeros((4, 2), np.float32)}
    _, decoded = coded(update)
    np.testing.assert_allclose(decoded["bias"], update["bias"], rtol=0.06)
    assert not decoded["zero"].any()


@pytest.mark.parametrize("magnitude", [1e-9, 1e-4, 1.0, 300.0])
def test_values_over_many_magnitudes(magnitude):
    matrix = magnitude * outer()
    _, decoded = coded({"x": matrix})
    np.testing.assert_allclose(decoded["x"], matrix, rtol=0.06)


def test_a_level_that_no_encoder_writes_is_refused():
    matrix = outer()
    payload, _ = coded({"x": matrix})
    layout = Layout.of({"x": matrix})
    sections = unpack(payload, "lowrank-sign", layout)
    # Of three bits, 7 would be one more than the largest level, 3 + 3.
    sections[Section.SCALES] = sections[Section.SCALES][:1] + b"\xff\x80"
    with pytest.raises(PayloadError, match="level"):
        make_policy("lowrank-sign", {}).decode(pack("lowrank-sign", layout, sections), layout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0}, "share: found 0"),
        ({"columns": 0}, "columns: found 0"),
        ({"gain": float("inf")}, "gain: found inf"),
        ({"bits": 1}, "bits: found 1"),
        ({"bits": 9}, "bits: found 9"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        make_policy("lowrank-sign", options)


def decoded_by_the_book(payload, shapes, gain, bits):
    """A whole payload as docs/wire-format.md says, a bit at a time."""
    assert payload[13:15] == b"\x01\x04"  # positions, which say nothing where all is sent
    assert payload[19] == 4  # scales, and another section after them
    length, scales = payload[20], payload[21:]
    scales, values = scales[:length], scales[length:]
    assert values[0] == 0x83
    level_bits = "".join(f"{byte:08b}" for byte in scales[len(shapes) :])
    sign_bits = iter("".join(f"{byte:08b}" for byte in values[1:]))
    update, at = {}, 0
    for number, name in enumerate(sorted(shapes)):
        rows, columns = sorted(shapes[name], reverse=True)
        scale = 2 ** (10 - (scales[number] - 1) / 6)
        levels = []
        for _ in range(columns):
            levels.append(int(level_bits[at : at + bits], 2) - (2 ** (bits - 1) - 1))
            at += bits
        matrix = []
        for _ in range(rows):
            sign = -1 if next(sign_bits) == "1" else 1
            matrix.append([sign * level * scale * gain for level in levels])
        array = np.array(matrix)
        update[name] = array if shapes[name][0] >= shapes[name][1] else array.T
    return update


def test_payloads_are_what_the_document_says():
    rng = np.random.default_rng(1)
    shapes = {"b": (9, 4), "a": (3, 20)}
    update = {name: rng.laplace(size=shape).astype("f4") for name, shape in shapes.items()}
    payload, decoded = coded(update, gain=1.5, bits=5)
    expected = decoded_by_the_book(payload, shapes, 1.5, 5)
    for name in shapes:
        np.testing.assert_allclose(decoded[name], expected[name], rtol=1e-6)
