"""Bad input through every door of the command line: one line, exit code 2, soon."""

import math
import os
import pickle
import sys
import time

import pytest
import yaml

from fsim.cli import main
from tests.conftest import tiny_data

DEEP, LONG = "[" * 100_000, "x" * 300
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{chr(97 + at)}: &{chr(97 + at)} [{', '.join([f'*{chr(96 + at)}'] * 10)}]\n"
    for at in range(1, 12)
)

FILES = {
    "empty": b"",
    "key twice": b"name: a\nname: b\n",
    "key twice inside": b"name: a\nfleet: {clients: 2, clients: 3}\n",
    "key twice in a list": b"name: a\nx: [{a: 1, a: 2}]\n",
    "merged twice": b"a: &a {x: 1}\nb: &b {y: 1}\nc: {<<: *a, <<: *b}\n",
    "number and truth as one key": b"{1: a, 1.0: b}\n",
    "anchor twice": b"a: &a 1\nb: &a 2\nc: *a\n",
    "unknown reference": b"a: *b\n",
    "reference to itself": b"a: &a [*a]\n",
    "reference to itself as a mapping": b"&a {b: *a}\n",
    "merge with itself": b"&a {<<: *a}\n",
    "laughs": LAUGHS.encode(),
    "long texts many times": b"a: &a " + b"x" * 100_000 + b"\nb: [" + b"*a, " * 50_000 + b"]\n",
    "impossible date": b"name: a\nseed: 2026-02-31\n",
    "date": b"name: 2026-02-13\n",
    "number of 5000 digits": b"seed: " + b"9" * 5000 + b"\n",
    "hexadecimal of 5000 digits": b"seed: 0x" + b"f" * 5000 + b"\n",
    "huge exponent": b"seed: 1.0e+999999999\n",
    "number to base 60": b"seed: 1:30\n",
    "number to base 60 with a point": b"seed: 1:30.5\n",
    "number to base 8": b"seed: 010\n",
    "bytes": b"name: !!binary aGVsbG8=\n",
    "set": b"name: !!set {a, b}\n",
    "pairs": b"name: !!pairs [a: 1]\n",
    "no number": b"seed: !!int abc\n",
    "python": b"name: !!python/object/apply:os.getcwd []\n",
    "list as a key": b"? [1, 2]\n: 3\n",
    "nothing as a key": b"~: 3\n",
    "number as a key": b"3: 3\n",
    "null byte": b"name: a\x00b\n",
    "not UTF-8": b"name: \xff\xfe\n",
    "UTF-16": "name: a\n".encode("utf-16"),
    "surrogate": b'name: "\\ud800"\n',
    "deep lists": DEEP.encode(),
    "deep mappings": b"{a: " * 50_000,
    "deep blocks": b"".join(b" " * at + b"a:\n" for at in range(1200)),
    "deep inside a limit": b"name: " + b"[" * 60 + b"]" * 60 + b"\n",
    "too large": b"# " + b"x" * 2**20 + b"\nname: a\n",
    "many keys": b"".join(b"k%d: 1\n" % at for at in range(90_000)),
    "long key": b"k" * 1000 + b": 1\n",
    "control characters": b"name: a\x1b[31mb\n",
    "two documents": b"name: a\n---\nname: b\n",
    "long name": b"name: " + b"a" * 100_000 + b"\n",
    "a list": b"- 1\n",
}


def wrong(capsys, monkeypatch, folder, *arguments):
    """The line that a command ends with."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["fsim", *map(str, arguments)])
    begin = time.monotonic()
    with pytest.raises(SystemExit) as caught:
        main()
    assert time.monotonic() - begin < 30
    told = capsys.readouterr().err
    assert caught.value.code == 2, told
    assert told.startswith("fsim: ")
    assert told.count("\n") == 1
    assert told.isprintable() or told[:-1].isprintable()
    assert len(told) < 400
    return told


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder that has the tiny scenario."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_data()))

    def check(*arguments):
        before = sorted(tmp_path.rglob("*"))
        told = wrong(capsys, monkeypatch, tmp_path, *arguments)
        assert sorted(tmp_path.rglob("*")) == before
        return told

    return check


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "command",
    [["run"], ["sweep", "--seeds=0"], ["compare", "--policies=topk"], ["fleet"], ["partition"]],
)
def test_files_that_are_no_scenario(refused, tmp_path, command, name):
    path = tmp_path / "bad.yaml"
    content = FILES[name]
    if name == "many keys" and command[0] not in ("run", "sweep"):
        # The largest file that is read takes seconds, and one loader reads for all commands.
        content = content[: content.index(b"k9000:")]
    path.write_bytes(content)
    assert "bad.yaml" in refused(command[0], path, *command[1:])


@pytest.mark.parametrize("name", [name for name in FILES if name != "too large"])
def test_values_that_are_none(refused, name):
    text = FILES[name].decode("utf-8", "surrogateescape")
    refused("run", "tiny.yaml", "--set", f"fleet.devices={text}")


@pytest.mark.parametrize("name", ["key twice inside", "laughs", "impossible date", "deep lists",
                                  "number of 5000 digits", "surrogate", "number to base 60"])  # fmt: skip
def test_what_is_swept(refused, tmp_path, name):
    value = FILES[name].decode().rstrip()
    refused("sweep", "tiny.yaml", "--over", f"seed={value.partition(': ')[2]}")
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        f"scenario: tiny.yaml\nseeds: [1]\nset:\n  {value.replace(chr(10), chr(10) + '  ')}"
    )
    refused("sweep", sweep)


@pytest.mark.parametrize(
    "text",
    ["scenario: tiny.yaml\nover: {seed: [1]}\nover: {seed: [2]}", "scenario: tiny.yaml\nover: {}",
     "scenario: tiny.yaml\nover: {seed: [1, 1]}", "scenario: tiny.yaml\nseeds: [-1]",
     "scenario: tiny.yaml\nseeds: [99999999999999999999]", "scenario: " + LONG + "\nseeds: [1]",
     'scenario: "a\\0b"\nseeds: [1]', "scenario: tiny.yaml\nover: {'a=b': [1, 2]}",
     "scenario: tiny.yaml\nover: {seed: [1, 2]}\nset: {'a=b': 1}", "over: 3\nscenario: [1]",
     "scenario: tiny.yaml\nover: {seed: [" + "1, " * 99_000 + "]}",
     "scenario: tiny.yaml\nover: {" + ", ".join(
         f"a{at}: [{', '.join(map(str, range(40)))}]" for at in range(40)) + "}"],
    ids=range(12),
)  # fmt: skip
def test_sweep_files(refused, tmp_path, text):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    refused("sweep", path)


SETTINGS = [
    ("fleet.clients", 10**12), ("fleet.clients", 10**90), ("fleet.cells", f"{{count: {10**12}, uplink: 1 Mbit/s}}"),
    *((f"training.{key}", 10**12) for key in ("local_steps", "batch_size", "threads", "cohort_width")),
    ("training.local_epochs", "1.0e+300"), ("training.learning_rate", ".inf"), ("training.learning_rate", ".nan"),
    ("training.proximal", "-.inf"), ("task.partition.alpha", ".inf"), ("task.partition.minimum", 10**12),
    ("task.max_prompt_tokens", 10**12), ("model.lora.rank", 10**12), ("model.lora.alpha", ".nan"),
    ("protocol.rounds", 10**12), ("protocol.clients_per_round", 10**12), ("evaluation.every", 10**12),
    ("evaluation.examples", 10**12), ("target.window", 10**12), ("target.value", ".nan"), ("seed", 2**63), ("seed", -1),
    ("billing.adapter_parameters", 10**18), ("protocol", "{kind: tiered, tiers: 1000000000000}"),
    ("protocol", "{kind: deadline, over_selection: .inf}"), ("protocol", "{kind: buffered, buffer: 1000000000000}"),
    ("protocol", f"{{kind: deadline, window: {10**30}}}"), ("compression", f"{{policy: qsgd, bucket: {10**30}}}"),
    ("compression", f"{{policy: eden, block: {10**12}}}"), ("compression", "{policy: terngrad, clip: .inf}"),
    ("compression", "{policy: topk, ratio: .nan}"), ("compression", f"{{policy: powersgd, rank: {10**30}}}"),
    ("compression.upload_seconds", "0 s"), ("server.screen", "{most_norm: .nan}"), ("server.ingress", "1e400 Mbit/s"),
    *(("fleet.uplink.rate", law) for law in (
        "1e400 Mbit/s", "nan Mbit/s", "inf", "-3 Mbit/s", "1e-300 Mbit/s", "1e30 Mbit/s", "uniform(5 Mbit/s, 1 Mbit/s)",
        "exponential(inf)", "exponential(0 Mbit/s)", "lognormal(1e300, 50)", "lognormal(1 Mbit/s, 50)",
        "lognormal(1 Mbit/s, inf)", "lognormal(1 Mbit/s, -1)", "lognormal(1 Mbit/s, nan)", "lognormal(1e300 Mbit/s, 1)",
        "uniform(0 Mbit/s, 0 Mbit/s)", "9" * 5000 + " Mbit/s", "1" + " " * 100_000 + "x", "(" * 1000, LONG, "\u0661 Mbit/s")),
    *(("fleet.uplink.round_trip", law) for law in ("-3 s", "1e400 s", "1e30 d", "nan s", "exponential(1e300 s)")),
    *(("protocol.keepalive.time", text) for text in ("-1 s", "0 s", "inf s", "1e300 d", "1:30", "30")),
    ("protocol.keepalive", LONG), ("protocol.keepalive", "[grpc]"), ("protocol.keepalive.timeout", "nan s"),
    ("protocol.dropout_timeout", "30 s"), ("fleet.silent_losses", "1.1"), ("fleet.silent_losses", ".nan"),
    ("protocol.stop", "{uplink: 1e30 TB}"), ("fleet.transmit_power", "1e300 W"), ("name", "x" * 300),
    ("fleet.uplink", "{trace: " + LONG + "}"), ("fleet.uplink", '{trace: "a\\0b"}'), ("fleet.uplink", "{trace: /dev/zero}"),
    ("fleet.uplink", "{trace: /}"), ("fleet.availability", "{kind: traced, path: /dev/zero}"),
    ("fleet.availability", "{kind: traced, path: " + LONG + "}"), ("fleet.availability", "{kind: renewal, on: 1e-9 s, off: 1 s}"),
    ("fleet.availability", "{kind: diurnal, probability: .inf}"), ("fleet.availability", "{kind: diurnal, time_zones: {.inf: 1}}"),
    ("fleet.devices", "{laptop: .inf}"), ("model.name", LONG),
    ("model.name", '"a\\0b"'), ("task", "{name: jsonl, path: " + LONG + "}"), ("task", '{name: jsonl, path: "a\\0b"}'),
    ("server.crashes", "[{at: 1e300 s, down: 1 s}]"), ("a." * 5000 + "b", 1), ("x" * 5000, 1), ("fleet.x", "{" * 60 + "}" * 60),
    ("", 1), (".", 1), ("name.a", 1),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), SETTINGS, ids=lambda part: str(part)[:40])
def test_settings_that_cannot_be(refused, key, value):
    refused("run", "tiny.yaml", "--set", f"{key}={value}")


OPTIONS = [
    *(["compare", "tiny.yaml", "--policies", text] for text in (
        "qsgd:bits=2:bits=3", "qsgd:bits=" + "9" * 5000, "qsgd:bits=2026-02-31", "qsgd:bits=[[[", "topk:ratio=.inf",
        "qsgd:" + LONG + "=1", LONG, "qsgd," * 20_000, ",".join(f"qsgd:bucket={at}" for at in range(1, 3000)),
        "ffa:inner=ffa", "ffa:inner=" + "ffa:inner=" * 2000, "topk:ratio=!!binary aGk=", "topk:ratio=&a [*a]", "qsgd:bits=010")),
    *([command, "tiny.yaml", *more, "--seeds", text] for command, more in (("sweep", []), ("compare", ["--policies=topk"]))
      for text in ("9" * 5000, "-1", "1,1", "1.5", "\u0661", "", str(2**64), ",".join(map(str, range(20_000))))),
    ["run", "tiny.yaml", "--workers", "x"], ["run", "tiny.yaml", "--workers", "0"], ["run", "tiny.yaml", "--workers", "-3"],
    ["run", "tiny.yaml", "--workers", str(10**12)], ["run", "tiny.yaml", "--workers", "9" * 5000],
    *([*command, "--jobs", text] for command in (["compare", "tiny.yaml", "--policies=topk"], ["sweep", "tiny.yaml", "--seeds=0"])
      for text in ("0", "-1", str(10**12))),
    ["compare", "tiny.yaml", "--policies=topk", "--match-budget", "-5"], ["run", "tiny.yaml", "--out", LONG],
    ["compare", "tiny.yaml", "--policies=topk", "--out", LONG], ["sweep", "tiny.yaml", "--seeds=0", "--out", LONG],
    ["fleet", "tiny.yaml", "--out", LONG], ["partition", "tiny.yaml", "--out", LONG], ["run", LONG], ["sweep", LONG],
    ["run", "/dev/zero"], ["run", "/"], ["run", ""], ["sweep", "/dev/zero"], ["run", "a\0b"], ["run", "tiny.yaml", "--out", "a\0b"],
    *([command, place] for command in ("plot", "report", "timeline") for place in (LONG, "/dev/zero", "/dev/null", "a\0b", "none")),
    ["plot", "none", "--figure", LONG], ["plot", "none", "--format", LONG], ["audit", "--runs", LONG], ["audit", "--runs", "/dev/zero"],
    ["audit", "--runs", "a\0b"], ["network", "/dev/zero"], ["network", LONG], ["network", "a\0b"],
    *(["trace", "info", place] for place in (LONG, "/dev/zero", "/", "a\0b")), ["trace", "convert", "/dev/zero", "a.csv"],
    ["trace", "plot", "/dev/zero", "--out", "a.png"],
    ["trace", "generate", "att-lte-driving", "--seconds", str(10**12), "--out", "a.csv"],
    ["trace", "generate", "att-lte-driving", "--seconds", "-1", "--out", "a.csv"],
    ["trace", "generate", "att-lte-driving", "--out", LONG], ["trace", "generate", "att-lte-driving", "--seed", "-1", "--out", "a.csv"],
    ["trace", "generate", "att-lte-driving", "--seed", "9" * 5000, "--out", "a.csv"],
    *(["trace", "generate", "lognormal", "--mean", mean, "--sigma", sigma, "--correlation", correlation, "--out", "a.csv"]
      for mean, sigma, correlation in (("1e400 Mbit/s", "1", "0"), ("1 Mbit/s", "1e300", "0"), ("1 Mbit/s", "nan", "0"),
        ("1 Mbit/s", "inf", "0"), ("1 Mbit/s", "1", "nan"), ("1 Mbit/s", "1", "2"), ("-1 Mbit/s", "1", "0"), ("1 Mbit/s", "9" * 5000, "0"))),
    ["store", "info", "--store", LONG], ["store", "prune", "--limit", "1e400 GB", "--store", "s"],
    ["infer-bench", "--keep", "nan"], ["infer-bench", "--budget", "9" * 5000], ["infer-bench", "--examples", "0"],
    ["infer-bench", "--prompt-tokens", str(10**12)], ["infer-bench", "--steps", "-1"], ["infer-bench", "--batch-size", "0"],
    ["infer-bench", "--learning-rate", "nan"], ["infer-bench", "--threads", str(10**12)], ["infer-bench", "--seed", "-1"],
    ["infer-bench", "--new-tokens", "-1"], ["infer-bench", "--repetitions", str(10**15)], ["infer-bench", "--model", LONG],
    ["infer-bench", "--batch-size", str(10**12)], ["infer-bench", "--saliency-prompts", "0"], ["infer-bench", "--window", str(10**12)],
    ["infer-bench", "--task", LONG], ["reference", LONG], ["reference", "medical", "--steps", "-1"],
    ["reference", "medical", "--max-prompt-tokens", "0"], ["reference", "jsonl:path=/dev/zero"], ["reference", "medical", "--model", LONG],
    ["run", "tiny.yaml", "--nothing"], ["nothing"], ["run"], ["run", "tiny.yaml", "--track", LONG],
]  # fmt: skip


@pytest.mark.parametrize("arguments", OPTIONS, ids=lambda arguments: " ".join(arguments)[:60])
def test_options_that_cannot_be(refused, arguments):
    refused(*arguments)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize(
    "command", [["run"], ["sweep"], ["network"], ["trace", "info"], ["plot"], ["audit", "--runs"]]
)
def test_a_pipe_that_nobody_writes_to(refused, tmp_path, command):
    os.mkfifo(tmp_path / "pipe.json")
    refused(*command, "pipe.json")


MERSENNE = 2**61 - 1


def numbers(values):
    """A pickle of a dict with such numbers as keys."""
    items = b"".join(b"\x8a\x10" + (at * MERSENNE).to_bytes(16, "little") + b"N" for at in values)
    return b"\x80\x04}(" + items + b"u."


SHARED = list(range(0, 20_000))
RECORDINGS = {
    "numbers of one hash": numbers(range(60_000)),
    "numbers of one hash as texts": b"(" + b"".join(b"L%dL\nN" % (at * MERSENNE) for at in range(60_000)) + b"d.",
    "places of one hash": b"}" + b"".join(b"p%d\n" % (at * MERSENNE) for at in range(60_000)) + b".",
    "a number of a megabyte": b"\x80\x04}(\x8b" + (2**20).to_bytes(4, "little") + b"\xff" * 2**20 + b"Nu.",
    "one list for all": pickle.dumps(
        {str(at): {"active": SHARED, "inactive": SHARED, "finish_time": math.inf} for at in range(20_000)}),
    "JSON with a client twice": b'{"1": {"messages": "x"}, "1": {"messages": "y"}}',
    "deep JSON": b'{"a":' * 100_000,
    "a number of 5000 digits": b'{"1": ' + b"9" * 5000 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_that_burn_time(refused, tmp_path, name):
    (tmp_path / "bad").write_bytes(RECORDINGS[name])
    refused("run", "tiny.yaml", "--set", "fleet.availability={kind: traced, path: bad}")
    refused(
        "trace", "info", "bad", "--format", "flash" if b"{" in RECORDINGS[name][:1] else "fedscale"
    )


def test_a_key_twice_in_json_is_named(refused, tmp_path):
    (tmp_path / "a.json").write_text('{"flows": [], "backhaul_bytes_per_s": 1, "flows": []}')
    assert "'flows' twice" in refused("network", "a.json")
    (tmp_path / "b.json").write_text('{"start": {}, "intervals": [{"sum": {}, "sum": {}}]}')
    assert "'sum' twice" in refused("trace", "info", "b.json")
