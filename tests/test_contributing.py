"""Every snippet of CONTRIBUTING.md is run, checked by the linter, and what it adds is used."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fsim.cli.lists import LISTINGS
from tests.conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (?:A|What) (.+)$", re.MULTILINE)


def _snippets():
    """Heading -> its Python, without the indentation of a list."""
    names = SECTION.split(TEXT)[1:]
    found = {}
    for name, text in zip(names[::2], names[1::2], strict=True):
        blocks = re.findall(r"^( *)```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
        assert len(blocks) <= 1, name
        for indent, code in blocks:
            found[name] = re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
    return found


SNIPPETS = _snippets()
COMMAND_LINE = "may be added, and how it becomes known"


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Run the snippet of a section as a module of its own; what it adds is gone afterwards."""
    registries = [
        getattr(importlib.import_module(each.module), each.attribute) for each in LISTINGS
    ]

    def run(section):
        path = tmp_path / "snippet.py"
        path.write_text(SNIPPETS[section], encoding="utf-8")
        spec = importlib.util.spec_from_file_location("snippet", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "snippet", module)
        spec.loader.exec_module(module)
        new = [entry for registry in registries for entry in registry.added()]
        assert len(new) == 1
        return new[0]

    yield run
    for registry in registries:
        for entry in registry.added():
            registry.unregister(entry.name)


def simulate(loaded):
    from fsim.simulation.run import simulate

    run = simulate(loaded)
    assert run.failure is None
    return run


def test_every_extension_has_a_snippet_and_every_snippet_a_test():
    tested = {name for name in globals() if name.startswith("test_section_")}
    assert {f"test_section_{name.replace(' ', '_')}" for name in SNIPPETS} - tested == {
        f"test_section_{COMMAND_LINE.replace(' ', '_')}"
    }
    assert len(tested) == len(SNIPPETS) - 1


@pytest.mark.parametrize("section", SNIPPETS)
def test_the_linter_passes(section, tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPETS[section], encoding="utf-8")
    ruff = shutil.which("ruff") or f"{sys.prefix}/bin/ruff"
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *check, "--no-cache", "--config", ROOT / "ruff.toml", path],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_command_line_takes_a_file_of_ones_own(tmp_path):
    (tmp_path / "one_scale.py").write_text(SNIPPETS["compression policy"], encoding="utf-8")
    (tmp_path / "mine.py").write_text(SNIPPETS[COMMAND_LINE], encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, tmp_path / "mine.py", "policies"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "one-scale " in done.stdout


@pytest.mark.slow
def test_the_policy_passes_what_is_asked_of_every_policy(tmp_path):
    (tmp_path / "one_scale.py").write_text(SNIPPETS["compression policy"], encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "one_scale", "-k", "one-scale",
         "tests/compression/test_policies.py", "tests/compression/test_fuzz.py"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10


def test_section_compression_policy(added, tiny):
    from fsim.compression import EncodingContext, make_policy
    from fsim.core.types import Layout

    added("compression policy")
    policy = make_policy("one-scale", {"gain": 2})
    update = {"w": np.array([[1, -3, 0, 4]], np.float32)}
    payload = policy.encode(update, EncodingContext(np.random.default_rng(0)))
    assert np.array_equal(policy.decode(payload, Layout.of(update))["w"], [[4, -4, 4, 4]])
    with pytest.raises(ValueError, match="policy one-scale: gain: found 0, allowed is above 0"):
        make_policy("one-scale", {"gain": 0})
    run = simulate(tiny(compression={"policy": "one-scale"}, protocol__rounds=1))
    # A header, two kinds of section and one length, a scale, and a bit a coordinate.
    size = run.facts["adapter_parameters"]
    assert run.metrics.mean_payload_bytes == 13 + 3 + 4 + -(-size // 8)


def test_section_trace_format(added, tiny, tmp_path):
    from fsim.core.errors import TraceError
    from fsim.network.formats import read_trace

    added("trace format")
    path = tmp_path / "phone.kbit"
    path.write_text("# a phone\n2, 800\n3, 80\n", encoding="utf-8")
    starts, rates, duration = read_trace(path)
    assert (starts.tolist(), rates.tolist(), duration) == ([0, 2], [100_000, 10_000], 5)
    assert read_trace(path, "kilobits", factor=2)[1].tolist() == [200_000, 20_000]
    loaded = tiny(fleet__uplink={"trace": str(path), "format": "kilobits:factor=2"})
    simulate(loaded)
    path.write_text("2, 800\n0, 80\n", encoding="utf-8")
    with pytest.raises(TraceError, match=r"phone.kbit:2: found '0, 80', allowed are seconds"):
        read_trace(path)


def test_section_protocol(added, tiny):
    added("protocol")
    at = {
        kind["kind"]: simulate(tiny(protocol={**kind, "clients_per_round": 3, "rounds": 2}))
        for kind in ({"kind": "synchronous"}, {"kind": "paced", "every": 100})
    }
    synchronous, paced = (run.evaluations["time_s"].to_numpy() for run in at.values())
    assert paced[1] == synchronous[1] < 100
    assert paced[2] == pytest.approx(100 + synchronous[2] - synchronous[1])
    assert np.array_equal(*(run.evaluations["accuracy"] for run in at.values()))


def test_section_selection_rule(added, tiny):
    from fsim.records import SERVER
    from fsim.server.selection import make_selector

    added("selection rule")
    rule, rng = make_selector("longest-away", {}), np.random.default_rng(0)
    for client in range(4):
        rule.register(client, examples=10)
    for client, round_number in ((0, 1), (1, 3), (2, 2)):
        rule.observe(client, round_number, loss=1.0, examples=10, seconds=1)
    assert rule.select(4, [0, 1, 2, 3], 3, rng) == [0, 2, 3]
    run = simulate(tiny(protocol__selection="longest-away", protocol__rounds=2))
    assert set(run.records["client"]) == {SERVER, *range(6)}


def test_section_server_optimiser(added, tiny):
    from fsim.server.optimizers import make_optimizer

    added("server optimiser")
    optimizer = make_optimizer("fedlion", {"lr": 0.5, "beta": 0.5})
    first = optimizer.step({"w": np.array([4, -2, 0], np.float32)})["w"]
    second = optimizer.step({"w": np.array([-3, -2, 1], np.float32)})["w"]
    assert first.tolist() == [0.5, -0.5, 0]
    assert second.tolist() == [-0.5, -0.5, 0.5]
    simulate(tiny(server__optimizer="fedlion", protocol__rounds=1))


def test_section_tracker(added, tiny, tmp_path):
    from fsim.simulation.run import simulate
    from fsim.trackers import make_tracker

    added("tracker")
    simulate(tiny(protocol__rounds=1), trackers=[make_tracker(f"lines:{tmp_path / 'rows'}")])
    lines = (tmp_path / "rows" / "run.jsonl").read_text().splitlines()
    kinds = [next(iter(json.loads(line))) for line in lines]
    assert kinds == ["start", "evaluation", "round", "evaluation", "finish"]


def test_section_task(added, tiny):
    from fsim.data.tasks import make_task

    added("task")
    data = make_task("sums", {"largest": 9}).load(lambda path: path)
    assert len(data.train) + len(data.test) == 2 * 10 * 10
    texts = [example.context for example in data.train]
    assert not {example.context for example in data.test} & set(texts)
    assert all(eval(each.context) == int(each.answer) for each in (*data.train, *data.test))
    simulate(tiny(task__name="sums", protocol__rounds=1))


def test_section_device(added, tiny):
    from fsim.fleet import DEVICES

    device = added("device")
    fast, slow = (
        simulate(tiny(protocol__rounds=1, fleet__devices={name: 1.0}))
        for name in ("laptop", device.name)
    )
    seconds = (
        run.records.query("kind == 'compute'")["duration_s"].to_numpy() for run in (slow, fast)
    )
    ratio = DEVICES["laptop"].peak_flops / device.peak_flops
    assert np.divide(*seconds) == pytest.approx(np.full(3, ratio))


def test_section_transport(added, tiny):
    from fsim.network import Capacity, Tcp

    transport = added("transport")()
    link = Capacity(np.zeros(1), np.array([1e5]), 1.0)
    assert transport.finish_time(link, 50_000, 2.0, 0.1) == pytest.approx(
        Tcp().finish_time(link, 50_000, 2.0, 0.1) - 0.1
    )
    assert transport.sent_by(link, 50_000, 2.0, 2.0, 0.1) == 0
    assert transport.sent_by(link, 50_000, 2.0, 1e3, 0.1) == 50_000
    simulate(tiny(transport={"kind": "resumed"}, protocol__rounds=1))


def test_section_figure(added, tmp_path):
    import fsim
    from fsim.figures.registry import save_figures
    from tests.results.made import write_made

    assert added("figure").name == "energy_over_time"
    results = fsim.load(write_made(tmp_path / "run"))
    drawing = fsim.FIGURES["energy_over_time"]
    (panel,) = drawing.content(results).panels
    last = results.evaluations["energy_j"].max() / 1000
    assert max(mark.y.max() for mark in panel.marks) == pytest.approx(last)
    assert drawing.chart(results).figure.data
    paths = save_figures(results, tmp_path / "run", ["energy_over_time"])
    assert [path.name for path in paths] == ["energy_over_time.png", "energy_over_time.svg"]
