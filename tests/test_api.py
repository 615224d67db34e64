"""fsim as notebooks use it: what people type is taken, and what comes back can be looked at."""

import json
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure

import fsim
from fsim.compression import POLICIES, make_policy
from fsim.core.errors import PolicyFailed
from fsim.experiments.policies import as_policies
from fsim.experiments.sweep_spec import as_seeds
from fsim.settings.loading import as_loaded, as_overrides
from fsim.store import as_store
from tests.conftest import ROOT, tiny_data

SHORT = {"protocol.rounds": 1, "evaluation.examples": 10}


def test_dir_lists_the_public_names_and_nothing_else():
    assert dir(fsim) == sorted(fsim.__all__)
    assert {"Store", "Policy", "register", "Run", "FsimError"} <= set(fsim.__all__)
    assert all(getattr(fsim, name) is not None for name in fsim.__all__)


def test_to_import_it_takes_nothing_large():
    code = (
        "import sys, fsim; print(sorted({'torch','pandas','matplotlib','numpy'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def forms(path):
    """One scenario in every form that is taken."""
    data = yaml.safe_load(path.read_text())
    return [str(path), path, data, fsim.load_scenario(path)]


def test_a_scenario_may_be_a_path_a_mapping_or_loaded(tiny_file):
    path = tiny_file()
    changed = {"protocol.rounds": 7, "fleet.uplink.rate": "3 Mbit/s"}
    texts = ["protocol.rounds=7", "fleet.uplink.rate=3 Mbit/s"]
    expected = fsim.load_scenario(path, texts).scenario
    for form in forms(path):
        assert as_loaded(form).scenario == fsim.load_scenario(path).scenario
        assert as_loaded(form, changed).scenario == expected
        assert as_loaded(form, texts).scenario == expected
    assert yaml.safe_load(path.read_text()) == tiny_data()


def test_changes_of_a_loaded_scenario_are_of_what_was_written(tiny_file):
    """Defaults that were filled in for one protocol are no options of another."""
    path = tiny_file(protocol={"kind": "deadline", "clients_per_round": 3, "after": "9 s"})
    loaded = fsim.load_scenario(path)
    protocol = {"kind": "synchronous", "clients_per_round": 2}
    changed = {"protocol": protocol, "compression.policy": "topk"}
    assert as_loaded(loaded, changed).scenario == as_loaded(path, changed).scenario
    again = as_loaded(loaded.model_copy(
        update={"scenario": loaded.scenario.with_policy("qsgd", {"bits": 2})}
    ), {"seed": 3})  # fmt: skip
    assert (again.scenario.compression.options, again.scenario.seed) == ({"bits": 2}, 3)


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_change_that_changes_nothing_leaves_the_same_scenario(path):
    loaded = fsim.load_scenario(path)
    assert as_loaded(loaded, {"seed": loaded.scenario.seed}).digest == loaded.digest


def test_changes_take_what_analysis_has():
    changes = {"a": np.float64(0.5), "b": np.arange(2), "c": Path("x/y.csv"), "d": None, "e": (1,)}
    assert as_overrides(changes) == ["a=0.5", "b=[0, 1]", "c=x/y.csv", "d=null", "e=[1]"]
    assert as_overrides("seed=1") == ["seed=1"]


def test_policies_seeds_and_stores_may_be_text(tmp_path):
    listed = as_policies(["float16", "qsgd:bits=2"])
    assert (
        listed == as_policies("float16, qsgd:bits=2") == fsim.parse_policies("float16,qsgd:bits=2")
    )
    assert as_policies(listed) == listed
    assert as_seeds(range(3)) == as_seeds("0,1,2") == as_seeds(np.arange(3)) == [0, 1, 2]
    store = fsim.Store(tmp_path)
    assert as_store(store) is store
    assert as_store(tmp_path).folder == as_store(str(tmp_path)).folder == tmp_path
    assert as_store("none") is None


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("simulate", {"scenario": "none.yaml"}, "none.yaml: No such file or directory"),
        (
            "simulate",
            {"scenario": 3},
            "scenario: found 3, allowed is a path, a mapping or",
        ),
        ("simulate", {"scenario": {}}, "scenario: name: is missing"),
        ("simulate", {"set": {"protocol.round": 1}}, "protocol: round: unknown key, allowed are"),
        ("simulate", {"set": {"seed": object()}}, "seed: found <object .*, which YAML cannot"),
        ("simulate", {"set": {3: 3}}, "found the key 3, allowed is one without ="),
        ("simulate", {"set": 3}, "--set: found 3, allowed are keys and values, or KEY=VALUE"),
        ("simulate", {"store": 3}, "store: found 3, allowed is a folder, a URL"),
        ("simulate", {"trackers": ["x"]}, "--track: found 'x', allowed are tensorboard"),
        ("compare", {"policies": ["zip"]}, "--policies: found policy 'zip', allowed are float32"),
        ("compare", {"policies": [3]}, "--policies: found 3, allowed is NAME or NAME:OPTION"),
        ("compare", {"policies": 3}, "--policies: found 3, allowed is a list of names"),
        ("compare", {"policies": []}, "--policies: found none"),
        ("compare", {"policies": "topk", "seeds": [0.5]}, r"--seeds: found \[0.5\], allowed are"),
        (
            "compare",
            {"policies": "topk", "baseline": "x"},
            "--baseline: found 'x', allowed are to",
        ),
        ("sweep", {"over": {"seed": 3}}, "--over seed: found 3, allowed is a list of values"),
        ("sweep", {"over": 3}, "--over: found 3, allowed are keys and values"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(tiny_file, call, arguments, message):
    with pytest.raises(fsim.FsimError, match=message) as told:
        getattr(fsim, call)(**{"scenario": str(tiny_file()), **arguments})
    assert "\n" not in str(told.value)


def test_a_folder_without_results_is_told():
    with pytest.raises(fsim.FsimError, match=r"none: found no summary\.json"):
        fsim.load("none")


@pytest.fixture(scope="module")
def run():
    """One short run, of nested mappings."""
    return fsim.simulate(tiny_data(), set=SHORT)


class Sources(HTMLParser):
    """Tags of a page, and all that they would fetch."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.fetched = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "href")]


def shows_itself(thing):
    """Whether a notebook shows a table and a picture of a thing, and fetches nothing for it."""
    page = Sources(thing._repr_html_())
    assert "script" not in page.tags
    assert all(each.startswith("data:image/png;base64,") for each in page.fetched)
    return "table" in page.tags and page.tags.count("img") == 1


def test_a_run_is_drawn_and_shown_before_it_is_saved(run):
    assert isinstance(run, fsim.Run)
    assert isinstance(run.plot(), Figure)
    assert isinstance(run.plot("round_breakdown"), Figure)
    assert shows_itself(run)
    assert repr(run).startswith("<Run of tiny, float16: completed, 1 rounds, final accuracy ")
    with pytest.raises(fsim.FsimError, match="figure: found 'curve', allowed are acc"):
        run.plot("curve")
    with pytest.raises(fsim.FsimError, match="figure pareto: found one series"):
        run.plot("pareto")


@pytest.mark.slow
def test_a_saved_run_is_the_folder_that_fsim_run_writes(run, tmp_path, request):
    saved = run.save(str(tmp_path / "saved"))
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_data()))
    sets = [word for key, value in SHORT.items() for word in ("--set", f"{key}={value}")]
    words = ["run", str(path), *sets, "--workers", "1", "--out", str(tmp_path / "command")]
    # The fixture has the name of the package.
    assert request.getfixturevalue("fsim")(*words).returncode == 0
    files = [
        {file.relative_to(top): file.read_bytes() for file in top.rglob("*") if file.is_file()}
        for top in (saved, tmp_path / "command")
    ]
    differ = {str(name) for name in files[0] if files[0][name] != files[1].get(name)}
    assert files[0].keys() == files[1].keys()
    # The manifest's own digests follow what it names; all else is the same to the byte.
    assert differ <= {"fsim-manifest.json"}
    again = fsim.load(str(saved))
    pd.testing.assert_frame_equal(again.runs[0].records, run.records)
    pd.testing.assert_frame_equal(again.runs[0].evaluations, run.evaluations)
    assert shows_itself(again)
    assert isinstance(again.plot("payload_breakdown"), Figure)
    other = fsim.simulate(tiny_data(), set={**SHORT, "seed": 1})
    with pytest.raises(fsim.FsimError, match="overwrite"):
        other.save(saved)
    other.save(saved, overwrite=True)
    assert json.loads((saved / "summary.json").read_text())["seed"] == 1


def test_a_comparison_is_a_table_that_draws_its_runs(tmp_path):
    table = fsim.compare(
        tiny_data(), ["float16", "qsgd:bits=2"], out=str(tmp_path / "out"), set=SHORT,
        store=tmp_path / "store",
    )  # fmt: skip
    assert isinstance(table, pd.DataFrame)
    assert table["policy"].tolist() == ["float16", "qsgd:bits=2"]
    assert type(table[["policy"]]) is pd.DataFrame
    assert isinstance(table.plot("pareto"), Figure)
    assert shows_itself(table)
    assert table["mean_payload_ratio"][0] == 1  # to the first policy by default
    assert [each.label for each in fsim.load_runs(str(tmp_path / "out"))] == table[
        "policy"
    ].tolist()


def test_a_sweep_takes_what_a_comparison_takes(tmp_path):
    loaded = fsim.check_scenario(tiny_data())
    table = fsim.sweep(
        loaded, over={"fleet.uplink.mean": [None], "training.local_steps": np.array([1, 2])},
        set=SHORT, out=str(tmp_path / "out"), store=fsim.Store(tmp_path / "store"),
    )  # fmt: skip
    assert table["training.local_steps"].tolist() == [1, 2]
    assert isinstance(table.plot(), Figure)
    assert shows_itself(table)
    assert json.loads((tmp_path / "out" / "sweep.json").read_text())["scenario"] == "tiny"


@dataclass(frozen=True)
class Faulty(fsim.Policy):
    """Float32, with a fault.

    Attributes
    ----------
    where
        ``"encode"`` or ``"decode"``.
    fault
        ``"type"``, a TypeError; or ``"value"``, NumPy's ValueError.
    """

    name: ClassVar[str] = "faulty"

    where: str = "encode"
    fault: str = "type"

    def encode(self, update, context):
        self._fail("encode")
        return make_policy("float32", {}).encode(update, context)

    def decode(self, payload, layout):
        self._fail("decode")
        return make_policy("float32", {}).decode(payload, layout)

    def _fail(self, where):
        if where == self.where:
            return len(3) if self.fault == "type" else np.zeros(3) + np.zeros(4)
        return None


@pytest.fixture
def faulty():
    """The faulty policy, registered while a test goes on."""
    fsim.register(Faulty)
    yield
    POLICIES.unregister("faulty")


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize(
    ("where", "fault", "kind", "cause"),
    [
        ("encode", "type", PolicyFailed, TypeError),
        ("encode", "value", fsim.FsimError, ValueError),
        ("decode", "type", PolicyFailed, TypeError),
        ("decode", "value", PolicyFailed, ValueError),
    ],
)
def test_a_fault_in_a_policy_shows_its_own_file_and_line(where, fault, kind, cause):
    policy = {"policy": "faulty", "where": where, "fault": fault}
    with pytest.raises(kind, match=r"faulty.*\(tests/test_api.py:\d+\)$") as told:
        fsim.simulate(tiny_data(), set={**SHORT, "compression": policy})
    assert "\n" not in str(told.value)
    assert type(told.value.__cause__) is cause
    assert {"type": "has no len()", "value": "could not be broadcast"}[fault] in str(told.value)
    line = int(str(told.value).rpartition(":")[2][:-1])
    assert "np.zeros(3) + np.zeros(4)" in Path(__file__).read_text().splitlines()[line - 1]


@pytest.mark.usefixtures("faulty")
def test_a_comparison_tells_of_the_fault_too(tmp_path):
    with pytest.raises(
        PolicyFailed, match=r"policy faulty: TypeError: .*test_api.py:\d+\)$"
    ) as told:
        fsim.compare(tiny_data(), ["faulty"], tmp_path / "out", set=SHORT, store="none")
    assert type(told.value.__cause__) is TypeError
