"""Lost clients are noticed by a reset, or by a keepalive where they fall silent."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import ScenarioError
from fsim.fleet import Traced
from fsim.fleet.availability import AlwaysOn, Vanishing
from fsim.fleet.population import DrawnPopulation
from fsim.network import Capacity
from fsim.server.keepalive import Keepalive
from fsim.server.protocols import PROTOCOLS
from fsim.simulation.build import build_population
from fsim.simulation.failures import ServerUptime
from fsim.simulation.losses import LEAST_PATIENCE, Loss, LossNotices, Notice
from fsim.simulation.reasons import Trouble
from fsim.simulation.run import run_world
from fsim.simulation.world import SimulatedWorld
from tests.simulation.quadratic import QuadraticLearner

CLIENTS = 3
VICTIM = 1
HALF = 0.05
"""Of a round trip, seconds."""


class Vanishes(AlwaysOn):
    """There at all times, and lost at a given point of the first round."""

    def __init__(self, moment, share):
        self.point = Vanishing(moment, share)

    def drops_out(self, round_number, repeat=0):
        return self.point if (round_number, repeat) == (1, 0) else None


def settings(silent, **more):
    """Downloads of 64 coordinates at 100 kB/s, two steps of 500 s, uploads at 1 kB/s."""
    link = {"round_trip": f"{2 * HALF} s"}
    return {
        "fleet__clients": CLIENTS,
        "fleet__seconds_per_step": {"laptop": "500 s"},
        "fleet__uplink": {"rate": "1 kB/s", **link},
        "fleet__downlink": {"rate": "100 kB/s", **link},
        "fleet__silent_losses": silent,
        "transport": {"kind": "fluid"},
        "protocol": {"clients_per_round": CLIENTS, "rounds": 1},
        **more,
    }


def run(loaded, **victim):
    """Run a scenario, some of the victim's profile replaced."""
    drawn = build_population(loaded)

    def profiles(clients):
        return [
            dataclasses.replace(drawn[one], **(victim if one == VICTIM else {})) for one in clients
        ]

    learner = QuadraticLearner([1.0] * len(drawn), np.ones((len(drawn), 64)), 0.1)
    done = run_world(
        SimulatedWorld(loaded, learner, population=DrawnPopulation(len(drawn), profiles))
    )
    assert done.failure is None
    return done


def rows_of(done, kind, client=VICTIM):
    rows = done.records
    return rows[(rows["kind"] == kind) & (rows["client"] == client)]


def the_loss(done):
    """Time of vanishing, seconds until it was noticed, and details."""
    (row,) = rows_of(done, "lost").itertuples()
    return row.time_s, row.duration_s, json.loads(row.details)


def end_of(done, kind):
    row = rows_of(done, kind).iloc[0]
    return row["time_s"] + row["duration_s"]


@pytest.mark.parametrize(
    ("share", "seconds"),
    [
        (0.5, 150.05),  # vanished at 500 s: pings of 210.05 and 420.05 were answered, 630.05 not
        (0.1, 130.05),  # at 100 s: none was, and the first is sent at 210.05
        (0.21009, 19.96),  # at 210.09: that ping is on its way, to come at 210.10
        (0.21011, 229.94),  # at 210.11: it was answered, and the next is sent at 420.05
    ],
)
def test_silence_while_computing_is_noticed_by_the_first_ping_without_an_answer(
    tiny, share, seconds
):
    done = run(tiny(**settings(1)), availability=Vanishes("computing", share))
    vanished, lasted, details = the_loss(done)
    assert vanished == pytest.approx(end_of(done, "download") + 1000 * share)
    assert lasted == pytest.approx(seconds)
    assert details == {"reason": "dropped out", "notice": "silent"}


@pytest.mark.parametrize(
    ("silent", "moment", "seconds"),
    [
        (0, "before-download", 0.1),
        (1, "before-download", 20.0),
        (0, "computing", 0.05),
        (0, "uploading", 0.05),
        (1, "uploading", 230.05),
    ],
)
def test_a_drop_out_is_noticed_by_what_it_was_at(tiny, silent, moment, seconds):
    done = run(tiny(**settings(silent)), availability=Vanishes(moment, 0.5))
    vanished, lasted, details = the_loss(done)
    begins = {"before-download": None, "computing": "compute", "uploading": "upload"}[moment]
    assert vanished == pytest.approx(0.0 if begins is None else end_of(done, begins))
    assert lasted == pytest.approx(seconds)
    assert details == {"reason": "dropped out", "notice": ("reset", "silent")[silent]}


@pytest.mark.parametrize(("silent", "seconds"), [(0, 0.05), (1, 20.05)])
def test_who_leaves_while_downloading(tiny, silent, seconds):
    """Of what the server sends, nothing may stay without an acknowledgement for 20 s."""
    loaded = tiny(**settings(silent, fleet__when_away="lost", fleet__downlink={"rate": "10 B/s"}))
    done = run(loaded, availability=Traced([0.0], [3.0], 1e6))
    vanished, lasted, details = the_loss(done)
    assert (vanished, lasted) == (pytest.approx(3.0), pytest.approx(seconds))
    assert details["reason"] == "went away while downloading"


@pytest.mark.parametrize(("silent", "noticed"), [(0, 500.05), (1, 650.05)])
def test_who_leaves_while_computing(tiny, silent, noticed):
    loaded = tiny(**settings(silent, fleet__when_away="lost"))
    done = run(loaded, availability=Traced([0.0], [500.0], 1e6))
    vanished, lasted, details = the_loss(done)
    # The pings follow the download's last byte.
    downloaded = end_of(done, "download") if silent else 0.0
    assert (vanished, vanished + lasted) == pytest.approx((500.0, noticed + downloaded))
    assert details["reason"] == "went away while computing"


@pytest.mark.parametrize(("silent", "seconds"), [(0, 0.05), (1, 230.05)])
def test_who_leaves_while_uploading(tiny, silent, seconds):
    loaded = tiny(**settings(silent, fleet__when_away="lost", fleet__uplink__rate="1 B/s"))
    done = run(loaded, availability=Traced([0.0], [1010.0], 1e6))
    vanished, lasted, details = the_loss(done)
    assert (vanished, lasted) == (pytest.approx(1010.0), pytest.approx(seconds))
    assert details["reason"] == "went away while uploading"


@pytest.mark.parametrize(
    ("keepalive", "seconds"),
    [
        ("flower", 230.05),
        ("grpc", 7220.05),
        ({"time": "30 s"}, 50.05),
        ({"timeout": "5 s"}, 215.05),
        ({"time": "1 min", "timeout": "2 s"}, 62.05),
    ],
)
def test_a_keepalive_is_a_name_or_its_two_times(tiny, keepalive, seconds):
    loaded = tiny(**settings(1, protocol__keepalive=keepalive))
    done = run(loaded, availability=Vanishes("uploading", 0.5))
    assert the_loss(done)[1] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("link", "seconds"), [("uplink", 230.05), ("downlink", 20.05)], ids=["uplink", "downlink"]
)
@pytest.mark.parametrize("silent", [0, 1])
def test_over_a_link_that_is_dead_no_reset_comes(tiny, link, seconds, silent):
    """The downlink dies in the first download, the uplink in the first upload."""
    dies = {"uplink": 1000.1, "downlink": 0.001}[link]
    rate = {"uplink": 1000.0, "downlink": 1e5}[link]
    loaded = tiny(**settings(silent, protocol__rounds=2))
    dead = dataclasses.replace(
        getattr(build_population(loaded)[VICTIM], link),
        capacity=Capacity([0.0, dies], [rate, 0.0]),
    )
    done = run(loaded, **{link: dead})
    row = rows_of(done, "lost").iloc[0]
    assert row["time_s"] == pytest.approx(dies)
    assert row["duration_s"] == pytest.approx(seconds)
    assert json.loads(row["details"]) == {
        "reason": f"its {link.replace('link', 'load')} never ends", "notice": "silent"
    }  # fmt: skip


def test_a_round_lasts_until_its_last_loss_is_noticed(tiny):
    """The others answer after a thousand seconds; the silent one is noticed at 1690 s."""
    loaded = tiny(**settings(1))
    done = run(loaded, availability=Vanishes("computing", 0.5))
    others = done.records.query("kind == 'receive'")["time_s"].max()
    noticed = end_of(done, "lost")
    (closed,) = done.records.query("kind == 'round'").itertuples()
    assert noticed < others == pytest.approx(closed.duration_s)
    late = run(loaded, availability=Vanishes("computing", 0.999))
    (closed,) = late.records.query("kind == 'round'").itertuples()
    # Pings of 210.05 to 840.05 s were answered, that of 1050.05 s was not.
    assert closed.duration_s == pytest.approx(end_of(late, "download") + 1070.05)


def test_a_deadline_does_not_wait_for_a_notice(tiny):
    protocol = {"kind": "deadline", "after": "1100 s", "over_selection": 1,
                "clients_per_round": CLIENTS, "rounds": 2}  # fmt: skip
    vanishes = Vanishes("uploading", 0.0)
    noticed = run(tiny(**settings(0, protocol=protocol)), availability=vanishes)
    silent = run(tiny(**settings(1, protocol=protocol)), availability=vanishes)
    assert the_loss(silent)[1] == pytest.approx(230.05)
    first, _ = silent.records.query("kind == 'round'").itertuples()
    assert first.duration_s == pytest.approx(1100.0)
    assert end_of(silent, "lost") > 1100.0
    # Whoever sends a reset is known to be lost, and the round closes when all others have answered.
    first, _ = noticed.records.query("kind == 'round'").itertuples()
    assert first.duration_s < 1001.0


def test_a_server_that_is_down_notices_nothing_until_it_is_back(tiny):
    crash = {"at": "500 s", "down": "40 s", "in_flight": "kept"}
    loaded = tiny(**settings(0, server={"crashes": [crash]}))
    done = run(loaded, availability=Vanishes("computing", 0.5))
    vanished, lasted, _ = the_loss(done)
    assert 500 < vanished < 501
    assert vanished + lasted == pytest.approx(540.0)


def test_losses_of_links_without_a_round_trip_take_time_all_the_same(tiny):
    still = {"fleet__uplink": {"rate": "1 kB/s", "round_trip": "0 s"}}
    done = run(tiny(**settings(0, **still)), availability=Vanishes("before-download", 0.5))
    assert the_loss(done)[1] == LEAST_PATIENCE > 0


def test_energy_and_bytes_of_the_lost_are_spent_and_waiting_costs_them_nothing(tiny):
    loaded = tiny(**settings(1))
    done = run(loaded, availability=Vanishes("uploading", 0.5))
    upload, lost = rows_of(done, "upload").iloc[0], rows_of(done, "lost").iloc[0]
    assert lost["bytes"] == upload["bytes"] > 0
    assert upload["energy_j"] > 0 == lost["energy_j"]


FEW = {"kind": "dropout", "probability": 0.4, "moment": "any"}


def drawn(tiny, silent, rounds=60):
    """A run of many rounds in which four in ten drop out."""
    changes = settings(
        silent,
        fleet__clients=6,
        fleet__availability=FEW,
        protocol={"clients_per_round": 6, "rounds": rounds},
    )
    return run(tiny(**changes))


def notices(done):
    rows = done.records.query("kind == 'lost'")
    return [json.loads(text)["notice"] for text in rows["details"]]


def test_as_many_are_silent_as_the_scenario_says_and_no_other_draw_moves(tiny):
    runs = {silent: drawn(tiny, silent) for silent in (0, 0.3, 1)}
    assert set(notices(runs[0])) == {"reset"}
    assert set(notices(runs[1])) == {"silent"}
    some = notices(runs[0.3])
    share = some.count("silent") / len(some)
    assert len(some) > 100
    assert abs(share - 0.3) <= 5 * math.sqrt(0.3 * 0.7 / len(some))

    def without_time(done):
        rows = done.records[["client", "round", "kind", "bytes"]]
        return rows.sort_values(["round", "client", "kind"]).reset_index(drop=True)

    for done in runs.values():
        assert without_time(done).equals(without_time(runs[0]))
        for name, values in done.adapter.items():
            assert np.array_equal(values, runs[0].adapter[name])
    assert runs[0].metrics.simulated_s < runs[0.3].metrics.simulated_s
    assert runs[0.3].metrics.simulated_s < runs[1].metrics.simulated_s


def made(silent=0.5, crashes=()):
    return LossNotices(3, silent, Keepalive(210.0, 20.0), ServerUptime(crashes))


def test_every_asking_has_a_draw_of_its_own():
    loss = Loss(Trouble.DROPPED_OUT, "computing")
    askings = list(itertools.product(range(40), (1, 2), (1, 2)))
    found = [made().draw(loss, *keys) for keys in askings]
    assert found == [made().draw(loss, *keys) for keys in askings]
    for number in range(3):
        # Told apart by client, by round and by how often it was asked in the round.
        assert len({tuple(f for k, f in zip(askings, found, strict=True) if k[number] == value)
                    for value in (1, 2)}) == 2  # fmt: skip
    assert {made(0.0).draw(loss, *keys) for keys in askings} == {Notice.RESET}
    never = dataclasses.replace(loss, never="the capacity stays at zero")
    assert {made(0.0).draw(never, *keys) for keys in askings} == {Notice.SILENT}


@given(
    st.sampled_from(Notice),
    st.sampled_from(["before-download", "downloading", "computing", "uploading"]),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0, 10),
)
def test_nothing_is_noticed_before_a_byte_could_tell(notice, activity, vanished, idle, one_way):
    loss = Loss(Trouble.DROPPED_OUT, activity, idle_since=min(idle, vanished))
    noticed = made().noticed_at(notice, loss, vanished, one_way)
    slack = 1e-9 * (1 + vanished)
    if notice is Notice.RESET:
        ways = 2 if activity == "before-download" else 1
        assert noticed == pytest.approx(vanished + max(ways * one_way, LEAST_PATIENCE), abs=slack)
    elif activity == "computing":
        assert vanished - one_way + 20 - slack <= noticed <= vanished + one_way + 230 + slack
    else:
        seconds = {"before-download": 20, "downloading": 20 + one_way, "uploading": 230 + one_way}
        assert noticed - vanished == pytest.approx(seconds[activity], abs=slack)


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("silent", [0, 0.5, 1])
def test_every_protocol_goes_on_whoever_is_lost_and_however(tiny, kind, silent):
    more = {"buffered": {"buffer": 2}, "tiered": {"tiers": 2}, "deadline": {"after": "30 min"}}
    protocol = {"kind": kind, "clients_per_round": 2, "rounds": 20, **more.get(kind, {})}
    done = run(tiny(**settings(silent, fleet__availability=FEW, protocol=protocol)))
    assert done.metrics.dropouts > 0
    assert set(notices(done)) == {0: {"reset"}, 0.5: {"reset", "silent"}, 1: {"silent"}}[silent]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol__keepalive": "off"},
         "protocol.keepalive: found 'off', allowed are flower, grpc, or a mapping with the keys "
         "time, timeout"),
        ({"protocol__keepalive": 30}, "protocol.keepalive: found 30, allowed are flower, grpc, or"),
        ({"protocol__keepalive": {"time": "30"}}, "protocol.keepalive.time: found '30', allowed"),
        ({"protocol__keepalive": {"time": "0.5 s"}},
         "protocol.keepalive.time: found 0.5 s, allowed is 1 s or more"),
        ({"protocol__keepalive": {"timeout": "0 s"}},
         "protocol.keepalive.timeout: found 0 s, allowed is 1 s or more"),
        ({"protocol__keepalive": {"every": "30 s"}},
         "protocol.keepalive.every: unknown key, allowed are time, timeout"),
        ({"fleet__silent_losses": 1.1}, "fleet.silent_losses: found 1.1, allowed is less than or"),
        ({"fleet__silent_losses": -0.1}, "fleet.silent_losses: found -0.1, allowed is greater"),
        ({"protocol__dropout_timeout": "30 s"},
         "protocol: dropout_timeout: unknown key, lost clients are noticed by fleet.silent_losses "
         "and protocol.keepalive"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(tiny, changes, message):
    with pytest.raises(ScenarioError) as error:
        tiny(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
