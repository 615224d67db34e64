"""SCAFFOLD: its arithmetic, and whole runs on losses whose optimum is known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.algorithms.base import changed_mean
from fsim.algorithms.scaffold import control_change
from fsim.compression import make_policy
from fsim.compression.coding.wire import HEADER_BYTES
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
from tests.simulation.quadratic import QuadraticLearner, run

SCAFFOLD = EQUAL | {"correction": "scaffold"}
FRAME = HEADER_BYTES + 1


def update(*values):
    return {"w": np.array(values, "f4")}


def test_scaffold_worked_by_hand():
    # Two steps of 0.5 moved the client by -3: its mean gradient was 3, so c_i+ = c_i - c + 3.
    change = control_change(update(1.0), update(-3.0), 2, 0.5)
    assert change["w"].tolist() == [2.0]
    # Four clients in all, two heard: 1 + (2 + 4) / 4.
    assert changed_mean(update(1.0), [change, update(4.0)], 4)["w"].tolist() == [2.5]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(-5, 5), st.floats(-5, 5))
def test_without_drift_the_control_becomes_the_clients_mean_gradient(gradients, own, server):
    # SCAFFOLD's step is y <- y - eta (g - c_i + c); what is left of it is the mean of g.
    position = 0.0
    for gradient in gradients:
        position -= 0.1 * (gradient - own + server)
    change = control_change(update(server), update(position), len(gradients), 0.1)
    assert own + change["w"].item() == pytest.approx(np.mean(gradients), abs=1e-4)


def test_scaffold_refuses():
    with pytest.raises(ValueError, match="steps: found 0"):
        control_change(update(1.0), update(1.0), 0, 0.1)
    with pytest.raises(ValueError, match="learning_rate: found 0"):
        control_change(update(1.0), update(1.0), 1, 0.0)
    with pytest.raises(ValueError, match="same tensors"):
        control_change(update(1.0), update(1.0, 2.0), 1, 0.1)
    with pytest.raises(ValueError, match="clients: found 1, allowed is 2 or more"):
        changed_mean(update(1.0), [update(1.0)] * 2, 1)


def naive(rounds, cohort_of, correct=True):
    """SCAFFOLD as algorithm 1 has it, option II, one client after another, in float64."""
    x, c, own = np.zeros(8), np.zeros(8), np.zeros((6, 8))
    for number in range(1, rounds + 1):
        deltas, changes = [], []
        for i in cohort_of(number):
            y = x.copy()
            for _ in range(5):
                y -= RATE * (CURVATURES[i] * (y - TARGETS[i]) - own[i] + c)
            if correct:
                new = own[i] - c + (x - y) / (5 * RATE)
                changes.append(new - own[i])
                own[i] = new
            deltas.append(y - x)
        x = x + np.mean(deltas, axis=0)
        if correct:
            c = c + np.sum(changes, axis=0) / 6
    return x, c, own


@pytest.mark.parametrize("clients", [6, 3], ids=["everyone", "half"])
@pytest.mark.parametrize("kind", ["synchronous", "deadline"])
def test_scaffold_is_algorithm_1(tiny, clients, kind):
    protocol = {"kind": kind} | ({"over_selection": 1.0} if kind == "deadline" else {})
    world = run(tiny(**settings(SCAFFOLD, 4, clients, protocol=protocol)), learner())
    x, c, own = naive(4, cohorts(world))
    np.testing.assert_allclose(flat(world), x, atol=2e-5)
    server, clients_own = flat_values(world._algorithm.controls)
    np.testing.assert_allclose(server, c, atol=2e-5)
    for client, values in clients_own.items():
        np.testing.assert_allclose(values, own[client], atol=2e-5)
    assert_mean_of_clients(world._algorithm.controls)


def test_scaffold_finds_the_optimum_that_fedavg_misses(tiny):
    plain = run(tiny(**settings(rounds=60)), learner())
    corrected = run(tiny(**settings(SCAFFOLD, rounds=60)), learner())
    assert np.linalg.norm(flat(plain) - OPTIMUM) > 0.1
    assert np.linalg.norm(flat(corrected) - OPTIMUM) < 1e-3


def test_scaffold_of_equal_clients_who_all_take_part_is_fedavg(tiny):
    alike = QuadraticLearner([2.0] * 6, [TARGETS[0]] * 6, RATE)
    plain = run(tiny(**settings()), alike)
    np.testing.assert_allclose(flat(run(tiny(**settings(SCAFFOLD)), alike)), flat(plain), atol=1e-6)


def test_scaffold_of_one_client_is_local_training(tiny):
    alone = QuadraticLearner([2.0], TARGETS[:1], RATE)
    world = run(tiny(**settings(SCAFFOLD, clients=1, fleet__clients=1)), alone)
    expected = np.zeros(8)
    for _ in range(15):
        expected -= RATE * 2.0 * (expected - TARGETS[0])
    np.testing.assert_allclose(flat(world), expected, atol=1e-6)


def test_control_variates_are_billed_as_they_are_serialised(tiny):
    plain = run(tiny(**settings()), learner())
    for precision, each in (("float32", 4), ("float16", 2)):
        correction = {"kind": "scaffold", "precision": precision}
        world = run(tiny(**settings(SCAFFOLD | {"correction": correction})), learner())
        control = FRAME + each * 8
        for kind in ("download", "upload"):
            rows, without = (
                records[records["kind"] == kind]
                for records in (world.recorder.records(), plain.recorder.records())
            )
            # One byte says where the first payload ends: it is shorter than 128.
            assert set(rows["bytes"]) == {without["bytes"].iloc[0] + control + 1}
            for size, details in zip(rows["bytes"], rows["details"], strict=True):
                parts = json.loads(details)["payload" if kind == "upload" else "parts"]
                assert parts["control"] == control
                assert sum(parts.values()) == size


def test_rounded_control_variates_are_the_same_at_both_ends(tiny):
    correction = {"kind": "scaffold", "precision": "bfloat16"}
    world = run(tiny(**settings(SCAFFOLD | {"correction": correction}, rounds=5)), learner())
    assert_mean_of_clients(world._algorithm.controls)


@pytest.mark.parametrize(
    "failing",
    [
        {"fleet__availability": {"kind": "dropout", "probability": 0.5, "moment": "any"}},
        {"failures": {"corrupted": 0.5}},
        {"failures": {"duplicated": 1.0}},
        {"server__screen": {"most_norm": 1.0}},
        {"server__crashes": [{"at": "1 s", "down": "2 s"}]},
        {"protocol__kind": "deadline", "protocol__after": "0.4 s", "protocol__over_selection": 1.0},
    ],
    ids=["dropped", "corrupted", "duplicated", "rejected", "crashed", "late"],
)
def test_only_updates_that_entered_change_a_control_variate(tiny, failing):
    changes = settings(SCAFFOLD, rounds=6, clients=4)
    changes["fleet__uplink"] = {"rate": "lognormal(8 kbit/s, 1.0)"}
    changes["transport"] = {"kind": "fluid"}
    world = run(tiny(**changes, **failing), learner())
    accounts = world.accounts
    assert accounts.aggregated > 0
    assert accounts.dropped + accounts.late + accounts.rejected > 0 or "failures" in failing
    assert_mean_of_clients(world._algorithm.controls)
    assert len(world._algorithm.controls.own) <= accounts.aggregated


@pytest.mark.parametrize("policy", ["ffa", "alternating"])
def test_a_factor_that_is_not_trained_keeps_its_control_variate(tiny, policy):
    made = make_policy(policy, {"inner": "float32"})
    changes = settings(SCAFFOLD, rounds=4) | {"compression": {"policy": policy, "inner": "float32"}}
    world = run(tiny(**changes), learner(policy=made))
    rows = world.recorder.records()
    rows = rows[rows["kind"] == "download"]
    # Half of the coordinates are trained, and half of the control variate is sent.
    assert {json.loads(each)["parts"]["control"] for each in rows["details"]} == {FRAME + 4 * 4}
    server = world._algorithm.controls.server
    assert server["x.lora_B.weight"].any()
    assert server["x.lora_A.weight"].any() == (policy == "alternating")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {}}, "scaffold and training.optimizer: adamw, allowed is sgd"),
        ({"training": SGD | {"proximal": 0.1}},
         "scaffold and training.proximal: 0.1, allowed is 0"),
        ({"server": {}}, "scaffold and server.aggregation: fedavg, allowed is fedavg with weights"),
        ({"server": {"aggregation": "trimmed-mean"}},
         "scaffold and server.aggregation: trimmed-mean, allowed is fedavg with weights: equal"),
        ({"protocol__kind": "buffered", "protocol__buffer": 3},
         "scaffold and protocol.kind: buffered, allowed is synchronous, or deadline with late"),
        ({"protocol__kind": "deadline", "protocol__late": "keep"},
         "scaffold and protocol.kind: deadline, allowed is synchronous, or deadline with late"),
        ({"protocol__kind": "tiered", "protocol__tiers": 2}, "scaffold and protocol.kind: tiered"),
        ({"transport": {"kind": "datagram"}}, "scaffold and transport.kind: datagram, allowed is"),
    ],
)  # fmt: skip
def test_what_scaffold_does_not_go_with(changes, message):
    whole = {"training": SGD, "server": EQUAL} | changes
    whole["server"] = whole["server"] | {"correction": "scaffold"}
    assert refusal(**whole).startswith(f"server.correction: found {message}")
