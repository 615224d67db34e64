import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.vocabulary import Layout

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
    assert len(payload) == 4 * 1000 + 16 + 5


def test_float16_rounds_to_nearest():
    payload, decoded = roundtrip("float16", [1 / 3, 65504, -1e-9, 0])
    assert decoded.tolist() == np.array([1 / 3, 65504, -1e-9, 0], np.float16).tolist()
    assert len(payload) == 2 * 4 + 16 + 5


def test_float16_refuses_what_it_cannot_express():
    with pytest.raises(ValueError, match="cannot express 70000"):
        roundtrip("float16", [70000.0])
    with pytest.raises(ValueError, match="cannot express nan"):
        roundtrip("float32", [float("nan")])
