"""Figures that describe a drawn population."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fsim.core.errors import TraceError, TransferNeverEnds
from fsim.fleet.devices import Device
from fsim.fleet.population import ClientProfile, Population
from fsim.network import Tcp

SAMPLE = 500
"""Clients that are asked for what takes time to work out: the first ones of the population, which
are drawn like all others."""

PAYLOAD = 1_000_000
"""Bytes of the upload whose seconds are told: 1 MB."""

HOURS = tuple(range(25))
"""Hours of the first day at which availability is told."""

MBIT = 1e6 / 8


@dataclass(frozen=True)
class Quantiles:
    """The values below which 5%, 50% and 95% of the clients lie."""

    p5: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quantiles:
        """Of one value a client."""
        return cls(*(float(value) for value in np.percentile(values, [5, 50, 95])))


@dataclass(frozen=True)
class DeviceCount:
    """Number of clients that have a device.

    Attributes
    ----------
    seconds_per_step
        As measured; None where the scenario gives none.
    """

    device: Device
    clients: int
    seconds_per_step: float | None


@dataclass(frozen=True)
class Description:
    """A population in figures.

    Attributes
    ----------
    clients
        How many.
    devices
        The commonest first.
    uplink_mbit_s, downlink_mbit_s
        Mean rates of the clients' links.
    uplink_round_trip_s, downlink_round_trip_s
        Of the clients' links.
    upload_s
        Seconds of an upload of :data:`PAYLOAD` bytes over TCP from time 0, on an uplink of one's
        own.
    seconds_per_step
        Of local training; None unless it was measured for every device that occurs.
    available
        Share of the clients that are available at each of :data:`HOURS`.
    sample
        How many clients ``upload_s`` and ``available`` are of.
    """

    clients: int
    devices: tuple[DeviceCount, ...]
    uplink_mbit_s: Quantiles
    downlink_mbit_s: Quantiles
    uplink_round_trip_s: Quantiles
    downlink_round_trip_s: Quantiles
    upload_s: Quantiles
    seconds_per_step: Quantiles | None
    available: tuple[float, ...]
    sample: int

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        data = asdict(self)
        data["devices"] = {
            count.device.name: {
                "clients": count.clients,
                "sustained_flops": count.device.sustained_flops,
                "memory_bytes": count.device.memory,
                "battery_j": count.device.battery,
                "seconds_per_step": count.seconds_per_step,
            }
            for count in self.devices
        }
        data["available"] = dict(zip(map(str, HOURS), self.available, strict=True))
        return data


def describe(population: Population) -> Description:
    """Describe a population of one client or more.

    Raises
    ------
    TransferNeverEnds, TraceError
        A client's upload cannot be told the time of, as in a run.
    """
    sample = population[:SAMPLE]
    steps = [profile.seconds_per_step for profile in population]
    measured = [seconds for seconds in steps if seconds is not None]
    return Description(
        clients=len(population),
        devices=_devices(population),
        uplink_mbit_s=Quantiles.of(uplink_rates(population)),
        downlink_mbit_s=Quantiles.of([p.downlink.capacity.mean / MBIT for p in population]),
        uplink_round_trip_s=Quantiles.of([p.uplink.round_trip for p in population]),
        downlink_round_trip_s=Quantiles.of([p.downlink.round_trip for p in population]),
        upload_s=Quantiles.of([_upload_seconds(profile) for profile in sample]),
        seconds_per_step=Quantiles.of(measured) if len(measured) == len(steps) else None,
        available=tuple(_share_available(sample, hour * 3600.0) for hour in HOURS),
        sample=len(sample),
    )


def uplink_rates(population: Population) -> list[float]:
    """Mean uplink rate of each client, in Mbit/s."""
    return [profile.uplink.capacity.mean / MBIT for profile in population]


def _devices(population: Population) -> tuple[DeviceCount, ...]:
    counts = Counter((p.device, p.seconds_per_step) for p in population)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][0].name))
    return tuple(DeviceCount(device, count, step) for (device, step), count in ordered)


def _upload_seconds(profile: ClientProfile) -> float:
    link = profile.uplink
    try:
        return Tcp().finish_time(link.capacity, PAYLOAD, 0.0, link.round_trip)
    except (TransferNeverEnds, TraceError) as error:
        raise type(error)(f"client {profile.client}, an upload of 1 MB: {error}") from None


def _share_available(sample: Population, time: float) -> float:
    there = sum(profile.availability.next_available(time) == time for profile in sample)
    return there / len(sample)
