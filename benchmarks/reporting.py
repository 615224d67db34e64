"""What every program here has in common: its command line, its figures, its file."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def command_line(program: str, description: str, quick: str) -> argparse.ArgumentParser:
    """The options that all have: ``--quick`` and ``--json``.

    Parameters
    ----------
    program
        Its module.
    description
        Its docstring, of which the first line is told.
    quick
        What ``--quick`` leaves out.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}", description=description.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser


def save(report: Mapping[str, Any], path: Path | None) -> None:
    """Write the figures where ``--json`` says, if it was given."""
    if path is not None:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Smallest, median, largest."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
