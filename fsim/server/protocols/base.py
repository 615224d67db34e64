"""The base of round protocols, and the world outside the server as they see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import simpy
from pydantic import ConfigDict

from fsim.core.types import Coverage, Update
from fsim.server.aggregation import add


@dataclass(frozen=True)
class ClientUpdate:
    """A client's update as the server decoded it.

    Attributes
    ----------
    weight
        Number of the client's training examples.
    update
        None if what arrived could not be used: it counts as rejected.
    base
        The global adapter that it began with.
    version
        Of that adapter: updates that the server had made until then.
    started, seconds
        Time of the client's start, and the length of its round, seconds.
    loss
        Its last training loss.
    steps
        Local steps that it made.
    companion
        The client's own payload of an algorithm, decoded; None where there is none.
    coverage
        Which coordinates of the update arrived, the others being 0; None if all did.
    """

    client: int
    weight: float
    update: Update | None
    base: Update | None = None
    version: int = 0
    started: float = 0.0
    seconds: float = 0.0
    loss: float | None = None
    steps: int = 1
    companion: Update | None = None
    coverage: Coverage | None = None


@dataclass(frozen=True)
class ClientResult:
    """The end of a client's round: the value of a client's process.

    Attributes
    ----------
    round_number
        That the client was started in.
    arrival
        None for a client that is lost.
    """

    client: int
    round_number: int
    arrival: ClientUpdate | None


@dataclass(frozen=True)
class RoundUpdates:
    """The updates that enter the global adapter at once, and the scenario's rules for them.

    Attributes
    ----------
    adapter
        The global adapter as it is.
    version
        Updates of it made so far.
    updates
        Decoded and screened, at least one.
    arrivals
        The arrivals that brought them, in the same order.
    mean
        The one update that they become, by the scenario's aggregation and algorithm, given the
        scale of each by its staleness, or None if none is stale.
    step
        The server optimiser's step along such an update, by which the adapter moves.
    """

    adapter: Update
    version: int
    updates: Sequence[Update]
    arrivals: Sequence[ClientUpdate]
    mean: Callable[[Sequence[float] | None], Update]
    step: Callable[[Update], Update]


Aggregate = Callable[[RoundUpdates], Update]
"""The global adapter that a protocol makes of the one there is and of updates."""


def average(updates: RoundUpdates) -> Update:
    """Move the global adapter by the server's step along the mean of the updates."""
    return add(updates.adapter, updates.step(updates.mean(None)))


class World(Protocol):
    """The server's view of clients, models and settings.

    Attributes
    ----------
    rounds
        Updates of the global adapter to make.
    clients_per_round
        The scenario's cohort.
    """

    rounds: int
    clients_per_round: int

    @property
    def version(self) -> int:
        """Updates made so far."""
        ...

    @property
    def adapter(self) -> Update:
        """The global adapter."""
        ...

    def stopped(self) -> bool:
        """True if the scenario's stopping rule is met."""
        ...

    def select(
        self, round_number: int, count: int, among: Sequence[int] | None = None
    ) -> list[int]:
        """Up to ``count`` clients that are neither at work nor away, by the scenario's rule.

        ``among`` leaves out all others; all clients take part if it is None.
        """
        ...

    def wait_for_client(
        self, among: Sequence[int] | None = None
    ) -> Generator[simpy.Event, Any, None]:
        """Wait until there is a client to select; raises if there never will be one."""
        ...

    def clients_by_speed(self) -> list[int]:
        """All clients by the expected length of a round, the fastest first.

        Expected of devices and links' mean rates, as far as they can be known beforehand.
        """
        ...

    def start(self, client: int, round_number: int) -> simpy.Process:
        """Begin a client's round now.

        The process ends when the server knows how it went; its value is an :class:`ClientResult`.
        """
        ...

    def is_late(self, arrival: ClientUpdate, deadline: float) -> bool:
        """True if an arrival of this moment counts as after a deadline (seconds).

        Its client's own clock decides.
        """
        ...

    def set_aside(self, arrivals: Sequence[ClientUpdate]) -> None:
        """Count updates that came too late, and forget them."""
        ...

    def close_round(
        self,
        round_number: int,
        started: float,
        arrivals: Sequence[ClientUpdate],
        *,
        selected: Sequence[int] = (),
        aggregate: Aggregate = average,
    ) -> None:
        """Aggregate arrivals, evaluate, and record the round that ``started`` then (seconds).

        Parameters
        ----------
        selected
            All clients that the round had asked.
        aggregate
            Makes the next global adapter; without updates it is not called, and the adapter stays.
        """
        ...


class RoundProtocol(ABC):
    """A rule of when the server stops waiting: a frozen dataclass whose fields are its options."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]

    timeless: ClassVar[bool] = False
    """True if its rounds train the same, however long clients take to answer."""

    uses_optimizer: ClassVar[bool] = True
    """True if the global adapter moves by the step of the server's optimiser."""

    cohort_condition: ClassVar[str | None] = None
    """With what options an update stays with its cohort (``of_its_cohort``), as an error says
    it: empty for any, None for a protocol in which it never does."""

    @property
    def in_its_round(self) -> bool:
        """True if an update is only ever aggregated in the round that it was begun in."""
        return False

    @property
    def of_its_cohort(self) -> bool:
        """True if an update is only ever aggregated with the cohort that it was asked in."""
        return self.in_its_round

    @property
    def averages(self) -> bool:
        """True if an update of the global adapter may be the mean of several clients' updates."""
        return True

    @abstractmethod
    def run(self, env: simpy.Environment, world: World) -> Generator[simpy.Event, Any, None]:
        """The process of the whole run."""

    @property
    def first_deadline(self) -> float | None:
        """Seconds after asking in which a client must answer to count; None if it need not."""
        return None

    def check(self, clients: int, clients_per_round: int) -> None:
        """Refuse settings that contradict the scenario's, naming both, by ValueError."""
        if clients_per_round > clients:
            raise ValueError(
                f"protocol.clients_per_round: found {clients_per_round}, the fleet has {clients} "
                "(fleet.clients)"
            )


def base_of(arrival: ClientUpdate) -> Update:
    """The global adapter that an update began with.

    Raises
    ------
    ValueError
        The update does not say.
    """
    if arrival.base is None:
        raise ValueError("an arrival has to say which adapter it began with")
    return arrival.base


def arrivals_of(processes: Sequence[simpy.Process]) -> list[ClientUpdate]:
    """Updates of clients whose processes have ended."""
    answers = [cast(ClientResult, process.value) for process in processes]
    return [answer.arrival for answer in answers if answer.arrival is not None]


class Inbox:
    """Clients' processes as they end, one after another.

    Parameters
    ----------
    env
        The clock.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._events = simpy.Store(env)
        self._pending: Any = None

    def watch(self, process: simpy.Process) -> None:
        """Put the process's value into the inbox when it ends."""
        process.callbacks.append(self._put)

    def _put(self, event: simpy.Event) -> None:
        self._events.put(event.value)

    def next(self) -> Any:
        """The event that one has ended, its value what the process gave.

        Asked again before it has happened, the same event.
        """
        if self._pending is None or self._pending.processed:
            self._pending = self._events.get()
        return self._pending
