"""SCAFFOLD and FedNova in whole runs, on losses whose optimum is known."""

import json

import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import HEADER_BYTES
from fsim.core.errors import PayloadError
from fsim.network import Tcp
from fsim.simulation.payload import EncodedUpdate
from fsim.simulation.uplink_message import UplinkMessage, join, joined_length, part
from tests.simulation.quadratic import QuadraticLearner, run

CURVATURES = [1.0, 4.0, 0.5, 2.0, 3.0, 0.2]
TARGETS = np.random.default_rng(0).normal(size=(6, 8))
RATE = 0.1
SGD = {"optimizer": "sgd", "learning_rate": RATE, "local_steps": 5}
SCAFFOLD = {"aggregation": {"kind": "fedavg", "weights": "equal"}, "correction": "scaffold"}
FRAME = HEADER_BYTES + 1


def settings(server=None, rounds=3, clients=6, **more):
    return {
        "training": SGD,
        "server": server or {"aggregation": {"kind": "fedavg", "weights": "equal"}},
        "protocol": {"rounds": rounds, "clients_per_round": clients, **more.pop("protocol", {})},
        "compression": {"policy": "float32"},
        **more,
    }


def flat(world):
    return np.concatenate([world.adapter[name].ravel() for name in sorted(world.adapter)])


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


def learner(**more):
    return QuadraticLearner(CURVATURES, TARGETS, RATE, **more)


def cohorts(world):
    records = world.recorder.records()
    uploads = records[records["kind"] == "receive"]
    return lambda number: sorted(uploads[uploads["round"] == number]["client"])


@pytest.mark.parametrize("clients", [6, 3], ids=["everyone", "half"])
@pytest.mark.parametrize("kind", ["synchronous", "deadline"])
def test_scaffold_is_algorithm_1(tiny, clients, kind):
    protocol = {"kind": kind} | ({"over_selection": 1.0} if kind == "deadline" else {})
    world = run(tiny(**settings(SCAFFOLD, 4, clients, protocol=protocol)), learner())
    x, c, own = naive(4, cohorts(world))
    np.testing.assert_allclose(flat(world), x, atol=2e-5)
    controls = world._controls
    np.testing.assert_allclose(controls.layout.flatten(controls.server), c, atol=2e-5)
    for client, values in controls.own.items():
        np.testing.assert_allclose(controls.layout.flatten(values), own[client], atol=2e-5)
    everyone = sum(controls.layout.flatten(values) for values in controls.own.values())
    np.testing.assert_allclose(controls.layout.flatten(controls.server), everyone / 6, atol=1e-5)


def test_scaffold_finds_the_optimum_that_fedavg_misses(tiny):
    optimum = np.average(TARGETS, axis=0, weights=CURVATURES)
    plain = run(tiny(**settings(rounds=60)), learner())
    corrected = run(tiny(**settings(SCAFFOLD, rounds=60)), learner())
    assert np.linalg.norm(flat(plain) - optimum) > 0.1
    assert np.linalg.norm(flat(corrected) - optimum) < 1e-3


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
    controls = world._controls
    everyone = sum(controls.layout.flatten(values) for values in controls.own.values())
    np.testing.assert_allclose(controls.layout.flatten(controls.server), everyone / 6, atol=1e-5)


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
    controls = world._controls
    everyone = sum(controls.layout.flatten(values) for values in controls.own.values())
    np.testing.assert_allclose(controls.layout.flatten(controls.server), everyone / 6, atol=1e-5)
    assert len(controls.own) <= accounts.aggregated


@pytest.mark.parametrize("policy", ["ffa", "alternating"])
def test_a_factor_that_is_not_trained_keeps_its_control_variate(tiny, policy):
    made = make_policy(policy, {"inner": "float32"})
    changes = settings(SCAFFOLD, rounds=4) | {"compression": {"policy": policy, "inner": "float32"}}
    world = run(tiny(**changes), learner(policy=made))
    rows = world.recorder.records()
    rows = rows[rows["kind"] == "download"]
    # Half of the coordinates are trained, and half of the control variate is sent.
    assert {json.loads(each)["parts"]["control"] for each in rows["details"]} == {FRAME + 4 * 4}
    server = world._controls.server
    assert server["x.lora_B.weight"].any()
    assert server["x.lora_A.weight"].any() == (policy == "alternating")


def test_a_joined_message_comes_apart(tiny):
    for first in (b"", b"a" * 127, b"b" * 128, b"c" * 20_000):
        message = join(first, b"second")
        assert part(message) == (first, b"second")
        assert len(message) == joined_length(len(first), 6)
    with pytest.raises(PayloadError, match="ends within its first payload"):
        part(b"\x05abc")


def test_a_byte_changed_anywhere_in_a_message_is_found(tiny):
    world = run(tiny(**settings(SCAFFOLD, rounds=1)), learner())
    layout, policy = world.learner.layout, make_policy("float32", {})
    control = world._controls.begin(0, 2, [spec.name for spec in layout.tensors])
    context = EncodingContext(np.random.default_rng(0))
    encoded = EncodedUpdate.of(world.adapter, policy, context, Tcp())
    message = UplinkMessage(encoded, control.encode(world.adapter, 5))
    parts = message.breakdown()
    assert sum(parts.values()) == message.size
    assert message.changed(lambda whole: whole) is message

    def both(arrived):
        update, change = arrived.read()
        return control.decode(change), update.decoded

    for at in range(message.size):
        for bit in (0x01, 0x80):
            damaged = message.changed(
                lambda whole, at=at, bit=bit: (
                    whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
                )
            )
            assert damaged.size == message.size
            with pytest.raises(PayloadError):
                both(damaged)


def test_fednova_of_as_many_steps_is_fedavg_to_the_bit(tiny):
    plain, nova = (
        run(tiny(**settings({"correction": kind})), learner(examples=[8, 50, 9, 31, 77, 20]))
        for kind in ("none", "fednova")
    )
    assert np.array_equal(flat(nova), flat(plain))


def test_fednova_makes_up_for_clients_that_do_more_steps(tiny):
    """With one pass over 8, 16 and 48 examples in batches of 8, clients make 1, 2 and 6 steps."""
    examples = [8, 16, 48, 8, 16, 48]
    training = {"optimizer": "sgd", "learning_rate": 0.01, "local_epochs": 1, "batch_size": 8}
    common = settings(rounds=400) | {"training": training}
    found = {}
    for correction in ("none", "fednova"):
        server = {"correction": correction, "aggregation": {"kind": "fedavg", "weights": "equal"}}
        fleet = QuadraticLearner([1.0] * 6, TARGETS, 0.01, examples=examples)
        world = run(tiny(**common | {"server": server}), fleet)
        assert {len(job.batches) for job in fleet.jobs.values()} == {1, 2, 6}
        found[correction] = np.linalg.norm(flat(world) - TARGETS.mean(0))
    assert found["fednova"] < 0.1 * found["none"]


@pytest.mark.parametrize(
    ("protocol", "entered", "share"),
    [
        ({"kind": "deadline", "over_selection": 1.0}, 6, 1.0),
        ({"kind": "buffered", "buffer": 3}, 3, 1.0),
        # Of two tiers that count as having had a round, the first has had one more.
        ({"kind": "tiered", "tiers": 2, "clients_per_round": 3}, 3, 1 / 3),
    ],
    ids=["deadline", "buffered", "tiered"],
)
def test_fednova_goes_with_every_protocol_that_averages(tiny, protocol, entered, share):
    """Its formula, of the updates that the first step of the global adapter was made of."""
    training = {"optimizer": "sgd", "learning_rate": RATE, "local_epochs": 2, "batch_size": 8}
    examples = [8, 16, 48, 8, 16, 48]
    # In the order of their links; one client's steps take longer than another's.
    fleet = {"fleet__uplink": {"rate": "lognormal(8 kbit/s, 1.0)"}, "transport": {"kind": "fluid"},
             "fleet__seconds_per_step": {"laptop": "10 ms"}}  # fmt: skip
    common = {**settings(protocol=protocol, rounds=1), "training": training, **fleet}
    worlds = {
        kind: run(tiny(**common | {"server": {"correction": kind}}), learner(examples=examples))
        for kind in ("none", "fednova")
    }
    assert worlds["none"].accounts == worlds["fednova"].accounts
    assert worlds["fednova"].accounts.aggregated == entered
    records = worlds["fednova"].recorder.records()
    those = records[records["kind"] == "receive"]["client"].to_numpy()[:entered]
    # Two passes in batches of 8: 2, 4 and 12 steps, each of which leaves 1 - 0.1 h of the way.
    held = np.array(examples)[those]
    steps = held // 4
    left = (1 - RATE * np.array(CURVATURES)[those]) ** steps
    deltas = (1 - left)[:, None] * TARGETS[those]
    weights = held / held.sum()
    moves = {
        "none": weights @ deltas,
        "fednova": (weights @ steps) * ((weights / steps) @ deltas),
    }
    for kind, world in worlds.items():
        np.testing.assert_allclose(flat(world), share * moves[kind], atol=1e-6)
    assert len(set(steps)) > 1
