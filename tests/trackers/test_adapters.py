"""Each adapter against the real package."""

import json
import struct

import pytest

from fsim.simulation.run import simulate
from fsim.trackers import make_tracker
from fsim.trackers.registry import TRACKERS


def needs(name):
    """Packages of an extra; TensorBoard's are among those of the tests."""
    return pytest.mark.extras(*TRACKERS[name].packages)


def column_of(run, column):
    return dict(
        zip(run.evaluations["round"].tolist(), run.evaluations[column].tolist(), strict=True)
    )


def rounds_end(run):
    rounds = run.records[run.records["kind"] == "round"]
    ends = (rounds["time_s"] + rounds["duration_s"]).tolist()
    return dict(zip(rounds["round"].tolist(), ends, strict=True))


def test_tensorboard_reads_what_was_written(tiny, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    text = f"tensorboard:{tmp_path / 'events'}"
    run = simulate(tiny(), trackers=[make_tracker(text)])
    simulate(tiny(), trackers=[make_tracker(text)])
    folder = tmp_path / "events" / "tiny-float16-seed-0"
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "tiny-float16-seed-0", "tiny-float16-seed-0-2",
    ]  # fmt: skip
    events = EventAccumulator(str(folder)).Reload()

    def read(tag):
        return {each.step: float(make_ndarray(each.tensor_proto)) for each in events.Tensors(tag)}

    for column in ("accuracy", "loss", "time_s", "uplink_bytes"):
        assert read(f"evaluation/{column}") == pytest.approx(column_of(run, column), rel=1e-6)
    assert read("round/time_s") == pytest.approx(rounds_end(run), rel=1e-6)
    assert read("round/uplink_bytes")[2] == run.metrics.uplink_bytes
    assert read("summary/final_accuracy") == {0: pytest.approx(run.metrics.final_accuracy)}
    # "Relative" time is simulated time.
    first, *_, last = events.Tensors("evaluation/loss")
    assert last.wall_time - first.wall_time == pytest.approx(run.metrics.simulated_s, abs=1e-4)
    scenario = json.loads((folder / "scenario.json").read_text())
    assert scenario == tiny().scenario.model_dump(mode="json")


def test_the_command_line_tells_it(tiny_file, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from fsim.cli.app import app

    monkeypatch.chdir(tmp_path)
    arguments = ["run", str(tiny_file(protocol__rounds=1)), "--workers", "1", "--track"]
    result = CliRunner().invoke(app, [*arguments, "tensorboard"])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "tensorboard" / "tiny-float16-seed-0"
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert (tmp_path / "runs" / "tiny" / "summary.json").is_file()


@needs("mlflow")
def test_mlflow_reads_what_was_written(tiny, tmp_path):
    from mlflow.tracking import MlflowClient

    folder = tmp_path / "ml flow"
    run = simulate(tiny(), trackers=[make_tracker(f"mlflow:{folder}")])
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("fsim")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("tiny-float16-seed-0", "FINISHED")
    assert found.data.params["compression.policy"] == "float16"
    assert found.data.params["fleet.clients"] == "6"

    def read(key):
        history = client.get_metric_history(found.info.run_id, key)
        return {each.step: each.value for each in history}

    for column in ("accuracy", "loss", "time_s", "uplink_bytes"):
        assert read(f"evaluation/{column}") == column_of(run, column)
    assert read("round/time_s") == rounds_end(run)
    assert read("round/uplink_bytes")[2] == run.metrics.uplink_bytes
    assert read("summary/final_accuracy") == {0: run.metrics.final_accuracy}
    first, *_, last = client.get_metric_history(found.info.run_id, "evaluation/loss")
    passed = (last.timestamp - first.timestamp) / 1000
    assert passed == pytest.approx(run.metrics.simulated_s, abs=0.002)


@needs("mlflow")
def test_mlflow_is_told_how_a_run_ended(tiny, tmp_path):
    from mlflow.tracking import MlflowClient

    def stop(progress):
        raise KeyboardInterrupt

    for on_progress in (None, stop):
        try:
            simulate(tiny(), on_progress, trackers=[make_tracker(f"mlflow:{tmp_path}")])
        except KeyboardInterrupt:
            continue
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("fsim").experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]


def wandb_records(content):
    """The records of a .wandb file: LevelDB's log format, after a header of 7 bytes.

    Blocks of 32 KiB; in them checksum (4 bytes), length (2), type (1: whole, 2 to 4: first, middle,
    last part of a record) and content.
    """
    assert content.startswith(b":W&B")
    at, parts = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # too little room for another header: zeros
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


@needs("wandb")
def test_wandb_writes_offline_what_it_is_told(tiny, tmp_path):
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    run = simulate(tiny(), trackers=[make_tracker(f"wandb:{tmp_path / 'wb'}")])
    wandb.teardown()  # as the end of a process does: the file is whole after it
    (path,) = (tmp_path / "wb" / "wandb").glob("offline-run-*/run-*.wandb")
    history, config, hosts = [], {}, set()
    for data in wandb_records(path.read_bytes()):
        record = Record.FromString(data)
        if record.HasField("history"):
            items = record.history.item
            history.append(
                {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in items
                }
            )
        if record.HasField("run"):
            hosts.add(record.run.host)
            for each in record.run.config.update:
                config[each.key or "/".join(each.nested_key)] = json.loads(each.value_json)
    assert config["compression"]["policy"] == "float16"

    def read(key):
        return {row["_step"]: row[key] for row in history if key in row}

    for column in ("accuracy", "loss", "time_s", "uplink_bytes"):
        assert read(f"evaluation/{column}") == column_of(run, column)
    assert read("round/time_s") == rounds_end(run)
    assert read("round/uplink_bytes")[2] == run.metrics.uplink_bytes
    # Nothing of the machine: neither its name, nor its hardware, nor its packages.
    assert hosts == {""}
    assert list(path.parent.rglob("wandb-metadata.json")) == []
    assert list(path.parent.rglob("requirements.txt")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["tensorboard", *(pytest.param(name, marks=needs(name)) for name in ("mlflow", "wandb"))],
)
def test_no_package_changes_a_result(tiny, tmp_path, name):
    plain = simulate(tiny())
    tracked = simulate(tiny(), workers=2, trackers=[make_tracker(f"{name}:{tmp_path / 'at'}")])
    assert tracked.records.equals(plain.records)
    assert tracked.evaluations.equals(plain.evaluations)
