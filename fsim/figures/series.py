"""Series of runs: which are shown, and how each is drawn wherever it is.

A policy has its colour, whatever it is compared with. Every figure can be read in grey and by the
colour-blind: what is told apart by colour is told apart by dashes, markers or hatches too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from zlib import crc32

import pandas as pd

# Okabe and Ito's palette, told apart by the colour-blind; dashes and markers serve print in grey.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")

HATCHES = ("", "/", ".", "x", "\\", "+", "|", "-")
"""Of areas: forms that matplotlib and plotly both have, by the same letters."""

DASHES = 6
"""Kinds of lines that both renderers have."""

MARKERS = 7
"""Kinds of markers that both have: one fewer than colours, so that a marker comes again in another
colour."""

MOST_SERIES = 12
"""Lines of one panel at most: more are not told apart."""

SHIPPED = (
    "float16", "qsgd", "fstq", "topk", "fedbat", "fisher-rdo", "masked-sign", "fedpaq", "tome",
    "signsgd", "float32", "stc", "eden", "powersgd", "terngrad", "bfloat16", "flasc", "ffa",
    "alternating",
)  # fmt: skip
"""Policies with looks of their own; the first eight have a colour each, and the first shares its
with none, being what the others are compared with."""


@dataclass(frozen=True)
class Look:
    """The look of a series, or of a part that areas are stacked of, in every panel.

    Attributes
    ----------
    color
        Of its lines, markers and edges, as ``#RRGGBB``.
    form
        Number by which it has its dashes and its marker.
    hatch
        Of its areas, of :data:`HATCHES`.
    fill
        Colour of its areas; empty for a light shade of ``color``.
    """

    color: str
    form: int = 0
    hatch: str = ""
    fill: str = ""

    @property
    def tint(self) -> str:
        """Colour of its areas, in which a hatch and a median can be seen."""
        parts = (int(self.color[at : at + 2], 16) for at in (1, 3, 5))
        return self.fill or "#" + "".join(f"{round(255 - 0.45 * (255 - p)):02X}" for p in parts)


def numbered(at: int) -> Look:
    """The look of that number: of what is told apart by its place in a list."""
    turn = max(0, (at - 1) // (len(COLORS) - 1))
    return Look(COLORS[at - turn * (len(COLORS) - 1)], at + turn, HATCHES[at % len(HATCHES)])


def looks_by_policy(policies: Mapping[str, str]) -> dict[str, Look]:
    """The looks of series that have these policies.

    A policy that ships has the same look in every figure. Any other name's colour and form are
    chosen by a hash of it, and if they are taken already the next that are taken least. Of several
    series of one policy the first by name is drawn as the policy, the others by their own names.

    Parameters
    ----------
    policies
        Series -> its policy, with its options.
    """
    first: dict[str, str] = {}
    for series in sorted(policies):
        first.setdefault(policies[series], series)
    fixed = {first[policy]: at for at, policy in enumerate(SHIPPED) if policy in first}
    free_looks: dict[str, Look] = {}
    for series in sorted(policies, key=lambda name: (name not in fixed, name)):
        policy = policies[series]
        if series in fixed:
            free_looks[series] = numbered(fixed[series])
        else:
            free_looks[series] = _free(policy if first[policy] == series else series, free_looks)
    return {series: free_looks[series] for series in policies}


def _free(name: str, looks_in_use: Mapping[str, Look]) -> Look:
    """The look that a name's hash chooses, of those that are taken least."""
    number = crc32(name.encode())
    colors = Counter(look.color for look in looks_in_use.values())
    turned = [COLORS[(number + at) % len(COLORS)] for at in range(len(COLORS))]
    color = min(turned, key=colors.__getitem__)
    markers = Counter(look.form % MARKERS for look in looks_in_use.values())
    dashes = Counter(look.form % DASHES for look in looks_in_use.values())
    points = Counter(look.form % MARKERS for look in looks_in_use.values() if look.color == color)
    forms = Counter(look.form % (DASHES * MARKERS) for look in looks_in_use.values())
    count = DASHES * MARKERS
    form = min(
        ((number // len(COLORS) + at) % count for at in range(count)),
        key=lambda at: (
            points[at % MARKERS],
            forms[at],
            dashes[at % DASHES] + markers[at % MARKERS],
        ),
    )
    return Look(color, form, HATCHES[form % len(HATCHES)])


def looks(summary: pd.DataFrame, most: int = MOST_SERIES) -> dict[str, Look]:
    """The series that are drawn, in the order of the summary, and their looks.

    Of more than ``most``, those soonest at the target, and then the most accurate.
    """
    names = series_of(summary)
    every = looks_by_policy(dict(zip(names, summary["policy"].astype(str), strict=True)))
    if len(every) <= most:
        return _with_hatches(every)
    best = (
        summary.assign(_series=names)
        .groupby("_series")[["time_to_target_s", "final_accuracy"]]
        .mean()
        .sort_values(["time_to_target_s", "final_accuracy"], ascending=[True, False])
    )
    best_names = set(best.index[:most])
    return _with_hatches({name: look for name, look in every.items() if name in best_names})


def _with_hatches(looks_by_name: Mapping[str, Look]) -> dict[str, Look]:
    """The looks, with a hatch each as far as there are any: there are fewer than forms."""
    free, hatched = list(HATCHES), {}
    for name, look in looks_by_name.items():
        hatch = look.hatch if look.hatch in free or not free else free[0]
        free = [each for each in free if each != hatch]
        hatched[name] = replace(look, hatch=hatch)
    return hatched


def series_of(summary: pd.DataFrame) -> pd.Series:
    """The series of each run: the column of that name where there is one, else the policy."""
    return (summary["series"] if "series" in summary else summary["policy"]).astype(str)


def by_series(table: pd.DataFrame, summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of a table by the series of their runs."""
    names = dict(zip(summary["run"], series_of(summary), strict=True))
    series = table["run"].map(names).astype(str)
    return {name: table[series == name] for name in dict.fromkeys(names.values())}
