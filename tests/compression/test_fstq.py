import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.wire import Section, unpack
from fsim.vocabulary import Layout, SensitivitySettings

RNG = np.random.default_rng(0)


def coded(update, fisher, **options):
    policy = make_policy("fstq", options)
    payload = policy.encode(update, EncodingContext(RNG, fisher))
    return payload, policy.decode(payload, Layout.of(update))


def test_precision_follows_importance_worked_by_hand():
    # u = F delta^2 = 16, 9, 4, 0.01, 0 from first to last; one coordinate in each tier.
    update = {"w": np.array([[4.0, -3.0, 2.0, 0.1, 1.0]], dtype=np.float32)}
    fisher = {"w": np.array([[1.0, 1.0, 1.0, 1.0, 0.0]], dtype=np.float32)}
    _, decoded = coded(update, fisher, share16=0.2, share4=0.2, share2=0.2)
    # 4 bits: scale 4/7, -3 -> level -5; 2 bits: scale 4, 2/4 rounds to even, 0.
    expected = [4.0, -5 * 4 / 7, 0.0, 0.0, 0.0]
    assert decoded["w"][0] == pytest.approx(expected, rel=1e-6)


def test_the_fisher_decides_not_the_magnitude_alone():
    update = {"w": np.array([1.0, 0.1], dtype=np.float32)}
    fisher = {"w": np.array([1e-6, 1.0], dtype=np.float32)}
    _, decoded = coded(update, fisher, share16=0.5, share4=0, share2=0)
    assert decoded["w"] == pytest.approx([0, 0.1], rel=1e-3)


def test_each_matrix_has_its_own_scale():
    update = {"a": np.full(4, 7.0, np.float32), "b": np.full(4, 0.07, np.float32)}
    fisher = {"a": np.ones(4, np.float32), "b": np.ones(4, np.float32)}
    _, decoded = coded(update, fisher, share16=0, share4=1.0, share2=0)
    assert decoded["a"] == pytest.approx(7.0)
    assert decoded["b"] == pytest.approx(0.07)


def test_everything_at_16_bits_is_float16():
    rng = np.random.default_rng(0)
    update = {"w": rng.standard_normal((10, 10)).astype(np.float32)}
    fisher = {"w": rng.random((10, 10)).astype(np.float32)}
    _, decoded = coded(update, fisher, share16=1.0, share4=0, share2=0)
    assert np.array_equal(decoded["w"], update["w"].astype(np.float16).astype(np.float32))


def test_default_payload_has_the_papers_ratio_to_float16_and_all_of_it_counts():
    rng = np.random.default_rng(0)
    size = 81_920
    update = {"w": rng.laplace(size=size).astype(np.float32)}
    fisher = {"w": rng.gamma(0.1, size=size).astype(np.float32)}
    payload, _ = coded(update, fisher)
    assert 2 * size / len(payload) == pytest.approx(1024 / 153.6, rel=0.005)
    sections = unpack(payload, "fstq", Layout.of(update))
    sent = round(0.22 * size)
    assert len(sections[Section.POSITIONS]) == 1 + size // 8
    assert len(sections[Section.TAGS]) == (2 * sent + 7) // 8
    assert len(sections[Section.SCALES]) == 4
    assert len(payload) == 16 + 4 * 5 + sum(len(data) for data in sections.values())


def test_two_bits_send_nothing_but_signs_of_the_largest():
    # q_max(2) = 1: what is below half the largest magnitude rounds to zero.
    rng = np.random.default_rng(0)
    update = {"w": rng.laplace(size=20_000).astype(np.float32)}
    fisher = {"w": np.ones(20_000, np.float32)}
    _, decoded = coded(update, fisher, share16=0, share4=0, share2=1.0)
    assert set(np.unique(np.sign(decoded["w"]))) == {-1, 0, 1}
    assert np.mean(decoded["w"] == 0) > 0.97


def test_the_fisher_is_asked_for_and_needed():
    assert make_policy("fstq", {"token_ratio": 0.3}).sensitivity() == SensitivitySettings(0.3)
    assert make_policy("float16", {}).sensitivity() is None
    with pytest.raises(ValueError, match="needs the client's Fisher"):
        make_policy("fstq", {}).encode({"w": np.ones(3, np.float32)}, EncodingContext(RNG))
