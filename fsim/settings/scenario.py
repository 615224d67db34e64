"""A scenario, whole and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from fsim.algorithms import make_algorithm
from fsim.algorithms.base import Conditions
from fsim.core.quantities import Seed
from fsim.core.validation import Settings, kinds_allowed
from fsim.network.transports.transports import TRANSPORTS
from fsim.server.aggregation import make_aggregation
from fsim.server.optimizers import FedAvg, make_optimizer
from fsim.server.protocols import PROTOCOLS
from fsim.server.selection import make_selector
from fsim.settings.effects import Effect
from fsim.settings.fleet import CellSettings, FleetSettings, TransportSettings
from fsim.settings.learning import (
    EvaluationSettings,
    ModelSettings,
    TaskSettings,
)
from fsim.settings.server import (
    BillingSettings,
    CompressionSettings,
    FailureSettings,
    ProtocolSettings,
    ServerSettings,
    TargetSettings,
)
from fsim.training.settings import TrainingSettings


class Scenario(Settings):
    """A run, whole and checked."""

    name: Annotated[
        str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), Effect.REPORT
    ]
    seed: Annotated[Seed, Effect.TASK] = 0
    task: Annotated[TaskSettings, Effect.TASK] = TaskSettings()
    model: Annotated[ModelSettings, Effect.TASK] = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    fleet: FleetSettings
    transport: Annotated[TransportSettings, Effect.TIME] = TransportSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    server: ServerSettings = ServerSettings()
    compression: CompressionSettings = CompressionSettings(policy="float16")
    evaluation: Annotated[EvaluationSettings, Effect.REPORT] = EvaluationSettings()
    billing: Annotated[BillingSettings, Effect.TIME] = BillingSettings()
    failures: FailureSettings = FailureSettings()
    target: Annotated[TargetSettings, Effect.REPORT]

    @property
    def metric(self) -> str:
        """The metric that ``accuracy`` stands for in this scenario's results."""
        return self.evaluation.metric or self.task.make().metrics[0]

    @property
    def timeless(self) -> bool:
        """True if what is trained does not depend on how long anything takes."""
        return (
            self.protocol.make().timeless
            and self.protocol.selection.make(make_selector).timeless
            and self.fleet.availability.timeless
            and self.compression.upload_seconds is None
            and not self.transport.make().loses_packets
            and not self.server.crashes
        )

    @model_validator(mode="after")
    def _metric_fits(self) -> Scenario:
        metrics = self.task.make().metrics
        if self.evaluation.metric not in (None, *metrics):
            raise ValueError(
                f"evaluation.metric: found {self.evaluation.metric!r}, allowed for the task "
                f"{self.task.name} are {', '.join(metrics)}"
            )
        return self

    @model_validator(mode="after")
    def _protocol_fits(self) -> Scenario:
        protocol = self.protocol.make()
        protocol.check(self.fleet.clients, self.protocol.clients_per_round)
        if not protocol.uses_optimizer and self.server.optimizer.make(make_optimizer) != FedAvg():
            others = ", ".join(name for name, kind in PROTOCOLS.items() if kind.uses_optimizer)
            raise ValueError(
                f"server.optimizer: found {self.server.optimizer.name} and protocol.kind: "
                f"{self.protocol.kind}, which makes the global adapter without one; allowed is "
                f"fedavg with lr 1, or one of {others}"
            )
        aggregation = self.server.aggregation.make(make_aggregation)
        if getattr(aggregation, "denominator", "") == "selected" and not protocol.of_its_cohort:
            conditions = {name: kind.cohort_condition for name, kind in PROTOCOLS.items()}
            fitting = {name: text for name, text in conditions.items() if text is not None}
            raise ValueError(
                "server.aggregation: found denominator: selected and protocol.kind: "
                f"{self.protocol.kind}, which averages updates of several cohorts; allowed is "
                f"denominator: received, or {kinds_allowed(fitting)}"
            )
        return self

    @model_validator(mode="after")
    def _queues_fit(self) -> Scenario:
        places: dict[str, CellSettings | ServerSettings | None] = {
            "fleet.cells": self.fleet.cells, "server": self.server
        }  # fmt: skip
        for place, section in places.items():
            for key, queue in (section.queues if section is not None else {}).items():
                if queue is not None and not self.transport.make().has_windows:
                    others = ", ".join(
                        name for name, kind in TRANSPORTS.items() if kind.has_windows
                    )
                    raise ValueError(
                        f"{place}.{key}: found {queue:g} B and transport.kind: "
                        f"{self.transport.kind}, which has no window that would fill a queue; "
                        f"allowed is no queue, or one of {others}"
                    )
        return self

    @model_validator(mode="after")
    def _correction_fits(self) -> Scenario:
        self.check_algorithm()
        return self

    def check_algorithm(self) -> None:
        """Refuse what contradicts ``server.correction``, naming both.

        Raises
        ------
        ValueError
            In one line.
        """
        transport = self.transport.make()
        self.server.correction.make(make_algorithm).check(
            Conditions(
                optimizer=self.training.optimizer,
                proximal=self.training.proximal,
                aggregation=self.server.aggregation.make(make_aggregation),
                protocol=self.protocol.make(),
                policy=self.compression.make(),
                transport=transport.name,
                loses_packets=transport.loses_packets,
            )
        )

    def to_yaml(self) -> str:
        """The scenario with every default written out; loads to an equal scenario."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def with_policy(self, policy: str, options: Mapping[str, Any]) -> Scenario:
        """The same scenario under another compression policy."""
        compression = CompressionSettings.model_validate({"policy": policy, **options})
        other = self.model_copy(update={"compression": compression})
        other.check_algorithm()
        return other
