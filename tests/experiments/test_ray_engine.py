"""The Ray engine on a cluster of its own."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from fsim.core.errors import ScenarioError
from fsim.experiments.sweep import sweep


def test_without_ray_it_is_told_how_to_get_it(tiny_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ScenarioError, match="not installed: pip install 'fsim"):
        sweep(tiny_file(), seeds=[0], out=tmp_path / "out", store="none", engine="ray")


def read(process, name):
    try:
        return Path(f"/proc/{process}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def parent_of(process):
    return (read(process, "stat").rpartition(")")[2].split() or ["", ""])[1]


def kill_a_worker(pids, over):
    """Kill the first process of Ray that is at work on a cell, unless all is over before."""
    while not over.is_set():
        for entry in filter(str.isdigit, os.listdir("/proc")):
            # A process of the cluster that this one started: its grandparent is this one.
            ours = parent_of(parent_of(entry)) == str(os.getpid())
            if ours and read(entry, "cmdline").startswith("ray::_do_and_pack"):
                pids.append(int(entry))
                os.kill(pids[0], signal.SIGKILL)
                return
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.extras("ray")
def test_a_killed_worker_costs_only_its_cells_rerun(tiny_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pids, over = [], threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(pids, over))
    killer.start()
    try:
        table = sweep(
            tiny_file(), {"compression.policy": ["float16", "topk"]}, [0, 1],
            out="out", store="store", engine="ray", jobs=2,
        )  # fmt: skip
    finally:
        over.set()
        killer.join()
    assert pids, "no worker was found to be killed"
    assert table["status"].tolist() == ["completed"] * 4
    for cell in table["cell"]:
        assert {"records.parquet", "adapter", "summary.json"} <= set(os.listdir(f"out/{cell}"))


@pytest.mark.slow
@pytest.mark.extras("ray")
def test_workers_share_a_store_at_a_url(tiny_file, tmp_path):
    table = sweep(
        tiny_file(), {"fleet.downlink.rate": ["1 Mbit/s", "2 Mbit/s"]},
        out=tmp_path / "out", store=f"file://{tmp_path / 'store'}", engine="ray", jobs=1,
    )  # fmt: skip
    assert table["status"].tolist() == ["completed", "completed"]
    assert table["jobs_reused"].tolist() == [0, 6]


@pytest.mark.extras("ray")
def test_a_cluster_that_is_not_there_is_told(tiny_file, tmp_path):
    with pytest.raises(ScenarioError, match=r"found 127\.0\.0\.1:1, nobody answers"):
        sweep(
            tiny_file(), seeds=[0], out=tmp_path / "out", store="none",
            engine="ray", ray_address="127.0.0.1:1",
        )  # fmt: skip
