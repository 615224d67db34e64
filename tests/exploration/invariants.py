"""What must hold of every run, whatever the scenario: one function each, by its name."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, get_args

import numpy as np

from fsim.compression import EncodingContext, make_policy
from fsim.core.errors import TraceError
from fsim.core.types import Update
from fsim.fleet import Link
from fsim.network.transports.interruption import Rule
from fsim.records import SERVER, Kind
from fsim.server.aggregation import WeightedMean, make_aggregation
from fsim.server.optimizers import FedAvg, make_optimizer
from fsim.server.protocols.deadline import Deadline
from fsim.server.protocols.tiered import Tiered
from fsim.simulation.losses import LEAST_PATIENCE
from fsim.simulation.reasons import Trouble
from tests.exploration.learner import STEP, Learning, tag_of, tags_in
from tests.exploration.running import Book
from tests.exploration.watching import ENOUGH, MOST_ASKINGS, Use

Check = Callable[[Book], Iterator[str]]

INVARIANTS: dict[str, Check] = {}
"""Name -> what yields a line for everything that does not hold of a book."""

TRANSFERS = (Kind.DOWNLOAD, Kind.UPLOAD)
ROUNDING = 1e-9
"""Of seconds, relative to the time at which they are told."""


def invariant(check: Check) -> Check:
    """Register a check under its name."""
    INVARIANTS[check.__name__.replace("_", "-")] = check
    return check


def broken(book: Book) -> dict[str, str]:
    """Name of each invariant that does not hold -> the first thing that shows it."""
    found = {name: next(check(book), None) for name, check in INVARIANTS.items()}
    return {name: text for name, text in found.items() if text is not None}


@invariant
def bytes_are_conserved(book: Book) -> Iterator[str]:
    """Sent = received + lost + discarded, in all and of each client, however the run ended."""
    signs = {Kind.UPLOAD: 1, Kind.RECEIVE: -1, Kind.LOST: -1, Kind.DISCARDED: -1}
    left: Counter[int] = Counter()
    for row in book.rows:
        left[row.client] += signs.get(Kind(row.kind), 0) * row.bytes
    for client, size in left.items():
        if size:
            yield f"client {client}: {size} bytes sent of which nothing is told"


@invariant
def books_balance(book: Book) -> Iterator[str]:
    """Everyone who was asked is accounted for, as the world has it and as it was seen."""
    told, seen = book.accounts, book.seen
    ends = told.aggregated + told.late + told.rejected + told.dropped + told.unfinished
    if told.selected != ends or min(vars(told).values()) < 0:
        yield f"{told} do not balance"
    used = [use for use in seen.uses if use.how != "set_aside"]
    aside = [n for use in seen.uses if use.how == "set_aside" for n in use.askings]
    expected = {
        "selected": len(seen.askings),
        "aggregated": sum(use.aggregated for use in used),
        "late": sum(seen.askings[number].readable for number in aside),
    }
    for name, number in expected.items():
        if getattr(told, name) != number:
            yield f"{name}: the books have {getattr(told, name)}, seen were {number}"
    # What ends at the very moment of the run's end may be told as either.
    lost = sum(each.answered_s is not None and each.arrival is None for each in seen.askings)
    if not lost <= told.dropped <= lost + sum(each.answered_s is None for each in seen.askings):
        yield f"dropped: the books have {told.dropped}, seen were {lost}"


@invariant
def books_are_those_of_the_records(book: Book) -> Iterator[str]:
    """A row for each that was late, and no fewer for those lost and rejected than books have."""
    told, rows = book.accounts, Counter(row.kind for row in book.rows)
    if rows[Kind.LATE] != told.late:
        yield f"{rows[Kind.LATE]} records of late updates, the books have {told.late}"
    for kind, number in ((Kind.LOST, told.dropped), (Kind.REJECTED, told.rejected)):
        if not number <= rows[kind] <= number + told.unfinished:
            yield f"{rows[kind]} records of {kind}, the books have {number}"
    rounds = rows[Kind.ROUND]
    if rounds != book.version:
        yield f"{rounds} rounds recorded, the adapter's version is {book.version}"


@invariant
def nothing_is_negative(book: Book) -> Iterator[str]:
    """No duration, size or energy, and none that is no number."""
    for row in book.rows:
        for name in ("time_s", "duration_s", "bytes", "energy_j"):
            if not 0 <= getattr(row, name) < math.inf:
                yield f"{name} of {row}"


@invariant
def time_goes_on(book: Book) -> Iterator[str]:
    """Records are of the order in which they were made, evaluations too, none after the end."""
    ends = [row.time_s + row.duration_s for row in book.rows]
    for (row, end), (after, later) in pairwise(zip(book.rows, ends, strict=True)):
        if later < end - _slack(end):
            yield f"{after} was recorded after {row}"
    for end in ends:
        if end > book.ended_s + _slack(end):
            yield f"a record ends at {end} s, the run at {book.ended_s} s"
    times = book.evaluations["time_s"].tolist()
    if any(later < time for time, later in pairwise(times)):
        yield f"evaluations at {times}"


@invariant
def evaluations_add_up(book: Book) -> Iterator[str]:
    """Totals never fall, and are those of the records at the last evaluation."""
    table = book.evaluations
    for name in ("uplink_bytes", "downlink_bytes", "energy_j"):
        values = table[name].tolist()
        if any(later < value for value, later in pairwise(values)):
            yield f"{name}: {values}"
    last = table.iloc[-1]
    for name, kind in (("uplink_bytes", Kind.UPLOAD), ("downlink_bytes", Kind.DOWNLOAD)):
        rows = [row for row in book.rows if row.kind == kind]
        before = sum(r.bytes for r in rows if r.time_s + r.duration_s < last["time_s"] * 0.999999)
        if not before <= last[name] <= sum(row.bytes for row in rows):
            yield f"{name}: {last[name]} at {last['time_s']} s"


@invariant
def one_thing_at_a_time(book: Book) -> Iterator[str]:
    """No client is asked while it is at work, nor does two things at once."""
    for asking in book.seen.askings:
        if asking.at_work:
            yield f"client {asking.client} was asked at {asking.asked_s} s while at work"
    until: dict[int, float] = {}
    for row in book.rows:
        if row.client != SERVER and row.duration_s:
            if row.time_s < until.get(row.client, 0.0) - _slack(row.time_s + row.duration_s):
                yield f"{row} began before {until[row.client]} s"
            until[row.client] = row.time_s + row.duration_s


@invariant
def selections_are_allowed(book: Book) -> Iterator[str]:
    """Different clients, no more than wanted, none at work, none away unless all may be asked."""
    for time, count, chosen, busy in book.seen.chosen:
        if len(set(chosen)) != len(chosen) or len(chosen) > count or busy:
            yield f"{chosen} chosen at {time} s where {count} were wanted, at work were {busy}"
    if book.scenario.protocol.ask == "available":
        for asking in book.seen.askings:
            if not asking.was_there:
                yield f"client {asking.client} was asked at {asking.asked_s} s and was away"


@invariant
def bytes_take_their_time(book: Book) -> Iterator[str]:
    """No transfer is faster than its links, no training than its device.

    Slow start and what a vanishing client sends are of the client's own link alone: shared links
    are looked at where there is neither.
    """
    scenario = book.scenario
    alone = scenario.transport.kind in ("fluid", "datagram")
    alone &= scenario.fleet.availability.kind != "dropout"
    for row in book.rows:
        if row.client == SERVER:
            continue
        profile = book.world.people[row.client]
        if row.kind in TRANSFERS and not (row.details and json.loads(row.details).get("duplicate")):
            up = row.kind == Kind.UPLOAD
            link = profile.uplink if up else profile.downlink
            most, highest = _most_bytes(link, row.time_s, row.duration_s), _highest(link)
            slack = _slack(row.time_s + row.duration_s)
            if alone:
                most = min([most, *(book.shared[up][at] * row.duration_s for at in link.path)])
            if row.bytes > most * (1 + ROUNDING) + highest * slack + 1:
                yield f"{row}, over links that could carry {most:.9g} bytes"
        if row.kind == Kind.COMPUTE and row.details:
            least = _compute_seconds(book, row.client)
            if row.duration_s < least * (1 - ROUNDING) - _slack(row.time_s + row.duration_s):
                yield f"{row}, of work that takes {least} s"


@invariant
def radios_draw_what_they_take(book: Book) -> Iterator[str]:
    """Promotions and tails are those of the gaps between a client's transfers, as long as told.

    A transfer that the run's end has cut off leaves no record: tails may then be shorter.
    """
    billed: defaultdict[int, float] = defaultdict(float)
    uses: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for row in book.rows:
        if row.kind == Kind.RADIO:
            billed[row.client] += row.energy_j
        if row.kind in TRANSFERS and '"duplicate"' not in row.details:
            uses[row.client].append((row.time_s, row.time_s + row.duration_s))
    cut = {asking.client for asking in book.seen.askings if asking.answered_s is None}
    for client, spans in uses.items():
        profile = book.world.people[client]
        radio, last, joules = profile.radio, -math.inf, 0.0
        for begin, end in spans:
            for window in profile.availability.windows(begin):
                if window.begin >= end:
                    break
                gap, until = max(0.0, window.begin - last), min(window.end, end)
                seconds = min(radio.promotion_after(gap), until - window.begin)
                joules += radio.promotion_energy(seconds)
                joules += radio.tail_energy(gap) if math.isfinite(gap) else 0.0
                last = until
        least = joules
        if math.isfinite(last):
            joules += radio.tail_energy(max(0.0, book.ended_s - last))
        slack = (_slack(book.ended_s) * len(spans) + ROUNDING) * 10
        if not (least if client in cut else joules) - slack <= billed[client] <= joules + slack:
            yield f"the radio of client {client} drew {billed[client]} J, {joules} J are its own"


@invariant
def answers_take_their_time(book: Book) -> Iterator[str]:
    """Nobody answers sooner than download, training and upload take at the highest rates."""
    rows = defaultdict(list)
    for row in book.rows:
        rows[row.client].append(row)
    for asking in book.seen.askings:
        if asking.arrival is None or asking.answered_s is None:
            continue
        seconds = asking.answered_s - asking.asked_s
        if abs(seconds - asking.arrival.seconds) > _slack(asking.answered_s):
            yield f"{seconds} s from being asked to the answer, told were {asking.arrival.seconds}"
        least = _compute_seconds(book, asking.client)
        profile = book.world.people[asking.client]
        slack = _slack(asking.answered_s)
        for kind, link in ((Kind.DOWNLOAD, profile.downlink), (Kind.UPLOAD, profile.uplink)):
            sizes = [
                row.bytes
                for row in rows[asking.client]
                if row.kind == kind
                and row.time_s >= asking.asked_s - slack
                and row.time_s + row.duration_s <= asking.answered_s + slack
                and row.round == asking.round_number
                and '"duplicate"' not in row.details
            ]
            if not sizes and kind == Kind.UPLOAD and asking.arrival.update is None:
                continue  # it has said that it has none to send
            if not sizes:
                yield f"client {asking.client} answered at {asking.answered_s} s without a {kind}"
            else:
                # Others of this client may touch the very moments at both ends.
                least += max(0, min(sizes) - 1) / _highest(link) if _highest(link) else math.inf
        if seconds < least * (1 - ROUNDING) - slack:
            yield f"client {asking.client} answered in {seconds} s, at least {least} s are needed"


@invariant
def losses_are_noticed_in_time(book: Book) -> Iterator[str]:
    """A reset at once, silence after a timeout and no later than a keepalive tells of it."""
    keepalive = book.scenario.protocol.keepalive
    for row in book.rows:
        if row.kind != Kind.LOST or "notice" not in (told := json.loads(row.details)):
            continue
        way = book.world.people[row.client].uplink.round_trip / 2
        least, most = way, 2 * way
        if told["notice"] == "silent":
            least, most = keepalive.timeout - way, keepalive.time + keepalive.timeout + way
        most += sum(crash.down for crash in book.scenario.server.crashes) + LEAST_PATIENCE
        slack = _slack(row.time_s + row.duration_s)
        if not least - slack <= row.duration_s <= most + slack:
            yield f"{row}, allowed are {least} to {most} s"


@invariant
def only_what_is_aggregated_moves_the_adapter(book: Book) -> Iterator[str]:
    """Every update is used once at most, and nothing else moves the adapter."""
    used: Counter[int] = Counter(number for use in book.seen.uses for number in use.askings)
    for number, times in used.items():
        if times > 1:
            yield f"asking {number} was used {times} times"
    moves = [use for use in book.seen.uses if use.how != "set_aside"]
    for use, after in pairwise(book.seen.uses):
        if not _same(use.after, after.before):
            yield f"the adapter moved between {use.time_s} s and {after.time_s} s"
    if book.seen.uses and not _same(book.seen.uses[-1].after, book.adapter):
        yield "the adapter moved after its last update"
    for use in book.seen.uses:
        readable = sum(book.seen.askings[number].readable for number in use.askings)
        if use.aggregated > (readable if use.how != "set_aside" else 0):
            yield f"{use.aggregated} updates aggregated of {readable} that could be"
        if not use.aggregated and not _same(use.before, use.after):
            yield f"the adapter moved at {use.time_s} s by nobody's update"
    if book.case.learning.tagged:
        yield from _tags_tell(book, moves)


def _tags_tell(book: Book, moves: list[Use]) -> Iterator[str]:
    """What the adapter itself says of who moved it."""
    # Of an update in packets a part may be missing.
    in_packets = book.scenario.transport.kind == "datagram"
    protocol = book.scenario.protocol.make()
    # A step is of the updates of its own round alone.
    linear = (
        isinstance(book.scenario.server.optimizer.make(make_optimizer), FedAvg)
        and not isinstance(protocol, Tiered)
        and getattr(protocol, "mixing", None) is None
        and book.scenario.server.correction.name != "feddyn"
    )
    mean = isinstance(book.scenario.server.aggregation.make(make_aggregation), WeightedMean)
    screened: Counter[tuple[float, int]] = Counter(
        (row.time_s, row.client) for row in book.rows if row.kind == Kind.REJECTED
    )
    entered: set[int] = set()
    for use in moves:
        now: dict[int, list[int]] = defaultdict(list)
        for number in use.askings:
            if book.seen.askings[number].readable:
                now[book.seen.askings[number].client].append(number)
        unread = Counter(
            book.seen.askings[n].client for n in use.askings if not book.seen.askings[n].readable
        )
        sure = {c for c in now if not screened[use.time_s, c] - unread[c] > 0}
        possible = {c for c, n in now.items() if screened[use.time_s, c] < len(n) + unread[c]}
        entered |= possible
        _, marks = tags_in(use.after)
        for client in np.flatnonzero(marks).tolist():
            if client not in entered:
                yield f"at {use.time_s} s the adapter has a part of client {client}"
        if not linear:
            continue
        ones, others = _step_of(use)
        precision = (
            8
            * np.finfo(np.float32).eps
            * max(
                float(np.abs(array).max()) for array in (*use.after.values(), *use.before.values())
            )
        )
        for client, (tagged, one) in enumerate(zip(ones.tolist(), others.tolist(), strict=True)):
            if abs(one) <= precision * 100:
                if mean and client in sure and precision < 1e-5 and one == 0 and not in_packets:
                    yield f"at {use.time_s} s the update of client {client} is not in the adapter"
                continue
            if client not in possible:
                yield f"at {use.time_s} s the adapter moved by client {client}, who sent nothing"
                continue
            tags = [tag_of(number) for number in now[client]]
            ratio, error = tagged / one, 2 * precision / abs(one)
            if error < STEP / 4 and not min(tags) - error <= ratio <= max(tags) + error:
                yield f"at {use.time_s} s the adapter has a tag of {ratio} of client {client}"


def _step_of(use: Use) -> tuple[Any, Any]:
    after, before = tags_in(use.after), tags_in(use.before)
    return tuple(a.astype(np.float64) - b for a, b in zip(after, before, strict=True))  # type: ignore[return-value]


@invariant
def rounds_are_closed_by_their_rule(book: Book) -> Iterator[str]:
    """No update of another round where there may be none, none after a deadline, none unborn."""
    scenario = book.scenario
    protocol = scenario.protocol.make()
    for use in book.seen.uses:
        if use.how == "set_aside":
            continue
        for number in use.askings:
            asking = book.seen.askings[number]
            arrival = asking.arrival
            assert arrival is not None
            if not 0 <= arrival.version <= use.version:
                yield f"an update of version {arrival.version} in version {use.version}"
            if protocol.in_its_round and asking.round_number != use.version + 1:
                yield f"an update of round {asking.round_number} in round {use.version + 1}"
            if (
                isinstance(protocol, Deadline)
                and protocol.quantile is None
                and protocol.late == "discard"
                and protocol.after is not None
                and not scenario.failures.clock_skew
                and arrival.seconds > protocol.after + _slack(use.time_s)
            ):
                yield f"an update of {arrival.seconds} s, the deadline is {protocol.after} s"


@invariant
def runs_end_where_they_should(book: Book) -> Iterator[str]:
    """After all rounds, or where a stopping rule is met and not a round later."""
    stop, rounds = book.scenario.protocol.stop, book.scenario.protocol.rounds
    if book.version > rounds:
        yield f"{book.version} rounds of {rounds}"
    closed = [use for use in book.seen.uses if use.how != "set_aside"]
    uploads = [
        (row.time_s + row.duration_s, row.bytes) for row in book.rows if row.kind == "upload"
    ]
    for at, use in enumerate(closed):
        sent = sum(size for end, size in uploads if end < use.time_s * (1 - ROUNDING))
        if stop.uplink is not None and sent >= stop.uplink and at + 1 < len(closed):
            yield f"the run went on after {use.time_s} s, its rule was met"
            break
    if stop.after is not None and book.ended_s > stop.after:
        yield f"the run ended at {book.ended_s} s, it was to at {stop.after} s"
    if book.failure is None and book.version < rounds and book.ended_s != stop.after:
        sent = sum(size for _, size in uploads)
        if not (stop.at_target or (stop.uplink is not None and sent >= stop.uplink)):
            yield f"{book.version} rounds of {rounds} at {book.ended_s} s, and no reason told"


@invariant
def time_without_an_update_is_limited(book: Book) -> Iterator[str]:
    """An update enters in time, or the run fails at that moment; meanwhile time does not stand."""
    patience = book.scenario.protocol.stop.without_update
    moved = [0.0, *(use.time_s for use in book.seen.uses if use.aggregated)]
    for time, then in pairwise([*moved, book.ended_s]):
        if then - time > patience + _slack(then):
            yield f"no update entered from {time} s to {then} s, allowed are {patience} s"
    waited = book.ended_s - moved[-1]
    if NO_UPDATE in (book.failure or "") and waited < patience - 1e-6 - _slack(book.ended_s):
        yield f"given up after {waited} s without an update, allowed are {patience} s"
    asked = Counter((each.client, each.asked_s) for each in book.seen.askings)
    for (client, time), times in asked.items():
        if times > 1:
            yield f"client {client} was asked {times} times at {time} s"


NO_UPDATE = "no update has entered the global adapter for"

FAILURES: dict[str, Callable[[Book], bool]] = {
    NO_UPDATE: lambda book: True,
    "none will ever be available again": lambda book: _never_back(book),
    "nobody is left who could ever answer": lambda book: _dead(book) < book.ended_s,
    "cannot be sent (server.downlink_policy: ": lambda book: not _can_be_sent(book),
    "past_end: loop or hold would say": lambda book: _ends_for_it(book),
    ENOUGH: lambda book: len(book.seen.askings) == MOST_ASKINGS,
}
"""What runs fail by -> whether one could; all else is a fault, a global adapter that is not finite
among it: updates that could make it so are refused."""


@invariant
def failures_say_why(book: Book) -> Iterator[str]:
    """A run that fails says in one line why, and it is so."""
    if book.failure is None:
        return
    if not book.failure.strip() or "\n" in book.failure:
        yield f"the failure is told as {book.failure!r}"
    told = [could for text, could in FAILURES.items() if text in book.failure]
    if len(told) != 1 or not told[0](book):
        yield f"no run of this scenario may fail so: {book.failure}"


def _links(book: Book, what: str) -> list[Any]:
    fleet = book.scenario.fleet
    return [getattr(link, what) for link in (fleet.uplink, fleet.downlink) if link.trace]


def _ends_for_it(book: Book) -> bool:
    """Whether the client that is named has a link of which no more is known after that time."""
    named = re.search(r"client (\d+), round \d+: .*known for (\S+) s and", book.failure or "")
    if named is None or "error" not in _links(book, "past_end"):
        return False
    profile = book.world.people[int(named[1])]
    ends = [
        link.capacity.staircase.duration - link.capacity.offset
        for link in (profile.uplink, profile.downlink)
    ]
    return named[2] in [f"{end:g}" for end in ends]


def _dead(book: Book) -> float:
    """When the last uplink carries its last byte, seconds."""
    people = book.world.people
    return max(people[client].uplink.capacity.dies_at for client in range(len(people)))


def _never_back(book: Book) -> bool:
    """Whether none of those who have nothing to do comes back; of a tier, whether one does not."""
    people, now = book.world.people, book.ended_s
    gone = [math.isinf(people[c].availability.next_available(now)) for c in range(len(people))]
    return any(gone) if book.scenario.protocol.kind == "tiered" else all(gone)


def _can_be_sent(book: Book) -> bool:
    server = book.scenario.server
    policy = server.downlink_policy.make(make_policy)
    if server.downlink == "delta":  # whose, is not known here
        return policy.name == "float32"
    try:
        policy.encode(book.adapter, EncodingContext(np.random.default_rng(0)))
    except ValueError:
        return False
    return True


CAUSES: dict[Trouble, Callable[[Book], bool]] = {
    Trouble.DROPPED_OUT: lambda book: book.scenario.fleet.availability.kind == "dropout",
    Trouble.LEFT_DOWNLOADING: lambda book: _goes_away(book, "lost"),
    Trouble.LEFT_COMPUTING: lambda book: _goes_away(book, *get_args(Rule)),
    Trouble.LEFT_UPLOADING: lambda book: _goes_away(book, "lost"),
    Trouble.DOWNLOAD_NEVER_ENDS: lambda book: _stays_away(book),
    Trouble.UPLOAD_NEVER_ENDS: lambda book: _stays_away(book),
    Trouble.FORGOTTEN: lambda book: bool(book.scenario.server.crashes),
    Trouble.DIVERGED: lambda book: _diverges(book.case.learning),
    Trouble.NOT_ENCODED: lambda book: (
        book.scenario.compression.upload_seconds is not None or _at_the_edge(book.case.learning)
    ),
    Trouble.DAMAGED: lambda book: book.scenario.failures.corrupted > 0,
}
"""What nothing comes of clients by -> whether that can be in a scenario."""

NOT_USABLE = (Trouble.DIVERGED, Trouble.NOT_ENCODED, Trouble.DAMAGED)
"""Troubles after which the server has heard of the client, and has no update of it."""


def _goes_away(book: Book, *rules: Rule) -> bool:
    fleet = book.scenario.fleet
    return fleet.availability.kind not in ("always", "dropout") and fleet.when_away in rules


def _stays_away(book: Book) -> bool:
    """Whether a transfer may wait for ever, or be given up after thousands of interruptions."""
    return "hold" in _links(book, "past_end") or _goes_away(book, "restart", "resume")


def _diverges(learning: Learning) -> bool:
    overflows = learning.overflowing > 0 and learning.overflow != "edge"
    return learning.diverging > 0 or overflows


def _at_the_edge(learning: Learning) -> bool:
    return learning.overflowing > 0 and learning.overflow == "edge"


@invariant
def troubles_have_a_cause(book: Book) -> Iterator[str]:
    """What nothing came of a client by is told, as often as it was so, and can be in the scenario.

    What arrives undamaged can be read, what can be encoded is.
    """
    for name in book.troubles:
        if not CAUSES[Trouble(name)](book):
            yield f"{book.troubles[name]} times: {name}, for which there is no cause"
    answered = [each for each in book.seen.askings if each.answered_s is not None]
    numbers = {
        "unusable": (
            sum(book.troubles.get(trouble, 0) for trouble in NOT_USABLE),
            sum(each.arrival is not None and not each.readable for each in answered),
        ),
        "lost": (
            sum(book.troubles.get(t, 0) for t in Trouble if t not in NOT_USABLE),
            sum(each.arrival is None for each in answered),
        ),
    }
    # What ends at the very moment of the run's end may have been told only.
    more = len(book.seen.askings) - len(answered)
    for what, (told, seen) in numbers.items():
        if not seen <= told <= seen + more:
            yield f"{told} troubles of clients that were {what}, seen were {seen}"
    for number in book.useless:
        if book.seen.askings[number].readable:
            yield f"asking {number} has an update, of a training that came to nothing"
    for row in book.rows:
        if row.kind in (Kind.LOST, Kind.REJECTED):
            reason = json.loads(row.details or "{}").get("reason", "")
            if row.kind == Kind.LOST and reason not in list(Trouble):
                yield f"no reason that there is: {row}"
            if row.kind == Kind.REJECTED and not reason:
                yield f"no reason: {row}"


@invariant
def adapters_are_finite(book: Book) -> Iterator[str]:
    """Whatever clients send, the global adapter is of numbers."""
    for use in book.seen.uses:
        if not all(np.isfinite(array).all() for array in use.after.values()):
            yield f"the adapter is not finite after {use.time_s} s"


@invariant
def draws_are_of_one_asking(book: Book) -> Iterator[str]:
    """Two askings of a client in a round have nothing drawn in common."""
    for what, times in Counter(book.submitted).items():
        if times > 1:
            yield f"client, round, repetition {what}: trained {times} times on the same draws"
    for (purpose, key), times in Counter(book.seen.draws).items():
        if times > 1:
            yield f"{purpose}: drawn {times} times by {key}"
    shares = Counter(
        (client, found.share) for client, _, found in book.seen.vanishings if found is not None
    )
    for (client, share), times in shares.items():
        if times > 1:
            yield f"client {client} vanished {times} times after the same share, {share}"


def differences(book: Book, other: Book) -> Iterator[str]:
    """What is not the same of two runs of one scenario: the invariant ``the-same-twice``."""
    for name in ("failure", "version", "ended_s"):
        if getattr(book, name) != getattr(other, name):
            yield f"{name}: {getattr(book, name)} and {getattr(other, name)}"
    for table in ("records", "evaluations"):
        if _content(getattr(book, table)) != _content(getattr(other, table)):
            yield f"the {table} differ"
    if not _same(book.adapter, other.adapter):
        yield "the adapters differ"


def _content(table: Any) -> list[Any]:
    """Of each column the bytes, or the texts."""
    return [
        column.to_numpy().tobytes() if column.dtype.kind in "fi" else column.tolist()
        for _, column in table.items()
    ]


def _same(one: Update, other: Update) -> bool:
    return one.keys() == other.keys() and all(
        one[name].tobytes() == other[name].tobytes() for name in one
    )


def _slack(time: float) -> float:
    """Seconds by which sums and differences of times up to one may be off."""
    return ROUNDING * max(1.0, abs(time))


def _highest(link: Link) -> float:
    return float(link.capacity.rates.max())


def _most_bytes(link: Link, begin: float, seconds: float) -> float:
    """What the client's own link can carry; its highest rate where its trace does not tell."""
    try:
        return link.capacity.bytes_between(begin, begin + seconds)
    except (TraceError, ValueError):
        return _highest(link) * seconds


def _compute_seconds(book: Book, client: int) -> float:
    """Of a client's training, from what is billed."""
    scenario, learning = book.scenario, book.case.learning
    steps = scenario.training.steps(learning.examples[client])
    factor = (scenario.billing.model_parameters or 1000) / 1000
    return book.world.people[client].compute_seconds(
        learning.operations * steps * factor, steps * factor
    )
