"""The paper's experiments as scenarios: all load, and every command in them could be given."""

import itertools
import re
import shlex

import pytest

from fsim.audit.experiments import EXPERIMENTS
from fsim.experiments.policies import parse_policies
from fsim.experiments.sweep_spec import SweepSpec, parse_seeds
from fsim.figures.registry import FIGURES
from fsim.settings.loading import load_scenario
from tests.conftest import ROOT

FOLDER = ROOT / "scenarios" / "fed_fstq"
FILES = sorted(FOLDER.glob("*.yaml"))
SIMULATED = [experiment for experiment in EXPERIMENTS if experiment.simulated]

SHARED = {
    ("model", "name"): "nano",
    ("model", "lora", "rank"): 16,
    ("model", "lora", "alpha"): 32,
    ("training", "optimizer"): "adamw",
    ("training", "learning_rate"): 3e-3,
    ("training", "local_steps"): 10,
    ("task", "partition", "alpha"): 0.1,
    ("fleet", "clients"): 100,
    ("protocol", "kind"): "synchronous",
}


def comment(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#") for line in lines if line.startswith("#")]


def commands(path):
    """Words of each fsim command in a file's comment."""
    text = "\n".join(comment(path)).replace("\\\n", " ")
    found = [line for line in text.splitlines() if re.match(r"   fsim ", line)]
    return [shlex.split(line[line.index("fsim ") :])[1:] for line in found]


def options(words):
    """Each option of a command with its values."""
    found = {}
    for name, value in itertools.pairwise(words):
        if name.startswith("--"):
            found.setdefault(name, []).append(value)
    return found


def test_there_is_one_for_each_experiment():
    assert [path.name for path in FILES] == sorted(f"{each.key}.yaml" for each in SIMULATED)


@pytest.mark.parametrize("experiment", SIMULATED, ids=lambda each: each.key)
def test_it_loads(experiment):
    loaded = load_scenario(ROOT / experiment.scenario)
    assert loaded.scenario.name == experiment.name
    assert comment(ROOT / experiment.scenario)[0].startswith(" Question: ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_settings_are_the_papers_and_the_same_in_all(path):
    scenario = load_scenario(path).scenario.model_dump()
    for keys, value in SHARED.items():
        found = scenario
        for key in keys:
            found = found[key]
        assert found == value, keys
    few = path.stem == "peak-memory"
    assert scenario["protocol"]["clients_per_round"] == (1 if few else 10)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_commands_could_be_given(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    own = f"scenarios/fed_fstq/{path.name}"
    kinds = [words[0] for words in commands(path)]
    assert set(kinds) & {"run", "compare", "sweep"}
    for kind, place, *rest in commands(path):
        given = options(rest)
        if kind == "plot":
            assert place.startswith(f"runs/fed-fstq-{path.stem}")
            assert given["--figure"][0] in FIGURES
            continue
        assert place == own
        load_scenario(ROOT / place, given.get("--set", []))
        if kind == "compare":
            parse_policies(given["--policies"][0])
            parse_seeds(given.get("--seeds", ["0"])[0])
        elif kind == "sweep":
            request = SweepSpec.read(ROOT / place, given["--over"], (), given.get("--set", []))
            assert len(request.cells()) > 1
        else:
            assert kind == "run"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_other_scales_are_settings_that_there_are(path):
    text = "\n".join(comment(path))
    larger = re.findall(r"--set ((?:model|training)\.\S+=\S+)", text.replace("`", ""))
    names = [each for each in larger if each.startswith("model.name=")]
    assert names == ["model.name=smollm2-135m", "model.name=meta-llama/Llama-2-7b-hf"]
    load_scenario(path, [each for each in larger if each not in names])
    # The billing is there, to be uncommented.
    whole = path.read_text(encoding="utf-8")
    (billing,) = re.findall(r"^# billing: (\{.*\}) ", whole, re.MULTILINE)
    billed = load_scenario(path, [f"billing={billing}"]).scenario.billing
    assert (billed.adapter_parameters, billed.model_parameters) == (39_976_960, 6_738_415_616)
