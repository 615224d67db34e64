"""A scenario, whole and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from fsim.core.quantities import Seed
from fsim.core.validation import Settings
from fsim.server.aggregation import make_aggregation
from fsim.settings.corrections import check_correction
from fsim.settings.fleet import FleetSettings, TransportSettings
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

    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Seed = 0
    task: TaskSettings = TaskSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    fleet: FleetSettings
    transport: TransportSettings = TransportSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    server: ServerSettings = ServerSettings()
    compression: CompressionSettings = CompressionSettings(policy="float16")
    evaluation: EvaluationSettings = EvaluationSettings()
    billing: BillingSettings = BillingSettings()
    failures: FailureSettings = FailureSettings()
    target: TargetSettings

    @property
    def metric(self) -> str:
        """What ``accuracy`` stands for in this scenario's results."""
        return self.evaluation.metric or self.task.make().metrics[0]

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
        aggregation = self.server.aggregation.make(make_aggregation)
        if getattr(aggregation, "denominator", "") == "selected" and not protocol.of_its_cohort:
            raise ValueError(
                "server.aggregation: found denominator: selected and protocol.kind: "
                f"{self.protocol.kind}, which averages updates of several cohorts; allowed is "
                "denominator: received, or synchronous, tiered, or deadline with late: discard"
            )
        return self

    @model_validator(mode="after")
    def _correction_fits(self) -> Scenario:
        check_correction(self)
        return self

    def to_yaml(self) -> str:
        """The scenario with every default written out; loads to an equal scenario."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def with_policy(self, policy: str, options: Mapping[str, Any]) -> Scenario:
        """The same scenario under another compression policy."""
        compression = CompressionSettings.model_validate({"policy": policy, **options})
        other = self.model_copy(update={"compression": compression})
        check_correction(other)
        return other
