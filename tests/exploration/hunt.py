"""Exploring many cases: which one a seed stands for, what is wrong with it, and their sum."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import InMemoryExampleDatabase

from fsim.core.errors import ScenarioError
from tests.exploration.cases import Case, cases
from tests.exploration.frequencies import Tally
from tests.exploration.invariants import broken, differences
from tests.exploration.running import Book, run
from tests.exploration.watching import Stalled, TooLong

STRAY, ENDLESS, TWICE = "errors-are-told", "runs-end", "the-same-twice"
"""What is broken by an error that is not fsim's own, whose kind and place follow; by a run without
end; by a second run that differs."""

CHOICES = 16_384
"""Random bytes that a case is made from: more than any needs."""


@dataclass
class Found:
    """What exploring a case has given.

    Attributes
    ----------
    outcome
        ``"completed"``, ``"failed"``, ``"refused"``, ``"too long"`` or ``"broken off"``.
    broken
        Name of each invariant that does not hold -> what shows it.
    book
        Of the run; None if there was none or it was broken off.
    why
        What a scenario is refused for.
    """

    outcome: str
    broken: dict[str, str]
    book: Book | None = None
    why: str = ""


def explore(case: Case) -> Found:
    """Run a case and check all that must hold of it."""
    try:
        books = run(case)
    except ScenarioError as error:
        return Found("refused", {}, why=str(error))
    except TooLong:
        return Found("too long", {})
    except Stalled as stalled:
        return Found("broken off", {ENDLESS: str(stalled)})
    except Exception as error:
        kind, where = type(error).__name__, _place(error)
        text = " ".join(f"{kind}: {error} ({where})".split())
        return Found("broken off", {f"{STRAY}:{kind}:{where.partition(':')[0]}": text})
    wrong = broken(books[0])
    if (different := next(differences(*books), None)) is not None:
        wrong[TWICE] = different
    return Found("completed" if books[0].failure is None else "failed", wrong, books[0])


def _place(error: BaseException) -> str:
    """The line of fsim that raised an error, which SimPy may have raised again."""
    while error.__cause__ is not None:
        error = error.__cause__
    places = [(at.filename.rpartition("/fsim/"), at.lineno) for at in _frames(error)]
    ours = [f"{file}:{line}" for (_, inside, file), line in places if inside]
    return ours[-1] if ours else "simpy"


def _frames(error: BaseException) -> traceback.StackSummary:
    return traceback.extract_tb(error.__traceback__)


def case_of(seed: int) -> Case:
    """The case of a seed, the same in every process with the same version of Hypothesis."""
    kept: list[Case] = []
    _given(kept.append).hypothesis.fuzz_one_input(_choices(seed))  # type: ignore[attr-defined]
    return kept[0]


def smallest(seed: int, breaks: Callable[[Case], bool]) -> Case:
    """The simplest case that Hypothesis finds, from a seed's, that breaks the same.

    Raises
    ------
    ValueError
        The seed's own does not.
    """
    failing: list[Case] = []

    def check(case: Case) -> None:
        if breaks(case):
            failing.append(case)
            raise AssertionError

    test = _given(check, database=InMemoryExampleDatabase(), phases=(Phase.reuse, Phase.shrink))
    with suppress(AssertionError):
        test.hypothesis.fuzz_one_input(_choices(seed))  # type: ignore[attr-defined]
    if not failing:
        raise ValueError(f"the case of seed {seed} does not break it")
    with suppress(AssertionError):
        test()
    return failing[-1]


def _given(check: Callable[[Case], object], **more: object) -> Callable[[], None]:
    quiet = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None, **more}

    @settings(**quiet)  # type: ignore[arg-type]
    @given(cases())
    def test(case: Case) -> None:
        check(case)

    return test


@cache
def _choices(seed: int) -> bytes:
    return random.Random(seed).randbytes(CHOICES)


@dataclass
class Summary:
    """What a hunt has found.

    Attributes
    ----------
    outcomes
        Protocol and outcome -> how many.
    failures
        Invariant -> seed and what shows it, in the order found.
    tally
        Frequencies over all runs.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def add(self, seed: int, case: Case, found: Found) -> None:
        """One more case."""
        self.outcomes[case.data["protocol"]["kind"], found.outcome] += 1
        for name, text in found.broken.items():
            self.failures.setdefault(name, []).append((seed, text))
        if found.book is not None:
            self.tally.add(found.book)

    def merge(self, other: Summary) -> None:
        """All of another summary, of other seeds."""
        self.outcomes.update(other.outcomes)
        for name, failures in other.failures.items():
            self.failures.setdefault(name, []).extend(failures)
        self.tally.merge(other.tally)

    def to_text(self) -> str:
        """Lines to print."""
        protocols = sorted({protocol for protocol, _ in self.outcomes})
        names = ("completed", "failed", "refused", "too long", "broken off")
        lines = [f"{'':16}" + "".join(f"{name:>12}" for name in names)]
        for protocol in protocols:
            counts = "".join(f"{self.outcomes[protocol, name]:>12}" for name in names)
            lines.append(f"{protocol:16}{counts}")
        lines.append(f"{self.outcomes.total()} scenarios")
        for name, failures in sorted(self.failures.items()):
            seeds = " ".join(str(seed) for seed, _ in failures[:5])
            lines.append(f"BROKEN {name}: {len(failures)}, replay {seeds}")
        lines += [f"UNFAIR {line}" for line in self.tally.unfair()]
        return "\n".join(lines)


def hunt(seeds: Iterable[int], skipped: tuple[str, ...] = ()) -> Summary:
    """Explore the cases of some seeds; invariants that begin with what is skipped may be broken."""
    summary = Summary()
    for seed in seeds:
        case = case_of(seed)
        found = explore(case)
        found.broken = {n: text for n, text in found.broken.items() if not n.startswith(skipped)}
        summary.add(seed, case, found)
    return summary
