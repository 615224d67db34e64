"""Whole runs: the clock worked out by hand, and real models where they matter."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.data.encoding import BatchShape, draw_batches
from fsim.network import Capacity, Opening, Tcp
from fsim.network.transports.pace import NEW_WINDOW
from fsim.simulation.build import build_population, prepare_task
from fsim.simulation.run import simulate
from fsim.training.cohort import Cohort, SlotJob
from tests.simulation.quadratic import QuadraticLearner
from tests.simulation.quadratic import simulate as simulate_quadratic

FRAME = 14
"""Bytes of a payload that are neither values nor scales: docs/wire-format.md."""


def of_kind(run, kind):
    return run.records[run.records["kind"] == kind].reset_index(drop=True)


def test_a_round_is_the_schedule_worked_by_hand(tiny):
    # fluid, 8 kbit/s up (1000 bytes/s), 80 kbit/s down (10,000 bytes/s), 0.25 s a step x 2 steps.
    loaded = tiny(
        transport={"kind": "fluid"},
        fleet__uplink={"rate": "8 kbit/s"},
        fleet__downlink={"rate": "80 kbit/s"},
        fleet__seconds_per_step={"laptop": "250 ms"},
    )
    run = simulate_quadratic(loaded)
    coordinates = run.facts["adapter_parameters"]
    down, up = 4 * coordinates + FRAME, 2 * coordinates + FRAME
    assert of_kind(run, "download")["bytes"].tolist() == [down] * 6
    assert of_kind(run, "upload")["bytes"].tolist() == [up] * 6
    round_s = down / 10_000 + 0.5 + up / 1000
    assert of_kind(run, "round")["duration_s"].tolist() == pytest.approx([round_s] * 2, rel=1e-12)
    first = run.records[(run.records["round"] == 1) & (run.records["client"] >= 0)]
    for _, rows in first.groupby("client"):
        assert rows["kind"].tolist() == ["download", "compute", "upload", "receive"]
        assert rows["time_s"].tolist() == pytest.approx(
            [0, down / 10_000, down / 10_000 + 0.5, round_s], abs=1e-9
        )
    # 2 W up, 1 W down, 35 W for a laptop's compute.
    energy = 6 * (1 * down / 10_000 + 35 * 0.5 + 2 * up / 1000)
    assert run.metrics.energy_j == pytest.approx(energy)
    assert run.evaluations["time_s"].tolist() == pytest.approx([0, round_s, 2 * round_s])
    assert run.evaluations["uplink_bytes"].tolist() == [0, 3 * up, 6 * up]


def test_the_slowest_client_decides_the_round(tiny):
    loaded = tiny(fleet__uplink={"rate": "lognormal(1 Mbit/s, 1.0)"})
    run = simulate_quadratic(loaded)
    population = build_population(loaded)
    for number, rows in run.records[run.records["client"] >= 0].groupby("round"):
        ends = (rows["time_s"] + rows["duration_s"]).groupby(rows["client"]).max()
        closed = of_kind(run, "round").set_index("round").loc[number]
        assert closed["time_s"] + closed["duration_s"] == pytest.approx(ends.max())
        slowest = min(ends.index, key=lambda c: population[c].uplink.capacity.mean)
        assert ends.idxmax() == slowest


def test_uploads_take_what_the_network_room_says_over_a_trace(tiny):
    loaded = tiny(fleet__uplink={"trace": "traces/lte-driving.csv", "round_trip": "80 ms"})
    run = simulate_quadratic(loaded)
    population = build_population(loaded)
    for _, row in of_kind(run, "upload").iterrows():
        link = population[row["client"]].uplink
        assert isinstance(link.capacity, Capacity)
        # Over the connection that the download has opened.
        opened = Opening(NEW_WINDOW)
        finish = Tcp().finish_time(link.capacity, row["bytes"], row["time_s"], 0.08, opened)
        assert row["time_s"] + row["duration_s"] == pytest.approx(finish, rel=1e-9)


def test_merged_tokens_save_computing_and_not_a_byte(tiny):
    plain, merged = (simulate(tiny(compression={"policy": name})) for name in ("float16", "tome"))
    bytes_of = [of_kind(run, "upload")["bytes"].tolist() for run in (plain, merged)]
    assert bytes_of[0] == bytes_of[1]
    work = [of_kind(run, "compute").sort_values(["round", "client"]) for run in (plain, merged)]
    assert np.all(work[1]["duration_s"].to_numpy() < work[0]["duration_s"].to_numpy())
    assert plain.evaluations["accuracy"].iloc[0] == merged.evaluations["accuracy"].iloc[0]


def test_policies_meet_the_same_clients_data_and_weather(tiny):
    runs = {
        policy: simulate(tiny(
            compression={"policy": policy},
            fleet__uplink={"trace": "traces/lte-driving.csv"},
            fleet__availability={"kind": "dropout", "probability": 0.3},
        ))
        for policy in ("float32", "topk")
    }  # fmt: skip
    left, right = (of_kind(run, "compute") for run in runs.values())
    first = [table[table["round"] == 1].sort_values("client") for table in (left, right)]
    assert first[0]["client"].tolist() == first[1]["client"].tolist()
    assert first[0]["duration_s"].tolist() == first[1]["duration_s"].tolist()
    assert first[0]["details"].tolist() == first[1]["details"].tolist()
    lost = [sorted(of_kind(run, "lost")["client"]) for run in runs.values()]
    assert lost[0] == lost[1]


def test_float32_federation_of_one_client_is_local_training(tiny):
    """One client that holds everything: the global adapter is what it trained, round by round."""
    loaded = tiny(
        fleet__clients=1,
        protocol__clients_per_round=1,
        protocol__rounds=3,
        compression__policy="float32",
        task__partition={"kind": "iid"},
        training={"optimizer": "sgd", "learning_rate": 0.5, "local_steps": 2, "batch_size": 4},
    )
    run = simulate(loaded)
    prepared = prepare_task(loaded)
    (shard,), layout = prepared.shards, prepared.adapted.layout
    assert len(shard) == run.facts["training_examples"] > 9000
    cohort = Cohort(prepared.adapted, 1, BatchShape.of(shard, 4), loaded.scenario.training)
    start = adapter = layout.flatten(prepared.adapted.initial)
    for number in (1, 2, 3):
        batches = draw_batches(shard, 2, 4, stream(0, "learning.batches", 0, number))
        (result,) = cohort.train([SlotJob(adapter, batches)])
        adapter = result.end
    moved = np.linalg.norm(adapter - start)
    assert moved > 0
    # Begin plus change is the end but for a rounding of float32.
    assert np.linalg.norm(layout.flatten(run.adapter) - adapter) < 1e-5 * moved


def test_dropouts_cost_time_and_energy_and_are_accounted_for(tiny):
    availability = {"kind": "dropout", "probability": 0.5}
    loaded = tiny(fleet__availability=availability, fleet__silent_losses=1,
                  protocol__keepalive={"time": "90 s", "timeout": "10 s"},
                  protocol__rounds=3)  # fmt: skip
    run = simulate_quadratic(loaded)
    lost, received = of_kind(run, "lost"), of_kind(run, "receive")
    assert len(lost) > 0
    assert len(lost) + len(received) == 3 * 3
    assert run.metrics.dropouts == len(lost)
    for number in lost["round"].unique():
        closed = of_kind(run, "round").set_index("round").loc[number]
        assert closed["duration_s"] > 100
        assert json.loads(closed["details"])["received"] == (received["round"] == number).sum()
    computed = of_kind(run, "compute").merge(lost, on=["client", "round"])
    assert (computed["energy_j_x"] > 0).all()
    assert (computed["details_x"] == "").all()


def test_a_round_in_which_all_drop_out_changes_nothing(tiny):
    availability = {"kind": "dropout", "probability": 0.999}
    run = simulate_quadratic(tiny(fleet__availability=availability))
    assert of_kind(run, "receive").empty
    assert run.evaluations["loss"].nunique() == 1
    assert run.metrics.mean_payload_bytes is None
    assert run.metrics.simulated_s > 0


def test_on_off_clients_are_waited_for(tiny):
    run = simulate_quadratic(
        tiny(
            protocol__ask="all",
            fleet__availability={"kind": "on-off", "on": "1 s", "off": "1000 s"},
        )
    )
    waits = of_kind(run, "wait")
    assert len(waits) >= 4
    assert waits["duration_s"].max() > 100
    for _, row in waits.iterrows():
        own = run.records[(run.records["client"] == row["client"])]
        download = own[(own["round"] == row["round"]) & (own["kind"] == "download")].iloc[0]
        assert download["time_s"] == pytest.approx(row["time_s"] + row["duration_s"])


def test_clients_that_diverge_are_rejected_and_the_run_goes_on(tiny):
    run = simulate(tiny(training={"optimizer": "adamw", "learning_rate": 1e37, "local_steps": 4,
                                  "max_gradient_norm": None}))  # fmt: skip
    assert run.failure is None
    rejected = of_kind(run, "rejected")
    assert len(rejected) == len(of_kind(run, "download")) == run.facts["accounts"]["rejected"] == 6
    reasons = [json.loads(details)["reason"] for details in rejected["details"]]
    assert all("the training loss became nan" in reason for reason in reasons)
    assert run.facts["troubles"] == {"its training diverged": 6}
    assert "6 rejected" in run.facts["nothing_entered"]
    assert run.evaluations["accuracy"].nunique() == 1


def test_a_transfer_that_never_ends_names_client_and_round(tiny, tmp_path):
    trace = tmp_path / "dying.csv"
    trace.write_text("time_s,rate_mbit_s\n0,1\n0.05,0\n")
    run = simulate_quadratic(
        tiny(fleet__uplink={"trace": str(trace), "past_end": "hold", "offset": "none"})
    )
    assert run.failure is not None
    assert run.failure.startswith("client ")
    assert "round 1" in run.failure
    assert "never arrive" in run.failure


def test_more_test_examples_than_there_are(tiny):
    with pytest.raises(ScenarioError, match=r"evaluation\.examples: found 5000, the task medical"):
        simulate(tiny(evaluation__examples=5000))


def test_the_downlink_bills_the_precision_it_is_sent_in(tiny):
    full, half = (
        simulate_quadratic(tiny()),
        simulate_quadratic(tiny(server={"downlink_policy": "float16"})),
    )
    sizes = [of_kind(run, "download")["bytes"].iloc[0] - FRAME for run in (full, half)]
    assert sizes[0] == 2 * sizes[1]


def test_every_policy_learns(tiny):
    for policy in ("float16", "qsgd", "topk", "fstq"):
        run = simulate(tiny(compression={"policy": policy}, protocol__rounds=4,
                            training={"local_steps": 8, "batch_size": 8}))  # fmt: skip
        losses = run.evaluations["loss"]
        assert losses.iloc[-1] < 0.8 * losses.iloc[0], policy
        assert isinstance(run.records, pd.DataFrame)


def test_an_example_longer_than_the_model_reads_is_refused(tiny, tmp_path):
    data = tmp_path / "long.jsonl"
    rows = ({"prompt": f"{i} " + "kidney " * 600, "answer": "yes"} for i in range(200))
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"name": "jsonl", "path": str(data), "max_prompt_tokens": 2000}
    with pytest.raises(ScenarioError, match=r"found 2000, .* the model nano reads 512"):
        simulate(tiny(task=task, evaluation__examples=5))


def test_labels_that_no_client_has_are_named(tiny, tmp_path):
    for name, labels in (("train", "ab"), ("test", "abc")):
        rows = ({"prompt": f"{name} {i}", "answer": "yes", "of": label}
                for i in range(20) for label in labels)  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    task = {"name": "jsonl", "path": str(tmp_path / "train.jsonl"), "label": "of",
            "test_path": str(tmp_path / "test.jsonl")}  # fmt: skip
    run = simulate(tiny(task=task, fleet__clients=2, protocol__clients_per_round=2,
                        evaluation__examples=60))  # fmt: skip
    assert run.facts["labels_in_no_shard"] == ["c"]


def test_uploads_that_share_the_servers_ingress(tiny):
    # Three uploads of equal size begin together and share 8 kbit/s fairly.
    loaded = tiny(
        transport={"kind": "fluid"},
        fleet__uplink={"rate": "80 Mbit/s"},
        fleet__downlink={"rate": "80 Mbit/s"},
        fleet__seconds_per_step={"laptop": "250 ms"},
        server__ingress="8 kbit/s",
        protocol__rounds=1,
    )
    run = simulate_quadratic(loaded)
    uploads = of_kind(run, "upload")
    together = 3 * uploads["bytes"].iloc[0] / 1000
    assert uploads["duration_s"].tolist() == pytest.approx([together] * 3, rel=1e-9)


def test_cells_are_dealt_out_and_shared(tiny):
    loaded = tiny(
        transport={"kind": "fluid"},
        fleet__cells={"count": 2, "uplink": "8 kbit/s"},
        fleet__uplink={"rate": "80 Mbit/s"},
        fleet__downlink={"rate": "80 Mbit/s"},
        fleet__seconds_per_step={"laptop": "250 ms"},
        protocol__rounds=1,
    )
    population = build_population(loaded)
    uploads = of_kind(simulate_quadratic(loaded), "upload")
    cells = [population[client].uplink.path for client in uploads["client"]]
    assert {cell for (cell,) in cells} <= {0, 1}
    for cell, seconds in zip(cells, uploads["duration_s"], strict=True):
        alone = uploads["bytes"].iloc[0] / 1000
        assert seconds == pytest.approx(alone * cells.count(cell), rel=1e-6)


@pytest.mark.parametrize("rule", ["resume", "restart", "lost"])
def test_clients_that_come_and_go_are_accounted_for(tiny, rule):
    loaded = tiny(
        fleet__availability={"kind": "renewal", "on": "exponential(6 s)", "off": "3 s"},
        fleet__uplink={"rate": "40 kbit/s"},
        fleet__when_away=rule,
        protocol__ask="all",
        protocol__rounds=3,
    )
    run = simulate_quadratic(loaded)
    assert run.failure is None
    sums = run.records.groupby("kind")["bytes"].sum()
    wasted = sums.get("lost", 0) + sums.get("discarded", 0)
    assert sums["upload"] == sums.get("receive", 0) + wasted
    assert (wasted > 0) == (rule != "resume")
    assert len(of_kind(run, "lost")) + len(of_kind(run, "receive")) == 9
    if rule != "lost":
        assert len(of_kind(run, "lost")) == 0


def test_a_larger_model_is_billed(tiny):
    small = simulate_quadratic(tiny(transport={"kind": "fluid"}))
    parameters = small.facts["adapter_parameters"]
    billing = {
        "adapter_parameters": 10 * parameters,
        "model_parameters": 10 * QuadraticLearner.parameters,
    }
    large = simulate_quadratic(tiny(transport={"kind": "fluid"}, billing=billing))
    assert large.facts["billed_bytes_factor"] == 10
    assert large.facts["billed_operations_factor"] == 10
    for kind in ("upload", "download"):
        assert of_kind(large, kind)["bytes"].tolist() == [
            10 * size for size in of_kind(small, kind)["bytes"]
        ]
    factor = large.facts["billed_operations_factor"]
    one, ten = of_kind(small, "compute")["duration_s"], of_kind(large, "compute")["duration_s"]
    assert ten.tolist() == pytest.approx((factor * one).tolist())
    assert large.evaluations["accuracy"].tolist() == small.evaluations["accuracy"].tolist()


def test_energy_that_depends_on_the_rate(tiny):
    run = simulate_quadratic(tiny(fleet__uplink_power="lte", transport={"kind": "fluid"}))
    uploads = of_kind(run, "upload")
    # 2926 mW and 76.7 mW for each Mbit/s.
    expected = 2.926 * uploads["duration_s"] + 0.0767 * uploads["bytes"] * 8 / 1e6
    assert uploads["energy_j"].tolist() == pytest.approx(expected.tolist())


def test_datagrams_that_are_lost(tiny):
    runs = [
        simulate_quadratic(tiny(transport={"kind": "datagram", "loss": loss}, protocol__rounds=1))
        for loss in (0.0, 0.3)
    ]
    whole, holed = runs
    assert of_kind(whole, "discarded").empty
    assert of_kind(holed, "upload")["bytes"].tolist() == of_kind(whole, "upload")["bytes"].tolist()
    sent, received = (of_kind(holed, kind)["bytes"].sum() for kind in ("upload", "receive"))
    assert of_kind(holed, "discarded")["bytes"].sum() == sent - received
    assert 0.4 < received / sent < 0.95
    assert len(of_kind(holed, "receive")) == 3
    # What is lost contributes nothing; the rest does what it did.
    steps = [
        {name: run.adapter[name] for name in run.adapter if run.adapter[name].any()} for run in runs
    ]
    assert any(not np.array_equal(steps[0][name], steps[1].get(name, 0)) for name in steps[0])


def test_the_number_of_processes_changes_no_bit(tiny):
    changes = {"training__cohort_width": 1, "compression": {"policy": "fstq"}}
    alone, shared = (simulate(tiny(**changes), workers=count) for count in (1, 2))
    pd.testing.assert_frame_equal(alone.records, shared.records)
    pd.testing.assert_frame_equal(alone.evaluations, shared.evaluations)
    for name, values in alone.adapter.items():
        assert np.array_equal(values, shared.adapter[name]), name


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (2, 2)])
def test_processes_and_threads_that_do_not_go_together_are_refused(tiny, workers, threads):
    with pytest.raises(ScenarioError, match=rf"--workers: found {workers}, .* is {threads}$"):
        simulate(tiny(training__threads=threads), workers=workers)


def recordings_of_two(folder):
    """A FedScale recording: one client there for 20 s of every 50, the other for 5 of every 20."""
    clients = {
        "1": {"active": [0], "inactive": [20], "finish_time": 50},
        "2": {"active": [10], "inactive": [15], "finish_time": 20},
    }
    path = folder / "availability.pkl"
    path.write_bytes(pickle.dumps(clients))
    return {"kind": "traced", "path": str(path)}


NIGHTS = {"kind": "diurnal", "time_zones": {"-8": 1, "0": 1, "9": 1}, "probability": 0.9}


@pytest.mark.parametrize("kind", ["diurnal", "traced"])
def test_whole_runs_keep_to_nights_and_recordings(tiny, tmp_path, kind):
    availability = NIGHTS if kind == "diurnal" else recordings_of_two(tmp_path)
    # 82 kB at 80 kbit/s: over 8 s, longer than the second recording is ever there at a stretch.
    loaded = tiny(
        fleet__availability=availability,
        fleet__uplink={"rate": "80 kbit/s"},
        fleet__when_away="resume",
        protocol__ask="all",
        protocol__rounds=3,
    )
    run = simulate_quadratic(loaded)
    assert run.failure is None
    assert len(of_kind(run, "receive")) == 9
    population = build_population(loaded)
    waited = 0
    for row in run.records[
        run.records["kind"].isin(["download", "compute", "upload"])
    ].itertuples():
        begin, end = row.time_s, row.time_s + row.duration_s
        windows = []
        for window in population[row.client].availability.windows(begin):
            if window.begin >= end:
                break
            windows.append(window)
        # It begins and ends while the client is there, whatever lies between.
        assert windows[0].begin == begin
        assert windows[-1].end >= end * (1 - 1e-12)
        waited += len(windows) > 1
    if kind == "traced":
        assert waited > 0
    else:
        assert run.metrics.simulated_s > 3600


def test_slow_clients_send_less_in_the_same_time(tiny):
    loaded = tiny(
        compression__policy="fisher-rdo",
        compression__upload_seconds="3 s",
        fleet__uplink={"rate": "lognormal(10 kbit/s, 0.3)", "round_trip": "100 ms"},
        protocol__rounds=2,
    )
    run = simulate(loaded)
    uploads = of_kind(run, "upload")
    assert len(uploads) > 3
    budgets = [json.loads(details)["budget_bytes"] for details in uploads["details"]]
    assert len(set(budgets)) > 3
    assert all(uploads["bytes"] <= budgets)
    # It is spent, and what it was made for holds: constant links do what the client expected.
    assert all(uploads["bytes"] > 0.9 * np.array(budgets))
    assert uploads["duration_s"].between(2.6, 3.0).all()


@pytest.mark.parametrize("policy", ["float16", "fstq", "ffa"])
def test_policies_that_keep_to_no_budget_are_refused_one(tiny, policy):
    with pytest.raises(ScenarioError, match=rf"upload_seconds: found 3 s for {policy} with these"):
        tiny(compression__policy=policy, compression__upload_seconds="3 s")


@pytest.mark.parametrize(
    ("policy", "options", "why"),
    [
        ("fstq", {"allocation": "budget"}, "allocation budget needs a budget"),
        ("fisher-rdo", {"budget": 20}, "found a budget of 20 bytes, a payload of this adapter"),
        ("alternating", {"inner": "fstq:allocation=budget"}, "allocation budget needs a budget"),
    ],
)
@pytest.mark.parametrize("transport", ["tcp", "datagram"])
def test_a_policy_that_can_send_nothing_is_refused(tiny, policy, options, why, transport):
    settings = {"compression": {"policy": policy, **options}, "transport": {"kind": transport}}
    with pytest.raises(ScenarioError, match=f"compression: found {policy}, with which no .* {why}"):
        simulate_quadratic(tiny(**settings))


def test_too_little_time_for_any_payload_is_refused(tiny):
    loaded = tiny(compression__policy="fisher-rdo", compression__upload_seconds="1 ms")
    found = (
        r"upload_seconds: found 0\.001 s, .* found a budget of 0 bytes, a payload of this adapter"
    )
    with pytest.raises(ScenarioError, match=found):
        simulate_quadratic(loaded)


def downloads(loaded):
    """Seconds of each download, in order."""
    return of_kind(simulate_quadratic(loaded), "download")["duration_s"].to_numpy()


ONE = {
    "fleet": {
        "clients": 1,
        "devices": {"laptop": 1.0},
        "uplink": {"rate": "1 Mbit/s", "round_trip": "100 ms"},
        "downlink": {"rate": "1 Mbit/s", "round_trip": "100 ms"},
    },
    "protocol": {"clients_per_round": 1, "rounds": 4},
}


def test_the_first_download_of_a_run_waits_for_a_connection_and_no_other_does(tiny):
    first, *others = downloads(tiny(**ONE))
    assert others == pytest.approx([first - 0.15] * 3)
    assert downloads(tiny(**ONE, transport={"connection": "fresh"})) == pytest.approx([first] * 4)


def test_a_crash_of_the_server_ends_every_connection(tiny):
    rounds = of_kind(simulate_quadratic(tiny(**ONE)), "round")
    end = float(rounds["duration_s"].iloc[:2].sum())
    for in_flight in ("lost", "kept"):
        # It is down for a moment while the second upload's last byte is on its way.
        crash = {"at": f"{end - 0.02} s", "down": "1 ms", "in_flight": in_flight}
        taken = downloads(tiny(**ONE, server={"crashes": [crash]}))
        assert taken[:4] - taken[1] == pytest.approx([0.15, 0, 0.15, 0], abs=1e-9), in_flight


def test_a_client_that_vanished_opens_a_new_connection(tiny):
    vanishing = {"kind": "dropout", "probability": 0.5}
    run = simulate_quadratic(
        tiny(**ONE | {"protocol": ONE["protocol"] | {"rounds": 12}}, fleet__availability=vanishing)
    )
    rows = run.records[run.records["kind"].isin(["download", "lost"])]
    least = rows[rows["kind"] == "download"]["duration_s"].min()
    new = True
    for _, row in rows.iterrows():
        if row["kind"] == "lost":
            new = True
            continue
        assert row["duration_s"] == pytest.approx(least + 0.15 * new)
        new = False
    assert {"lost", "download"} == set(rows["kind"])
