"""Each check can fail: it is shown a book in which what it looks for has been broken."""

import copy
import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

import tests.exploration.invariants as invariants
import tests.exploration.running as running
import tests.exploration.watching as watching
from fsim.records import Kind
from fsim.simulation.reasons import Trouble
from tests.exploration.cases import Case
from tests.exploration.frequencies import Sum, draws_of
from tests.exploration.hunt import ENDLESS, STRAY, TWICE, case_of, explore, smallest
from tests.exploration.invariants import FAILURES, INVARIANTS, NO_UPDATE, broken, differences
from tests.exploration.learner import Learning
from tests.exploration.running import run
from tests.exploration.watching import ENOUGH, Stalled, TooLong

CASE = Case(
    {
        "name": "broken",
        "seed": 3,
        "fleet": {
            "clients": 8,
            "uplink": {"rate": "1 kB/s"},
            "downlink": {"rate": "10 kB/s"},
            "availability": {"kind": "dropout", "probability": 0.3},
            "radio": "lte",
        },
        "protocol": {
            "kind": "deadline",
            "clients_per_round": 4,
            "over_selection": 1.5,
            "after": "30 s",
            "rounds": 6,
        },
        "compression": {"policy": "float32"},
        "failures": {"corrupted": 0.2, "duplicated": 0.2},
        "target": {"value": 0.9},
    },
    {},
    Learning(examples=(5, 9, 3, 4, 20, 7, 8, 6), operations=1e12, tagged=True),
)
"""A run in which clients are late, lost, rejected and aggregated."""


@pytest.fixture(scope="module")
def sound():
    return run(CASE)[0]


@pytest.fixture
def book(sound):
    """A book whose own copy may be spoilt."""
    return dataclasses.replace(
        sound,
        records=sound.records.copy(),
        evaluations=sound.evaluations.copy(),
        accounts=copy.copy(sound.accounts),
        seen=copy.deepcopy(sound.seen),
        submitted=list(sound.submitted),
        useless=list(sound.useless),
        adapter=copy.deepcopy(sound.adapter),
    )


def first(book, kind, at=0):
    """The row of a kind in the records."""
    return book.records.index[book.records["kind"] == kind][at]


def change(kind, column, by, at=0):
    def spoil(book):
        row = first(book, kind, at)
        book.records.loc[row, column] = by(book.records.loc[row, column])

    return spoil


def counted(name, by=1):
    def spoil(book):
        setattr(book.accounts, name, getattr(book.accounts, name) + by)

    return spoil


def moves(book):
    return [use for use in book.seen.uses if use.aggregated]


def used(book):
    """The first number among those that were aggregated."""
    return next(n for n in moves(book)[0].askings if book.seen.askings[n].readable)


def asking(**changes):
    """One that was answered, otherwise than it was."""

    def spoil(book):
        number = used(book)
        book.seen.askings[number] = dataclasses.replace(book.seen.askings[number], **changes)

    return spoil


def arrival(**changes):
    def spoil(book):
        each = book.seen.askings[used(book)]
        each.arrival = dataclasses.replace(each.arrival, **changes)

    return spoil


def without(kind):
    def spoil(book):
        book.records = book.records.drop(first(book, kind)).reset_index(drop=True)

    return spoil


def not_downloaded(book):
    each, rows = book.seen.askings[used(book)], book.records
    mine = (rows["client"] == each.client) & (rows["round"] == each.round_number)
    book.records = rows[~(mine & (rows["kind"] == Kind.DOWNLOAD))].reset_index(drop=True)


def used_again(book):
    book.seen.uses[-1].askings += (used(book),)


def used_by_another(book):
    """Someone who was lost takes the place of someone whose update came, of a tag of its own."""
    use = moves(book)[0]
    lost = next(
        number
        for number, each in enumerate(book.seen.askings)
        if each.client == book.seen.askings[used(book)].client and number not in use.askings
    )
    number = used(book)
    book.seen.askings[lost] = book.seen.askings[number]
    use.askings = tuple(lost if each == number else each for each in use.askings)


def lost_yet_aggregated(book):
    use = moves(book)[0]
    book.seen.askings[used(book)].arrival = dataclasses.replace(
        book.seen.askings[used(book)].arrival, update=None
    )
    use.aggregated -= 1


def moved_in_between(book):
    book.seen.uses[0].after = {n: a + np.float32(1) for n, a in book.seen.uses[0].after.items()}


def moved_at_the_end(book):
    book.adapter["x.lora_A.weight"] = book.adapter["x.lora_A.weight"] + 1


def moved_by_nobody(book):
    moves(book)[0].aggregated = 0


def more_than_there_were(book):
    moves(book)[0].aggregated += 10


def not_in_it(book):
    """An update that came does not move the adapter."""
    use = moves(book)[0]
    client = book.seen.askings[used(book)].client
    use.after["x.lora_A.weight"][0, client] = use.before["x.lora_A.weight"][0, client]
    use.after["x.lora_B.weight"][client, 0] = use.before["x.lora_B.weight"][client, 0]
    for other in book.seen.uses[book.seen.uses.index(use) + 1 :]:
        other.before = other.after = use.after
        other.aggregated, other.askings = 0, ()
    book.adapter = use.after


def not_a_number(book):
    book.seen.uses[-1].after["x.lora_A.weight"][0, 0] = np.nan


def trained_twice(book):
    book.submitted.append(book.submitted[0])


def vanished_alike(book):
    found = next(each for each in book.seen.vanishings if each[2] is not None)
    book.seen.vanishings.append(found)


def chosen(*of):
    def spoil(book):
        book.seen.chosen[0] = of

    return spoil


def a_round_more(book):
    book.version += 1


def ended(**how):
    def spoil(book):
        for name, value in how.items():
            setattr(book, name, value)

    return spoil


def stopping(**rule):
    def spoil(book):
        protocol = book.scenario.protocol
        stop = protocol.stop.model_copy(update=rule)
        book.scenario = book.scenario.model_copy(
            update={"protocol": protocol.model_copy(update={"stop": stop})}
        )

    return spoil


def too_early(book):
    """Neither all rounds, nor the moment at which it was to stop."""
    ended(version=5)(book)
    stopping(after=1e4)(book)


def evaluated(column, value):
    def spoil(book):
        book.evaluations.loc[book.evaluations.index[-1], column] = value

    return spoil


def without_failures(**rates):
    def spoil(book):
        failures = book.scenario.failures.model_copy(update=rates)
        book.scenario = book.scenario.model_copy(update={"failures": failures})

    return spoil


def trouble(kind):
    """One more of a kind than there were."""

    def spoil(book):
        book.troubles = {**book.troubles, str(kind): book.troubles.get(str(kind), 0) + 1}

    return spoil


def asked_again_at_once(book):
    book.seen.askings.append(book.seen.askings[-1])


PURPOSES = ("a policy's seed", "encoding", "loss", "corruption", "duplication")


def drawn_twice(purpose):
    def spoil(book):
        book.seen.draws.append(next(each for each in book.seen.draws if each[0] == purpose))

    return spoil


SPOILT = [
    ("bytes-are-conserved", change(Kind.UPLOAD, "bytes", lambda size: size + 1)),
    ("bytes-are-conserved", change(Kind.RECEIVE, "client", lambda client: (client + 1) % 8)),
    ("bytes-are-conserved", without(Kind.RECEIVE)),
    ("books-balance", counted("selected")),
    ("books-balance", counted("dropped", -1)),
    ("books-balance", lambda book: (counted("aggregated")(book), counted("late", -1)(book))),
    ("books-balance", lambda book: (counted("dropped", 9)(book), counted("selected", 9)(book))),
    ("books-balance", lambda book: (counted("late", -99)(book), counted("rejected", 99)(book))),
    ("books-are-those-of-the-records", counted("late")),
    ("books-are-those-of-the-records", counted("rejected")),
    ("books-are-those-of-the-records", without(Kind.LOST)),
    ("books-are-those-of-the-records", without(Kind.ROUND)),
    ("nothing-is-negative", change(Kind.COMPUTE, "duration_s", lambda s: -s)),
    ("nothing-is-negative", change(Kind.UPLOAD, "energy_j", lambda j: np.nan)),
    ("nothing-is-negative", change(Kind.DOWNLOAD, "time_s", lambda s: -1e-9)),
    ("nothing-is-negative", change(Kind.DOWNLOAD, "bytes", lambda size: -1)),
    ("time-goes-on", change(Kind.RECEIVE, "time_s", lambda s: s + 0.01)),
    ("time-goes-on", change(Kind.ROUND, "duration_s", lambda s: 1e6, at=-1)),
    ("time-goes-on", evaluated("time_s", 0.0)),
    ("radios-draw-what-they-take", change(Kind.RADIO, "energy_j", lambda j: j + 0.1)),
    ("radios-draw-what-they-take", change(Kind.RADIO, "energy_j", lambda j: j / 2)),
    ("radios-draw-what-they-take", without(Kind.RADIO)),
    ("evaluations-add-up", evaluated("uplink_bytes", 10**9)),
    ("evaluations-add-up", evaluated("downlink_bytes", 1)),
    ("one-thing-at-a-time", asking(at_work=True)),
    ("one-thing-at-a-time", change(Kind.UPLOAD, "time_s", lambda s: s - 0.5)),
    ("selections-are-allowed", chosen(0.0, 6, (1, 1), ())),
    ("selections-are-allowed", chosen(0.0, 1, (1, 2), ())),
    ("selections-are-allowed", chosen(0.0, 6, (1, 2), (2,))),
    ("selections-are-allowed", asking(was_there=False)),
    ("bytes-take-their-time", change(Kind.UPLOAD, "duration_s", lambda s: s / 4)),
    ("bytes-take-their-time", change(Kind.DOWNLOAD, "bytes", lambda size: size * 99)),
    ("bytes-take-their-time", change(Kind.COMPUTE, "duration_s", lambda s: s / 2, at=-1)),
    ("answers-take-their-time", lambda book: _sooner(book)),
    ("answers-take-their-time", arrival(seconds=1.0)),
    ("answers-take-their-time", not_downloaded),
    ("losses-are-noticed-in-time", change(Kind.LOST, "duration_s", lambda s: s + 1)),
    ("losses-are-noticed-in-time", change(Kind.LOST, "duration_s", lambda s: s / 2)),
    ("losses-are-noticed-in-time",
     change(Kind.LOST, "details", lambda text: text.replace("reset", "silent"))),
    ("only-what-is-aggregated-moves-the-adapter", used_again),
    ("only-what-is-aggregated-moves-the-adapter", used_by_another),
    ("only-what-is-aggregated-moves-the-adapter", lost_yet_aggregated),
    ("only-what-is-aggregated-moves-the-adapter", moved_in_between),
    ("only-what-is-aggregated-moves-the-adapter", moved_at_the_end),
    ("only-what-is-aggregated-moves-the-adapter", moved_by_nobody),
    ("only-what-is-aggregated-moves-the-adapter", more_than_there_were),
    ("only-what-is-aggregated-moves-the-adapter", not_in_it),
    ("rounds-are-closed-by-their-rule", arrival(version=5)),
    ("rounds-are-closed-by-their-rule", arrival(seconds=31.0)),
    ("rounds-are-closed-by-their-rule", asking(round_number=3)),
    ("runs-end-where-they-should", ended(version=7)),
    ("runs-end-where-they-should", ended(version=5)),
    ("runs-end-where-they-should", stopping(after=1.0)),
    ("runs-end-where-they-should", stopping(uplink=1.0)),
    ("runs-end-where-they-should", too_early),
    ("time-without-an-update-is-limited", ended(ended_s=1e6)),
    ("time-without-an-update-is-limited", stopping(without_update=1.0)),
    ("time-without-an-update-is-limited", ended(failure=f"{NO_UPDATE} 7 d")),
    ("time-without-an-update-is-limited", asked_again_at_once),
    ("failures-say-why", ended(failure="")),
    ("failures-say-why", ended(failure=f"{NO_UPDATE}\n7 d")),
    ("failures-say-why", ended(failure="a fault")),
    ("failures-say-why", ended(failure="the global adapter is not finite after update 1")),
    *(("failures-say-why", ended(failure=text)) for text in FAILURES if text != NO_UPDATE),
    ("troubles-have-a-cause", without_failures(corrupted=0.0)),
    ("troubles-have-a-cause", lambda book: book.useless.append(used(book))),
    ("troubles-have-a-cause", trouble(Trouble.DAMAGED)),
    ("troubles-have-a-cause", trouble(Trouble.DROPPED_OUT)),
    ("troubles-have-a-cause", change(Kind.LOST, "details", lambda text: '{"reason": "who knows"}')),
    ("troubles-have-a-cause", change(Kind.REJECTED, "details", lambda text: "")),
    *(
        ("troubles-have-a-cause", trouble(kind))
        for kind in Trouble
        if kind not in (Trouble.DAMAGED, Trouble.DROPPED_OUT)
    ),
    ("adapters-are-finite", not_a_number),
    ("draws-are-of-one-asking", trained_twice),
    *(("draws-are-of-one-asking", drawn_twice(purpose)) for purpose in PURPOSES),
    ("draws-are-of-one-asking", vanished_alike),
]  # fmt: skip


def _sooner(book):
    """An answer, and what was told of it, a hundredth of the time after the asking."""
    each = book.seen.askings[used(book)]
    seconds = each.arrival.seconds / 100
    each.asked_s = each.answered_s - seconds
    each.arrival = dataclasses.replace(each.arrival, seconds=seconds)
    rows = book.records
    mine = (rows["client"] == each.client) & (rows["time_s"] < each.answered_s)
    rows.loc[mine, "time_s"] = each.answered_s
    rows.loc[mine, "duration_s"] = 0.0


def test_of_a_sound_book_everything_holds(sound):
    assert broken(sound) == {}
    told = sound.accounts
    assert min(told.aggregated, told.late, told.rejected, told.dropped) > 0


@pytest.mark.parametrize(("invariant", "spoil"), SPOILT)
def test_a_spoilt_book_is_told(book, invariant, spoil):
    spoil(book)
    assert invariant in broken(book)


def test_every_invariant_is_shown_to_be_told():
    assert {invariant for invariant, _ in SPOILT} == set(INVARIANTS)


@pytest.mark.parametrize(
    "spoil",
    [
        change(Kind.UPLOAD, "energy_j", lambda j: np.nextafter(j, 1)),
        change(Kind.ROUND, "details", lambda text: text + " "),
        evaluated("accuracy", 0.5),
        moved_at_the_end,
        ended(failure="why"),
        ended(ended_s=0.0),
    ],
)
def test_two_runs_that_differ_are_told(sound, book, spoil):
    assert list(differences(sound, book)) == []
    spoil(book)
    assert list(differences(sound, book))


def test_what_stands_still_is_told_and_what_takes_long_is_not(monkeypatch):
    monkeypatch.setattr(running, "MOST_SECONDS", 0.1)
    monkeypatch.setattr(running, "TICK", 0.02)
    world = SimpleNamespace(env=SimpleNamespace(now=0.0))
    with pytest.raises(Stalled):
        _go_on(world, seconds=0.0)
    with pytest.raises(TooLong):
        _go_on(world, seconds=1.0)


def _go_on(world, seconds):
    with running.Watchdog() as watchdog:
        watchdog.world = world
        while True:
            world.env.now += seconds


def test_a_run_that_asks_and_asks_is_broken_off_with_its_books_closed(monkeypatch):
    for module in (watching, invariants):
        monkeypatch.setattr(module, "MOST_ASKINGS", 3)
    found = explore(CASE)
    assert (found.outcome, found.broken) == ("failed", {})
    assert found.book.failure == ENOUGH
    assert found.book.accounts.selected == 3


def test_an_error_that_is_not_of_fsim_is_told():
    other = dataclasses.replace(CASE, learning=Learning(examples=(1, 2)))
    found = explore(other)
    assert found.outcome == "broken off"
    assert list(found.broken) == [f"{STRAY}:IndexError:simulation/roster.py"]


def test_a_clock_that_stands_is_told(monkeypatch):
    monkeypatch.setattr("tests.exploration.hunt.run", _stands)
    assert explore(CASE).broken == {ENDLESS: "the clock stood"}


def _stands(case):
    raise Stalled("the clock stood")


def test_what_differs_is_told_by_exploring(monkeypatch):
    assert explore(CASE).broken == {}
    monkeypatch.setattr("tests.exploration.hunt.differences", lambda *books: iter(["different"]))
    assert explore(CASE).broken == {TWICE: "different"}


def test_what_breaks_becomes_small():
    def crowded(case):
        return case.data["fleet"]["clients"] > 1

    case = smallest(next(seed for seed in range(50) if crowded(case_of(seed))), crowded)
    assert case.data["fleet"]["clients"] == 2
    assert case.files == {}
    assert case.data["server"]["crashes"] == []
    with pytest.raises(ValueError, match="seed 3"):
        smallest(3, lambda case: False)


def test_sums_of_fair_draws_are_fair_and_others_are_not():
    rng = np.random.default_rng(1)
    for probability in (0.05, 0.5, 0.9):
        fair, alike, rare = Sum(), Sum(), Sum()
        for drawn in rng.random(4000) < probability:
            fair.add(probability, bool(drawn))
            rare.add(probability, bool(drawn) and bool(rng.random() < 0.5))
        for drawn in rng.random(10) < probability:
            for _ in range(400):
                alike.add(probability, bool(drawn))
        assert fair.fair
        assert not rare.fair
        assert not alike.fair or probability != 0.5
    certain = Sum()
    for _ in range(20):
        certain.add(0.0, happened=True)
    assert not certain.fair


def test_the_draws_of_a_run_are_found(sound):
    found = Counter(what for what, _, _ in draws_of(sound))
    assert found["dropout"] == len(sound.seen.askings)
    assert found["duplication"] == (sound.records["kind"] == Kind.RECEIVE).sum()
    answered = [each for each in sound.seen.askings if each.arrival is not None]
    assert found["corruption"] == len(answered)
