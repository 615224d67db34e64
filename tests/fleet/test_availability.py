import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.distributions import Distribution
from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.fleet import AlwaysOn, Diurnal, Dropout, Nights, OnOff, Traced
from fsim.fleet.availability.base import FURTHEST, Window, joined
from fsim.fleet.availability.renewal import CYCLES, mean, residual

HOUR = 3600.0
DAY = 24 * HOUR


def constant(value):
    return Distribution("constant", (float(value),))


def uniform(low, high):
    return Distribution("uniform", (float(low), float(high)))


def lognormal(median, sigma):
    return Distribution("lognormal", (float(median), sigma))


def exponential(mean):
    return Distribution("exponential", (float(mean),))


LAWS = [constant(30), uniform(0, 60), lognormal(20, 0.9), exponential(30)]

MAKERS = {
    "exponential": lambda seed: OnOff(exponential(20), exponential(40), seed, 3),
    "lognormal": lambda seed: OnOff(lognormal(20, 1.5), uniform(0, 50), seed, 3),
    "constant": lambda seed: OnOff(constant(7), constant(13), seed, 3),
    "diurnal": lambda seed: Diurnal(Nights(time_zones={-8: 1, 0: 1, 9: 1}), seed, 3),
    "rarely": lambda seed: Diurnal(Nights(probability=0.05, start_deviation=6 * HOUR), seed, 3),
    "traced": lambda seed: Traced([0, 30, 70], [10, 50, 100], 100, float(seed)),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def test_always_on():
    always = AlwaysOn()
    assert always.next_available(12.5) == 12.5
    assert always.available_until(12.5) == math.inf
    assert list(always.windows(3)) == [(3, math.inf)]
    assert always.drops_out(3) is None


def test_dropout_loses_the_stated_share_at_moments_spread_evenly():
    law = Dropout(0.3, 0, 5)
    moments = [law.drops_out(round_number) for round_number in range(4000)]
    lost = [moment for moment in moments if moment is not None]
    assert len(lost) / 4000 == pytest.approx(0.3, abs=0.03)
    shares = [vanishing.share for vanishing in lost]
    assert {vanishing.moment for vanishing in lost} == {"computing"}
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert 0 <= min(shares) <= max(shares) < 1
    assert (law.next_available(7), law.available_until(7)) == (7, math.inf)


def test_dropout_of_a_round_is_the_same_whenever_asked():
    law = Dropout(0.5, 0, 1)
    assert [law.drops_out(r) for r in (5, 1, 5)] == [law.drops_out(r) for r in (5, 1, 5)]


def test_joined_windows_worked_by_hand():
    given = [(0, 1), (2, 3), (3, 4), (4, 4), (5, 7), (6, 6.5), (7.1, 8)]
    windows = [Window(*pair) for pair in given]
    assert list(joined(iter(windows), 0.0)) == [(0, 1), (2, 4), (5, 7), (7.1, 8)]
    assert list(joined(iter(windows), 1.0)) == [(2, 4), (5, 7), (7.1, 8)]
    assert list(joined(iter(windows), 2.5, slack=0.2)) == [(2, 4), (5, 8)]


# --- what every kind promises -------------------------------------------------------------------

times = st.lists(st.floats(0, 40 * DAY), min_size=1, max_size=12)
questions = st.lists(st.sampled_from(["next_available", "available_until"]), min_size=1)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=40, deadline=None)
@given(times, questions, st.integers(0, 100))
def test_asking_never_changes_the_answer(kind, times, asked, seed):
    client = MAKERS[kind](seed)
    for time, question in zip(times, itertools.cycle(asked)):
        getattr(client, question)(time)
    for time in times:
        fresh = MAKERS[kind](seed)
        assert client.available_until(time) == fresh.available_until(time)
        assert client.next_available(time) == MAKERS[kind](seed).next_available(time)
        assert list(itertools.islice(client.windows(time), 4)) == list(
            itertools.islice(fresh.windows(time), 4)
        )


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1e9), st.integers(0, 100))
def test_the_answers_agree_with_one_another(kind, time, seed):
    client = MAKERS[kind](seed)
    begin = client.next_available(time)
    assert begin >= time
    assert client.next_available(begin) == begin
    end = client.available_until(begin)
    assert end > begin
    assert client.available_until(end) == end
    assert client.available_until(math.nextafter(end, 0)) == end
    if begin > time:
        assert client.available_until(time) == time
    windows = list(itertools.islice(client.windows(time), 3))
    assert windows[0] == (begin, end)
    assert all(before.end < after.begin for before, after in itertools.pairwise(windows))
    assert client.next_available(end) == windows[1].begin
    assert client.drops_out(1) is None


def test_the_furthest_time_is_answered_and_no_further(make):
    client = make(0)
    assert client.next_available(FURTHEST) >= FURTHEST
    for time in (-1.0, math.nan, 2 * FURTHEST, math.inf):
        with pytest.raises(ValueError, match="allowed is 0 to"):
            client.next_available(time)


def traced_bytes(action):
    """What an action leaves allocated."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = action()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used, kept


@pytest.mark.parametrize("kind", ["on-off", "diurnal", "traced", "dropout"])
def test_memory_of_a_client(kind):
    recording, nights, law = Traced([0.0], [1.0], 2.0), Nights(), exponential(30)
    make = {
        "on-off": lambda client: OnOff(law, law, 0, client),
        "diurnal": lambda client: Diurnal(nights, 0, client),
        "traced": lambda client: recording.with_offset(0.0),
        "dropout": lambda client: Dropout(0.1, 0, client),
    }[kind]
    make(0).next_available(0)  # what is imported or kept once for all is not a client's
    clients = list(range(2000))
    drawn, kept = traced_bytes(lambda: [make(client) for client in clients])
    assert drawn / 2000 < 100 + 8  # 8 bytes for its place in the list

    def ask():
        for client, time in itertools.product(kept[:200], (0.0, 1e9, 5.0, 1e11)):
            client.next_available(time)

    assert traced_bytes(ask)[0] / 200 < 200


# --- on-off -------------------------------------------------------------------------------------


def plain_on_off(on, off, rng, until):
    """The process written down plainly: a list of switching times from one generator."""
    is_on = rng.uniform() < on / (on + off)
    first, ends = is_on, [0.0]
    while ends[-1] < until:
        ends.append(ends[-1] + rng.exponential(on if is_on else off))
        is_on = not is_on
    return first, ends


@pytest.mark.parametrize("seed", range(5))
def test_the_first_epoch_is_the_plain_process(seed):
    first, ends = plain_on_off(30, 60, stream(seed, "fleet.on_off", 4), CYCLES * 90)
    begins = range(0 if first else 1, len(ends) - 2, 2)
    expected = [(ends[at], ends[at + 1]) for at in begins]
    client = OnOff(exponential(30), exponential(60), seed, 4)
    found = list(itertools.islice(client.windows(0), len(expected)))
    assert found == expected


def test_constant_periods_alternate():
    client = OnOff(constant(7), constant(13), 1, 0)
    windows = list(itertools.islice(client.windows(0), 100))
    lengths = {round(end - begin, 6) for begin, end in windows[1:]}
    gaps = {round(b.begin - a.end, 6) for a, b in itertools.pairwise(windows)}
    assert (lengths, gaps) == ({7.0}, {13.0})


def share_on(clients, time):
    return np.mean([client.next_available(time) == time for client in clients])


@pytest.mark.parametrize("time", [0.0, 12.0, 90 * CYCLES + 1.0, 1e9])
@pytest.mark.parametrize(("on", "off"), [(0, 3), (1, 3), (2, 0), (2, 1), (3, 2)])
def test_the_share_on_is_stationary(on, off, time):
    # Wrong residuals would show at 12 s, less than half a period after the start.
    clients = [OnOff(LAWS[on], LAWS[off], 0, client) for client in range(1500)]
    expected = mean(LAWS[on]) / (mean(LAWS[on]) + mean(LAWS[off]))
    assert share_on(clients, time) == pytest.approx(expected, abs=0.045)  # 3.5 sigma


@pytest.mark.parametrize("law", [*LAWS, lognormal(20, 0.0), uniform(10, 30)])
def test_mean_and_residual_of_a_law(law):
    rng = np.random.default_rng(0)
    drawn = np.array([law.draw(rng) for _ in range(20_000)])
    assert mean(law) == pytest.approx(drawn.mean(), rel=0.03)
    # The mean of what is left of a period in progress is E[x^2] / (2 E[x]).
    left = np.mean([residual(law, rng) for _ in range(20_000)])
    assert left == pytest.approx((drawn**2).mean() / (2 * drawn.mean()), rel=0.06)


def test_lengths_of_periods_follow_their_law():
    client = OnOff(lognormal(20, 0.9), exponential(30), 0, 0)
    windows = list(itertools.islice(client.windows(0), 4000))[1:]
    lengths = np.array([end - begin for begin, end in windows])
    assert np.median(lengths) == pytest.approx(20, rel=0.06)
    assert np.std(np.log(lengths)) == pytest.approx(0.9, rel=0.06)
    gaps = [after.begin - before.end for before, after in itertools.pairwise(windows)]
    assert np.mean(gaps) == pytest.approx(30, rel=0.06)


@pytest.mark.parametrize(
    ("on", "off", "message"),
    [
        (constant(0), constant(5), "on: found a mean of 0 s, allowed is 0.001 to 1e\\+09 s"),
        (constant(5), uniform(0, 1e10), "off: found a mean of 5e\\+09 s"),
        (lognormal(5, 3.5), constant(5), "on: found a sigma of 3.5, allowed is 3 at most"),
        (Distribution("zipf", (2.0,)), constant(5), "found a zipf law of on or off times"),
    ],
)
def test_laws_that_are_refused(on, off, message):
    with pytest.raises(ScenarioError, match=message):
        OnOff(on, off, 0, 0)


# --- diurnal ------------------------------------------------------------------------------------


def test_a_night_without_chance_worked_by_hand():
    nights = Nights(23 * HOUR, 0, 8 * HOUR, 0, 1.0, {0: 1})
    client = Diurnal(nights, 0, 0)
    # Midnight lies in the night that began at 23 h the day before.
    windows = list(itertools.islice(client.windows(0), 3))
    assert windows == [(0, 7 * HOUR), (23 * HOUR, 31 * HOUR), (47 * HOUR, 55 * HOUR)]
    # Six hours behind UTC, 23 h local is 5 h UTC; nine hours ahead, 14 h.
    west = Diurnal(Nights(23 * HOUR, 0, 8 * HOUR, 0, 1.0, {-6: 1}), 0, 0)
    assert next(west.windows(0)) == (5 * HOUR, 13 * HOUR)
    east = Diurnal(Nights(23 * HOUR, 0, 8 * HOUR, 0, 1.0, {9: 1}), 0, 0)
    assert next(east.windows(0)) == (14 * HOUR, 22 * HOUR)
    assert (west.time_zone, east.time_zone) == (-6, 9)


def normal_below(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("hour", [0, 3, 6, 9, 12, 21])
@pytest.mark.parametrize("day", [0, 400])
def test_the_share_available_at_an_hour(hour, day):
    # Available at local hour h: begun before h and over after it. Begins are N(23, 1.5), ends
    # N(23 + 7.5, sqrt(1.5^2 + 1.5^2)): independent of whether the other has happened, nearly, so
    # that the share is P(used) (P(begun) - P(over)), over both nights that reach into the day.
    nights = Nights()
    clients = [Diurnal(nights, 1, client) for client in range(2000)]
    expected = 0.8 * sum(
        normal_below((hour + shift - 23) / 1.5)
        - normal_below((hour + shift - 30.5) / (1.5 * math.sqrt(2)))
        for shift in (0, 24)
    )
    assert share_on(clients, (24 * day + hour) * HOUR) == pytest.approx(expected, abs=0.04)


def test_clients_spread_over_the_time_zones():
    nights = Nights(time_zones={-5: 3, -8: 1})
    zones = [Diurnal(nights, 0, client).time_zone for client in range(2000)]
    assert set(zones) == {-5, -8}
    assert np.mean([zone == -5 for zone in zones]) == pytest.approx(0.75, abs=0.03)


def test_nights_are_used_with_their_probability_and_kept_within_their_day():
    nights = Nights(start_deviation=6 * HOUR, duration_deviation=12 * HOUR, probability=0.6)
    client = Diurnal(nights, 0, 9)
    windows = list(itertools.takewhile(lambda w: w.begin < 3000 * DAY, client.windows(0)))
    # Cut at 0 to 12 h with a mean of 7.5 and a deviation of 12 h, 26.6% of the lengths are nothing.
    empty = normal_below(-7.5 / 12)
    assert len(windows) / 3000 == pytest.approx(0.6 * (1 - empty), abs=0.03)
    assert max(end - begin for begin, end in windows) <= 24 * HOUR


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"probability": 0.0}, "probability: found 0, allowed is 0.01 to 1 as a share of nights"),
        ({"start": 25 * HOUR}, "start: found 90000, allowed is 0 to 86400 s since midnight"),
        ({"start_deviation": -1.0}, "start_deviation: found -1, allowed is 0 to 21600 s"),
        ({"duration": math.nan}, "duration: found nan, allowed is 60 to 43200 s"),
        ({"time_zones": {20.0: 1.0}}, "time_zones: found 20: 1, allowed are -12 to 14"),
        ({"time_zones": {2.0: 0.0}}, "time_zones: found 2: 0, allowed are"),
        ({"time_zones": {}}, "time_zones: found none"),
    ],
)
def test_nights_that_are_refused(values, message):
    with pytest.raises(ScenarioError, match=message):
        Nights(**values)


def test_dropout_at_any_moment_is_at_each_as_often():
    law = Dropout(0.5, 0, 5, "any")
    moments = [v.moment for v in map(law.drops_out, range(3000)) if v is not None]
    for moment in ("before-download", "computing", "uploading"):
        assert moments.count(moment) / len(moments) == pytest.approx(1 / 3, abs=0.04)
    # Who is lost does not depend on the moment.
    other = Dropout(0.5, 0, 5)
    assert [law.drops_out(r) is None for r in range(99)] == [
        other.drops_out(r) is None for r in range(99)
    ]
