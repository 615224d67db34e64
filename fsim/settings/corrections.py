"""Which settings SCAFFOLD and FedNova go together with."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from fsim.algorithms.corrections import FedNova, Scaffold, make_correction
from fsim.network import Datagram
from fsim.server.aggregation import WeightedMean, make_aggregation
from fsim.server.protocols.buffered import Buffered

if TYPE_CHECKING:
    from fsim.settings.scenario import Scenario

PLAIN_STEPS = frozenset({"sensitivity", "merging"})
"""What a policy may ask of training that leaves a local step one along a gradient."""


def check_correction(scenario: Scenario) -> None:
    """Refuse what contradicts ``server.correction``, naming both.

    Raises
    ------
    ValueError
        In one line.
    """
    correction = scenario.server.correction.make(make_correction)
    if isinstance(correction, Scaffold):
        _check_scaffold(scenario)
    if isinstance(correction, FedNova):
        _check_fednova(scenario)


def _check_scaffold(scenario: Scenario) -> None:
    training, protocol = scenario.training, scenario.protocol.make()
    if training.optimizer != "sgd":
        raise _together(
            "scaffold", f"training.optimizer: {training.optimizer}", "sgd, whose steps it corrects"
        )
    if training.proximal:
        raise _together("scaffold", f"training.proximal: {training.proximal:g}", "0")
    if scenario.server.aggregation.make(make_aggregation) not in (
        WeightedMean("equal", "received"),
        WeightedMean("equal", "selected"),
    ):
        raise _together(
            "scaffold",
            f"server.aggregation: {scenario.server.aggregation.name}",
            "fedavg with weights: equal, as its control variates weigh clients",
        )
    if not protocol.in_its_round:
        raise _together(
            "scaffold",
            f"protocol.kind: {scenario.protocol.kind}",
            "synchronous, or deadline with late: discard, where no update is of an earlier round",
        )
    if isinstance(scenario.transport.make(), Datagram):
        raise _together(
            "scaffold",
            f"transport.kind: {scenario.transport.kind}",
            "one that loses no part of a control variate",
        )
    request = scenario.compression.make().training_request()
    asked = {field.name for field in fields(request) if getattr(request, field.name) is not None}
    if asked - PLAIN_STEPS:
        raise _together(
            "scaffold",
            f"compression.policy: {scenario.compression.policy}",
            "a policy that leaves local steps those of plain SGD",
        )


def _check_fednova(scenario: Scenario) -> None:
    protocol, training = scenario.protocol.make(), scenario.training
    if not isinstance(scenario.server.aggregation.make(make_aggregation), WeightedMean):
        raise _together(
            "fednova", f"server.aggregation: {scenario.server.aggregation.name}", "fedavg"
        )
    if training.proximal:
        raise _together("fednova", f"training.proximal: {training.proximal:g}", "0")
    if isinstance(protocol, Buffered) and protocol.buffer == 1:
        raise _together(
            "fednova",
            f"protocol.kind: {scenario.protocol.kind} with a buffer of 1",
            "a mean of more than one update",
        )


def _together(correction: str, other: str, allowed: str) -> ValueError:
    return ValueError(f"server.correction: found {correction} and {other}, allowed is {allowed}")
