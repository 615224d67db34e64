"""FedDyn, against its algorithm written down again, on losses whose optimum is known."""

import numpy as np
import pytest

from fsim.algorithms import make_algorithm
from fsim.simulation.run import simulate
from tests.algorithms.federations import (
    CURVATURES,
    EQUAL,
    OPTIMUM,
    RATE,
    SGD,
    TARGETS,
    assert_mean_of_clients,
    cohorts,
    flat,
    flat_values,
    learner,
    refusal,
    settings,
)
from tests.simulation.quadratic import run

FEDDYN = EQUAL | {"correction": {"kind": "feddyn", "alpha": 0.5}}


def naive(rounds, cohort_of, alpha, steps):
    """Algorithm 1, each local problem by gradient descent, in float64."""
    x, h, gradients = np.zeros(8), np.zeros(8), np.zeros((6, 8))
    for number in range(1, rounds + 1):
        arrived = {}
        for i in cohort_of(number):
            y = x.copy()
            for _ in range(steps):
                loss = CURVATURES[i] * (y - TARGETS[i])
                y -= RATE * (loss - gradients[i] + alpha * (y - x))
            arrived[i] = y
        for i, y in arrived.items():
            gradients[i] -= alpha * (y - x)
        h = h - alpha / 6 * np.sum([y - x for y in arrived.values()], axis=0)
        x = np.mean(list(arrived.values()), axis=0) - h / alpha
    return x, h, gradients


@pytest.mark.parametrize("clients", [6, 3], ids=["everyone", "half"])
@pytest.mark.parametrize("alpha", [0.1, 2.0])
def test_feddyn_is_algorithm_1(tiny, clients, alpha):
    server = EQUAL | {"correction": {"kind": "feddyn", "alpha": alpha}}
    world = run(tiny(**settings(server, 5, clients)), learner())
    x, h, gradients = naive(5, cohorts(world), alpha, SGD["local_steps"])
    np.testing.assert_allclose(flat(world), x, rtol=1e-5, atol=1e-5)
    server, own = flat_values(world._algorithm.gradients)
    np.testing.assert_allclose(server, h, rtol=1e-5, atol=1e-5)
    for client, values in own.items():
        np.testing.assert_allclose(values, gradients[client], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("clients", [6, 3], ids=["everyone", "half"])
def test_feddyn_finds_the_optimum_that_fedavg_misses(tiny, clients):
    plain = run(tiny(**settings(rounds=150, clients=clients)), learner())
    dynamic = run(tiny(**settings(FEDDYN, rounds=150, clients=clients)), learner())
    assert np.linalg.norm(flat(plain) - OPTIMUM) > 0.1
    assert np.linalg.norm(flat(dynamic) - OPTIMUM) < 1e-3
    # Each client has come to the gradient of its own loss there.
    _, own = flat_values(dynamic._algorithm.gradients)
    for client, values in own.items():
        expected = CURVATURES[client] * (OPTIMUM - TARGETS[client])
        np.testing.assert_allclose(values, expected, atol=5e-3)


def test_nothing_more_travels(tiny):
    plain, dynamic = (run(tiny(**settings(server)), learner()) for server in (EQUAL, FEDDYN))
    both = [world.recorder.records()[["kind", "bytes"]] for world in (plain, dynamic)]
    assert both[0].equals(both[1])


@pytest.mark.parametrize(
    "failing",
    [
        {"fleet__availability": {"kind": "dropout", "probability": 0.5, "moment": "any"}},
        {"failures": {"corrupted": 0.5}},
        {"server__screen": {"most_norm": 1.0}},
        {"compression": {"policy": "topk"}},
        {"compression": {"policy": "qsgd", "bits": 2}},
    ],
    ids=["dropped", "corrupted", "rejected", "sparse", "quantised"],
)
def test_the_servers_state_stays_the_mean_of_the_clients(tiny, failing):
    world = run(tiny(**settings(FEDDYN, 6, 4) | failing), learner())
    assert world.accounts.aggregated > 0
    assert_mean_of_clients(world._algorithm.gradients)
    assert len(world._algorithm.gradients.own) <= world.accounts.aggregated


def test_it_really_trains(tiny):
    run = simulate(tiny(server=FEDDYN, training={"local_steps": 2, "batch_size": 4}))
    assert run.failure is None
    plain = simulate(tiny(server=EQUAL, training={"local_steps": 2, "batch_size": 4}))
    first, second = (each.records[each.records["kind"] == "compute"] for each in (plain, run))
    assert len(first) == len(second)
    assert any(not np.array_equal(run.adapter[name], plain.adapter[name]) for name in run.adapter)


def test_alpha():
    for alpha in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="alpha: found"):
            make_algorithm("feddyn", {"alpha": alpha})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training__proximal": 0.1}, "training.proximal: 0.1, allowed is 0"),
        ({"server": {}}, "server.aggregation: fedavg, allowed is fedavg with weights: equal"),
        ({"server": {"aggregation": "trimmed-mean"}}, "server.aggregation: trimmed-mean, allowed"),
        ({"protocol__kind": "buffered", "protocol__buffer": 3}, "protocol.kind: buffered, allowed"),
        (
            {"protocol__kind": "deadline", "protocol__late": "keep"},
            "protocol.kind: deadline, ",
        ),
        (
            {"transport": {"kind": "datagram"}},
            "transport.kind: datagram, allowed is one that",
        ),
    ],
)
def test_what_feddyn_does_not_go_with(changes, message):
    whole = {"server": EQUAL} | changes
    whole["server"] = whole["server"] | {"correction": "feddyn"}
    assert refusal(**whole).startswith(f"server.correction: found feddyn and {message}")
