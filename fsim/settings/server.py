"""The server: rounds, aggregation, compression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)
from typing_extensions import override

from fsim.algorithms import make_algorithm
from fsim.compression import POLICIES, Policy, make_policy
from fsim.core.errors import shown
from fsim.core.quantities import Count, Duration, Rate, Size
from fsim.core.registry import choose
from fsim.core.validation import Settings, kinds_allowed
from fsim.server.aggregation import make_aggregation
from fsim.server.keepalive import KEEPALIVES, Keepalive
from fsim.server.optimizers import make_optimizer
from fsim.server.protocols import PROTOCOLS, RoundProtocol, make_protocol
from fsim.server.screening import Screen
from fsim.server.selection import make_selector
from fsim.settings.base import Choice, SectionWithOptions, check_queue, choice_of
from fsim.settings.effects import Effect


class StopSettings(Settings):
    """Conditions that end a run before its last round: whichever comes first.

    ``at_target`` ends it at the first evaluation that reaches the target, ``after`` at that
    simulated time, ``uplink`` at the first round that closes after that many bytes sent. A run in
    which no update has entered the global adapter for ``without_update`` of simulated time fails,
    and says what became of the clients meanwhile.
    """

    at_target: bool = False
    after: Duration | None = None
    uplink: Size | None = None
    without_update: Annotated[Duration, Field(gt=0)] = 7 * 86400.0


def _second_or_more(seconds: float) -> float:
    if seconds < 1:
        raise ValueError(f"found {seconds:g} s, allowed is 1 s or more")
    return seconds


Patience = Annotated[Duration, AfterValidator(_second_or_more)]
"""Seconds of a keepalive: a second is the least that grpc-go's servers ping after, and a timeout of
less than a round trip would end connections of clients that are well."""


class KeepaliveSettings(Settings):
    """The server's pings of clients that it has not heard of (:mod:`fsim.server.keepalive`).

    A name of :data:`~fsim.server.keepalive.KEEPALIVES`, or ``time``, without anything from a client
    until it is pinged, and ``timeout``, for its answer.
    """

    time: Patience = KEEPALIVES["flower"].time
    timeout: Patience = KEEPALIVES["flower"].timeout

    @model_validator(mode="before")
    @classmethod
    def _of_a_name(cls, data: Any) -> Any:
        if isinstance(data, dict | KeepaliveSettings):
            return data
        if not isinstance(data, str) or data not in KEEPALIVES:
            raise ValueError(
                f"found {shown(data)}, allowed are {', '.join(KEEPALIVES)}, or a mapping with the "
                f"keys {', '.join(cls.model_fields)}"
            )
        named = KEEPALIVES[data]
        return {"time": f"{named.time!r} s", "timeout": f"{named.timeout!r} s"}

    def make(self) -> Keepalive:
        """The keepalive itself."""
        return Keepalive(self.time, self.timeout)


class ProtocolSettings(SectionWithOptions):
    """The protocol and the selection of clients; the kind's options beside it.

    Clients are chosen by ``selection`` among those that are there (``ask: available``), or among
    all (``ask: all``), and then waited for if they are away. ``keepalive`` is how the server
    notices those that have fallen silent (``fleet.silent_losses``).
    """

    registry: ClassVar[Mapping[str, type]] = PROTOCOLS

    kind: str = "synchronous"
    clients_per_round: Count = 10
    rounds: Count = 60
    keepalive: Annotated[KeepaliveSettings, Effect.TIME] = KeepaliveSettings()
    selection: choice_of(make_selector) = Choice("uniform", {})  # type: ignore[valid-type]
    ask: Literal["available", "all"] = "available"
    stop: StopSettings = StopSettings()

    @model_validator(mode="before")
    @classmethod
    def _without_a_timeout(cls, data: Any) -> Any:
        if isinstance(data, dict) and "dropout_timeout" in data:
            raise ValueError(
                "dropout_timeout: unknown key, lost clients are noticed by fleet.silent_losses and "
                "protocol.keepalive"
            )
        return data

    @classmethod
    @override
    def make_named(cls, name: str, options: Mapping[str, Any]) -> RoundProtocol:
        return make_protocol(name, options)

    def make(self) -> RoundProtocol:
        """The protocol itself."""
        return make_protocol(self.kind, self.options)


class CrashSettings(Settings):
    """The server is gone from ``at`` for ``down``; work in flight then is lost or kept.

    What it had received and made of it by then is on its disk: the adapter, updates of a round that
    is still open, the server optimiser's state, and, with ``selection: kept``, what the selection
    rule has seen. With ``selection: lost`` that is gone: the rule begins anew, knowing what clients
    register with.
    """

    at: Duration
    down: Duration
    in_flight: Literal["lost", "kept"] = "lost"
    selection: Literal["kept", "lost"] = "kept"


class ServerSettings(Settings):
    """Aggregation, and the server's own end of the network.

    The mean of the clients' updates (``aggregation``) goes through the server's ``optimizer``;
    ``correction`` keeps clients from drifting apart (:mod:`fsim.algorithms`);
    ``screen`` keeps updates out that cannot be right (:class:`fsim.server.screening.Screen`).
    ``downlink_policy`` is how what is sent down is encoded: the whole adapter, or, with
    ``downlink: delta``, what has changed since the version that the client has. ``ingress`` and
    ``egress`` are rates that all transfers to and from the server share, None for no limit;
    ``ingress_queue`` and ``egress_queue`` the bytes that fit into its queue where all share one
    FIFO, None for one that keeps transfers apart.
    """

    aggregation: choice_of(make_aggregation) = Choice("fedavg", {})  # type: ignore[valid-type]
    optimizer: choice_of(make_optimizer) = Choice("fedavg", {})  # type: ignore[valid-type]
    correction: choice_of(make_algorithm) = Choice("none", {})  # type: ignore[valid-type]
    screen: dict[str, Any] = {}
    downlink: Literal["adapter", "delta"] = "adapter"
    downlink_policy: choice_of(make_policy) = Choice("float32", {})  # type: ignore[valid-type]
    ingress: Annotated[Rate | None, Effect.TIME] = None
    egress: Annotated[Rate | None, Effect.TIME] = None
    ingress_queue: Annotated[Size | None, Effect.TIME] = None
    egress_queue: Annotated[Size | None, Effect.TIME] = None
    crashes: tuple[CrashSettings, ...] = ()

    @model_validator(mode="after")
    def _something_passes(self) -> ServerSettings:
        for key, rate in (("ingress", self.ingress), ("egress", self.egress)):
            if rate == 0:
                raise ValueError(f"{key}: found a rate of zero, over which nothing ever arrives")
        check_queue("ingress", self.ingress_queue, self.ingress)
        check_queue("egress", self.egress_queue, self.egress)
        return self

    @property
    def queues(self) -> dict[str, float | None]:
        """Bytes that fit into its queues, by their keys."""
        return {"ingress_queue": self.ingress_queue, "egress_queue": self.egress_queue}

    @field_validator("screen")
    @classmethod
    def _is_a_screen(cls, screen: dict[str, Any]) -> dict[str, Any]:
        choose("screen", {"screen": Screen}, "screen", screen)
        return screen

    def make_screen(self) -> Screen:
        """The screen that keeps updates out."""
        return choose("screen", {"screen": Screen}, "screen", self.screen)


class FailureSettings(Settings):
    """Failures beside clients that go away.

    ``corrupted`` and ``duplicated`` are probabilities that a payload arrives damaged, or twice.
    ``clock_skew`` is how far a client's clock may be off, either way: a deadline counts by the time
    that the client stamped its update with.
    """

    corrupted: Annotated[float, Field(ge=0, le=1)] = 0.0
    duplicated: Annotated[float, Field(ge=0, le=1)] = 0.0
    clock_skew: Annotated[Duration, Effect.TIME] = 0.0


Parameters = Annotated[int, Field(gt=0, le=10**15)]


class BillingSettings(Settings):
    """The larger model whose bytes and seconds are billed while a small one is trained.

    Payload bytes are multiplied by ``adapter_parameters`` over the small adapter's own number, and
    compute seconds by ``model_parameters`` over the small model's own. None bills what there is.
    """

    adapter_parameters: Parameters | None = None
    model_parameters: Parameters | None = None

    @property
    def scales(self) -> bool:
        """True if anything is billed as another model's."""
        return self.adapter_parameters is not None or self.model_parameters is not None


class CompressionSettings(SectionWithOptions):
    """The compression policy of the uplink, its options beside its name.

    ``upload_seconds`` is what an upload may take: each client works out from its link's mean
    capacity, its round-trip time and the transport how many bytes that is, and gives the policy
    this budget. For policies that keep to one.
    """

    registry: ClassVar[Mapping[str, type]] = POLICIES

    policy: str
    upload_seconds: Annotated[Duration, Field(gt=0)] | None = None

    @classmethod
    @override
    def make_named(cls, name: str, options: Mapping[str, Any]) -> Policy:
        return make_policy(name, options)

    def make(self) -> Policy:
        """The policy itself."""
        return make_policy(self.policy, self.options)

    @model_validator(mode="after")
    def _keeps_to_a_budget(self) -> CompressionSettings:
        if self.upload_seconds is not None and not self.make().keeps_to_budget:
            conditions = {name: policy.budget_condition for name, policy in POLICIES.items()}
            keeping = {name: text for name, text in conditions.items() if text is not None}
            raise ValueError(
                f"upload_seconds: found {self.upload_seconds:g} s for {self.policy} with these "
                f"options, allowed is a policy that keeps to a budget: {kinds_allowed(keeping)}"
            )
        return self


class TargetSettings(Settings):
    """The quality whose time is asked for.

    It is reached when the mean of the last ``window`` evaluations is at least ``value``: where
    accuracy swings from round to round, one evaluation above it says little.
    """

    metric: Literal["accuracy"] = "accuracy"
    value: Annotated[float, Field(gt=0, le=1)]
    window: Count = 1
