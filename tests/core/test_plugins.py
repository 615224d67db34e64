"""Installed packages that add to fsim by an entry point, as their users meet them."""

import json
import textwrap

import pandas as pd
import pytest

MODULE = '''
"""A policy and a protocol."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fsim.compression import Policy, register
from fsim.compression.coding.wire import Section, pack, section_array, unpack
from fsim.core.types import Layout
from fsim.server.protocols import PROTOCOLS, RoundProtocol
from fsim.server.protocols.synchronous import Synchronous


@register
@dataclass(frozen=True)
class Doubles(Policy):
    """Every coordinate in eight bytes.

    Attributes
    ----------
    scale
        What a value is multiplied by on its way.
    """

    name: ClassVar[str] = "doubles"

    scale: float = 1.0

    def encode(self, update, context):
        layout = Layout.of(update)
        values = layout.flatten(update).astype("<f8") * self.scale
        return pack(self.name, layout, {Section.VALUES: values.tobytes()})

    def decode(self, payload, layout):
        sections = unpack(payload, self.name, layout)
        values = section_array(sections, Section.VALUES, "<f8", layout.size) / self.scale
        return layout.unflatten(values.astype(np.float32))


@dataclass(frozen=True)
class Patient(Synchronous):
    """Wait for everyone, and say so."""

    name: ClassVar[str] = "patient"


def protocols():
    PROTOCOLS.register(Patient)
'''


DOUBLES = """
    [fsim.plugins]
    doubles = fsim_doubles
    patient = fsim_doubles:protocols
"""


def test_what_a_package_adds_is_listed(installed):
    fsim = installed(DOUBLES, MODULE)
    done = fsim("policies")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    at = lines.index("doubles Every coordinate in eight bytes")
    assert lines[at + 1] == "scale=1.0 What a value is multiplied by on its way."
    assert "patient Wait for everyone, and say so" in " ".join(fsim("protocols").stdout.split())


ONE_AFTER_ANOTHER = """
import json, sys
from fsim.cli.app import app

if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        app(words, standalone_mode=False)
"""
"""Commands in one process, because importing PyTorch takes longer than each of them."""


@pytest.mark.slow
def test_a_run_and_a_comparison_in_processes_take_it(installed, few_file, tmp_path):
    fsim = installed(DOUBLES, MODULE)
    path = few_file(protocol__kind="patient", protocol__rounds=1, compression={"policy": "doubles"})
    commands = [
        ["run", path, "--out", tmp_path / "run"],
        ["compare", path, "--policies", "doubles:scale=2,float16", "--jobs", "2",
         "--out", tmp_path / "compared"],
    ]  # fmt: skip
    done = fsim(json.dumps(commands, default=str), code=("-c", ONE_AFTER_ANOTHER))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    header = 13 + 1
    size = summary["facts"]["adapter_parameters"]
    assert summary["metrics"]["mean_payload_bytes"] == header + 8 * size
    table = pd.read_csv(tmp_path / "compared" / "comparison.csv")
    assert table["status"].tolist() == ["completed"] * 2
    assert table["mean_payload_bytes"][0] == header + 8 * size


def test_import_loads_no_package(installed):
    fsim = installed(DOUBLES, MODULE)
    done = fsim(code=("-c", "import sys, fsim; print('fsim_doubles' in sys.modules)"))
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_f"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        (MODULE.replace('"doubles"', '"float16"'), "'float16', which is a policy that ships"),
        (MODULE.replace("def protocols", "def others"), "has no attribute 'protocols'"),
    ],
)
def test_a_broken_package_is_one_line_that_names_it(installed, module, told):
    done = installed(DOUBLES, module)("policies")
    assert done.returncode == 2
    assert done.stderr.startswith("fsim: package fsim-doubles 1.2: its entry point ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_two_packages_of_one_name_are_refused(installed):
    fsim = installed("[fsim.plugins]\na = fsim_doubles\n", MODULE)
    fsim = installed("[fsim.plugins]\nb = fsim_others\n", MODULE, "fsim-others")
    done = fsim("policies")
    assert done.returncode == 2
    assert "policy doubles: found in package fsim-others 1.2 and in package fsim-d" in done.stderr


def test_what_the_user_registers_takes_a_packages_place(installed):
    fsim = installed(DOUBLES, MODULE)
    text = """
    import dataclasses, fsim.compression as c
    from fsim.compression.policies.floats import Float16
    own = dataclasses.dataclass(frozen=True)(type("Own", (Float16,), {"name": "doubles"}))
    c.register(own)
    assert list(c.POLICIES)[-1] == "doubles"
    assert c.POLICIES["doubles"] is own
    """
    done = fsim(code=("-c", textwrap.dedent(text)))
    assert done.returncode == 0, done.stderr
