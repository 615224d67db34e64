"""The audit as tables: for people on a terminal, as Markdown, and as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fsim.audit.checks import Check, Verdict, number
from fsim.audit.claims import FEDAVG, FSTQ, claims
from fsim.audit.contradictions import cross_checks
from fsim.audit.experiments import CLIENTS, DROPOUT, EXPERIMENTS, INFERENCE, LOSS, TIME, Experiment
from fsim.audit.figures import published_figures
from fsim.audit.measured import BY_LABEL, FIGURES, Measurement
from fsim.audit.published import PAPER
from fsim.audit.speed_up import HEADS, note_of, read_inference, rows_of
from fsim.core.units import format_bytes, format_duration

COMMAND = "fsim audit --markdown docs/paper.md"

INTRODUCTION = (
    f"Figures of Fed-FSTQ as of {PAPER} v1, and of v3 where it says so, beside what their own "
    "inputs imply by the paper's system model (payload / rate, power x time, parameter counts) and "
    "beside what the scenarios measured here. Tables are named by what they show, not by their "
    "number in the paper. Seconds measured here are of commit 9acc791 and before, with a "
    "connection set up for each transfer and 10 s of waiting for each lost client, and with a rate "
    "by formula for TCP under loss: most rounds are shorter now."
)
LEGEND = (
    "✓: what the paper's own inputs imply, to the digits given. ✗: not so, followed by what they "
    "imply. Unmarked: not checkable from the paper."
)
MEASURED_NOTE = (
    "Means over seeds; times and bytes to the target are of the runs that reached it. A small "
    "model on other data: compare ratios and order, not magnitudes."
)
ASSUMED = {
    TIME.key: "Which network the headline is of is not known here.",
    CLIENTS.key: "Rows are taken to be in the order of the table by alpha.",
    DROPOUT.key: "Rows are taken to be in the order of the table by packet loss.",
    LOSS.key: "Columns are taken to be evenly spaced over the range of 0 to 20%.",
}
"""What is assumed of a table, by experiment."""

NOTHING_MEASURED = "Not measured yet with this version."
CROSS_TITLE = "Where the figures meet"
CLAIMS_TITLE = "What is claimed, and what came out here"
CLAIMS_NOTE = (
    f"Ratios are FedAvg-LoRA's figure over Fed-FSTQ's; here {FEDAVG} and {FSTQ}, as published. "
    "Accuracies are means of the last five evaluations, in points of a hundred. The model is small "
    "and the data others than the paper's: see whether a claim's direction and order of size are "
    "there. -: not measured, or the target was not reached."
)


@dataclass(frozen=True)
class Grid:
    """A table of text: heads, rows, and what is to be said below it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """An experiment: what was published, and what was measured here."""

    experiment: Experiment
    published: tuple[Grid, ...]
    measured: tuple[Grid, ...]


def sections(measured: Sequence[Measurement]) -> list[Section]:
    """A section for each experiment, in the paper's order."""
    figures = published_figures()
    return [
        Section(
            experiment,
            tuple(_published(experiment, figures)),
            tuple(_measured(experiment, [m for m in measured if m.experiment == experiment.key])),
        )
        for experiment in EXPERIMENTS
    ]


def cross_grid() -> Grid:
    """The places where figures of different tables meet."""
    rows = tuple(
        (
            each.subject,
            _quantity(each),
            number(each.published, 4),
            number(each.implied, 4),
            str(each.verdict),
            each.because,
        )
        for each in cross_checks()
    )
    heads = ("of", "figure", "published", "implied", "verdict", "because")
    return Grid(CROSS_TITLE, heads, rows, _tally(cross_checks(), "places"))


def claims_grid(measured: Sequence[Measurement]) -> Grid:
    """One figure for each claim, beside what is published."""
    rows = tuple(
        (
            each.experiment.title,
            each.what,
            f"{each.published:.2f}",
            "-" if each.here is None else f"{each.here:.2f}",
        )
        for each in claims(measured, read_inference())
    )
    return Grid(CLAIMS_TITLE, ("experiment", "claim", "published", "here"), rows, CLAIMS_NOTE)


def to_data(measured: Sequence[Measurement]) -> dict[str, Any]:
    """All of it for programs: JSON's own types."""
    inference = read_inference()
    return {
        "paper": PAPER,
        "figures": [each.as_dict() for each in published_figures()],
        "claims": [each.as_dict() for each in claims(measured, inference)],
        "cross_checks": [each.as_dict() for each in cross_checks()],
        "measured": [
            {**vars(each), "values": dict(each.values)} for each in measured
        ],
        "inference": inference,
        "units": FIGURES | BY_LABEL,
    }  # fmt: skip


def to_markdown(measured: Sequence[Measurement]) -> str:
    """A document with every table."""
    parts = [f"<!-- made by: {COMMAND} -->", "# The paper, audited", INTRODUCTION, LEGEND]
    parts += [_tally(published_figures(), "published figures")]
    for grid in (claims_grid(measured), cross_grid()):
        parts += [f"## {grid.title}", _markdown(grid), grid.note]
    parts.append("## Experiment by experiment")
    for section in sections(measured):
        parts.append(f"### {section.experiment.title}")
        for grid in section.published:
            parts += [_markdown(grid), grid.note] if grid.note else [_markdown(grid)]
        if not section.published:
            parts.append("No figures of the paper are known here.")
        parts += _measured_markdown(section)
    return "\n\n".join(parts) + "\n"


def source_of(experiment: Experiment) -> str:
    """Sentence that names the experiment's scenario, or says that it has none."""
    if not experiment.simulated:
        return "No scenario, being not about communication: fsim infer-bench"
    return f"Scenario: {experiment.scenario}"


def _measured_markdown(section: Section) -> Iterator[str]:
    source = source_of(section.experiment)
    if not section.measured:
        yield f"{source}. {NOTHING_MEASURED}" if section.experiment.simulated else source
        return
    yield f"{source}. Measured here:"
    for grid in section.measured:
        yield _markdown(grid)
        if grid.note:
            yield grid.note


def _published(experiment: Experiment, checks: Sequence[Check]) -> Iterator[Grid]:
    """Figures that share their quantities side by side, one method a row."""
    own = [each for each in checks if each.experiment == experiment.key]
    if not own:
        return
    quantities = list(dict.fromkeys(_quantity(each) for each in own))
    rows = []
    for subject in dict.fromkeys(each.subject for each in own):
        cells = {_quantity(each): _cell(each) for each in own if each.subject == subject}
        rows.append((subject, *(cells.get(quantity, "") for quantity in quantities)))
    wrong = [each for each in own if each.verdict is Verdict.CONTRADICTORY]
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in wrong:
        reasons.setdefault((each.subject, each.because), []).append(each.quantity)
    sentences = [
        f"✗ {subject}, {', '.join(figures)}: {why}." for (subject, why), figures in reasons.items()
    ]
    if experiment.key in ASSUMED:
        sentences.append(ASSUMED[experiment.key])
    yield Grid("published", ("method", *quantities), tuple(rows), " ".join(sentences))


def _quantity(each: Check) -> str:
    return f"{each.quantity} ({each.unit})" if each.unit else each.quantity


def _cell(each: Check) -> str:
    if each.verdict is Verdict.CONSISTENT:
        return f"{each.published} ✓"
    if each.verdict is Verdict.CONTRADICTORY:
        return f"{each.published} ✗ {number(each.implied)}"
    return f"{each.published}"


def _tally(checks: Sequence[Check], what: str) -> str:
    counts = {verdict: sum(each.verdict is verdict for each in checks) for verdict in Verdict}
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{len(checks)} {what}: {words}."


def _measured(experiment: Experiment, measured: Sequence[Measurement]) -> Iterator[Grid]:
    title = f"{experiment.title}: measured here"
    if experiment == INFERENCE:
        for data in read_inference():
            yield Grid(title, HEADS, rows_of(data), note_of(data))
    if not measured:
        return
    names = {name for each in measured for name, value in each.values.items() if value is not None}
    columns = [name for name in FIGURES if name in names]
    targeted = any("time_to_target" in each.values for each in measured)
    heads = ("series", "model", *(["reached"] * targeted), *(n.replace("_", " ") for n in columns))
    rows = tuple(
        (
            each.series,
            each.model,
            *([f"{each.reached} of {each.seeds}"] * targeted),
            *(_text(name, each.values.get(name)) for name in columns),
        )
        for each in measured
    )
    yield Grid(title, heads, rows, MEASURED_NOTE + _billed(measured))
    yield from _by_label(f"{title}, by label", measured)


def _by_label(title: str, measured: Sequence[Measurement]) -> Iterator[Grid]:
    """A table for each figure: labels in rows, series in columns."""
    every = (name.split(" ", 1)[1] for each in measured for name in each.values if " " in name)
    labels = list(dict.fromkeys(every))
    for name in BY_LABEL if labels else ():
        rows = tuple(
            (label, *(_text(name, each.values.get(f"{name} {label}")) for each in measured))
            for label in labels
        )
        head = name.removeprefix("label_").replace("_", " ")
        yield Grid(title, (f"{head}, by label", *(each.series for each in measured)), rows)


def _billed(measured: Sequence[Measurement]) -> str:
    """Note where a larger model was billed than was trained; else empty."""
    factors = {(each.billed_bytes_factor, each.billed_operations_factor) for each in measured}
    factors.discard((1.0, 1.0))
    sentences = [
        f" Billed: bytes x {size:g}, operations x {work:g}." for size, work in sorted(factors)
    ]
    return "".join(sentences)


def _seconds(value: float) -> str:
    """A small model's transfers take milliseconds, which is to be seen."""
    return f"{value:.3g} s" if value < 10 else format_duration(value)


_TEXT: dict[str, Callable[[float], str]] = {
    "payload": format_bytes,
    "uplink_to_target": format_bytes,
    "label_uplink_to_target": format_bytes,
    "training_memory": format_bytes,
    "encoding_memory": format_bytes,
    "upload": _seconds,
    "compute": _seconds,
    "slowest": _seconds,
    "round": _seconds,
    "time_to_target": format_duration,
    "label_time_to_target": format_duration,
    "energy": lambda joules: f"{joules:.3g} J",
}


def _text(figure: str, value: float | None) -> str:
    if value is None:
        return "-"
    return _TEXT[figure](value) if figure in _TEXT else f"{value:.1%}"


def _markdown(grid: Grid) -> str:
    lines = [grid.heads, ("---",) * len(grid.heads), *grid.rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
