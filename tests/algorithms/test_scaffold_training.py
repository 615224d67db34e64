"""SCAFFOLD and local epochs in runs that really train."""

import json

import numpy as np
import pytest

from fsim.core.rng import stream
from fsim.data.encoding import BatchShape, draw_batches
from fsim.simulation.build import prepare_task
from fsim.simulation.run import simulate
from fsim.store import Store
from fsim.training.cohort import Cohort, SlotJob
from fsim.training.gradient_correction import SlotCorrection
from fsim.training.settings import TrainingSettings

RATE = 0.5
SCAFFOLD = {
    "training": {"optimizer": "sgd", "learning_rate": RATE, "local_steps": 2, "batch_size": 4},
    "server": {"aggregation": {"kind": "fedavg", "weights": "equal"}, "correction": "scaffold"},
    "compression": {"policy": "float32"},
    "protocol": {"clients_per_round": 3, "rounds": 3},
}


def test_scaffold_really_trained_is_algorithm_1(tiny, tmp_path):
    loaded = tiny(**SCAFFOLD)
    run = simulate(loaded, store=Store(tmp_path))
    prepared = prepare_task(loaded)
    layout = prepared.adapted.layout
    rows = [row for shard in prepared.shards for row in shard]
    cohort = Cohort(
        prepared.adapted,
        1,
        BatchShape.of(rows, 4),
        TrainingSettings(optimizer="sgd", learning_rate=RATE),
    )
    x = layout.flatten(prepared.adapted.initial)
    c, own = np.zeros_like(x), np.zeros((6, len(x)), "f4")
    received = run.records[run.records["kind"] == "receive"]
    for number, arrived in received.groupby("round"):
        deltas, changes = [], []
        for i in arrived["client"]:
            rng = stream(0, "learning.batches", i, number)
            batches = draw_batches(prepared.shards[i], 2, 4, rng)
            (result,) = cohort.train([SlotJob(x, batches, correction=SlotCorrection(c - own[i]))])
            new = own[i] - c + (x - result.end) / (2 * RATE)
            changes.append(new - own[i])
            deltas.append(result.end - x)
            own[i] = new
        x = x + np.mean(deltas, axis=0)
        c = c + np.sum(changes, axis=0) / 6
    assert c.any()
    expected = layout.flatten(prepared.adapted.initial)
    moved = layout.flatten(run.adapter) - expected
    assert np.linalg.norm(moved - (x - expected)) <= 1e-4 * np.linalg.norm(x - expected)
    again = simulate(loaded, store=Store(tmp_path))
    assert again.facts["jobs_trained"] == 0
    assert all(np.array_equal(again.adapter[name], run.adapter[name]) for name in run.adapter)


@pytest.mark.parametrize("policy", ["qsgd", "topk", "ffa", "alternating", "fstq", "powersgd"])
def test_control_variates_travel_with_every_kind_of_policy(tiny, policy):
    run = simulate(tiny(**SCAFFOLD | {"compression": {"policy": policy}}))
    assert run.failure is None
    uploads = run.records[run.records["kind"] == "upload"]
    for size, details in zip(uploads["bytes"], uploads["details"], strict=True):
        assert sum(json.loads(details)["payload"].values()) == size


def test_a_budget_is_for_update_and_control_variate_together(tiny):
    whole = SCAFFOLD | {
        "server": SCAFFOLD["server"] | {"correction": {"kind": "scaffold", "precision": "float16"}},
        "compression": {"policy": "fstq", "allocation": "budget", "upload_seconds": "2 s"},
        "transport": {"kind": "fluid"},
        "fleet__uplink": {"rate": "80 kbit/s"},
    }
    run = simulate(tiny(**whole))
    assert run.failure is None
    uploads = run.records[run.records["kind"] == "upload"]
    assert uploads["bytes"].max() <= 20_000
    assert {json.loads(each)["budget_bytes"] for each in uploads["details"]} == {20_000}


def test_clients_make_as_many_steps_as_their_examples_take(tiny):
    training = {"optimizer": "sgd", "learning_rate": 0.1, "local_epochs": 0.02, "batch_size": 4}
    run = simulate(
        tiny(training=training, server={"correction": "fednova"}, protocol__rounds=1,
             fleet__seconds_per_step={"laptop": "1 s"})
    )  # fmt: skip
    loaded = tiny(training=training)
    shards = prepare_task(loaded).shards
    computed = run.records[run.records["kind"] == "compute"]
    assert len(computed) == 3
    for client, seconds in zip(computed["client"], computed["duration_s"], strict=True):
        steps = max(1, round(0.02 * (len(shards[client]) // 4)))
        assert seconds == pytest.approx(steps, abs=1e-9)
    assert computed["duration_s"].nunique() > 1
