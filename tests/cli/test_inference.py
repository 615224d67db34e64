import json

import pytest
from typer.testing import CliRunner

from fsim.cli import app
from fsim.core.errors import FsimError

SMALL = {
    "model": "nano",
    "prompt-tokens": 120,
    "steps": 3,
    "saliency-prompts": 3,
    "examples": 3,
    "repetitions": 1,
    "new-tokens": 2,
    "layer": 2,
    "store": "none",
}


def invoke(*arguments):
    small = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    return CliRunner().invoke(app, ["infer-bench", *small, *arguments])


def test_a_table_and_files(tmp_path):
    done = invoke("--keep", "0.5", "--mass", "0.9", "--budget", "40", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "shortened after layer 2 of 4" in done.output
    for text in ("fisher-head", "fisher-table", "attention", "random", "mass 0.9", "40 tokens"):
        assert text in done.output
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"infer-bench.{ending}" for ending in ("json", "csv", "png", "svg")}


def test_json_says_what_was_done(tmp_path):
    done = invoke("--keep", "0.5", "--methods", "random", "--json", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data == json.loads((tmp_path / "infer-bench.json").read_text())
    assert [each["method"] for each in data["measured"]] == ["none", "random"]
    facts = data["facts"]
    assert (facts["layer"], facts["layers"], facts["examples"]) == (2, 4, 3)
    assert facts["adapter"] == "trained"
    assert facts["from_store"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "1.5"], "keep ratio: found 1.5, allowed is above 0 and up to 1"),
        (["--keep", "0"], "keep ratio: found 0.0, allowed is above 0 and up to 1"),
        (["--keep", "a"], "--keep: found 'a', allowed are numbers and commas"),
        (["--keep", ""], "keep: found no ratio, budget or mass"),
        (["--budget", "3"], "keep budget: found 3, allowed is 9 or more"),
        (["--mass", "2"], "keep mass: found 2.0, allowed is above 0 and up to 1"),
        (["--methods", "magic"], "methods: found 'magic', allowed are fisher-head"),
        (["--layer", "9"], "layer: found 9, allowed are 1 to 3 of 4"),
        (["--task", "none"], "--task: found task 'none', allowed are medical"),
        (["--examples", "0"], "examples: found 0, allowed is 1 or more"),
        (["--last", "120"], "prompt: found 120 tokens, allowed are 121 or more: the first 1 and"),
        (["--keep", "0.05"], "keep ratio: found 0.05, which leaves 6 of 120 tokens, allowed is"),
        (["--threads", "0"], "threads: found 0, allowed is 1 or more"),
        (["--prompt-tokens", "5"], "prompt: found 5 tokens, allowed are 9 or more"),
        (["--adapt-steps", "-1"], "adapt steps: found -1, allowed is 0 or more"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path):
    done = invoke(*arguments, "--out", str(tmp_path))
    assert isinstance(done.exception, FsimError)
    assert str(done.exception).startswith(message)
    assert "\n" not in str(done.exception)
    assert not list(tmp_path.iterdir())
