import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.errors import ScenarioError
from fsim.experiments.grid import make_axis, make_cells, parse_axis, split_values
from fsim.experiments.sweep_spec import SweepSpec, parse_seeds
from fsim.settings.loading import as_override
from tests.conftest import ROOT

HERE = (Path(),)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("1 Mbit/s, 2 Mbit/s", ["1 Mbit/s", "2 Mbit/s"]),
        ("lognormal(1.5 Mbit/s, 0.8),2 Mbit/s", ["lognormal(1.5 Mbit/s, 0.8)", "2 Mbit/s"]),
        ("{a: 1, b: [2, 3]},{a: 2}", ["{a: 1, b: [2, 3]}", "{a: 2}"]),
        ("'a,b',\"c,(\"", ["'a,b'", '"c,("']),
        ("", [""]),
    ],
)
def test_values_are_split_at_their_own_commas(text, parts):
    assert split_values(text) == parts


@pytest.mark.parametrize("text", ["(1,2", "1),2", "[1,2}", "'a,b"])
def test_brackets_must_match(text):
    with pytest.raises(ScenarioError, match=r"--over: found .*(opens|closing)"):
        split_values(text)


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=50)
@given(JSON)
def test_any_value_survives_as_an_override(data):
    key, _, text = as_override("a.b", data).partition("=")
    assert (key, yaml.safe_load(text)) == ("a.b", data)


@given(st.lists(st.integers(), min_size=1, unique=True))
def test_whole_numbers_are_themselves(values):
    axis = parse_axis(f"training.batch_size={','.join(map(str, values))}", HERE)
    assert [value.data for value in axis.values] == values


def test_policies_bring_their_options():
    axis = parse_axis("compression.policy=float16, fstq:coding=entropy:share4=0.1", HERE)
    assert [value.text for value in axis.values] == ["float16", "fstq:coding=entropy:share4=0.1"]
    assert [value.data for value in axis.values] == [
        {"policy": "float16"}, {"policy": "fstq", "coding": "entropy", "share4": 0.1},
    ]  # fmt: skip
    same = make_axis("compression.policy", [{"policy": "fstq", "coding": "entropy"}], HERE)
    assert same.values[0].text == "fstq:coding=entropy"


def test_a_pattern_stands_for_its_files(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / "traces").mkdir(exist_ok=True)
        (tmp_path / "traces" / name).touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    axis = parse_axis("fleet.uplink.trace=traces/*.csv", (empty, tmp_path))
    assert [value.data for value in axis.values] == ["traces/a.csv", "traces/b.csv"]
    assert parse_axis("a=[1],'*'", HERE).values[1].data == "*"
    with pytest.raises(ScenarioError, match=r"fleet.uplink.trace: found no file traces/\*.json"):
        parse_axis("fleet.uplink.trace=traces/*.json", (empty, tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", "allowed is key.path=value,value"),
        ("=1,2", "allowed is key.path=value,value"),
        ("seed=", "found an empty value"),
        ("seed=1,,2", "found an empty value"),
        ("seed=1,1", "found 1 twice"),
        ("seed={a: b: c}", "which is not a YAML value"),
        ("compression.policy=qsgd:bits", "NAME:OPTION=VALUE"),
    ],
)
def test_what_is_no_axis_is_told(text, message):
    with pytest.raises(ScenarioError, match=message):
        parse_axis(text, HERE)


def cells(path, *over, overrides=()):
    return make_cells(path, overrides, [parse_axis(text, (ROOT,)) for text in over])


def test_every_combination_is_a_cell_of_its_own(tiny_file):
    path = tiny_file(compression={"policy": "topk", "ratio": 0.3})
    found = cells(path, "compression.policy=float16,qsgd:bits=2", "training.batch_size=4,8")
    assert [str(cell) for cell in found] == [
        "policy=float16, batch_size=4", "policy=float16, batch_size=8",
        "policy=qsgd:bits=2, batch_size=4", "policy=qsgd:bits=2, batch_size=8",
    ]  # fmt: skip
    scenarios = [cell.loaded.scenario for cell in found]
    # Another policy does not inherit the options of the scenario's own.
    assert [s.compression.options for s in scenarios] == [{}, {}, {"bits": 2}, {"bits": 2}]
    assert [s.training.batch_size for s in scenarios] == [4, 8, 4, 8]
    assert len({cell.name for cell in found}) == 4
    assert found[2].name.startswith("policy=qsgd-bits=2_batch_size=4-")


def test_a_section_comes_before_the_keys_in_it(tiny_file):
    (found,) = cells(tiny_file(), "compression.ratio=0.2", "compression.policy=topk")
    assert found.loaded.scenario.compression.options == {"ratio": 0.2}


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (["training.batch_size=4,8,many"], r"cell 3 of 3 \(training.batch_size=many\): .*batch_si"),
        (["training.batches=4,8"], r"cell 1 of 2 .*training.batches: unknown key"),
        (["compression.policy=topk,zip"], r"cell 2 of 2 .*found policy 'zip'"),
        (["compression.policy=topk:ratio=7"], r"policy topk: .*ratio: found 7"),
        (["fleet.uplink.trace=none.csv"], "none.csv: no such file"),
        (["seed=1", "seed=2"], "--over seed: found twice"),
        (["fleet.uplink.rate=1 Mbit/s,1000 kbit/s"], "are the same scenario"),
        (
            [f"seed={','.join(map(str, range(400)))}",
             f"training.batch_size={','.join(map(str, range(1, 400)))}"],
            "found 159600 cells, allowed are 100000",
        ),
    ],
)  # fmt: skip
def test_each_cell_is_checked_before_any_is_run(tiny_file, over, message):
    with pytest.raises(ScenarioError, match=message) as told:
        cells(tiny_file(), *over)
    assert "\n" not in str(told.value)


def test_a_sweep_file_and_what_is_asked_for_beside_it(tiny_file, tmp_path):
    tiny_file()
    path = tmp_path / "sweep.yaml"
    path.write_text(
        json.dumps(
            {"scenario": "tiny.yaml", "seeds": [0, 1], "set": {"training.local_steps": 3},
             "over": {"compression": [{"policy": "topk", "ratio": 0.2}, {"policy": "qsgd"}]}}
        )
    )  # fmt: skip
    request = SweepSpec.read(path)
    assert [axis.key for axis in request.axes] == ["compression", "seed"]
    found = request.cells()
    assert [cell.loaded.scenario.seed for cell in found] == [0, 1, 0, 1]
    assert found[0].loaded.scenario.compression.options == {"ratio": 0.2}
    assert {cell.loaded.scenario.training.local_steps for cell in found} == {3}
    other = SweepSpec.read(path, ["compression=[1]"], [5], ["training.local_steps=4"])
    assert [[value.data for value in axis.values] for axis in other.axes] == [[[1]], [5]]
    assert other.overrides == ("training.local_steps=3", "training.local_steps=4")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"scenario": "tiny.yaml", "over": {"seed": 3}}, "sweep.yaml: over.seed: found 3"),
        ({"scenario": "tiny.yaml", "ofer": {}}, "sweep.yaml: ofer: unknown key"),
        ({"over": {"seed": [3]}}, "sweep.yaml: scenario: is missing"),
        ({"scenario": "none.yaml", "over": {}}, "none.yaml: no such file"),
        ({"scenario": "tiny.yaml"}, "found no key to sweep"),
    ],
)
def test_a_wrong_sweep_file_is_told(tiny_file, tmp_path, content, message):
    tiny_file()
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ScenarioError, match=message):
        SweepSpec.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("1,x", "whole numbers"), ("-1", "whole numbers"), ("1,1", "one twice"), ("", "whole")],
)
def test_seeds(text, message):
    assert parse_seeds("0, 2,1") == [0, 2, 1]
    with pytest.raises(ScenarioError, match=message):
        parse_seeds(text)
