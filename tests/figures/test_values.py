"""What figures show, against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from fsim.figures.content import FigureImpossible
from fsim.figures.contents.accuracy import accuracy_over_time
from fsim.figures.contents.energy import energy_per_round
from fsim.figures.contents.rounds import round_breakdown
from fsim.figures.contents.scalability import scalability
from fsim.figures.contents.sweep import sweep_heat_map
from fsim.figures.contents.uplink import uplink_over_time
from fsim.figures.registry import FIGURES
from fsim.figures.static.figure import draw
from fsim.results.loading import load
from tests.results.made import write_made


def test_the_line_is_the_accuracy_and_the_marker_where_it_first_reached_the_target(tmp_path):
    results = load(write_made(tmp_path / "run"))
    figure = draw(accuracy_over_time(results.evaluations, results.summary))
    line, marker, target = figure.axes[0].lines
    assert line.get_ydata() == pytest.approx(100 * results.evaluations["accuracy"].to_numpy())
    assert marker.get_xdata() == pytest.approx(results.summary["time_to_target_s"].to_numpy())
    assert list(target.get_ydata()) == [50, 50]


def test_the_marker_is_where_tables_say_that_the_target_was_reached(tmp_path):
    """By the mean of a window of evaluations that is later than the first one above the target."""
    for seed in (0, 1):
        write_made(tmp_path / f"{seed}", seed=seed)
    results = load(tmp_path)
    last = results.evaluations.groupby("run", observed=True)["time_s"].max()
    summary = results.series.assign(time_to_target_s=[last.iloc[0], last.iloc[1] / 2])

    def markers(summary):
        lines = draw(accuracy_over_time(results.evaluations, summary)).axes[0].lines
        return [line.get_xdata()[0] for line in lines if line.get_marker() != "None"]

    assert markers(summary) == pytest.approx([(last.iloc[0] + last.iloc[1] / 2) / 2])
    assert markers(summary.assign(time_to_target_s=[last.iloc[0], np.nan])) == []


def test_the_uplink_over_time_is_what_all_clients_have_sent_by_then(tmp_path):
    """Of 4 clients 1000 bytes each in every one of 3 rounds."""
    results = load(write_made(tmp_path / "run", rounds=3))
    (line,) = draw(uplink_over_time(results.evaluations, results.summary)).axes[0].lines
    assert line.get_ydata() == pytest.approx([0, 4, 8, 12])
    assert line.get_xdata() == pytest.approx(results.evaluations["time_s"].to_numpy())
    chart = FIGURES["uplink_over_time"].chart(results).figure
    assert chart.layout.yaxis.title.text == "uplink of all clients together (kB)"
    assert chart.data[0].y == pytest.approx([0, 4, 8, 12])


def test_energy_says_how_much_of_it_radios_drew_beside_their_transfers(tmp_path):
    results = load(write_made(tmp_path / "run"))
    told = "promotions and tails of radios are 25% of it"
    assert told not in energy_per_round(results.records, results.summary).notes
    tail = results.records.iloc[:1].assign(
        kind="radio", energy_j=results.records["energy_j"].sum() / 3
    )
    records = pd.concat([results.records, tail], ignore_index=True)
    assert told in energy_per_round(records, results.summary).notes


def test_bars_of_the_last_client_are_as_high_as_the_rounds_are_long(tmp_path):
    results = load(write_made(tmp_path / "run", lost=(3, 2), payload=2000))
    figure = draw(round_breakdown(results.records, results.summary))
    tops = {}
    for bar in figure.axes[0].patches:
        at = round(bar.get_x() + bar.get_width() / 2)
        tops[at] = max(tops.get(at, 0), bar.get_y() + bar.get_height())
    rounds = results.records[results.records["kind"] == "round"]
    assert list(tops.values()) == pytest.approx(rounds["duration_s"].tolist())


def test_scalability_is_the_mean_of_the_rounds(tmp_path):
    for clients in (2, 16):
        write_made(tmp_path / f"{clients}", clients=clients, protocol__clients_per_round=clients)
    results = load(tmp_path)
    figure = draw(scalability(results.records, results.settings, results.summary))
    rounds = results.records[results.records["kind"] == "round"]
    means = rounds.groupby("run", observed=True)["duration_s"].mean()
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [2, 16]
    assert line.get_ydata() == pytest.approx([means["2"], means["16"]])


def test_cells_of_a_heat_map_are_means_and_the_unreached_have_none(tmp_path):
    for trace in ("a", "b"):
        for bits in (8, 16):
            for seed in (0, 1):
                write_made(
                    tmp_path / f"{trace}{bits}{seed}",
                    seed=seed,
                    # One seed of one cell never reaches the target.
                    pace=0.01 if (trace, bits, seed) == ("b", 8, 1) else 0.5,
                    fleet__uplink__trace=f"{trace}.csv",
                    compression__bits=bits,
                )
    results = load(tmp_path)
    keys = ("fleet.uplink.trace", "compression.bits")
    figure = draw(sweep_heat_map(results.summary, results.settings, over=keys))
    shown = figure.axes[0].images[0].get_array()
    times = results.summary.set_index("run")["time_to_target_s"]
    assert shown[0, 0] == pytest.approx(times[["a80", "a81"]].mean())
    assert shown[1, 1] == pytest.approx(times[["b160", "b161"]].mean())
    assert np.ma.is_masked(shown[1, 0])
    assert "1 of 2" in [text.get_text() for text in figure.axes[0].texts]
    # The two that vary are found without being told.
    again = draw(sweep_heat_map(results.summary, results.settings, "final_accuracy"))
    assert again.axes[0].get_xlabel() in ("trace", "bits")
    with pytest.raises(FigureImpossible, match="found the metric 'beauty', allowed are seed, "):
        sweep_heat_map(results.summary, results.settings, "beauty")
    with pytest.raises(FigureImpossible, match="found the setting 'x'"):
        sweep_heat_map(results.summary, results.settings, over=("x", keys[0]))
