import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.compression.policies.fstq.allocation import errors_of, for_budget
from fsim.compression.policies.fstq.payloads import (
    entropy_prices,
    parse_entropy,
    parse_plain,
    plain_sections,
)
from fsim.compression.policies.fstq.quantiser import Quantised, quantise
from fsim.core.types import Layout, SensitivitySettings, TrainingRequest

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
    assert len(payload) == framed_length([len(data) for data in sections.values()])


def test_two_bits_send_nothing_but_signs_of_the_largest():
    # q_max(2) = 1: what is below half the largest magnitude rounds to zero.
    rng = np.random.default_rng(0)
    update = {"w": rng.laplace(size=20_000).astype(np.float32)}
    fisher = {"w": np.ones(20_000, np.float32)}
    _, decoded = coded(update, fisher, share16=0, share4=0, share2=1.0)
    assert set(np.unique(np.sign(decoded["w"]))) == {-1, 0, 1}
    assert np.mean(decoded["w"] == 0) > 0.97


def test_the_fisher_is_asked_for_and_needed():
    assert make_policy(
        "fstq", {"token_ratio": 0.3}
    ).training_request().sensitivity == SensitivitySettings(0.3)
    assert make_policy("float16", {}).training_request() == TrainingRequest()
    update = {"w": np.ones(3, np.float32)}
    with pytest.raises(ValueError, match="needs the client's Fisher"):
        make_policy("fstq", {}).encode(update, EncodingContext(RNG))
    with pytest.raises(ValueError, match="fstq cannot express nan"):
        coded(update, {"w": np.full(3, np.nan, np.float32)})


def sample(seed=0, size=(8, 512)):
    rng = np.random.default_rng(seed)
    names = ("a", "b", "c")
    update = {k: (1e-3 * rng.laplace(size=size)).astype(np.float32) for k in names}
    fisher = {k: rng.lognormal(sigma=2, size=size).astype(np.float32) for k in names}
    return update, fisher


def bits_of(payload, update):
    layout = Layout.of(update)
    return parse_plain(unpack(payload, "fstq", layout), layout.size, tagged=True).bits


def remaining_error(update, fisher, decoded):
    whole = sum(np.sum(fisher[k] * update[k] ** 2) for k in update)
    return sum(np.sum(fisher[k] * (update[k] - decoded[k]) ** 2) for k in update) / whole


def test_entropy_coding_changes_the_bytes_and_nothing_else():
    update, fisher = sample()
    for options in ({}, {"scales": "least-squares"}, {"quantise": False}, {"uniform_fisher": True}):
        plain, one = coded(update, fisher, **options)
        entropy, other = coded(update, fisher, coding="entropy", **options)
        assert all(np.array_equal(one[k], other[k]) for k in update)
        assert len(entropy) < 0.85 * len(plain)


def test_coded_size_is_the_entropy():
    # N H(T) + the entropies of levels and exponents + 11 bits for each float16, scales and tables.
    rng = np.random.default_rng(1)
    update = {"w": rng.laplace(size=65_536).astype(np.float32)}
    fisher = {"w": rng.lognormal(sigma=2, size=65_536).astype(np.float32)}
    payload, _ = coded(update, fisher, coding="entropy", share16=0.01, share4=0.04, share2=0.1)
    sections = unpack(payload, "fstq", Layout.of(update))
    quantised = parse_entropy(sections, 65_536)
    tags = np.array([0.85, 0.1, 0.04, 0.01])
    bits = 65_536 * -np.sum(tags * np.log2(tags))
    for symbols in (*quantised.levels.values(), quantised.exact.view("<u2") >> 10 & 31):
        counts = np.unique(symbols, return_counts=True)[1]
        bits -= np.sum(counts * np.log2(counts / counts.sum()))
    bits += 11 * len(quantised.exact)
    bound = bits / 8 + len(sections[Section.SCALES]) + len(sections[Section.TABLES])
    assert bound - 1 <= len(payload) <= 1.005 * bound


def test_prices_of_entropy_coded_coordinates_worked_by_hand():
    # Of 16 coordinates 8 are not sent, 4 have two bits, 2 four, 2 sixteen: tags of 1, 2, 3 and 3
    # bits. Levels -1, 0, 0, 1 take 1.5 bits and 3, -3 one; a float16 takes 11 bits as they are and
    # about 3 of exponent.
    bits = np.repeat(np.array([0, 2, 4, 16], np.uint8), [8, 4, 2, 2])
    levels = {2: np.array([-1, 0, 0, 1]), 4: np.array([3, -3])}
    often = 10_000
    quantised = Quantised(
        np.tile(bits, often),
        np.ones(2 * often, "<f2"),
        {tier: np.tile(each, often) for tier, each in levels.items()},
        b"",
    )
    expected = {2: 2 - 1 + 1.5, 4: 3 - 1 + 1, 16: 3 - 1 + 14}
    assert entropy_prices(quantised) == pytest.approx(expected, abs=0.02)
    # Of a tier that is frequent and certain the price is small, but never nothing.
    ones = Quantised(np.full(often, 2, np.uint8), quantised.exact[:0],
                     {2: np.ones(often, int), 4: np.empty(0, int)}, b"")  # fmt: skip
    assert 0 < entropy_prices(ones)[2] < 1


@pytest.mark.parametrize("coding", ["plain", "entropy"])
@pytest.mark.parametrize("scales", ["max", "least-squares"])
@pytest.mark.parametrize("budget", [200, 1000, 5000])
def test_a_budget_is_used_and_never_exceeded(coding, scales, budget):
    update, fisher = sample()
    options = {"allocation": "budget", "coding": coding, "scales": scales}
    payload, decoded = coded(update, fisher, budget=budget, **options)
    assert 0.97 * budget - 20 <= len(payload) <= budget
    more, better = coded(update, fisher, budget=2 * budget, **options)
    assert len(more) <= 2 * budget
    assert remaining_error(update, fisher, better) < remaining_error(update, fisher, decoded) < 1


def test_a_budget_does_better_than_percentiles_of_the_same_length():
    update, fisher = sample()
    payload, by_rank = coded(update, fisher)
    _, greedy = coded(update, fisher, allocation="budget", budget=len(payload))
    assert remaining_error(update, fisher, greedy) < remaining_error(update, fisher, by_rank)


def test_a_budget_raises_the_coordinate_of_greatest_gain_first_worked_by_hand():
    # Room for the frame and one or two coordinates: u = 16 and 1/16 of equal Fisher.
    update = {"w": np.zeros(4096, np.float32)}
    update["w"][[7, 9]] = 4, 0.25
    fisher = {"w": np.ones(4096, np.float32)}
    _, decoded = coded(update, fisher, allocation="budget", budget=38)
    assert np.flatnonzero(decoded["w"])[0] == 7
    assert decoded["w"][7] == pytest.approx(4, rel=1e-3)


@pytest.mark.parametrize("budget", [120, 400, 900])
def test_of_two_guesses_of_prices_the_better_allocation_is_sent(budget):
    # A coordinate costs its bits, two for its tag and its place: nothing in a bitmap, else 14.
    update, fisher = sample()
    layout = Layout.of(update)
    vector, weights = layout.flatten(update), layout.flatten(fisher)

    def length(bits):
        quantised = quantise(vector, weights, bits, layout, "max")
        return len(pack("fstq", layout, plain_sections(quantised, tagged=True)))

    errors = errors_of(vector, weights, layout, "max")
    guesses = [
        for_budget(errors, {16: 18 + place, 4: 6 + place, 2: 4 + place}, length, budget)
        for place in (0, 14)
    ]
    left = [sum(error[bits == tier].sum() for tier, error in errors.items()) for bits in guesses]
    _, decoded = coded(update, fisher, allocation="budget", budget=budget)
    whole = errors[0].sum()
    assert remaining_error(update, fisher, decoded) == pytest.approx(min(left) / whole, rel=1e-5)


def test_a_budget_goes_to_random_coordinates_too():
    update, fisher = sample()
    options = {"allocation": "budget", "budget": 1000}
    payload, decoded = coded(update, fisher, random_support=True, **options)
    assert len(payload) <= 1000
    assert remaining_error(update, fisher, coded(update, fisher, **options)[1]) < 0.6
    assert remaining_error(update, fisher, decoded) > 0.8


@pytest.mark.parametrize("allocation", ["percentile", "budget"])
def test_only_the_ratios_of_the_fisher_count(allocation):
    update, fisher = sample()
    options = {"allocation": allocation, "budget": 900 if allocation == "budget" else None}
    tiny = {name: array * np.float32(2.0**-60) for name, array in fisher.items()}
    assert coded(update, tiny, **options)[0] == coded(update, fisher, **options)[0]


def test_the_context_sets_a_budget_too():
    update, fisher = sample()
    policy = make_policy("fstq", {"allocation": "budget", "budget": 3000})
    rng = np.random.default_rng(0)
    assert len(policy.encode(update, EncodingContext(rng, fisher, budget=900))) <= 900
    with pytest.raises(ValueError, match="needs a budget"):
        make_policy("fstq", {"allocation": "budget"}).encode(update, EncodingContext(rng, fisher))
    with pytest.raises(ValueError, match="found a budget of 20 bytes"):
        policy.encode(update, EncodingContext(rng, fisher, budget=20))


def test_least_squares_scales_leave_less_error():
    update, fisher = sample()
    for shares in ({"share16": 0, "share4": 1, "share2": 0}, {"share4": 0, "share2": 0.9}):
        _, largest = coded(update, fisher, **shares)
        _, fitted = coded(update, fisher, scales="least-squares", **shares)
        assert remaining_error(update, fisher, fitted) < 0.8 * remaining_error(
            update, fisher, largest
        )


def test_least_squares_scales_are_as_fine_as_their_matrix_is_small():
    update, fisher = sample()
    a = update["a"]
    small = {"a": a, "b": a * np.float32(2.0**-6), "c": a * np.float32(2.0**-12)}
    alike = dict.fromkeys(small, fisher["a"])
    options = {"share16": 0, "share4": 1, "share2": 0, "scales": "least-squares"}
    payload, decoded = coded(small, alike, **options)
    assert np.array_equal(decoded["b"] * 2**6, decoded["a"])
    assert np.array_equal(decoded["c"] * 2**12, decoded["a"])
    # The unit is a seventh of the largest magnitude, a code a sixteenth of an octave.
    scales = unpack(payload, "fstq", Layout.of(small))[Section.SCALES]
    assert np.frombuffer(scales[:4], "<f4")[0] == pytest.approx(np.abs(a).max() / 7)
    assert [code - scales[4] for code in scales[4:7]] == [0, 96, 192]


def test_the_least_squares_scale_of_two_bits_is_the_mean_magnitude():
    # Of levels -1, 0 and 1 for magnitudes 1 and 2 alike, all sent: the mean, 1.5, is best; a scale
    # is a power of 2^(1/16), at most 2.2% off.
    update = {"w": np.array([1, -2, 1, 2, -1, -2] * 4, dtype=np.float32)}
    fisher = {"w": np.ones(24, np.float32)}
    _, decoded = coded(update, fisher, share16=0, share4=0, share2=1, scales="least-squares")
    assert np.abs(decoded["w"]) == pytest.approx(1.5, rel=0.03)
    assert np.array_equal(np.sign(decoded["w"]), np.sign(update["w"]))


def test_without_fisher_the_policy_is_random():
    update, fisher = sample()
    policy = make_policy("fstq", {"fisher": False})
    decoded = [
        policy.decode(policy.encode(update, EncodingContext(np.random.default_rng(seed))),
                      Layout.of(update))
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert np.array_equal(decoded[0]["a"], decoded[1]["a"])
    assert not np.array_equal(decoded[0]["a"], decoded[2]["a"])
    # 22% of the coordinates, whatever their Fisher, take away at most about that share.
    assert 0.6 < remaining_error(update, fisher, decoded[0]) < 1
    # Where one seed sends, another does as often as anywhere.
    sent = [
        bits_of(policy.encode(update, EncodingContext(np.random.default_rng(seed))), update) > 0
        for seed in range(2)
    ]
    assert np.mean(sent[0] & sent[1]) == pytest.approx(0.22**2, abs=0.01)


def test_uniform_fisher_ranks_by_magnitude():
    update = {"w": np.array([1.0, 0.1], dtype=np.float32)}
    fisher = {"w": np.array([1e-6, 1.0], dtype=np.float32)}
    options = {"share16": 0.5, "share4": 0, "share2": 0}
    _, decoded = coded(update, fisher, uniform_fisher=True, **options)
    assert decoded["w"].tolist() == [1, 0]


def test_random_support_has_as_many_of_each_precision_elsewhere():
    update, fisher = sample()
    payloads = [coded(update, fisher, random_support=random)[0] for random in (False, True)]
    found = [bits_of(payload, update) for payload in payloads]
    assert np.array_equal(*(np.bincount(bits, minlength=17) for bits in found))
    assert np.mean((found[0] > 0) & (found[1] > 0)) == pytest.approx(0.22**2, abs=0.01)


def test_without_quantising_what_is_sent_is_float16():
    update, fisher = sample()
    payload, decoded = coded(update, fisher, quantise=False)
    _, mixed = coded(update, fisher)
    sections = unpack(payload, "fstq", Layout.of(update))
    assert set(sections) == {Section.POSITIONS, Section.SCALES, Section.VALUES}
    assert not sections[Section.SCALES]
    assert len(sections[Section.VALUES]) == 2 * round(0.22 * 12_288)
    for key, values in update.items():
        sent = decoded[key] != 0
        assert np.array_equal(decoded[key][sent], values.astype(np.float16)[sent])
        assert np.all(sent[mixed[key] != 0])


def test_without_tokens_training_stays_as_it_is():
    policy = make_policy("fstq", {"tokens": False, "token_ratio": 0.3, "weights": "soft"})
    assert policy.training_request().sensitivity == SensitivitySettings()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coding": "zip"}, "coding: found 'zip', allowed"),
        ({"budget": 500}, "allowed is none unless allocation is budget"),
        ({"allocation": "budget", "budget": -1}, "budget: found -1"),
        ({"fisher": False, "uniform_fisher": True}, "uniform_fisher: found true"),
        ({"share16": float("nan")}, "share16, share4, share2: found"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        make_policy("fstq", options)
    assert message in str(caught.value)
