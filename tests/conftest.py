import copy
import json
import os
import subprocess
import sys
import textwrap
from functools import lru_cache
from pathlib import Path

import hypothesis
import pytest
import torch
import yaml

from fsim.cli import main
from fsim.data.encoding import encode_examples
from fsim.data.tasks import make_task
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.model.lora import LoraSettings
from fsim.settings.loading import check_scenario
from fsim.simulation import build

pytest_plugins = ["tests.skips"]

# Tests compute everything, unless one is about the store; the user's own is left alone.
os.environ["FSIM_STORE"] = "none"

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("fsim", deadline=None)
hypothesis.settings.load_profile("fsim")

TINY = {
    "name": "tiny",
    "task": {"name": "medical", "partition": {"kind": "dirichlet", "alpha": 1.0},
             "max_prompt_tokens": 24},
    "model": {"name": "nano", "lora": {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]}},
    "training": {"local_steps": 2, "batch_size": 4},
    "fleet": {
        "clients": 6,
        "devices": {"laptop": 1.0},
        "uplink": {"rate": "1 Mbit/s", "round_trip": "50 ms"},
        "downlink": {"rate": "10 Mbit/s", "round_trip": "50 ms"},
    },
    "protocol": {"kind": "synchronous", "clients_per_round": 3, "rounds": 2},
    "compression": {"policy": "float16"},
    "evaluation": {"examples": 20},
    "target": {"metric": "accuracy", "value": 0.5},
}  # fmt: skip
"""A scenario that runs in a second or two."""

ROOT = Path(__file__).parents[1]

FEW = {"name": "jsonl", "path": "few.jsonl", "label": "who", "max_prompt_tokens": 24}
"""A task of 300 examples beside the scenario, for processes of their own: each of them would take
longer to tokenise another's than to run it."""


def write_few(folder):
    """Write the examples of :data:`FEW` into a folder."""
    rows = [
        {"prompt": f"What is {at} plus one?", "answer": str(at + 1), "who": "abc"[at % 3]}
        for at in range(300)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / FEW["path"]).write_text(lines, encoding="utf-8")


def tiny_data(**changes):
    """The tiny scenario as nested mappings, keys changed by their dotted path (`.` as `__`)."""
    data = copy.deepcopy(TINY)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = data
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return data


@pytest.fixture(scope="session", autouse=True)
def tokenised_once():
    """Scenarios of this process tokenise the same texts once: three quarters of a tiny run's time.

    Only rows of token ids are shared, which nothing can change. Each run still has a model, shards
    and a memory of results of its own, so that two runs that are compared have both been computed.
    """

    class Tokenizer:
        """A key by which two tokenizers of the same contents are equal."""

        def __init__(self, tokenizer):
            self.tokenizer = tokenizer
            marks = tokenizer.bos_token_id, tokenizer.eos_token_id
            self.contents = tokenizer.backend_tokenizer.to_str(), marks

        def __eq__(self, other):
            return self.contents == other.contents

        def __hash__(self):
            return hash(self.contents)

    @lru_cache(maxsize=8)
    def encode(key, examples, max_prompt_tokens):
        return tuple(encode_examples(key.tokenizer, examples, max_prompt_tokens))

    def encode_once(tokenizer, examples, max_prompt_tokens):
        return list(encode(Tokenizer(tokenizer), tuple(examples), max_prompt_tokens))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "encode_examples", encode_once)
        yield


@pytest.fixture(scope="session")
def tiny():
    """Make the tiny scenario, checked, with changes."""

    def make(**changes):
        return check_scenario(tiny_data(**changes), "tiny", (ROOT,))

    return make


@pytest.fixture
def tiny_file(tmp_path):
    """Write the tiny scenario, with changes, and return its path."""

    def make(**changes):
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(tiny_data(**changes)), encoding="utf-8")
        return path

    return make


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are put together and have their files, but for their headings nothing is in them.

    Drawing those of a run takes longer than a tiny one itself. It is for tests that are about
    something else than figures; tests/figures draws them, and tests/cli/test_cli.py by a command.
    """

    def save(content, path, kind):
        Path(path).write_text(f"{kind}: {content.heading}", encoding="utf-8")

    monkeypatch.setattr("fsim.figures.static.figure.draw", lambda content: content)
    monkeypatch.setattr("fsim.figures.static.figure.save", save)


@pytest.fixture
def few_file(tmp_path, tiny_file):
    """Write the tiny scenario on a task of few examples, with changes, and return its path."""

    def make(**changes):
        write_few(tmp_path)
        return tiny_file(task=FEW, **changes)

    return make


@pytest.fixture
def fsim(capsys, monkeypatch):
    """The command line as a process would run it, exit code and all, but in this one.

    A process of its own takes seconds to import PyTorch; what only it can show has one.
    """

    def command(*arguments):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["fsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        told = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, caught.value.code, told.out, told.err)

    return command


@pytest.fixture
def installed(tmp_path):
    """Install a package as a wheel leaves it, and return how fsim is called beside it."""

    def make(entry_points, module, name="fsim-doubles"):
        site = tmp_path / "site"
        folder = site / f"{name.replace('-', '_')}-1.2.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        (site / f"{name.replace('-', '_')}.py").write_text(module)
        path = os.pathsep.join([str(site), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, "FSIM_STORE": "none"}

        def fsim(*arguments, code=("-m", "fsim")):
            return subprocess.run(
                [sys.executable, *code, *map(str, arguments)],
                capture_output=True,
                text=True,
                env=environment,
                cwd=tmp_path,
            )

        return fsim

    return make


@pytest.fixture
def nano():
    """The nano base model with an adapter on all its linear layers."""
    torch.set_num_threads(1)
    return AdaptedModel(
        load_base("nano", device="cpu"),
        LoraSettings(rank=8, alpha=16, targets="all-linear"),
        seed=0,
    )


@pytest.fixture(scope="module")
def rows():
    """400 of medical's training examples, encoded for nano."""
    torch.set_num_threads(1)
    examples = make_task("medical", {}).load(Path).train[:400]
    return encode_examples(load_base("nano", device="cpu").tokenizer, examples, 32)
