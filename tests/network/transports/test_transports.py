import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.network import Arq, Capacity, Datagram, Fluid, Opening, Tcp
from fsim.network.transports.congestion import CONGESTION
from fsim.network.transports.pace import Window
from fsim.network.transports.packet_losses import EvenLosses
from fsim.network.transports.packets import DATAGRAM_PAYLOAD, SEGMENT_PAYLOAD, packets
from fsim.network.transports.transports import TRANSPORTS
from fsim.network.vectorised import CapacityBank, finish_times

MBIT = 1e6 / 8

payloads, times, losses = st.integers(1, 10**7), st.floats(0, 1e3), st.floats(0, 0.9)
trips = st.floats(0.001, 0.5)


@st.composite
def links(draw):
    """Staircases with outages, looped or held."""
    gaps = draw(st.lists(st.floats(0.05, 5), min_size=1, max_size=6))
    rate = st.one_of(st.just(0.0), st.floats(1e3, 1e7))
    rates = draw(st.lists(rate, min_size=len(gaps) - 1, max_size=len(gaps) - 1))
    starts = np.concatenate(([0.0], np.cumsum(gaps)[:-1]))
    past_end = draw(st.sampled_from(["loop", "hold"]))
    rates.append(draw(st.floats(1e3, 1e7)))
    return Capacity(starts, rates, float(np.sum(gaps)), past_end)


@pytest.fixture(params=sorted(TRANSPORTS))
def kind(request):
    return request.param


FORMULA = {30_000: 0.246, 100_000: 0.343, 300_000: 0.514, 1_000_000: 0.804, 3_000_000: 1.633}
"""Payload -> seconds from connecting to the last acknowledgement at 20 Mbit/s and 80 ms, by the
slow-start formula worked out independently of this project."""


def test_fluid_is_payload_over_capacity():
    assert Fluid().finish_time(Capacity.constant(20 * MBIT), 153_600_000, 0, 0.08) == 61.44


@pytest.mark.parametrize(("size", "seconds"), FORMULA.items())
def test_tcp_follows_the_slow_start_formula(size, seconds):
    finish = Tcp().finish_time(Capacity.constant(20 * MBIT), size, 0, 0.08)
    assert finish + 0.04 == pytest.approx(seconds, abs=0.0011)


def test_tcp_at_a_lower_rate():
    # 5 MB over 4 Mbit/s, 40 ms round trip: measured 10.44 s (CUBIC).
    finish = Tcp().finish_time(Capacity.constant(4 * MBIT), 5_000_000, 0, 0.04)
    assert finish == pytest.approx(10.44, rel=0.02)


def test_tcp_by_hand():
    # 14480 bytes are 10 segments: handshake, one flight at 1 Mbit/s (0.12 s), half a round trip.
    link = Capacity.constant(MBIT)
    assert Tcp().finish_time(link, 14_480, 1.0, 0.1) == pytest.approx(1.27)
    assert Tcp().finish_time(link, 14_480, 1.0, 0.1, Opening(Window(15e3))) == pytest.approx(1.17)
    assert Tcp().finish_time(link, 14_480, 1.0, 0.1, Opening(fetched=True)) == pytest.approx(1.32)
    for version, seconds in (("1.3", 1.37), ("1.2", 1.47)):
        assert Tcp(tls=version).finish_time(link, 14_480, 1.0, 0.1) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connection": "often"}, "connection: found 'often', allowed are persistent, fresh"),
        ({"tls": "1.1"}, "tls: found '1.1', allowed are none, 1.3, 1.2"),
        ({"resumption": "session"},
         "resumption: found 'session' and tls: none, allowed are none"),
        ({"resumption": "0-rtt", "tls": "1.2"},
         "resumption: found '0-rtt' and tls: 1.2, allowed are none, session"),
        ({"framing": -1.0}, "framing: found -1 B, allowed is 0 B or more"),
        ({"framing_factor": 0.9}, "framing_factor: found 0.9, allowed is 1 to 100"),
    ],
)  # fmt: skip
def test_options_of_connections_that_cannot_be(options, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        Tcp(**options)
    assert str(caught.value) == message


def test_what_an_application_puts_around_a_payload_is_sent_with_it():
    plain, framed = Tcp(), Tcp(framing=480.0, framing_factor=4 / 3)
    assert framed.wire_bytes(1500) == pytest.approx(plain.wire_bytes(2480))
    link = Capacity.constant(MBIT)
    finish = framed.finish_time(link, 1500, 0, 0.1)
    assert finish == pytest.approx(plain.finish_time(link, 2480, 0, 0.1))
    # A byte of the payload is there once the frame's own and four thirds of it are.
    assert framed.payload(plain.wire_bytes(480)) == 0
    assert framed.payload(plain.wire_bytes(480 + 400) + 1e-6) == 300
    assert framed.sent_by(link, 1500, 0, finish, 0.1) == 1500
    bank = CapacityBank([link], np.array([0]))
    assert finish_times(framed, bank, [0], [1500], [0], [0.1]).all_end().tolist() == [finish]


def test_tcp_waits_out_an_outage_in_slow_start():
    # 20 Mbit/s fails from 0.1 s to 10 s: the first flight leaves at 0.08 s and is held up.
    capacity = Capacity([0, 0.1, 10], [20 * MBIT, 0, 20 * MBIT])
    finish = Tcp().finish_time(capacity, 1_000_000, 0, 0.08)
    assert 10.3 < finish < 10.9


@given(st.integers(1, 10**7), st.floats(1e4, 1e8), st.floats(1, 20), st.floats(0.001, 0.5))
def test_tcp_more_capacity_never_finishes_later(size, rate, factor, round_trip):
    slow = Tcp().finish_time(Capacity.constant(rate), size, 0, round_trip)
    fast = Tcp().finish_time(Capacity.constant(rate * factor), size, 0, round_trip)
    assert fast <= slow * (1 + 1e-12)


@given(st.integers(1, 10**7), st.integers(1, 10**6), st.floats(1e4, 1e8))
def test_tcp_more_bytes_never_finish_sooner(size, more, rate):
    capacity = Capacity.constant(rate)
    assert Tcp().finish_time(capacity, size, 0, 0.05) <= Tcp().finish_time(
        capacity, size + more, 0, 0.05
    )


@given(st.integers(1, 10**7), st.floats(1e4, 1e8), st.floats(0, 0.5))
def test_tcp_is_never_faster_than_fluid(size, rate, round_trip):
    capacity = Capacity.constant(rate)
    fluid = Fluid().finish_time(capacity, size, 0, round_trip)
    assert Tcp().finish_time(capacity, size, 0, round_trip) >= fluid


def test_5_mb_at_80_ms_against_measured_sockets():
    # 5 MB over 4 Mbit/s, 80 ms round trip: measured 10.56 s (CUBIC), 10.85 s (BBR).
    finish = Tcp().finish_time(Capacity.constant(4 * MBIT), 5_000_000, 0, 0.08)
    assert finish == pytest.approx(10.56, rel=0.05)


def test_packets_by_hand():
    assert (SEGMENT_PAYLOAD, DATAGRAM_PAYLOAD) == (1448, 1472)
    assert [packets(size) for size in (0, 1, 1472, 1473, 2944)] == [0, 1, 1, 2, 2]


def test_every_kind_answers_the_same_question(kind):
    capacity, rng = Capacity.constant(MBIT), np.random.default_rng(0)
    transport = TRANSPORTS[kind]()
    pace = transport.pace(144_800, 0.1)
    finish = transport.finish_time(capacity, 144_800, 2.0, 0.1)
    assert pace.wire / pace.share == pytest.approx(transport.wire_bytes(144_800))
    assert transport.sent_by(capacity, 144_800, 2.0, finish, 0.1) == 144_800
    assert transport.payload(pace.wire / 2) <= 72_400
    assert finish >= 2.0 + pace.setup + pace.wire / MBIT + pace.closing
    assert (transport.lost(144_800, rng) is None) == (kind != "datagram")
    bank = CapacityBank([capacity], np.array([0]))
    many = finish_times(transport, bank, [0], [144_800], [2.0], [0.1])
    assert many.all_end().tolist() == [finish]


def test_what_the_link_carries_by_hand():
    # 100 full segments of 1500 bytes; 99 datagrams of 28 bytes more each.
    assert Fluid().wire_bytes(144_800) == 144_800
    assert Tcp().wire_bytes(144_800) == 150_000
    assert Arq(0.2).wire_bytes(144_800) == Tcp(0.2).wire_bytes(144_800) == 187_500
    assert Datagram(0.2).wire_bytes(144_800) == 144_800 + 99 * 28


def test_arq_is_tcp_on_what_loss_leaves_of_the_link():
    # 10 MB on 16 Mbit/s: ramp-up apart 10e6 * 8 * 1500 / 1448 / 16e6 = 5.18 s.
    finish = Arq(0.2).finish_time(Capacity.constant(20 * MBIT), 10_000_000, 0, 0.08)
    tcp = Tcp().finish_time(Capacity.constant(16 * MBIT), 10_000_000, 0, 0.08)
    assert finish == pytest.approx(tcp, rel=1e-12)
    assert 5.18 < finish < 5.18 + 6 * 0.08


@pytest.mark.parametrize("loss", [0.001, 0.01, 0.02])
def test_a_long_transfer_of_reno_has_the_rate_of_mathis(loss):
    # Segment / (round trip x sqrt(2 loss / 3)): Mathis et al., 1997, eq. 3, for losses that are
    # evenly apart. A window of whole segments, and a flight that counts whole in which one falls,
    # make it somewhat less.
    seconds = [
        Tcp(loss, "even", congestion="reno").finish_time(
            Capacity.constant(200 * MBIT), size, 0, 0.08
        )
        for size in (50_000_000, 150_000_000)
    ]
    rate = 100_000_000 / (seconds[1] - seconds[0])
    assert 0.85 < rate / (1448 / (0.08 * math.sqrt(2 * loss / 3))) < 1


def test_a_loss_costs_a_round_trip_and_half_the_window():
    # 100 segments, each 30th lost. Handshake 1; flights of 10 and of 20, its last being number 30,
    # counting the handshake's first as number 0. What was half of 20 goes on: 10 with the one that
    # was lost, then 11, 12, 13 ending at number 75 with number 60 lost (71 of 100 arrived), ...
    tcp = Tcp(1 / 30, "even", congestion="reno")
    finish = tcp.finish_time(Capacity.constant(1e9), 144_800, 0, 0.1)
    # Sent 10 20 10 11 12: 63 and two lost, 61 arrived; half of 12 is 6: 6 7 8 9 (94, number 90
    # lost): 90 arrived; 4, 5: 99; and 1.
    assert finish == pytest.approx(0.1 + 11 * 0.1 + 0.05, abs=1e-3)


def test_the_last_packet_of_all_is_missed_by_a_timer():
    # 10 packets after the handshake's, the tenth lost: a probe after two round trips.
    tcp = Tcp(1 / 11, "even")
    finish = tcp.finish_time(Capacity.constant(1e9), 14_480, 0, 0.1)
    assert finish == pytest.approx(0.1 + 0.2 + 0.05, abs=1e-3)
    # One packet by itself: the least retransmission timeout besides.
    tcp = Tcp(1 / 2, "even")
    finish = tcp.finish_time(Capacity.constant(1e9), 1448, 0, 0.1)
    assert finish == pytest.approx(0.1 + 0.1 + 0.3 + 0.05, abs=1e-3)


def test_the_first_packet_of_a_connection_is_sent_again_after_a_second():
    class Lost(EvenLosses):
        def before(self, end):
            return min(end, 2)

    opening = Opening(losses=Lost(0.5))
    pace = Tcp(0.5).pace(1448, 0.1, opening)
    # After 1 and after 2 more; the third arrives, and the payload's packets are counted from there.
    assert (pace.setup, pace.first) == (pytest.approx(3.1), 3)
    kept = Tcp(0.5).pace(1448, 0.1, opening._replace(window=Window(15_000.0)))
    assert (kept.setup, kept.first) == (0, 0)


def test_bbr_does_not_yield():
    # 1% of 20 Mbit/s: CUBIC keeps a tenth of the link, BBR nearly all.
    link = Capacity.constant(20 * MBIT)
    cubic, bbr = (
        Tcp(0.01, "even", congestion=name).finish_time(link, 10_000_000, 0, 0.08)
        for name in ("cubic", "bbr")
    )
    alone = Tcp().finish_time(link, 10_000_000, 0, 0.08)
    assert alone * 1.01 < bbr < alone * 1.1
    assert cubic > 5 * alone


def test_drawn_losses_differ_and_even_ones_do_not():
    link = Capacity.constant(20 * MBIT)

    def finish(tcp, seed):
        losses = tcp.draw_losses(lambda number: np.random.default_rng([seed, number]))
        return tcp.finish_time(link, 500_000, 0, 0.08, Opening(losses=losses))

    assert len({finish(Tcp(0.01), seed) for seed in range(20)}) > 10
    assert len({finish(Tcp(0.01, "even"), seed) for seed in range(20)}) == 1
    assert finish(Tcp(0.01), 3) == finish(Tcp(0.01), 3)


def test_datagrams_by_hand():
    # 3 packets, 3000 + 84 bytes at 1 MB/s, and half of 100 ms.
    finish = Datagram().finish_time(Capacity.constant(1e6), 3000, 1.0, 0.1)
    assert finish == pytest.approx(1.0 + 0.003084 + 0.05)
    assert Datagram().wire_bytes(3000) == 3084
    assert Datagram().lost(3000, np.random.default_rng(0)).tolist() == [False] * 3


def test_a_fifth_of_the_datagrams_is_lost():
    size = 50_000 * DATAGRAM_PAYLOAD
    none, some, more = (
        Datagram(loss).lost(size, np.random.default_rng(5)) for loss in (0.0, 0.1, 0.2)
    )
    assert not none.any()
    # 4 standard errors.
    assert more.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 50_000))
    assert some.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / 50_000))
    # The same draws: what is lost at 10% is lost at 20% as well.
    assert np.all(more[some])
    # One by one, not in bursts: a lost packet says nothing of the next one.
    pairs = np.mean(more[1:] & more[:-1])
    assert pairs == pytest.approx(0.04, abs=4 * np.sqrt(0.04 * 0.96 / 50_000) * 1.5)


@pytest.mark.parametrize("kind", [Arq, Tcp, Datagram])
@pytest.mark.parametrize("loss", [-0.1, 1, 1.5, float("nan")])
def test_not_a_loss(kind, loss):
    with pytest.raises(ValueError, match=r"loss: found .*, allowed is"):
        kind(loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": "mean"}, "losses: found 'mean', allowed are drawn, even"),
        ({"congestion": "vegas"}, "congestion: found 'vegas', allowed are cubic, reno, bbr"),
    ],
)
def test_not_an_option(options, message):
    with pytest.raises(ValueError, match=message):
        Tcp(0.1, **options)


@given(payloads, links(), times, trips)
def test_no_loss_is_lossless(size, capacity, start, round_trip):
    expected = Tcp().finish_time(capacity, size, start, round_trip)
    assert Arq().finish_time(capacity, size, start, round_trip) == expected
    assert Tcp(0.0, "even").finish_time(capacity, size, start, round_trip) == expected


@given(payloads, links(), times, trips, losses)
def test_arq_is_tcp_on_less(size, capacity, start, round_trip, loss):
    size = min(size, 10**5)
    found = Arq(loss).finish_time(capacity, size, start, round_trip)
    assert found == Tcp().finish_time(capacity.scaled(1 - loss), size, start, round_trip)


@given(payloads, st.floats(1e3, 1e7), trips, losses, st.sampled_from(sorted(CONGESTION)))
def test_losses_are_never_faster_than_none(size, rate, round_trip, loss, name):
    size, capacity = min(size, 10**6), Capacity.constant(rate)
    lossy = Tcp(loss, "even", congestion=name).finish_time(capacity, size, 0, round_trip)
    tcp = Tcp(congestion=name).finish_time(capacity, size, 0, round_trip)
    assert lossy >= tcp - 1e-9 * tcp


@given(payloads, st.floats(1e4, 1e8), trips, losses, st.floats(0, 1))
def test_more_loss_never_finishes_sooner(size, rate, round_trip, loss, share):
    capacity = Capacity.constant(rate)
    for kind in (Arq,):
        more = kind(loss).finish_time(capacity, size, 0, round_trip)
        less = kind(loss * share).finish_time(capacity, size, 0, round_trip)
        assert less <= more * (1 + 1e-12)


@given(payloads, links(), times, trips, st.sampled_from(sorted(TRANSPORTS)), st.floats(0, 1))
def test_what_is_sent_by_a_time_grows_up_to_all_of_it(
    size, capacity, start, round_trip, kind, share
):
    transport = TRANSPORTS[kind]()
    finish = transport.finish_time(capacity, size, start, round_trip)
    ask = lambda until: transport.sent_by(capacity, size, start, until, round_trip)  # noqa: E731
    assert ask(start) == 0
    middle = start + share * (finish - start)
    assert 0 <= ask(middle) <= ask(finish) <= size
    # A byte or a packet may be short where rounding ends a transfer at the very time asked for.
    assert ask(finish) >= size - DATAGRAM_PAYLOAD
    # Never more than the link has delivered.
    assert transport.wire_bytes(ask(middle)) <= capacity.bytes_between(start, middle) + 29
