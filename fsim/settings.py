"""The parts of a scenario: every key, its type, its default, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from fsim.compression import Policy, make_policy
from fsim.distribution import Distribution
from fsim.errors import ScenarioError, TraceError
from fsim.fleet import DEVICES
from fsim.learning.models import model_folder
from fsim.learning.tasks import Task, make_task
from fsim.network import Capacity
from fsim.network.capacity import PastEnd
from fsim.network.formats import read_trace
from fsim.server.protocols import PROTOCOLS
from fsim.units import BASE_UNITS, parse_quantity


def _quantity(dimension: str) -> tuple[BeforeValidator, PlainSerializer]:
    return (
        BeforeValidator(lambda text: parse_quantity(text, dimension)),
        PlainSerializer(lambda value: f"{value!r} {BASE_UNITS[dimension]}"),
    )


def _law(dimension: str) -> tuple[BeforeValidator, PlainSerializer]:
    return (
        BeforeValidator(lambda text: Distribution.parse(text, dimension)),
        PlainSerializer(lambda law: law.text(BASE_UNITS[dimension])),
    )


Duration = Annotated[float, *_quantity("duration")]
Power = Annotated[float, *_quantity("power")]
RateLaw = Annotated[Distribution, *_law("rate")]
DurationLaw = Annotated[Distribution, *_law("duration")]


class Settings(BaseModel):
    """A part of a scenario: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _one_of(name: str, names: Sequence[str] | Mapping[str, Any]) -> str:
    if name not in names:
        raise ValueError(f"found {name!r}, allowed are {', '.join(names)}")
    return name


def _gather(data: Mapping[str, Any], own: set[str]) -> dict[str, Any]:
    """Keys of the section itself as they are, all others together as ``options``."""
    kept = {key: value for key, value in data.items() if key in own}
    return {**kept, "options": {key: data[key] for key in data if key not in own}}


def _spread(data: dict[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`_gather`."""
    options = data.pop("options")
    return {**data, **options}


class PartitionSettings(Settings):
    """How training examples are divided (:mod:`fsim.learning.partition`).

    ``alpha`` is the concentration of ``dirichlet`` and ``quantity``.
    """

    kind: Literal["dirichlet", "iid", "quantity", "one-label", "natural"] = "dirichlet"
    alpha: PositiveFloat = 0.1
    minimum: PositiveInt = 8


class TaskSettings(Settings):
    """What is learned, the task's options beside its name.

    Prompts are shortened to ``max_prompt_tokens``.
    """

    name: str = "medical"
    partition: PartitionSettings = PartitionSettings()
    max_prompt_tokens: PositiveInt = 64
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        gathered = _gather(data, set(cls.model_fields) - {"options"})
        make_task(gathered.get("name", "medical"), gathered["options"])
        return gathered

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _spread(handler(self))

    def make(self) -> Task:
        """The task itself."""
        return make_task(self.name, self.options)


class LoraModelSettings(Settings):
    """peft's LoRA configuration."""

    rank: PositiveInt = 8
    alpha: PositiveFloat = 16
    targets: str | tuple[str, ...] = "all-linear"


class ModelSettings(Settings):
    """The base model (a registered one, a local folder, or a hub's name) and its adapter."""

    name: str = "nano"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    lora: LoraModelSettings = LoraModelSettings()

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            model_folder(name)
        except ScenarioError as error:
            raise ValueError(str(error).removeprefix("model.name: ")) from None
        return name


class TrainingSettingsModel(Settings):
    """Local training of every client.

    ``threads`` (PyTorch's) and ``cohort_width`` (clients trained side by side; by default chosen by
    the batch's size) are part of the result's last bits, not of its meaning, and so is ``compile``
    (torch.compile: most of a minute once, then faster).
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 3e-3
    weight_decay: NonNegativeFloat = 0.0
    max_gradient_norm: PositiveFloat | None = 1.0
    local_steps: PositiveInt = 8
    batch_size: PositiveInt = 8
    threads: PositiveInt = 1
    cohort_width: PositiveInt | None = None
    compile: bool = False


class LinkSettings(Settings):
    """One direction of the clients' connections.

    Either a ``rate`` that is constant for each client, or a ``trace`` (with ``mean``, scaled to a
    mean rate drawn for each client).
    """

    rate: RateLaw | None = None
    trace: str | None = None
    mean: RateLaw | None = None
    past_end: PastEnd = "loop"
    offset: Literal["random", "none"] = "random"
    round_trip: DurationLaw = Distribution("constant", (0.05,))

    @model_validator(mode="after")
    def _rate_or_trace(self) -> LinkSettings:
        if (self.rate is None) == (self.trace is None):
            found = "neither" if self.rate is None else "both"
            raise ValueError(f"found {found} of rate and trace, allowed is one of them")
        if self.trace is None and self.mean is not None:
            raise ValueError("found a mean without a trace to scale; a constant rate is `rate`")
        for key, law in (("rate", self.rate), ("mean", self.mean)):
            if law is not None and law.always_zero:
                raise ValueError(f"{key}: found a rate of zero, over which nothing ever arrives")
        return self

    @field_validator("trace")
    @classmethod
    def _is_a_trace(cls, trace: str | None, info: ValidationInfo) -> str | None:
        if trace is not None:
            try:
                starts, rates, duration = read_trace(find_file(trace, _folders(info)))
                capacity = Capacity(starts, rates, duration)
            except (ScenarioError, TraceError) as error:
                raise ValueError(str(error)) from None
            if capacity.mean == 0:
                raise ValueError(f"{trace}: the capacity is zero throughout")
        return trace


class AlwaysSettings(Settings):
    """Every client available at all times."""

    kind: Literal["always"]


class DropoutSettings(Settings):
    """Every client lost with this probability in every round it takes part in."""

    kind: Literal["dropout"]
    probability: NonNegativeFloat

    @field_validator("probability")
    @classmethod
    def _someone_stays(cls, probability: float) -> float:
        if probability >= 1:
            raise ValueError(
                f"found {probability:g}: no client would ever be available, allowed is below 1"
            )
        return probability


class OnOffSettings(Settings):
    """Every client alternately on and off, for exponential times of these means."""

    kind: Literal["on-off"]
    on: Duration
    off: Duration

    @model_validator(mode="after")
    def _someone_is_on(self) -> OnOffSettings:
        if self.on == 0:
            raise ValueError("on: found 0 s: no client would ever be available")
        if self.off == 0:
            raise ValueError("off: found 0 s, which is `kind: always`")
        return self


AvailabilitySettings = Annotated[
    AlwaysSettings | DropoutSettings | OnOffSettings, Field(discriminator="kind")
]


class FleetSettings(Settings):
    """Who the clients are. ``seconds_per_step`` overrides a device's arithmetic where measured."""

    clients: PositiveInt
    devices: dict[str, PositiveFloat] = {"jetson-orin-nano": 1.0}
    seconds_per_step: dict[str, Duration] = {}
    uplink: LinkSettings
    downlink: LinkSettings
    availability: AvailabilitySettings = AlwaysSettings(kind="always")
    transmit_power: Power = 2.0
    receive_power: Power = 1.0

    @field_validator("devices", "seconds_per_step")
    @classmethod
    def _known(cls, devices: dict[str, float]) -> dict[str, float]:
        for name in devices:
            _one_of(name, DEVICES)
        return devices

    @field_validator("devices")
    @classmethod
    def _some(cls, devices: dict[str, float]) -> dict[str, float]:
        if not devices:
            raise ValueError("found no device, allowed is one or more")
        return devices


class TransportSettings(Settings):
    """What a transfer costs beside its size over the capacity."""

    kind: Literal["tcp", "fluid"] = "tcp"


class ProtocolSettings(Settings):
    """When the server stops waiting, and how long after its last sign of life a client is lost."""

    kind: Annotated[str, BeforeValidator(lambda kind: _one_of(kind, PROTOCOLS))] = "synchronous"
    clients_per_round: PositiveInt = 10
    rounds: PositiveInt = 60
    dropout_timeout: Duration = 30.0


class ServerSettings(Settings):
    """Aggregation, and the precision in which the global adapter is sent down."""

    aggregation: Literal["fedavg"] = "fedavg"
    downlink_policy: Literal["float32", "float16"] = "float32"


class CompressionSettings(Settings):
    """The compression policy of the uplink, its options beside its name."""

    policy: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "policy" not in data:
            return data
        gathered = _gather(data, {"policy"})
        make_policy(gathered["policy"], gathered["options"])
        return gathered

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _spread(handler(self))

    def make(self) -> Policy:
        """The policy itself."""
        return make_policy(self.policy, self.options)


class EvaluationSettings(Settings):
    """The global adapter is evaluated before the first and after every ``every``-th round.

    ``metric`` is the task's usual one if not given.
    """

    metric: str | None = None
    every: PositiveInt = 1
    examples: PositiveInt = 300


class TargetSettings(Settings):
    """The quality whose time is asked for."""

    metric: Literal["accuracy"] = "accuracy"
    value: Annotated[float, Field(gt=0, le=1)]


class Scenario(Settings):
    """A run, whole and checked."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: NonNegativeInt = 0
    task: TaskSettings = TaskSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettingsModel = TrainingSettingsModel()
    fleet: FleetSettings
    transport: TransportSettings = TransportSettings()
    protocol: ProtocolSettings = ProtocolSettings()
    server: ServerSettings = ServerSettings()
    compression: CompressionSettings = CompressionSettings(policy="float16")
    evaluation: EvaluationSettings = EvaluationSettings()
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
    def _cohort_fits(self) -> Scenario:
        cohort, clients = self.protocol.clients_per_round, self.fleet.clients
        if cohort > clients:
            raise ValueError(
                f"protocol.clients_per_round: found {cohort}, the fleet has {clients} "
                "(fleet.clients)"
            )
        return self

    def to_yaml(self) -> str:
        """The scenario with every default written out; loads to an equal scenario."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def with_policy(self, policy: str, options: Mapping[str, Any]) -> Scenario:
        """The same scenario under another compression policy."""
        compression = CompressionSettings.model_validate({"policy": policy, **options})
        return self.model_copy(update={"compression": compression})


def find_file(path: str, folders: Sequence[Path]) -> Path:
    """The first file or folder of that name in the folders.

    Raises
    ------
    ScenarioError
        There is none.
    """
    for folder in folders:
        if (folder / path).exists():
            return folder / path
    raise ScenarioError(f"{path}: no such file, here or beside or above the scenario")


def _folders(info: ValidationInfo) -> tuple[Path, ...]:
    return info.context["folders"] if info.context else (Path(),)
