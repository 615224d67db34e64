"""Radios on the clock: schedules of promotions and tails worked out by hand."""

import json
import math

import numpy as np
import pytest
import simpy

from fsim.core.errors import ScenarioError
from fsim.fleet import DEVICES, RADIOS, AlwaysOn, ClientProfile, Link, Radio, Traced
from fsim.network import Capacity, Fluid, Opening, Tcp
from fsim.network.transports.connection import Connection
from fsim.network.transports.pace import NEW_WINDOW
from fsim.records import Kind, Recorder
from fsim.simulation.allowance import bytes_within
from fsim.simulation.radios import Radios
from fsim.simulation.run import simulate as simulate_models
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route
from tests.simulation.quadratic import simulate

LTE = RADIOS["lte"]
MBIT = 1e6 / 8
FRAME = 14
"""Bytes of a payload that are neither values nor scales: docs/wire-format.md."""

PATHS = pytest.mark.parametrize("path", [(), (0,)], ids=["alone", "shared"])


class Client:
    """A client whose transfers are told one after another, on the clock."""

    def __init__(
        self, path=(), availability=None, transport=None, rule="resume", radio=LTE, rate=1
    ):
        self.env, self.recorder = simpy.Environment(), Recorder()
        shared = SharedLinks(self.env, [Capacity.constant(100 * MBIT)]) if path else None
        self.route = Route(self.env, transport or Fluid(), rule, shared)
        link = Link(Capacity.constant(rate * MBIT), 0.1, path=path)
        there = availability or AlwaysOn()
        self.profile = ClientProfile(0, DEVICES["laptop"], link, link, there, radio=radio)
        self.radios = Radios(self.env, self.recorder)
        self.connection = Connection()

    def wait(self, seconds):
        if seconds:
            self.env.run(self.env.now + seconds)

    def send(self, size, round_number=1):
        """Seconds that a transfer takes, and its end."""
        began = self.env.now
        radio = self.radios.begin(self.profile, round_number)
        process = self.env.process(
            self.route.transfer(
                size, self.profile.uplink, self.profile.availability, self.connection, radio
            )
        )
        self.env.run(process)
        return self.env.now - began, process.value

    def rows(self, part=None):
        """(when, round, seconds, joules) of each row of a radio, or of one part."""
        found = []
        for row in self.recorder.records().itertuples():
            details = json.loads(row.details)
            assert row.kind == Kind.RADIO
            assert row.duration_s == row.bytes == 0
            if part in (None, details["part"]):
                found.append((row.time_s, row.round, details["seconds"], row.energy_j))
        return found


def close(rows):
    return [pytest.approx(row) for row in rows]


@PATHS
def test_the_first_byte_waits_and_the_next_does_not(path):
    client = Client(path)
    # 1 Mbit takes 1 s.
    assert client.send(125_000)[0] == pytest.approx(1.26)
    client.wait(5.0)
    seconds, done = client.send(125_000, 2)
    assert seconds == done.active_s == pytest.approx(1.0)
    client.radios.settle()
    assert client.rows("promotion") == close([(1.26, 1, 0.26, 0.26 * 1.2107)])
    # Billed when the gap is over, to the round that the tail is of.
    assert client.rows("tail") == close([(6.26, 1, 5.0, 5 * 1.06)])


@PATHS
def test_a_gap_longer_than_the_tail_costs_all_of_it_and_a_promotion(path):
    client = Client(path)
    client.send(125_000)
    client.wait(20.0)
    seconds, done = client.send(125_000, 2)
    assert (seconds, done.active_s) == pytest.approx((1.26, 1.0))
    assert client.rows() == close(
        [
            (1.26, 1, 0.26, 0.26 * 1.2107),
            (21.26, 1, 11.576, 11.576 * 1.06),
            (22.52, 2, 0.26, 0.26 * 1.2107),
        ]
    )


def test_a_promotion_comes_before_a_handshake_and_before_what_a_kept_connection_sends():
    client, without = Client(transport=Tcp()), Client(transport=Tcp(), radio=RADIOS["none"])
    for gap in (0.0, 5.0, 20.0):
        client.wait(gap)
        without.wait(gap)
        promotion = 0.0 if gap == 5.0 else 0.26
        expected = without.send(125_000)[0] + promotion
        assert client.send(125_000)[0] == pytest.approx(expected)
    assert without.rows() == []


def test_a_window_that_has_idled_through_the_promotion_is_a_new_connections():
    """A gap of 0.1 s keeps the window, one of 0.1 and 3 s halves it ten times."""
    slow = Radio("slow", "made up", promotion=3.0, tail=((0.05, 1.0),))
    for radio, promotion in ((RADIOS["none"], 0.0), (slow, 3.0)):
        client = Client(transport=Tcp(), radio=radio, rate=50)
        client.send(10**6)
        client.wait(0.1)
        link = client.profile.uplink
        opening = Opening(NEW_WINDOW, promotion=promotion)
        again = Tcp().finish_time(link.capacity, 10**6, 0.0, 0.1, opening)
        seconds, _ = client.send(10**6)
        assert (seconds == pytest.approx(again)) == (radio is slow)
        assert seconds < again + 1e-9


def test_two_phases_of_a_tail():
    client = Client(radio=RADIOS["3g"])
    assert client.send(125_000)[0] == pytest.approx(1.582)
    client.wait(8.588)
    assert client.send(125_000)[0] == pytest.approx(1.0)
    joules = 8.088 * 0.8039 + 0.5 * 0.6013
    assert client.rows("tail") == close([(1.582 + 8.588, 1, 8.588, joules)])


def test_a_tail_is_billed_as_far_as_it_has_come():
    client = Client()
    client.send(125_000)
    for _ in range(4):
        client.wait(4.0)
        client.radios.settle()
        client.radios.settle()
    rest = 11.576 - 8
    assert client.rows("tail") == close(
        [
            (5.26, 1, 4.0, 4 * 1.06),
            (9.26, 1, 4.0, 4 * 1.06),
            (13.26, 1, rest, rest * 1.06),
        ]
    )
    assert client.radios.tails == {}


def test_nothing_of_a_tail_is_billed_while_a_transfer_is_under_way():
    client = Client()
    client.send(125_000)
    client.wait(2.0)
    radio = client.radios.begin(client.profile, 2)
    client.env.process(client.route.transfer(10**6, client.profile.uplink, AlwaysOn(), None, radio))
    client.wait(5.0)
    client.radios.settle()
    assert client.rows("tail") == close([(3.26, 1, 2.0, 2 * 1.06)])


@PATHS
def test_a_client_that_is_away_for_less_than_the_tail_is_not_promoted_again(path):
    # There for 2 s of every 5, 8 s to send: 1.74, 2, 2, 2 and 0.26 s.
    there = Traced(np.array([0.0]), np.array([2.0]), 5.0)
    client = Client(path, there)
    seconds, done = client.send(10**6)
    assert (seconds, done.active_s) == pytest.approx((20.26, 8.0))
    assert client.rows("promotion") == close([(20.26, 1, 0.26, 0.26 * 1.2107)])
    assert client.rows("tail") == close([(20.26, 1, 3.0, 3 * 1.06)] * 4)


@PATHS
def test_a_client_that_is_away_for_longer_is_promoted_whenever_it_comes_back(path):
    # There for 2 s of every 20, 8 s to send: 1.74 s four times, then 1.04 s.
    there = Traced(np.array([0.0]), np.array([2.0]), 20.0)
    client = Client(path, there)
    seconds, done = client.send(10**6)
    # Of each byte that goes away with the client a part is sent again.
    assert (seconds, done.active_s) == pytest.approx((80 + 0.26 + 1.04, 8.0), abs=4e-5)
    assert done.sent_bytes == 10**6
    assert client.rows("promotion") == close([(81.3, 1, 1.3, 1.3 * 1.2107)])
    assert client.rows("tail") == close([(81.3, 1, 11.576, 11.576 * 1.06)] * 4)


@PATHS
def test_a_client_that_comes_back_to_a_transfer_is_promoted_then(path):
    client = Client(path, Traced(np.array([30.0]), np.array([99.0]), 100.0))
    seconds, done = client.send(125_000)
    assert (seconds, done.active_s) == pytest.approx((31.26, 1.0))


@PATHS
def test_a_client_may_go_away_while_it_is_promoted(path):
    there = Traced(np.array([0.0]), np.array([0.2]), 20.0)
    client = Client(path, there, rule="lost")
    seconds, done = client.send(125_000)
    assert seconds == pytest.approx(0.2)
    assert (done.arrived, done.sent_bytes, done.active_s) == (False, 0, pytest.approx(0.0))
    assert client.rows() == close([(0.2, 1, 0.2, 0.2 * 1.2107)])


def test_promotions_do_not_load_a_shared_link():
    # Two of 1 Mbit behind 1 Mbit/s. The second is awake at 0.76 s, when the first has sent 0.5 s
    # alone; the first's other half takes 1 s beside it.
    env = simpy.Environment()
    radios = Radios(env, Recorder())
    route = Route(env, Fluid(), "resume", SharedLinks(env, [Capacity.constant(MBIT)]))
    link, ends = Link(Capacity.constant(9 * MBIT), 0.1, path=(0,)), []

    def upload(client, start):
        yield env.timeout(start)
        profile = ClientProfile(client, DEVICES["laptop"], link, link, AlwaysOn(), radio=LTE)
        yield from route.transfer(125_000, link, AlwaysOn(), None, radios.begin(profile, 1))
        ends.append(env.now)

    for client, start in enumerate((0.0, 0.5)):
        env.process(upload(client, start))
    env.run()
    assert ends == pytest.approx([1.76, 2.26])


def radio_rows(run):
    rows = run.records[run.records["kind"] == "radio"]
    parts = [json.loads(details) for details in rows["details"]]
    return rows.assign(
        part=[part["part"] for part in parts], seconds=[part["seconds"] for part in parts]
    )


ONE = {
    "fleet__clients": 1,
    "fleet__radio": "lte",
    "fleet__uplink": {"rate": "8 kbit/s"},
    "fleet__downlink": {"rate": "80 kbit/s"},
    "protocol": {"kind": "synchronous", "clients_per_round": 1, "rounds": 2},
    "transport": {"kind": "fluid"},
}


@pytest.mark.parametrize("step", [0.25, 10.0])
def test_a_run_is_the_schedule_worked_by_hand(tiny, step):
    # 1000 bytes/s up, 10,000 bytes/s down, two steps: 0.5 or 20 s of training.
    run = simulate(tiny(**ONE, fleet__seconds_per_step={"laptop": f"{step} s"}))
    size = run.facts["adapter_parameters"]
    down, up = (4 * size + FRAME) / 10_000, (2 * size + FRAME) / 1000
    # The second round's download follows the first one's upload at once.
    promoted = 0.26 if step == 10 else 0.0
    rounds = [0.26 + down + 2 * step + promoted + up, down + 2 * step + promoted + up]
    closed = run.records[run.records["kind"] == "round"]
    assert closed["duration_s"].tolist() == pytest.approx(rounds)
    uploads = run.records[run.records["kind"] == "upload"]
    assert uploads["duration_s"].tolist() == pytest.approx([promoted + up] * 2)
    assert uploads["energy_j"].tolist() == pytest.approx([2 * up] * 2)
    downloads = run.records[run.records["kind"] == "download"]
    assert downloads["energy_j"].tolist() == pytest.approx([down] * 2)

    rows = radio_rows(run)
    tail = min(2 * step, 11.576)
    assert rows[rows["part"] == "tail"]["energy_j"].tolist() == pytest.approx([1.06 * tail] * 2)
    assert rows[rows["part"] == "tail"]["round"].tolist() == [1, 2]
    promotions = rows[rows["part"] == "promotion"]
    assert promotions["round"].tolist() == ([1, 1, 2] if promoted else [1])
    assert promotions["energy_j"].tolist() == pytest.approx([0.26 * 1.2107] * len(promotions))
    assert run.metrics.energy_j == pytest.approx(run.records["energy_j"].sum())


def drawn(records, until):
    """Joules of LTE radios until a time: from the transfers of clients that are never away."""
    joules = 0.0
    transfers = records[records["kind"].isin(["download", "upload"])]
    for _, rows in transfers.groupby("client"):
        last = -math.inf
        for begin, seconds in zip(rows["time_s"], rows["duration_s"], strict=True):
            if begin > until:
                break
            joules += 1.06 * min(begin - last, 11.576) if last > 0 else 0.0
            last, gap = begin + seconds, begin - last
            if last > until:  # under way: its promotion is billed with it
                last = math.inf
                break
            joules += 0.26 * 1.2107 if gap > 11.576 else 0.0
        joules += 1.06 * min(until - last, 11.576) if math.isfinite(last) else 0.0
    return joules


PROTOCOLS = {
    "synchronous": {"kind": "synchronous", "clients_per_round": 3, "rounds": 4},
    "asynchronous": {"kind": "asynchronous", "clients_per_round": 3, "rounds": 24},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("step", ["1 s", "8 s"])
def test_joules_until_an_evaluation_and_until_the_end_are_those_until_then(tiny, protocol, step):
    loaded = tiny(
        fleet__radio="lte",
        fleet__uplink={"rate": "uniform(40 kbit/s, 100 kbit/s)"},
        fleet__seconds_per_step={"laptop": step},
        protocol=PROTOCOLS[protocol],
    )
    run = simulate(loaded)
    ends = run.records["time_s"] + run.records["duration_s"]
    others = run.records["kind"] != "radio"
    seen = 0
    # Of transfers that the end of the run has cut off there are no records.
    cut = protocol == "asynchronous"
    longest = 1 + 8 * 2 * run.facts["adapter_parameters"] / 40e3 if cut else 0.0
    for time, told in zip(run.evaluations["time_s"], run.evaluations["energy_j"], strict=True):
        if time > run.metrics.simulated_s - longest:
            break
        seen += 1
        # What ends at the very moment may be told after it.
        before = ends < time * (1 - 1e-12)
        rest = told - drawn(run.records, time)
        least = run.records["energy_j"][others & before].sum()
        assert least * (1 - 1e-9) <= rest
        assert rest <= run.records["energy_j"][others & (ends <= time)].sum() * (1 + 1e-9)
    assert seen >= 5
    assert run.metrics.energy_j == pytest.approx(run.records["energy_j"].sum())


def test_tails_end_with_the_run(tiny):
    run = simulate(tiny(fleet__radio="lte", fleet__seconds_per_step={"laptop": "1 s"}))
    rows = radio_rows(run)
    last = rows[rows["time_s"] == run.metrics.simulated_s]
    uploads = (
        run.records[run.records["kind"] == "upload"]
        .groupby("client")[["time_s", "duration_s"]]
        .max()
    )
    for _, row in last.iterrows():
        since = run.metrics.simulated_s - uploads.loc[row["client"]].sum()
        assert row["seconds"] <= since + 1e-9
    assert (rows["time_s"] <= run.metrics.simulated_s).all()


def test_a_run_that_is_cut_off_has_the_tail_until_then(tiny):
    steps = {"fleet__seconds_per_step": {"laptop": "10 s"}}
    stop = {"protocol": ONE["protocol"] | {"stop": {"after": "5 s"}}}
    run = simulate(tiny(**ONE | steps | stop))
    down = 0.26 + (4 * run.facts["adapter_parameters"] + FRAME) / 10_000
    assert run.metrics.simulated_s == 5
    (tail,) = radio_rows(run).query("part == 'tail'").itertuples()
    assert (tail.time_s, tail.round, tail.seconds) == pytest.approx((5.0, 1, 5.0 - down))
    joules = down - 0.26 + 0.26 * 1.2107 + 1.06 * (5.0 - down)
    assert run.metrics.energy_j == pytest.approx(joules)


def test_a_last_evaluation_of_no_round_has_the_tail_until_then(tiny):
    stop = {"protocol": ONE["protocol"] | {"rounds": 9, "stop": {"after": "40 s"}}}
    steps = {"fleet__seconds_per_step": {"laptop": "6 s"}}
    run = simulate(tiny(**ONE | steps | stop, evaluation__every=9))
    last = run.evaluations.iloc[-1]
    assert (last["round"], last["time_s"]) == (1, 40)
    assert last["energy_j"] == pytest.approx(run.records["energy_j"].sum())
    assert radio_rows(run)["time_s"].max() == 40


def test_a_client_that_vanishes_while_it_uploads_has_sent_nothing_while_promoted(tiny):
    availability = {"kind": "dropout", "probability": 0.9, "moment": "uploading"}
    run = simulate(
        tiny(
            **ONE | {"fleet__clients": 6, "protocol": ONE["protocol"] | {"rounds": 8}},
            fleet__availability=availability,
            fleet__seconds_per_step={"laptop": "10 s"},
        )
    )
    lost = run.records[run.records["kind"] == "lost"]
    uploads = run.records[run.records["kind"] == "upload"]
    vanished = uploads.merge(lost, on=["client", "round"])
    assert len(vanished) >= 4
    for _, row in vanished.iterrows():
        active = max(0.0, row["duration_s_x"] - 0.26)
        assert row["bytes_x"] == pytest.approx(1000 * active, abs=1)
        assert row["energy_j_x"] == pytest.approx(2 * active)
    rows = radio_rows(run)
    assert rows["seconds"][rows["part"] == "promotion"].max() == pytest.approx(0.26)


def test_a_budget_of_seconds_counts_the_promotion(tiny):
    link = Link(Capacity.constant(1000.0), 0.0)
    assert bytes_within(2.26, link, Fluid(), 0.26) == 2000
    assert bytes_within(0.26, link, Fluid(), 0.26) == 0
    for step, allowed in (("1 s", 20_000), ("10 s", 17_400)):
        run = simulate_models(
            tiny(
                **ONE | {"fleet__uplink": {"rate": "80 kbit/s"}},
                fleet__seconds_per_step={"laptop": step},
                compression={"policy": "fstq", "allocation": "budget", "upload_seconds": "2 s"},
            )
        )
        uploads = run.records[run.records["kind"] == "upload"]
        budgets = [json.loads(details)["budget_bytes"] for details in uploads["details"]]
        assert budgets == [allowed] * 2
        assert uploads["duration_s"].max() <= 2.0


def test_a_time_that_the_promotion_takes_is_refused_at_once(tiny):
    budget = {"policy": "fstq", "allocation": "budget", "upload_seconds": "0.25 s"}
    changes = {"fleet__seconds_per_step": {"laptop": "10 s"}, "compression": budget}
    simulate(tiny(**changes, fleet__radio="wifi"))
    with pytest.raises(ScenarioError, match=r"compression.upload_seconds: found 0.25 s, in which"):
        simulate(tiny(**changes, fleet__radio="lte"))
    deadline = {"kind": "deadline", "clients_per_round": 3, "rounds": 2, "after": "20.2 s"}
    changes = {"fleet__seconds_per_step": {"laptop": "10 s"}, "protocol": deadline}
    fast = {"fleet__uplink": {"rate": "1 Gbit/s", "round_trip": "1 ms"},
            "fleet__downlink": {"rate": "1 Gbit/s", "round_trip": "1 ms"}}  # fmt: skip
    simulate(tiny(**changes, **fast))
    with pytest.raises(ScenarioError, match=r"protocol.after: found 20.2 s, .* 0.2\d* s or more"):
        simulate(tiny(**changes, **fast, fleet__radio="lte"))


@pytest.mark.parametrize("transport", ["tcp", "fluid", "datagram"])
def test_a_radio_that_takes_nothing_changes_nothing(tiny, transport):
    runs = [
        simulate(tiny(fleet__radio=radio, transport={"kind": transport}))
        for radio in ("none", "wifi")
    ]
    assert runs[0].records.equals(runs[1].records)
    assert "radio" not in set(runs[0].records["kind"])


def test_a_tail_is_most_of_what_a_small_payload_costs(tiny):
    run = simulate(tiny(fleet__radio="lte", fleet__seconds_per_step={"laptop": "10 s"}))
    joules = run.records.groupby("kind")["energy_j"].sum()
    assert joules["radio"] > 10 * (joules["upload"] + joules["download"])


def test_an_unknown_radio_is_refused_in_one_line(tiny):
    allowed = "none, wifi, 3g, lte, nr"
    with pytest.raises(ScenarioError, match=rf"fleet.radio: found '6g', allowed are {allowed}$"):
        tiny(fleet__radio="6g")
