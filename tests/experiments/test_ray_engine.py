"""The Ray engine on a cluster of its own."""

import os
import sys

import pandas as pd
import pytest

from fsim.core.errors import ScenarioError
from fsim.experiments.sweep import sweep


def test_without_ray_it_is_told_how_to_get_it(tiny_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ScenarioError, match="not installed: pip install 'fsim"):
        sweep(tiny_file(), seeds=[0], out=tmp_path / "out", store="none", engine="ray")


MORTAL = '''
"""A policy that is the end of the first process that encodes by it."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fsim.compression import register
from fsim.compression.policies.floats import Float16


@register
@dataclass(frozen=True)
class Mortal(Float16):
    """float16 of those who live."""

    name: ClassVar[str] = "mortal"

    def encode(self, update, context):
        try:
            Path(os.environ["GRAVE"]).touch(exist_ok=False)
        except FileExistsError:
            return super().encode(update, context)
        os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.mark.slow
@pytest.mark.extras("ray")
def test_a_killed_worker_costs_only_its_cells_rerun(installed, few_file, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAVE", str(tmp_path / "grave"))
    fsim = installed("[fsim.plugins]\nmortal = fsim_mortal\n", MORTAL, "fsim-mortal")
    done = fsim(
        "sweep", few_file(), "--over", "compression.policy=mortal,topk", "--seeds", "0,1",
        "--engine", "ray", "--jobs", "2", "--store", tmp_path / "store", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "grave").exists()
    table = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert table["status"].tolist() == ["completed"] * 4
    for cell in table["cell"]:
        files = set(os.listdir(tmp_path / "out" / cell))
        assert {"records.parquet", "adapter", "summary.json"} <= files


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
