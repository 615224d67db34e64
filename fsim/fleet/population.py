"""Drawing a population of clients from a description of the fleet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from fsim.core.distributions import Distribution
from fsim.core.errors import ScenarioError, TraceError
from fsim.core.rng import stream, streams
from fsim.fleet.availability import (
    AlwaysOn,
    Availability,
    Diurnal,
    Dropout,
    Moment,
    Nights,
    OnOff,
    Traced,
)
from fsim.fleet.devices import DEVICES, Device
from fsim.fleet.radio import RADIOS, Radio
from fsim.network import Capacity


@dataclass(frozen=True)
class Link:
    """One direction of a client's connection.

    Attributes
    ----------
    capacity
        Bytes/s over time.
    round_trip
        Seconds.
    path
        Which shared links lie behind it, if any.
    """

    capacity: Capacity
    round_trip: float
    path: tuple[int, ...] = ()

    def mean_rate(self, begin: float, end: float) -> float | None:
        """Mean bytes/s that it alone could have carried between two times (seconds).

        None of no time, and of what its trace does not tell: of a transfer whose last half of a
        round trip is after the trace's end.
        """
        if begin == end:
            return None
        try:
            return self.capacity.bytes_between(begin, end) / (end - begin)
        except TraceError:
            return None


@dataclass(frozen=True)
class ClientProfile:
    """Everything about a client that is neither its data nor its model.

    Attributes
    ----------
    seconds_per_step
        Measured seconds of one local step; None to work it out from the device's rate.
    radio
        What its bytes go over, up and down.
    """

    client: int
    device: Device
    uplink: Link
    downlink: Link
    availability: Availability
    seconds_per_step: float | None = None
    radio: Radio = RADIOS["none"]

    def compute_seconds(self, operations: float, steps: float) -> float:
        """Seconds of local training, from floating-point operations or measured steps."""
        if self.seconds_per_step is not None:
            return self.seconds_per_step * steps
        return self.device.seconds_for(operations)


@dataclass(frozen=True)
class LinkLaw:
    """Law that the links of one direction are drawn from.

    Attributes
    ----------
    trace
        The staircase that every client's capacity follows, each from its own random offset; None
        for a capacity that is constant in time.
    rate
        Bytes/s: the constant rate, or the mean that the trace is scaled to; None leaves the
        trace's own mean.
    round_trip
        Seconds.
    random_offset
        Whether each client enters the trace at its own moment, or all at its beginning.
    """

    trace: Capacity | None
    rate: Distribution | None
    round_trip: Distribution
    random_offset: bool = True

    def draw(self, seed: int, direction: str, clients: Sequence[int]) -> list[Link]:
        """The links of some clients, each quantity of each from its own named stream."""
        if self.trace is None and self.rate is None:
            raise ScenarioError(f"fleet.{direction}: needs a rate or a trace, found neither")

        def quantities(law: Distribution, what: str) -> list[float]:
            if law.kind == "constant":  # whatever the stream
                return [law.parameters[0]] * len(clients)
            return [law.draw(rng) for rng in streams(seed, f"fleet.{direction}.{what}", clients)]

        round_trips = quantities(self.round_trip, "round_trip")
        capacities = [self._all_have] * len(clients)
        if self.rate is not None and self.rate.kind != "constant":
            capacities = [self._capacity(rate) for rate in quantities(self.rate, "rate")]
        if self.trace is not None and self.random_offset:
            offsets = streams(seed, f"fleet.{direction}.offset", clients)
            capacities = [
                capacity.with_offset(float(rng.uniform(0, capacity.duration)))
                for capacity, rng in zip(capacities, offsets, strict=True)
            ]
        return [Link(*each) for each in zip(capacities, round_trips, strict=True)]

    def _capacity(self, rate: float | None) -> Capacity:
        if rate is None:
            return self.trace or Capacity.constant(0.0)
        return Capacity.constant(rate) if self.trace is None else self.trace.scaled_to(rate)

    @cached_property
    def _all_have(self) -> Capacity:
        """The capacity, before its offset, of a law whose rate is not drawn."""
        return self._capacity(None if self.rate is None else self.rate.parameters[0])


AvailabilityLaw = Callable[[int], Availability]
"""Client -> its availability."""


def always_on() -> AvailabilityLaw:
    """Every client at all times."""
    always = AlwaysOn()
    return lambda client: always


def dropout(seed: int, probability: float, moment: Moment = "computing") -> AvailabilityLaw:
    """Every client lost with the same probability in every round it takes part in."""
    return lambda client: Dropout(probability, seed, client, moment)


def renewal(seed: int, on: Distribution, off: Distribution) -> AvailabilityLaw:
    """Every client alternately on and off for times (seconds) of these laws."""
    return lambda client: OnOff(on, off, seed, client)


def diurnal(seed: int, nights: Nights) -> AvailabilityLaw:
    """Every client on in the nights that it uses, in a time zone of its own."""
    return lambda client: Diurnal(nights, seed, client)


def traced(seed: int, recordings: Sequence[Traced], random_offset: bool = False) -> AvailabilityLaw:
    """Every client as in one of the recordings, drawn for each anew.

    Parameters
    ----------
    seed
        The scenario's seed.
    recordings
        One or more. Sort them by something stable first: their order is part of the result.
    random_offset
        Whether each client enters its recording at its own moment, which takes the time of day out
        of it, or all at its beginning.
    """
    if not recordings:
        raise ScenarioError("fleet.availability: found no recording, allowed is one or more")

    def law(client: int) -> Availability:
        rng = stream(seed, "fleet.availability.recording", client)
        recording = recordings[int(rng.integers(len(recordings)))]
        if not random_offset:
            return recording.with_offset(0.0)
        return recording.with_offset(float(rng.uniform(0, recording.period)))

    return law


Population = Sequence[ClientProfile]


class DrawnPopulation(Sequence[ClientProfile]):
    """Clients drawn when they are first asked for: those who never take part cost nothing.

    Each client's quantities come from streams of its own, so that who was drawn before makes no
    difference.

    Parameters
    ----------
    clients
        How many there are.
    draw
        Draws some.
    """

    def __init__(
        self, clients: int, draw: Callable[[Sequence[int]], Sequence[ClientProfile]]
    ) -> None:
        self._clients = clients
        self._draw = draw
        self._profiles: dict[int, ClientProfile] = {}

    def __len__(self) -> int:
        return self._clients

    @property
    def profiles(self) -> list[ClientProfile]:
        """Those that have been asked for, by their numbers."""
        return [self._profiles[client] for client in sorted(self._profiles)]

    @overload
    def __getitem__(self, index: int) -> ClientProfile: ...

    @overload
    def __getitem__(self, index: slice) -> list[ClientProfile]: ...

    def __getitem__(self, index: int | slice) -> ClientProfile | list[ClientProfile]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        client = index + self._clients if index < 0 else index
        if not 0 <= client < self._clients:
            raise IndexError(f"there are {self._clients} clients, found {index}")
        if client not in self._profiles:
            self.prepare([client])
        return self._profiles[client]

    def prepare(self, clients: Sequence[int]) -> None:
        """Draw some clients together, as far as they are not yet: it is quicker than one by one."""
        new = [client for client in clients if client not in self._profiles]
        if new:
            self._profiles.update(zip(new, self._draw(new), strict=True))


def draw_population(
    seed: int,
    clients: int,
    devices: Mapping[str, float],
    uplink: LinkLaw,
    downlink: LinkLaw,
    availability: AvailabilityLaw,
    seconds_per_step: Mapping[str, float] | None = None,
    radio: str = "none",
) -> DrawnPopulation:
    """Draw the clients of a run, each when it is first asked for.

    Parameters
    ----------
    seed
        The scenario's seed.
    clients
        How many.
    devices
        Device name -> share; shares are taken relative to their sum.
    uplink, downlink, availability
        The laws that each client's own are drawn from.
    seconds_per_step
        Device name -> measured seconds of one local step.
    radio
        Name of the radio that all have.
    """
    names = sorted(devices)
    shares = np.array([devices[name] for name in names], dtype=np.float64)
    shares /= shares.sum()
    # Where a uniform number falls among the shares, as Generator.choice has it.
    bounds = shares.cumsum()
    bounds = (bounds / bounds[-1]).tolist()
    measured, kind = seconds_per_step or {}, RADIOS[radio]

    def draw(some: Sequence[int]) -> list[ClientProfile]:
        lots = streams(seed, "fleet.device", some)
        kinds = [names[bisect_right(bounds, lot.random())] for lot in lots]
        ups, downs = uplink.draw(seed, "uplink", some), downlink.draw(seed, "downlink", some)
        return [
            ClientProfile(
                client=client,
                device=DEVICES[name],
                uplink=up,
                downlink=down,
                availability=availability(client),
                seconds_per_step=measured.get(name),
                radio=kind,
            )
            for client, name, up, down in zip(some, kinds, ups, downs, strict=True)
        ]

    population = DrawnPopulation(clients, draw)
    if clients:
        population[0]  # laws that nothing can be drawn from are refused at once
    return population


def batteries(population: Iterable[ClientProfile]) -> dict[int, float]:
    """Client -> joules of its full battery, for the clients that have one."""
    return {
        profile.client: profile.device.battery
        for profile in population
        if profile.device.battery is not None
    }
