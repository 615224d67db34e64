"""The same commands leave the same bytes, whichever process they run in, and when."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fsim.compression.registry import POLICIES
from fsim.server.protocols import PROTOCOLS
from tests.conftest import FEW, ROOT, tiny_data, write_few

TRACE = ROOT / "traces" / "lte-driving.csv"
AWAY = {"kind": "dropout", "probability": 0.2}

COMMANDS = [
    ["run", "tiny.yaml", "--out", "run", "--store", "store", "--workers", "2"],
    ["compare", "short.yaml", "--policies", "float16,fstq", "--seeds", "0,1", "--jobs", "1",
     "--out", "comparison"],
    ["report", "comparison"],
    ["timeline", "run"],
    ["fleet", "tiny.yaml", "--out", "fleet"],
    ["partition", "tiny.yaml", "--out", "partition"],
    ["trace", "plot", str(TRACE), "--out", "trace.svg"],
    ["trace", "generate", "lte-driving", "--out", "trace.csv"],
]  # fmt: skip

SETTINGS = [
    ["task={name: medical, max_prompt_tokens: 24}"],
    ["task={name: multilingual, max_prompt_tokens: 24}"],
    *([f"compression.policy={policy}"] for policy in POLICIES),
    *([f"protocol.kind={kind}"] for kind in PROTOCOLS if kind not in ("buffered", "deadline")),
    ["protocol.kind=buffered", "protocol.buffer=2"],
    ["protocol.kind=deadline", "protocol.after=1 h"],
]

PROGRAM = """
from pathlib import Path
from fsim import sweep
from fsim.cli.app import app
from fsim.experiments.run import run_to_folder
from fsim.experiments.prepared import last_prepared
from fsim.figures.static import figure
from fsim.settings.loading import load_scenario

if __name__ == "__main__":
    for command in {commands!r}:
        try:
            app(command, standalone_mode=False)
        except SystemExit as end:
            assert not end.code, command
    sweep("short.yaml", {{"seed": [0, 1]}}, out="sweep")
    # Such figures have been drawn by now; to draw those of each would take most of the time.
    figure.draw = lambda content: content
    figure.save = lambda content, path, kind: Path(path).write_text(f"{{kind}} {{content.heading}}")
    for number, settings in enumerate({settings!r}):
        loaded, folder = load_scenario(Path("short.yaml"), settings), Path("settings", str(number))
        run_to_folder(loaded, folder, build=last_prepared.build)
"""

DIFFERENT = [
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
    {"PYTHONHASHSEED": "2", "TZ": "America/New_York"},
]
"""What is not the same in any two processes of any two users. Time goes on by itself."""


@pytest.mark.slow
def test_every_file_is_the_same_in_every_process(tmp_path):
    folders = [tmp_path / "0", tmp_path / "1"]
    running = [start(*each) for each in zip(folders, DIFFERENT, strict=True)]
    try:
        for process in running:
            _, told = process.communicate()
            assert process.returncode == 0, told
    finally:
        for process in running:
            process.kill()
            process.wait()
    first, second = map(contents, folders)
    assert first.keys() == second.keys()
    # No file holds anything that is measured by the wall clock, so that none is left out.
    assert [name for name in first if first[name] != second[name]] == []
    kinds = {Path(name).suffix for name in first if "/" in name}
    assert kinds >= {".parquet", ".json", ".yaml", ".csv", ".safetensors", ".svg", ".png", ".html"}


def start(folder, environment):
    """Begin all commands in a process that works in the folder."""
    folder.mkdir()
    for name, changes in {
        "tiny": {
            "compression": {"policy": "fstq"},
            "fleet__availability": AWAY,
            "fleet__uplink": {"trace": str(TRACE), "mean": "lognormal(1 Mbit/s, 0.5)"},
        },
        "short": {"task": FEW, "protocol__rounds": 1, "evaluation__examples": 8},
    }.items():
        text = yaml.safe_dump(tiny_data(**changes))
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    write_few(folder)
    program = folder / "program.py"
    program.write_text(PROGRAM.format(commands=COMMANDS, settings=SETTINGS), encoding="utf-8")
    own = {"PYTHONPATH": str(ROOT), "FSIM_STORE": "none", **environment}
    return subprocess.Popen(
        [sys.executable, program.name], cwd=folder, env={**os.environ, **own},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
