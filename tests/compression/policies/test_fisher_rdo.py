import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding import rate_distortion as rdo
from fsim.compression.coding.context_tables import ContextTables, costs, fit_tables, parse_tables
from fsim.compression.coding.scan import CONTEXTS, Activity, contexts_of, mean_codes, scan_of
from fsim.compression.coding.wire import Section, unpack
from fsim.core.errors import PayloadError
from fsim.core.types import Layout, SensitivitySettings, TrainingRequest

SHAPES = {"a.lora_A": (8, 640), "a.lora_B": (512, 8), "b.lora_A": (8, 256)}


def sample(seed=0, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    update = {k: (1e-3 * rng.laplace(size=s)).astype(np.float32) for k, s in shapes.items()}
    fisher = {k: rng.lognormal(sigma=2, size=s).astype(np.float32) for k, s in shapes.items()}
    return update, fisher


def context(fisher, **known):
    return EncodingContext(np.random.default_rng(0), fisher, **known)


def coded(update, fisher, **options):
    policy = make_policy("fisher-rdo", options)
    payload = policy.encode(update, context(fisher))
    return payload, policy.decode(payload, Layout.of(update))


def distortion(update, fisher, decoded):
    left = sum(np.sum(fisher[k] * (update[k] - decoded[k]) ** 2) for k in update)
    return left / sum(np.sum(fisher[k] * update[k] ** 2) for k in update)


@pytest.mark.parametrize("budget", [120, 400, 1000, 4000, 8000])
def test_the_payload_is_as_long_as_it_may_be(budget):
    update, fisher = sample()
    payload, _ = coded(update, fisher, budget=budget)
    assert 0.97 * budget - 8 <= len(payload) <= budget


def test_the_smaller_budget_holds_and_the_context_can_set_it():
    update, fisher = sample()
    for option, known in ((1000, 3000), (3000, 1000), (None, 1000)):
        policy = make_policy("fisher-rdo", {"budget": option})
        assert 950 < len(policy.encode(update, context(fisher, budget=known))) <= 1000


def test_a_budget_below_the_frame_is_refused():
    update, fisher = sample()
    for budget in (1, 20):
        with pytest.raises(ValueError, match=f"found a budget of {budget} bytes"):
            coded(update, fisher, budget=budget)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 6))
def test_no_payload_exceeds_its_rate(seed, rate):
    update, fisher = sample(seed, {"a": (4, 33), "b": (17, 4), "c": (5,)})
    nothing, _ = coded({k: np.zeros_like(v) for k, v in update.items()}, fisher)
    payload, decoded = coded(update, fisher, rate=rate)
    # Beyond an empty payload, whose few class means may differ from this one's.
    assert len(payload) <= len(nothing) + 16 + rate * 205 / 8
    assert Layout.of(decoded) == Layout.of(update)


def test_more_bytes_leave_less_error():
    update, fisher = sample()
    left = [
        distortion(update, fisher, coded(update, fisher, rate=rate)[1])
        for rate in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
    ]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.01


def test_it_beats_fstq_at_the_same_number_of_bytes():
    update, fisher = sample()
    for budget in (1500, 4000):
        policy = make_policy("fstq", {"allocation": "budget", "budget": budget})
        theirs = policy.decode(policy.encode(update, context(fisher)), Layout.of(update))
        _, ours = coded(update, fisher, budget=budget)
        assert distortion(update, fisher, ours) < 0.8 * distortion(update, fisher, theirs)


def test_bytes_go_where_the_fisher_is():
    update = {"w": np.full((8, 200), 1e-3, np.float32)}
    fisher = {"w": np.ones((8, 200), np.float32)}
    fisher["w"][:, 50:] = 1e-4
    _, decoded = coded(update, fisher, budget=150)
    assert np.all(decoded["w"][:, :50] > 5e-4)
    assert np.mean(decoded["w"][:, 50:] == 0) > 0.9


def test_the_fisher_is_asked_for_and_needed():
    assert make_policy("fisher-rdo", {}).training_request() == TrainingRequest(
        SensitivitySettings()
    )
    with pytest.raises(ValueError, match="needs the client's Fisher"):
        make_policy("fisher-rdo", {}).encode(sample()[0], context(None))


@pytest.mark.parametrize("where", ["update", "fisher"])
def test_what_is_not_finite_is_refused(where):
    update, fisher = sample()
    (update if where == "update" else fisher)["b.lora_A"][3, 4] = np.nan
    with pytest.raises(ValueError, match="fisher-rdo cannot express nan"):
        coded(update, fisher)


def test_a_fisher_of_zeros_counts_as_uniform():
    update, fisher = sample()
    nothing = {k: np.zeros_like(v) for k, v in fisher.items()}
    ones = {k: np.ones_like(v) for k, v in fisher.items()}
    assert distortion(update, ones, coded(update, nothing, rate=2)[1]) < 0.15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "rate: found 0"),
        ({"rate": 9}, "rate: found 9"),
        ({"floor": -1}, "floor: found -1"),
        ({"floor": float("inf")}, "floor: found inf, allowed is 0 or more"),
        ({"budget": 0}, "budget: found 0, allowed is 1 byte or more"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        make_policy("fisher-rdo", options)
    assert message in str(caught.value)


def test_levels_are_coded_by_rank_then_matrix_then_neuron_worked_by_hand():
    scan = scan_of(Layout.of({"a": np.zeros((2, 3)), "b": np.zeros((3, 2)), "c": np.zeros(2)}))
    # a is 0 1 2 / 3 4 5, its ranks are rows; b is 6 7 / 8 9 / 10 11, its ranks are columns.
    assert scan.order.tolist() == [0, 1, 2, 6, 8, 10, 12, 13, 3, 4, 5, 7, 9, 11]
    assert scan.neuron.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5]
    assert [(part.start, part.stop) for part in scan.steps] == [(0, 8), (8, 14)]


def test_contexts_worked_by_hand():
    scan = scan_of(Layout.of({"a": np.zeros((2, 3))}))
    means = np.zeros(16, dtype=np.int64)
    means[5] = 64
    # The class's mean is 64^2 / 16384 = 1/4, 1024 in 4096ths, and 901 <= 1024 < 1229: context 7.
    # After levels 0, 1 and 9 (which counts as 3): (2/4 + 0, 1, 3) / 3 = 1/6, 1/2 and 7/6, which are
    # 683, 2048 and 4779 in 4096ths.
    levels = np.array([0, 1, 9, 0, 0, 0])
    found = contexts_of(scan, np.array([5]), means, levels)
    assert found.tolist() == [7, 7, 7, 6, 10, 13]
    assert Activity(scan, np.array([5]), means).contexts(0).tolist() == [7, 7, 7]


def test_each_choice_is_the_best_of_all_levels_when_costs_are_flat():
    # With a price of 0 the nearest level is best, whatever the tables say.
    layout = Layout.of({"a": np.zeros((2, 40))})
    scan = scan_of(layout)
    magnitudes = np.random.default_rng(0).exponential(3, 80).astype(np.float32)
    problem = rdo.Problem(scan, magnitudes, np.ones(80, np.float32), np.zeros(1, np.int64), 1)
    levels = rdo.choose(problem, None, 0.0)
    assert np.array_equal(levels, np.rint(magnitudes))


def test_a_price_drives_out_levels_that_do_not_pay():
    layout = Layout.of({"a": np.zeros((1, 4))})
    magnitudes = np.array([1, 1, 0.2, 1], dtype=np.float32)
    weights = np.array([10, 1, 10, 0.1], dtype=np.float32)
    problem = rdo.Problem(scan_of(layout), magnitudes, weights, np.zeros(1, np.int64), 1)
    # At first a level costs 4.25 bits more than none, so that 10 > 4.25 > 1 > 0.1.
    assert rdo.choose(problem, None, 1.0).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("spacing", [1, 4])
def test_no_other_candidate_costs_less_in_the_context_that_a_level_has(spacing):
    scan = scan_of(Layout.of({"a": np.zeros((8, 300)), "b": np.zeros((200, 8))}))
    rng, classes, price = np.random.default_rng(0), np.array([0, 3]), 0.4
    magnitudes = (rng.exponential(2, 4000) * np.where(scan.neuron % 3, 0.1, 1)).astype(np.float32)
    weights = rng.lognormal(size=4000).astype(np.float32)
    problem = rdo.Problem(scan, magnitudes, weights, classes, spacing)
    model = rdo.fit(problem, rdo.choose(problem, None, price))
    assert len(model.tables.tables) > 1
    levels = rdo.choose(problem, model, price)
    contexts = contexts_of(scan, classes, model.means, -(-levels // spacing))
    bits = costs(model.tables, 100)

    def lagrangian(levels):
        values = rdo.reconstruct(levels, model.points, spacing)
        return weights * (magnitudes - values) ** 2 + price * bits[contexts, levels]

    below = np.floor(magnitudes).astype(int)
    coarse = below // spacing * spacing
    for other in (0 * below, below, below + 1, coarse, coarse + spacing):
        assert np.all(lagrangian(levels) <= lagrangian(other) * (1 + 1e-5))
    assert 0 < np.mean(levels == 0) < 1


def test_mean_levels_are_told_by_class_worked_by_hand():
    scan = scan_of(Layout.of({"a": np.zeros((2, 4)), "b": np.zeros((2, 4)), "c": np.zeros(2)}))
    # Of eight levels 1, 0, 0, 0, 1, 0, 0, 0 the mean is 1/4, 64^2 / 16384; of eight 3, 9 counting
    # as 3, it is 3, and sqrt(3 x 16384) = 221.7.
    of_matrices = np.array([[1, 0, 0, 0, 1, 0, 0, 0], [9, 3, 3, 3, 9, 3, 3, 3]])
    magnitudes = np.concatenate([of_matrices, np.zeros((1, 8), int)])[scan.matrix, scan.neuron % 4]
    expected = np.zeros(16, int)
    expected[[5, 2]] = 64, 222
    assert mean_codes(scan, np.array([5, 2, 7]), magnitudes).tolist() == expected.tolist()


def test_a_matrix_of_less_fisher_has_longer_steps():
    # Of a 16th of the largest mean: four octaves, class 4. Of a 2^20th: the last class.
    update = {name: np.full((4, 50), 1.0, np.float32) for name in "abcd"}
    fisher = {name: np.full((4, 50), mean, np.float32)
              for name, mean in zip("abcd", (1, 16, 2**-16, 16), strict=True)}  # fmt: skip
    payload, _ = coded(update, fisher, floor=0, rate=2)
    # Behind the step, the spacing and three points, four bits each.
    scales = unpack(payload, "fisher-rdo", Layout.of(update))[Section.SCALES]
    assert scales[8:] == bytes([0x40, 0xF0])


def test_matrices_without_coordinates_may_stand_anywhere():
    update, fisher = sample()
    whole = update | {name: np.zeros((0, 8), np.float32) for name in ("a", "z")}
    _, decoded = coded(whole, fisher | {name: whole[name] for name in ("a", "z")}, rate=2)
    assert decoded["z"].shape == (0, 8)
    assert distortion(update, fisher, decoded) < 0.1


def test_points_are_weighted_centroids():
    layout = Layout.of({"a": np.zeros((1, 4))})
    magnitudes = np.array([0.8, 1.2, 2.25, 3.5], dtype=np.float32)
    weights = np.array([3, 1, 1, 1], dtype=np.float32)
    problem = rdo.Problem(scan_of(layout), magnitudes, weights, np.zeros(1, np.int64), 1)
    model = rdo.fit(problem, np.array([1, 1, 2, 3]))
    # (3 x 0.8 + 1.2) / 4 = 0.9; 2.25; 3.5, which is the farthest that a code can say, nearly.
    assert rdo.reconstruct(np.arange(4), model.points, 1) == pytest.approx(
        [0, 0.9, 2.25, 3.5], abs=1 / 256
    )
    # Points of levels that there are none of stay where they are.
    assert rdo.fit(problem, np.zeros(4, int)).points.tolist() == [128, 128, 128]


def test_coarse_levels_alone_are_moved():
    points = np.array([128 - 64, 128, 128 + 64])
    # Spacing 4: a quarter less at 4, a quarter more at 12, of 4 fine steps.
    values = rdo.reconstruct(np.arange(14), points, 4)
    assert values.tolist() == [0, 1, 2, 3, 3, 5, 6, 7, 8, 9, 10, 11, 13, 13]


def test_alike_contexts_share_a_table_and_unlike_ones_do_not():
    alike = np.tile([900, 100], (CONTEXTS, 1))
    assert len(fit_tables(alike).tables) == 1
    unlike = alike.copy()
    unlike[8:] = [500, 500]
    tables = fit_tables(unlike)
    assert tables.groups.tolist() == [0] * 8 + [1] * 8
    assert len(tables.data) == 2 + 2 * 3
    # The sign costs a bit; -log2 of 0.9, of 0.1 and of a half.
    assert costs(tables, 2)[0] == pytest.approx([0.152, 4.32], abs=0.05)
    assert costs(tables, 2)[15] == pytest.approx([1, 2], abs=0.05)


@pytest.mark.parametrize(("times", "tables"), [(1, 1), (2, 2)])
def test_contexts_share_a_table_where_that_is_shorter_worked_by_hand(times, tables):
    # Each by itself 40 x 0.811 bits, together 80: 15 more, or with twice as many 30. A table of
    # two magnitudes takes three bytes, 24 bits.
    counts = np.zeros((CONTEXTS, 2), int)
    counts[3], counts[9] = [30 * times, 10 * times], [10 * times, 30 * times]
    assert len(fit_tables(counts).tables) == tables


@given(st.binary(max_size=40))
def test_tables_parse_or_raise_one_error(data):
    try:
        tables = parse_tables(data)
    except PayloadError:
        return
    assert isinstance(tables, ContextTables)
    assert len(tables.groups) == CONTEXTS
    assert tables.groups[-1] == len(tables.tables) - 1
