"""Traces that ship: made again byte for byte, with the statistics that they claim."""

import shlex

import numpy as np
import pytest
import yaml

from fsim.network.formats import read_trace
from fsim.network.generators import PROFILES, TIERS, QuantileTrace, generate, measure, write_csv
from fsim.network.generators.table import populations_table, traces_table
from tests.conftest import ROOT

SHIPPED = ROOT / "traces"
RECORDINGS = ROOT.parent / "shared" / "data" / "traces" / "mahimahi"
VARYING = [name for name, profile in PROFILES.items() if profile.seconds > 2]


def per_second(path):
    """Rates of a trace's seconds, Mbit/s."""
    starts, rates, duration = read_trace(path)
    return np.repeat(rates, np.diff(np.append(starts, duration)).astype(int)) * 8 / 1e6


def assert_quantile(rates, share, published):
    """Within 2%, or between the neighbouring seconds' rates where the distribution is steep."""
    below, found, above = np.quantile(
        rates, [share - 1 / len(rates), share, share + 1 / len(rates)]
    )
    assert below <= published <= above or found == pytest.approx(published, rel=0.02)


def longest_run(down):
    return max((len(run) for run in "".join("01"[int(d)] for d in down).split("0")), default=0)


def autocorrelation(values, lag):
    return np.corrcoef(values[:-lag], values[lag:])[0, 1]


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob("*.csv")), ids=lambda path: path.stem)
def test_shipped_trace_is_what_its_first_line_makes(path, tmp_path):
    first = path.read_text().splitlines()[0].removeprefix("# made by: ")
    words = shlex.split(first)
    assert words[:3] == ["python", "-m", "fsim.network.generators"]
    name, options = words[3], dict(zip(words[4::2], words[5::2], strict=True))
    again = tmp_path / "again.csv"
    write_csv(name, int(options["--seconds"]), int(options["--seed"]), again)
    assert again.read_bytes() == path.read_bytes()
    assert SHIPPED / PROFILES[name].path(name) == path


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_ships_and_says_whence(name):
    profile = PROFILES[name]
    path = SHIPPED / profile.path(name)
    assert len(per_second(path)) == profile.seconds
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert profile.source in comments[1]
    assert comments[-1].startswith("# this trace: ")


# As published: mean, p5, p50, p95 (Mbit/s) and longest outage (s) of each recording.
PUBLISHED = {
    "lte-driving": (1.91, 0.03, 1.57, 4.79, None),
    "lte-stationary": (5.95, 1.2, 5.7, 11.4, None),
    "att-lte-driving-2016": (1.91, 0.03, 1.57, 4.79, None),
    "att-lte-driving": (0.83, 0, 1.04, 1.19, 78),
    "tmobile-umts-driving": (0.94, 0.07, 1.08, 1.44, None),
    "verizon-evdo-driving": (0.84, 0.07, 0.96, 1.26, None),
    "3g-subway": (0.72, None, None, None, 22),
    "verizon-lte-stationary": (5.95, 1.2, 5.7, 11.4, None),
    "tmobile-lte-stationary": (13.3, 2.5, 11.5, 27.5, None),
    "mobiperf-cellular": (None, None, 1.0, None, None),
    "paper-profile-a": (20.0, None, None, None, None),
    "paper-profile-b": (None, 0.5, None, 2.0, None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_trace_has_the_published_statistics(name):
    mean, p5, p50, p95, longest = PUBLISHED[name]
    rates = per_second(SHIPPED / f"{name}.csv")
    if mean is not None:
        assert rates.mean() == pytest.approx(mean, rel=0.01)
    for share, published in ((0.05, p5), (0.5, p50), (0.95, p95)):
        if published is not None:
            assert_quantile(rates, share, published)
    if longest is not None:
        assert longest_run(rates == 0) == longest


@pytest.mark.parametrize("name", VARYING)
@pytest.mark.parametrize("seed", [0, 7])
def test_any_trace_of_a_profile_has_what_the_profile_claims(name, seed):
    profile = PROFILES[name]
    rates = generate(profile, 1200, seed)
    claimed, found = profile.published, measure(rates)
    if claimed.mean is not None:
        assert found.mean == pytest.approx(claimed.mean, rel=0.01)
    for share, published in ((0.05, claimed.p5), (0.5, claimed.p50), (0.95, claimed.p95)):
        if published is not None:
            assert_quantile(rates, share, published)
    if claimed.outage_share is not None:
        assert found.outage_share == pytest.approx(claimed.outage_share, abs=0.51 / 1200)
    if claimed.longest_outage is not None:
        assert found.longest_outage == claimed.longest_outage
    if claimed.correlation is not None:
        assert found.correlation == pytest.approx(claimed.correlation, abs=0.08)


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("att-lte-driving-2016", "ATT-LTE-driving-2016"),
        ("att-lte-driving", "ATT-LTE-driving"),
        ("tmobile-umts-driving", "TMobile-UMTS-driving"),
        ("verizon-evdo-driving", "Verizon-EVDO-driving"),
        ("verizon-lte-stationary", "Verizon-LTE-short"),
        ("tmobile-lte-stationary", "TMobile-LTE-short"),
    ],
)
def test_what_is_said_of_a_recording_is_so(name, recording):
    path = RECORDINGS / f"{recording}.up"
    if not path.is_file():
        pytest.skip(f"the recording {recording}.up is not at hand")
    milliseconds = np.loadtxt(path, dtype=np.int64)
    whole = milliseconds[-1] // 1000
    packets = np.bincount(np.maximum(milliseconds - 1, 0) // 1000, minlength=whole)[:whole]
    rates = packets * 1500 * 8 / 1e6
    said, found = PROFILES[name].published, measure(rates)
    for field in ("mean", "p5", "p50", "p95"):
        # TrackerGroup to two decimals, or three digits.
        assert getattr(found, field) == pytest.approx(getattr(said, field), rel=0.01, abs=0.03)
    assert found.correlation == pytest.approx(said.correlation, abs=0.01)
    assert found.outage_share == pytest.approx(said.outage_share or 0, abs=5.1e-4)
    assert found.longest_outage == pytest.approx(said.longest_outage or 0, abs=1)
    generator = PROFILES[name].generator
    if isinstance(generator, QuantileTrace):
        assert rates[rates > 0].min() == pytest.approx(generator.lowest)
        assert rates.max() == pytest.approx(generator.highest)
    else:
        logs = np.log(rates)
        assert autocorrelation(logs, 10) == pytest.approx(0.75, abs=0.01)


def test_tiers_are_the_published_ones():
    assert {name: (tier.uplink, tier.round_trip) for name, tier in TIERS.items()} == {
        "2g": (256, 400), "3g-slow": (400, 200), "3g": (768, 150), "4g": (9000, 85),
        "lte": (12000, 35), "cable": (1000, 14), "dsl": (384, 14),
    }  # fmt: skip
    for name, tier in TIERS.items():
        path = SHIPPED / "tiers" / f"{name}.csv"
        assert set(per_second(path)) == {tier.uplink / 1000}
        assert f"# round trip: {tier.round_trip} ms" in path.read_text().splitlines()


def test_readme_tells_of_every_trace_as_it_is():
    readme = (SHIPPED / "README.md").read_text()
    assert traces_table() in readme
    assert populations_table() in readme


def test_scenario_lines_of_the_readme_are_scenarios(tiny):
    lines = [
        line for line in (SHIPPED / "README.md").read_text().splitlines() if "uplink: {" in line
    ]
    assert len(lines) == 4
    for line in lines:
        uplink = yaml.safe_load(line)["uplink"]
        assert tiny(fleet__uplink=uplink).scenario.fleet.uplink.trace == uplink["trace"]
