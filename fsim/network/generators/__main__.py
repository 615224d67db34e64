"""``python -m fsim.network.generators NAME --seed S --seconds N --out FILE``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fsim.core.errors import FsimError
from fsim.network.generators import PROFILES, write_csv

parser = argparse.ArgumentParser(
    prog="python -m fsim.network.generators", description="Make a named capacity trace."
)
parser.add_argument("name", choices=PROFILES)
parser.add_argument("--seconds", type=int, default=600)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path, required=True)
arguments = parser.parse_args()
try:
    write_csv(arguments.name, arguments.seconds, arguments.seed, arguments.out)
except FsimError as error:
    print(f"fsim: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
