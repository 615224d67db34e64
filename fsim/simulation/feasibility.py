"""A check that anyone can ever answer: the least time that a client's first round takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from fsim.compression import EncodingContext, make_policy
from fsim.compression.coding.wire import HEADER_BYTES
from fsim.compression.faults import explained, running
from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.core.types import Update
from fsim.fleet import ClientProfile, Link
from fsim.network import Capacity, Transport
from fsim.network.transports.interruption import Rule
from fsim.settings import Scenario
from fsim.simulation.allowance import bytes_within
from fsim.simulation.billing import Billing
from fsim.simulation.learner import Learner
from fsim.simulation.payload import EncodedUpdate


@dataclass(frozen=True)
class LeastRound:
    """The least seconds of a client's round: links at their highest rate, and nobody else on them.

    Attributes
    ----------
    download_bytes, upload_bytes
        That are billed for the adapter, and for an update.
    operations, steps
        Client -> those of training, as they are billed.
    """

    transport: Transport
    download_bytes: int
    upload_bytes: int
    operations: Callable[[int], float]
    steps: Callable[[int], float]

    def seconds(self, profile: ClientProfile) -> tuple[float, float, float]:
        """Seconds of download, training and upload."""
        # The radio may be in its tail when a client is asked.
        down = self._transfer(self.download_bytes, profile.downlink)
        up = self._transfer(self.upload_bytes, profile.uplink, self.promotion(profile))
        return down, self._training(profile), up

    def promotion(self, profile: ClientProfile) -> float:
        """The least seconds that a client's radio takes to wake up for its upload."""
        return profile.radio.promotion_after(self._training(profile))

    def _training(self, profile: ClientProfile) -> float:
        return profile.compute_seconds(self.operations(profile.client), self.steps(profile.client))

    def _transfer(self, size: int, link: Link, promotion: float = 0.0) -> float:
        highest = link.capacity.staircase.highest * link.capacity.scale
        if not highest:
            return float("inf")
        # As over a connection that is kept, whose window is as large as it may be.
        opening = self.transport.opening(math.inf)._replace(promotion=promotion)
        capacity = Capacity.constant(highest)
        return self.transport.finish_time(capacity, size, 0.0, link.round_trip, opening)


def check_feasible(
    scenario: Scenario,
    learner: Learner,
    billing: Billing,
    transport: Transport,
    adapter: Update,
    population: Iterable[ClientProfile],
) -> None:
    """Refuse a scenario in which no client can ever answer, before anything has happened.

    Raises
    ------
    ScenarioError
        See :func:`check_window`, :func:`check_presence`, :func:`check_policy` and
        :func:`check_budget`.
    """
    server, training = scenario.server, scenario.training
    size = _adapter_bytes(scenario, adapter)
    if server.downlink == "delta":
        size = HEADER_BYTES  # if nothing has changed

    def steps(client: int) -> int:
        return training.steps(learner.examples(client))

    def operations(client: int) -> float:
        job = learner.job(client, 1, adapter, steps(client))
        return learner.operations(job) * billing.operations_factor

    least = LeastRound(
        transport,
        billing.size(size),
        HEADER_BYTES,
        operations,
        lambda client: steps(client) * billing.operations_factor,
    )
    if (window := scenario.protocol.make().first_deadline) is not None:
        check_window(window, population, least)
    rule, seconds = scenario.fleet.when_away, scenario.compression.upload_seconds
    zeros = None
    if rule != "resume" or seconds is None:  # of a large adapter some policies take seconds
        zeros = _encoded_zeros(scenario, learner, transport)
    if zeros is not None:
        # No shorter update is there for policies of fixed length.
        shortest = max(HEADER_BYTES, zeros.size)
        least = replace(least, upload_bytes=billing.size(shortest))
    else:  # of a policy that has nothing to say of zeros
        least = replace(least, upload_bytes=billing.size(HEADER_BYTES))
    check_presence(rule, population, least)
    if seconds is not None:
        check_budget(seconds, scenario, learner, billing, least, population)
    elif zeros is None:
        check_policy(scenario, learner, transport)


def _adapter_bytes(scenario: Scenario, adapter: Update) -> int:
    """Bytes of an adapter on its way down.

    Raises
    ------
    ScenarioError
        The downlink's policy cannot send an adapter.
    """
    choice = scenario.server.downlink_policy
    policy = choice.make(make_policy)
    trouble = ""
    cause: ValueError | None = None
    if not all(policy.trains(name, number) for name in adapter for number in (1, 2)):
        trouble = "it leaves matrices out"
    try:
        rng = stream(scenario.seed, "server.downlink", 0)
        with running(policy, ValueError):
            size = len(policy.encode(adapter, EncodingContext(rng)))
    except ValueError as error:
        trouble, cause = trouble or explained(error), error
    if trouble:
        raise ScenarioError(
            f"server.downlink_policy: found {choice.name}, which cannot send an adapter: {trouble}"
        ) from cause
    return size


def check_policy(scenario: Scenario, learner: Learner, transport: Transport) -> None:
    """Refuse a policy that can send nothing, be it other than the zeros that it has refused.

    Raises
    ------
    ScenarioError
        Naming the policy, and what it says.
    """
    try:
        _encoded(1.0, scenario, learner, transport)
    except ValueError as error:
        raise ScenarioError(
            f"compression: found {scenario.compression.policy}, with which no client can send an "
            f"update: {explained(error)}"
        ) from error


def check_budget(
    seconds: float,
    scenario: Scenario,
    learner: Learner,
    billing: Billing,
    least: LeastRound,
    clients: Iterable[ClientProfile],
) -> None:
    """Refuse a time for uploads in which no client can send anything.

    Raises
    ------
    ScenarioError
        Naming the time, and what the policy says of the largest budget.
    """
    refused: dict[int, str] = {}
    transport = least.transport
    for profile in clients:
        billed = bytes_within(seconds, profile.uplink, transport, least.promotion(profile))
        budget = int(billed / billing.bytes_factor)
        if refused and budget <= max(refused):
            continue
        try:
            _encoded(0.0, scenario, learner, transport, budget)
            return
        except ValueError as error:
            refused[budget] = explained(error)
    raise ScenarioError(
        f"compression.upload_seconds: found {seconds:g} s, in which no client can send an update: "
        f"{refused[max(refused)]}"
    )


def _encoded_zeros(
    scenario: Scenario, learner: Learner, transport: Transport
) -> EncodedUpdate | None:
    try:
        return _encoded(0.0, scenario, learner, transport)
    except ValueError:
        return None


def _encoded(
    value: float,
    scenario: Scenario,
    learner: Learner,
    transport: Transport,
    budget: int | None = None,
) -> EncodedUpdate:
    """The encoded form of an update that is the same everywhere."""
    update = {spec.name: np.full(spec.shape, value, np.float32) for spec in learner.layout.tensors}
    context = EncodingContext(
        stream(scenario.seed, "compression", 0, 0),
        fisher=update,
        scales=dict.fromkeys(update, 1.0),
        round_number=1,
        budget=budget,
    )
    return EncodedUpdate.of(update, scenario.compression.make(), context, transport)


def check_presence(rule: Rule, clients: Iterable[ClientProfile], least: LeastRound) -> None:
    """Refuse a fleet in which nobody is ever there for long enough.

    Parameters
    ----------
    rule
        The part of a transfer and of training that survives going away.
    clients
        Looked at until one is found that is there for long enough.
    least
        The least time of a round.

    Raises
    ------
    ScenarioError
        Naming how long a client is there at the most, and what it would have to be.
    """
    if rule == "resume":
        return
    best: tuple[float, float] | None = None
    for profile in clients:
        there = profile.availability.longest_window
        if there == math.inf:
            return
        parts = least.seconds(profile)
        needed = sum(parts) if rule == "lost" else max(parts)
        if needed <= there:
            return
        if best is None or needed - there < best[0] - best[1]:
            best = needed, there
    if best is None:
        return
    what = (
        "a download, its training and an upload" if rule == "lost" else "the longest of its parts"
    )
    raise ScenarioError(
        f"fleet.availability: found clients that are there for {best[1]:.4g} s at the most, with "
        f"fleet.when_away: {rule} a client needs at least {best[0]:.4g} s at a stretch for {what}"
    )


def check_window(window: float, clients: Iterable[ClientProfile], least: LeastRound) -> None:
    """Refuse a deadline that nobody can keep.

    Parameters
    ----------
    window
        Seconds from being asked to having answered.
    clients
        Looked at until one is found that can.
    least
        The least time of a round.

    Raises
    ------
    ScenarioError
        Naming the deadline and what the fastest client needs.
    """
    best: tuple[float, float, float] | None = None
    for profile in clients:
        seconds = least.seconds(profile)
        if sum(seconds) <= window:
            return
        if best is None or sum(seconds) < sum(best):
            best = seconds
    if best is None:
        return
    down, training, up = best
    raise ScenarioError(
        f"protocol.after: found {window:g} s, the fastest client needs at least {sum(best):.4g} s: "
        f"{down:.4g} s to download over fleet.downlink, {training:.4g} s for training.local_steps, "
        f"{up:.4g} s or more over fleet.uplink"
    )
