import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

RNG = np.random.default_rng(0)


def roundtrip(name, values):
    update = {"w": np.array(values, dtype=np.float32)}
    policy = make_policy(name, {})
    payload = policy.encode(update, EncodingContext(RNG))
    return payload, policy.decode(payload, Layout.of(update))["w"]


def test_float32_keeps_every_bit():
    values = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    payload, decoded = roundtrip("float32", values)
    assert np.array_equal(decoded, values)
    assert len(payload) == framed_length([4 * 1000])


def test_float16_rounds_to_nearest():
    payload, decoded = roundtrip("float16", [1 / 3, 65504, -1e-9, 0])
    assert decoded.tolist() == np.array([1 / 3, 65504, -1e-9, 0], np.float16).tolist()
    assert len(payload) == framed_length([2 * 4])


def test_float16_refuses_what_it_cannot_express():
    with pytest.raises(ValueError, match="cannot express 70000"):
        roundtrip("float16", [70000.0])
    with pytest.raises(ValueError, match="cannot express nan"):
        roundtrip("float32", [float("nan")])


def test_bfloat16_worked_by_hand():
    # 1/3 is 3EAAAAAB; 1 + 2^-8 and 1 + 3 * 2^-8 lie half way: to the even one, down and up.
    payload, decoded = roundtrip("bfloat16", [1 / 3, 1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8)])
    assert decoded.tolist() == [0.333984375, 1.0, 1 + 4 * 2**-8, -1.0]
    assert payload[-8:].hex() == "ab3e803f823f80bf"
    assert len(payload) == framed_length([2 * 4])


def test_bfloat16_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    bits = np.concatenate([bits, np.arange(2**16, dtype=np.uint32) << 16 | 0x8000])
    values = bits.view(np.float32)
    values = values[np.abs(values) <= (2 - 2**-7) * 2.0**127]
    expected = torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy()
    decoded = roundtrip("bfloat16", values)[1]
    assert np.array_equal(decoded.view(np.uint32), expected.view(np.uint32))


def test_bfloat16_refuses_what_would_round_to_infinity():
    largest = (2 - 2**-7) * 2.0**127
    assert roundtrip("bfloat16", [largest])[1] == [largest]
    with pytest.raises(ValueError, match=r"cannot express 3\.40282e\+38, its limit is 3\.38953e"):
        roundtrip("bfloat16", [np.finfo(np.float32).max])


@pytest.mark.parametrize(
    ("name", "special"), [("float32", "0000807f"), ("float16", "007e"), ("bfloat16", "80ff")]
)
def test_a_payload_with_a_number_that_is_not_finite_is_refused(name, special):
    layout = Layout.of({"w": np.zeros(1, np.float32)})
    payload = pack(name, layout, {Section.VALUES: bytes.fromhex(special)})
    with pytest.raises(PayloadError, match="not finite"):
        make_policy(name, {}).decode(payload, layout)
