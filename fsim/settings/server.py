"""The server: rounds, aggregation, compression."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from fsim.compression import Policy, make_policy
from fsim.server.protocols import PROTOCOLS
from fsim.settings.base import Duration, Rate, Settings, gather, one_of, spread


class ProtocolSettings(Settings):
    """When the server stops waiting, and how long after its last sign of life a client is lost."""

    kind: Annotated[str, BeforeValidator(lambda kind: one_of(kind, PROTOCOLS))] = "synchronous"
    clients_per_round: PositiveInt = 10
    rounds: PositiveInt = 60
    dropout_timeout: Duration = 30.0


class ServerSettings(Settings):
    """Aggregation, and the server's own end of the network.

    ``downlink_policy`` is the precision in which the global adapter is sent down; ``ingress`` and
    ``egress`` are rates that all transfers to and from the server share, None for no limit.
    """

    aggregation: Literal["fedavg"] = "fedavg"
    downlink_policy: Literal["float32", "float16"] = "float32"
    ingress: Rate | None = None
    egress: Rate | None = None

    @model_validator(mode="after")
    def _something_passes(self) -> ServerSettings:
        for key, rate in (("ingress", self.ingress), ("egress", self.egress)):
            if rate == 0:
                raise ValueError(f"{key}: found a rate of zero, over which nothing ever arrives")
        return self


class BillingSettings(Settings):
    """The larger model whose bytes and seconds are billed while a small one is trained.

    Payload bytes are multiplied by ``adapter_parameters`` over the small adapter's own number, and
    compute seconds by ``model_parameters`` over the small model's own. None bills what there is.
    """

    adapter_parameters: PositiveInt | None = None
    model_parameters: PositiveInt | None = None


class CompressionSettings(Settings):
    """The compression policy of the uplink, its options beside its name."""

    policy: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "policy" not in data:
            return data
        gathered = gather(data, {"policy"})
        make_policy(gathered["policy"], gathered["options"])
        return gathered

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return spread(handler(self))

    def make(self) -> Policy:
        """The policy itself."""
        return make_policy(self.policy, self.options)


class TargetSettings(Settings):
    """The quality whose time is asked for."""

    metric: Literal["accuracy"] = "accuracy"
    value: Annotated[float, Field(gt=0, le=1)]
