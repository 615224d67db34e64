"""The part of a run that all its clients share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import simpy

from fsim.fleet import EnergyModel
from fsim.network.transports.connection import Connection
from fsim.records import Recorder
from fsim.simulation.billing import Billing
from fsim.simulation.failures import PayloadFailures, ServerUptime
from fsim.simulation.learner import Learner
from fsim.simulation.losses import LossNotices
from fsim.simulation.payload import PayloadEncoder
from fsim.simulation.radios import Radios
from fsim.simulation.transfer import Route


@dataclass(frozen=True)
class RunContext:
    """The part of a run that all its clients share.

    Attributes
    ----------
    uplink, downlink
        Routes of their bytes.
    encoder
        Encodes their updates.
    energy
        Energy of training and transfers.
    notices
        Of lost clients.
    uptime
        Times at which the server is there.
    failures
        Damage and doubling of payloads on their way.
    radios
        Radios of the clients.
    upload_seconds
        Seconds that an upload may take, which set each client's budget of bytes; None for none.
    connections
        Client -> its connection to the server.
    """

    env: simpy.Environment
    uplink: Route
    downlink: Route
    learner: Learner
    encoder: PayloadEncoder
    recorder: Recorder
    energy: EnergyModel
    billing: Billing
    notices: LossNotices
    uptime: ServerUptime
    failures: PayloadFailures
    radios: Radios
    upload_seconds: float | None = None
    connections: defaultdict[int, Connection] = field(
        default_factory=lambda: defaultdict(Connection)
    )
