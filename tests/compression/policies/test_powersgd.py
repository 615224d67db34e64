import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.compression.policies.powersgd import factor, orthonormal
from fsim.core.errors import PayloadError
from fsim.core.types import Layout


def fresh(seed=0):
    return EncodingContext(np.random.default_rng(seed))


def send(policy, update, context):
    return policy.decode(policy.encode(update, context), Layout.of(update))


def matrix(rows, columns, rank, seed=0):
    rng = np.random.default_rng(seed)
    product = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
    return product.astype(np.float32)


def test_gram_schmidt_worked_by_hand():
    columns = np.array([[3.0, 1.0, 6.0], [4.0, 0.0, 8.0]])
    # The second less 3/5 of (3, 4) / 5 is (16, -12) / 25; the third is twice the first.
    expected = np.array([[0.6, 0.8, 0.0], [0.8, -0.6, 0.0]])
    assert orthonormal(columns) == pytest.approx(expected, abs=1e-12)


def test_gram_schmidt_spans_what_qr_spans():
    columns = np.random.default_rng(0).standard_normal((40, 6)) * 1e-8
    q, r = np.linalg.qr(columns)
    assert orthonormal(columns) == pytest.approx(q * np.sign(np.diag(r)), abs=1e-10)


def test_one_step_worked_by_hand():
    # M q = (2, 0), so P = (1, 0) and Q = M' P is the first row.
    left, right = factor(np.array([[2.0, 3.0], [0.0, 5.0]]), np.array([[1.0], [0.0]]))
    assert left.tolist() == [[1], [0]]
    assert right.tolist() == [[2], [3]]


def test_a_matrix_of_that_rank_arrives_whole():
    update = {"w": matrix(20, 30, 2)}
    policy = make_policy("powersgd", {"rank": 2, "dtype": "float32"})
    assert send(policy, update, fresh())["w"] == pytest.approx(update["w"], rel=1e-4, abs=1e-5)
    policy = make_policy("powersgd", {"rank": 2})
    assert send(policy, update, fresh())["w"] == pytest.approx(update["w"], rel=0.01, abs=0.02)


def test_warm_start_converges_to_the_best_factors():
    # Subspace iteration: a fixed matrix, factored again and again, ends at its truncated SVD.
    update = {"w": np.random.default_rng(0).standard_normal((12, 15)).astype(np.float32)}
    values = np.linalg.svd(update["w"], compute_uv=False)
    best = np.sqrt(np.sum(values[3:] ** 2))
    options = {"rank": 3, "dtype": "float32", "error_feedback": False}
    errors = {}
    for warm in (True, False):
        policy, context = make_policy("powersgd", {**options, "warm_start": warm}), fresh()
        for _ in range(200):
            decoded = send(policy, update, context)
        errors[warm] = np.linalg.norm(decoded["w"] - update["w"])
    assert errors[True] == pytest.approx(best, rel=1e-3)
    assert errors[False] > 1.02 * best


def test_sizes_and_what_is_sent_as_it_is():
    # Factors of rank 2 take 2 (16 + 60) of 960 numbers; of (4, 4) as many as the matrix has.
    update = {"a": matrix(16, 60, 5), "b": matrix(4, 4, 4), "c": np.ones(7, np.float32)}
    update["d"] = matrix(5, 24, 3).reshape(5, 4, 6)
    payload = make_policy("powersgd", {}).encode(update, fresh())
    assert len(payload) == framed_length([2 * (2 * 76 + 16 + 7 + 2 * 29)])
    policy = make_policy("powersgd", {"dtype": "float32"})
    payload = policy.encode(update, fresh())
    assert len(payload) == framed_length([4 * (2 * 76 + 16 + 7 + 2 * 29)])
    decoded = policy.decode(payload, Layout.of(update))
    assert np.array_equal(decoded["b"], update["b"])
    assert np.array_equal(decoded["c"], update["c"])
    assert decoded["d"].shape == (5, 4, 6)
    sections = unpack(payload, "powersgd", Layout.of(update))
    left = np.frombuffer(sections[Section.VALUES], "<f4")[:32].reshape(16, 2)
    assert left.T @ left == pytest.approx(np.eye(2), abs=1e-6)


def test_a_matrix_of_zeros_does_not_stop_what_follows():
    policy, context = make_policy("powersgd", {"dtype": "float32"}), fresh()
    zeros = {"w": np.zeros((20, 30), np.float32)}
    assert not np.any(send(policy, zeros, context)["w"])
    update = {"w": matrix(20, 30, 2)}
    assert send(policy, update, context)["w"] == pytest.approx(update["w"], rel=1e-4, abs=1e-5)


def test_a_column_that_found_nothing_looks_elsewhere_from_then_on():
    # Of a matrix of rank 1 the second column finds nothing: it keeps its start for the next one.
    policy = make_policy("powersgd", {"dtype": "float32", "error_feedback": False})
    context = fresh()
    send(policy, {"w": np.outer(np.arange(1, 21), np.ones(30)).astype(np.float32)}, context)
    update = {"w": matrix(20, 30, 2)}
    assert send(policy, update, context)["w"] == pytest.approx(update["w"], rel=1e-4, abs=1e-5)


def test_with_feedback_the_mean_of_what_arrives_becomes_the_update():
    update = {"w": np.random.default_rng(0).standard_normal((12, 15)).astype(np.float32)}
    policy, context = make_policy("powersgd", {"rank": 2}), fresh()
    total = sum(send(policy, update, context)["w"] for _ in range(200)) / 200
    assert np.linalg.norm(total - update["w"]) < 0.1 * np.linalg.norm(update["w"])


def test_factors_that_overflow_are_refused():
    layout = Layout.of({"w": np.zeros((9, 9), np.float32)})
    policy = make_policy("powersgd", {"dtype": "float32"})
    data = np.full(2 * 18, 3e38, "<f4").tobytes()
    with pytest.raises(PayloadError, match="beyond float32"):
        policy.decode(pack("powersgd", layout, {Section.VALUES: data}), layout)
    with pytest.raises(ValueError, match=r"cannot express [\d.e+]+ in float16"):
        make_policy("powersgd", {}).encode({"w": np.full((9, 9), 1e5, np.float32)}, fresh())
