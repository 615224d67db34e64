"""Tables of comparisons on a terminal."""

import pandas as pd
import pytest

from fsim.cli.comparison import print_comparison, print_statistics
from fsim.cli.options import console
from fsim.results.comparison import comparison_table
from fsim.results.metrics import measure
from fsim.results.statistics import statistics
from tests.results.made import TARGET, recorder

LONG = "fstq:random_support=true:share16=0.020061"


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setattr(console, "_width", 80)


def table(seed=None):
    summaries = {}
    for label, payload in (("float16", 400_000), (LONG, 60_000)):
        made = recorder(seed or 0, payload=payload)
        metrics = measure(made.records(), made.evaluations(), TARGET).as_dict()
        summaries[label] = {"metrics": metrics, "status": "completed"}
    return comparison_table(summaries, "float16", seed)


def output_lines(capsys):
    shown = capsys.readouterr().out
    assert "…" not in shown
    lines = [line for line in shown.splitlines() if line.strip()]
    assert all(len(line) <= 80 for line in lines)
    # The name goes on below itself, and comes to nothing less.
    begun = next(at for at, line in enumerate(lines) if line.strip().startswith("fstq"))
    whole = "".join(line.split("  ")[0].strip() for line in lines[begun:])
    assert whole.startswith(LONG)
    return lines


def test_a_long_name_cuts_no_figure(narrow, capsys):
    print_comparison(table(), "float16", "a title")
    lines = output_lines(capsys)
    assert any(line.split()[0] == "float16" and "400 kB" in line for line in lines)


def test_nor_where_there_are_several_seeds(narrow, capsys, tmp_path):
    both = pd.concat([table(0), table(1)], ignore_index=True)
    statistics(both, "float16").to_csv(tmp_path / "statistics.csv", index=False)
    print_statistics(tmp_path / "statistics.csv", "float16", "a title")
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert shown.count("2 of 2") == 2
