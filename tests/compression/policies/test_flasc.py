import numpy as np

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import framed_length, unpack
from fsim.core.types import Layout

RNG = np.random.default_rng(0)


def send(update, **options):
    policy = make_policy("flasc", options)
    payload = policy.encode(update, EncodingContext(RNG))
    return payload, policy.decode(payload, Layout.of(update))


def test_the_largest_of_all_matrices_together():
    update = {"a": np.array([[8, 1]], np.float32), "b": np.array([-4, 2, 0.5, 3, 0, 0], np.float32)}
    payload, decoded = send(update)
    assert decoded["a"].tolist() == [[8, 0]]
    assert decoded["b"].tolist() == [-4, 0, 0, 0, 0, 0]
    assert len(payload) == framed_length([2, 4])


def test_up_it_sends_what_topk_sends():
    update = {"w": np.random.default_rng(1).laplace(size=400).astype(np.float32)}
    layout = Layout.of(update)
    payload, _ = send(update, density=0.1)
    other = make_policy("topk", {"ratio": 0.1}).encode(update, EncodingContext(RNG))
    assert unpack(payload, "flasc", layout) == unpack(other, "topk", layout)


def test_a_round_of_the_paper_with_a_sparse_download():
    # Half of the adapter down, a step of 1 on every entry, half of the delta up, added to the
    # dense adapter: only the downlink policy makes the client start from the sparse one.
    adapter = {"w": np.array([4, -1, 2, 0.5], np.float32)}
    received = send(adapter, density=0.5)[1]
    assert received["w"].tolist() == [4, 0, 2, 0]
    trained = received["w"] + np.array([0.25, 1, -1, 0.5], np.float32)
    up = send({"w": trained - received["w"]}, density=0.5)[1]
    assert (adapter["w"] + up["w"]).tolist() == [4, 0, 1, 0.5]
