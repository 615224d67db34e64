"""The clients of a run: who they are, who has nothing to do, and whom the server asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from fsim.core.errors import NothingLeft
from fsim.core.rng import stream
from fsim.fleet import ClientProfile
from fsim.fleet.population import DrawnPopulation
from fsim.server.protocols.base import ClientUpdate
from fsim.server.selection import Selector, make_selector
from fsim.settings import Scenario
from fsim.settings.fleet import AlwaysSettings, DropoutSettings
from fsim.simulation.failures import ServerUptime
from fsim.simulation.idle_clients import Idle


class Roster:
    """Chooses clients by the scenario's rule, and waits for one where none is there.

    Parameters
    ----------
    env
        The clock.
    scenario
        Gives the selection rule, and the clients that may be asked (``protocol.ask``).
    population
        The clients.
    examples
        Client -> number of its training examples, which it registers with.
    uptime
        The times at which the server is there to ask.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        population: DrawnPopulation,
        examples: Callable[[int], int],
        uptime: ServerUptime,
    ) -> None:
        self._env = env
        self._scenario = scenario
        self._examples = examples
        self._uptime = uptime
        self.population = population
        self._idle = Idle(len(population))
        self._client_back = env.event()
        self._choices: dict[int, int] = {}
        self._dead_links = ""
        self._first_alive = 0
        self._anyone = scenario.protocol.ask == "all" or isinstance(
            scenario.fleet.availability, AlwaysSettings | DropoutSettings
        )
        self._selector: Selector = self._new_selector()
        for crash in uptime.crashes:
            if crash.selection == "lost":
                env.process(self._forget(crash.at))

    def _forget(self, time: float) -> Generator[simpy.Event, Any, None]:
        """A crash at that time takes with it what the rule has seen; clients register again."""
        yield self._env.timeout(time)
        self._selector = self._new_selector()

    def _new_selector(self) -> Selector:
        selector: Selector = self._scenario.protocol.selection.make(make_selector)
        for client in range(len(self.population)):
            selector.register(client, examples=self._examples(client))
        return selector

    def __getitem__(self, client: int) -> ClientProfile:
        """The profile of a client by its number."""
        return self.population[client]

    def select(
        self, round_number: int, count: int, among: Sequence[int] | None = None
    ) -> list[int]:
        """By the scenario's rule, from a stream of this choice alone."""
        rng = stream(self._scenario.seed, "server.selection", *self._choice_keys(round_number))
        clients = self._selector.select(round_number, self._available(among), count, rng)
        self.population.prepare(clients)
        return clients

    def wait_for_client(
        self, among: Sequence[int] | None = None
    ) -> Generator[simpy.Event, Any, None]:
        """Wait until the server is there and one of these clients, or of all, may be asked.

        Raises
        ------
        NothingLeft
            Nobody is at work, and nobody will come or could ever answer.
        """
        env = self._env
        while True:
            if (back := self._uptime.back_at(env.now)) > env.now:
                yield env.timeout(back - env.now)
            if self._available(among):
                return
            if self._dead_links and not self._idle.busy:
                raise NothingLeft(self._dead_links)
            idle = self._idle if among is None else [c for c in among if c in self._idle]
            comes = math.inf
            if not self._dead_links:
                comes = min(
                    (self.population[one].availability.next_available(env.now) for one in idle),
                    default=math.inf,
                )
            if math.isinf(comes) and not self._idle.busy:
                raise NothingLeft("no client is at work and none will ever be available again")
            waits = [self._client_back]
            if comes < math.inf:
                waits.append(env.timeout(comes - env.now))
            yield env.any_of(waits)

    def leave(self, client: int) -> None:
        """The client has something to do."""
        self._idle.leave(client)

    def come_back(self, client: int) -> None:
        """The client has nothing to do any more; whoever waits for one is woken."""
        self._idle.come_back(client)
        event, self._client_back = self._client_back, self._env.event()
        event.succeed()

    def observe(self, arrival: ClientUpdate, round_number: int) -> None:
        """Report a client that answered to the selection rule."""
        self._selector.observe(
            arrival.client,
            round_number,
            loss=arrival.loss,
            examples=arrival.weight,
            seconds=arrival.seconds,
        )

    def note_dead_link(self, trouble: str) -> None:
        """Note a transfer that never ends; where all links are dead, no client is asked any more.

        The server would go on asking. But nothing could come of it, and the run ends once what has
        arrived is dealt with.

        Parameters
        ----------
        trouble
            The message's beginning, for the error that ends such a run.
        """
        now = self._env.now
        # Who is dead stays dead: each client is looked at once.
        while self._first_alive < len(self.population):
            uplink = self.population[self._first_alive].uplink
            # A round trip more, in which what was sent last may still arrive.
            if uplink.capacity.dies_at + uplink.round_trip >= now:
                return
            self._first_alive += 1
        self._dead_links = f"{trouble}; nobody is left who could ever answer"

    @property
    def busy(self) -> tuple[int, ...]:
        """Clients at work, in ascending order."""
        return self._idle.busy

    def _available(self, among: Sequence[int] | None) -> Sequence[int]:
        """Clients with nothing to do who may be asked now, in ascending order."""
        if self._dead_links:
            return ()
        if among is None and self._anyone:
            return self._idle
        now = self._env.now
        return [
            client
            for client in (self._idle if among is None else among)
            if client in self._idle
            and (self._anyone or self.population[client].availability.next_available(now) == now)
        ]

    def _choice_keys(self, round_number: int) -> tuple[int, ...]:
        """The first choice of a round has the round's stream, further ones have their own."""
        self._choices[round_number] = self._choices.get(round_number, -1) + 1
        further = self._choices[round_number]
        return (round_number, further) if further else (round_number,)
