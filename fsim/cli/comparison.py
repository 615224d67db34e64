"""A comparison of policies as tables on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsim.cli.options import console, line, plain_table
from fsim.core.units import format_bytes, format_duration

if TYPE_CHECKING:
    import pandas as pd


def print_comparison(table: pd.DataFrame, baseline: str, title: str) -> None:
    """A row a policy, and its ratios to a baseline, of one seed."""
    heads = {
        "policy": "policy",
        "time_to_target_s": "time",
        "time_to_target_ratio": "ratio",
        "uplink_bytes_to_target": "uplink",
        "uplink_to_target_ratio": "ratio",
        "rounds_to_target": "rounds",
        "energy_to_target_j": "energy",
        "mean_payload_bytes": "payload",
        "final_accuracy": "final",
    }
    grid = plain_table(title, f"Until the target; ratios to {baseline}; -: never reached.")
    for column, head in heads.items():
        if column == "policy":  # of what is too wide for a terminal its name alone is folded
            grid.add_column(head, overflow="fold")
        else:
            grid.add_column(head, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        grid.add_row(*(cell(column, row[column]) for column in heads))
    console.print(grid)


def print_statistics(path: Path, baseline: str, title: str) -> None:
    """A row a policy: means over seeds and intervals, from the file that has them."""
    import pandas as pd

    metrics = {
        "time_to_target_s": "time",
        "uplink_bytes_to_target": "uplink",
        "final_accuracy": "final",
    }
    table = plain_table(
        title,
        "Mean and standard deviation of the seeds that reached the target; ratios to "
        f"{baseline} and their 95% intervals, by paired bootstrap over seeds; -: never reached.",
    )
    table.add_column("policy", overflow="fold")
    for head in ("reached", *(text for name in metrics.values() for text in (name, "ratio"))):
        table.add_column(head, justify="right")
    for policy, rows in pd.read_csv(path).groupby("policy", sort=False):
        by_metric = rows.set_index("metric")
        first = by_metric.loc["time_to_target_s"]
        cells = [f"{first['reached']:.0f} of {first['seeds']:.0f}"]
        for metric in metrics:
            row = by_metric.loc[metric]
            mean, deviation = cell(metric, row["mean"]), cell(metric, row["deviation"])
            cells.append(mean if deviation == "-" else f"{mean} ± {deviation}")
            ratio, low, high = (row[name] for name in ("ratio", "ratio_low", "ratio_high"))
            bounds = "" if low != low else f" [{low:.2f}, {high:.2f}]"  # NaN is not itself
            cells.append(cell("_ratio", ratio) + bounds)
        table.add_row(str(policy), *cells)
    console.print(table)


def print_budget(folder: Path) -> None:
    """Print the options that each policy was tuned to so that it kept to a budget."""
    import pandas as pd

    from fsim.results.manifest import BUDGET

    for row in pd.read_csv(folder / BUDGET, keep_default_na=False).to_dict("records"):
        reached = f"{format_bytes(row['payload_bytes'])} of {format_bytes(row['budget_bytes'])}"
        how = row["options"] or "no option for size, left as it is"
        line(row["policy"], f"{how}: {reached}")


def cell(column: str, value: Any) -> str:
    """A metric as people read it; the unit is told by the column's name."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # a NaN is not equal to itself
        return "-"
    if column.endswith("_ratio"):
        return f"{value:.2f}"
    if column.endswith("_s"):
        return format_duration(value)
    if "bytes" in column:
        return format_bytes(value)
    if column.endswith("_j") and "energy" in column:
        return f"{value:.0f} J"
    return f"{value:.1%}" if "accuracy" in column else f"{value:d}"
