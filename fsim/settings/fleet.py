"""The clients, and how their bytes travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import override

from fsim.core.distributions import Distribution
from fsim.core.errors import FsimError, ScenarioError, TraceError
from fsim.core.quantities import Duration, DurationLaw, Power, RateLaw, Size
from fsim.core.registry import parse_choice
from fsim.core.validation import Settings
from fsim.fleet import DEVICES, RADIOS, Nights, Traced
from fsim.fleet.availability import Moment
from fsim.fleet.availability.renewal import check_law
from fsim.network import Capacity, Transport
from fsim.network.formats import read_availability, read_trace
from fsim.network.links.staircase import PastEnd
from fsim.network.transports.interruption import Rule
from fsim.network.transports.transports import TRANSPORTS, make_transport
from fsim.settings.base import SectionWithOptions, check_queue, find_file, folders, one_of
from fsim.settings.effects import Effect


class LinkSettings(Settings):
    """One direction of the clients' connections.

    Either a ``rate`` that is constant for each client, or a ``trace`` (with ``mean``, scaled to a
    mean rate drawn for each client). Each client enters a trace at its own random moment, all at
    its beginning (``offset: none``), or all so far into it (``offset: 5 min``). ``format`` is the
    trace's, as NAME or NAME:OPTION=VALUE, where its file name does not tell.
    """

    past_end: PastEnd = "loop"
    format: str | None = None
    rate: RateLaw | None = None
    trace: str | None = None
    mean: RateLaw | None = None
    offset: Literal["random", "none"] | Duration = "random"
    round_trip: DurationLaw = Distribution("constant", (0.05,))

    @model_validator(mode="after")
    def _rate_or_trace(self) -> LinkSettings:
        if (self.rate is None) == (self.trace is None):
            what = "neither" if self.rate is None else "both"
            raise ValueError(f"found {what} of rate and trace, allowed is one of them")
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
                path = find_file(trace, folders(info))
                capacity = _capacity(path, info.data.get("format"), info.data["past_end"])
            except (ScenarioError, TraceError) as error:
                raise ValueError(str(error)) from None
            if capacity.mean == 0:
                raise ValueError(f"{trace}: the capacity is zero throughout")
        return trace

    def capacity(self, path: Path) -> Capacity:
        """The trace's staircase, from the file that was found for it."""
        return _capacity(path, self.format, self.past_end)


def _capacity(path: Path, format_: str | None, past_end: PastEnd) -> Capacity:
    name, options = parse_choice("format", format_) if format_ else (None, {})
    return Capacity(*read_trace(path, name, **options), past_end)


class _AvailabilitySettings(Settings):
    """The times at which clients are there."""

    timeless: ClassVar[bool] = False
    """Whether who is there does not depend on when it is asked."""


class AlwaysSettings(_AvailabilitySettings):
    """Every client available at all times."""

    timeless: ClassVar[bool] = True

    kind: Literal["always"]


class DropoutSettings(_AvailabilitySettings):
    """Every client lost with this probability in every round it takes part in, at ``moment``."""

    timeless: ClassVar[bool] = True

    kind: Literal["dropout"]
    probability: NonNegativeFloat
    moment: Moment = "computing"

    @field_validator("probability")
    @classmethod
    def _someone_stays(cls, probability: float) -> float:
        if probability >= 1:
            raise ValueError(
                f"found {probability:g}: no client would ever be available, allowed is below 1"
            )
        return probability


def _checked(make: Callable[[], object]) -> None:
    """Call a function, and pass its error on as pydantic has it."""
    try:
        make()
    except FsimError as error:
        raise ValueError(str(error)) from None


class _AlternatingSettings(_AvailabilitySettings):
    """A client alternately on and off."""

    @model_validator(mode="before")
    @classmethod
    def _on_and_off_are_words(cls, data: Any) -> Any:
        """YAML takes the bare words on and off for true and false: here they are keys."""
        if not isinstance(data, dict):
            return data
        words = {True: "on", False: "off"}
        return {words[key] if isinstance(key, bool) else key: data[key] for key in data}

    def _check(self, *laws: Distribution) -> None:
        """Refuse laws that cannot be simulated."""
        for key, law in zip(("on", "off"), laws, strict=True):
            _checked(partial(check_law, key, law))


class OnOffSettings(_AlternatingSettings):
    """Every client alternately on and off, for exponential times of these means."""

    kind: Literal["on-off"]
    on: Duration
    off: Duration

    @model_validator(mode="after")
    def _someone_is_on(self) -> Self:
        if self.on == 0:
            raise ValueError("on: found 0 s: no client would ever be available")
        if self.off == 0:
            raise ValueError("off: found 0 s, which is `kind: always`")
        self._check(*self.laws())
        return self

    def laws(self) -> tuple[Distribution, Distribution]:
        """Of the times on and off, seconds."""
        return Distribution("exponential", (self.on,)), Distribution("exponential", (self.off,))


class RenewalSettings(_AlternatingSettings):
    """Every client alternately on and off, for times of these laws."""

    kind: Literal["renewal"]
    on: DurationLaw
    off: DurationLaw

    @model_validator(mode="after")
    def _can_be_simulated(self) -> Self:
        self._check(*self.laws())
        return self

    def laws(self) -> tuple[Distribution, Distribution]:
        """Of the times on and off, seconds."""
        return self.on, self.off


class DiurnalSettings(_AvailabilitySettings):
    """Every client on in the nights that it uses (:class:`fsim.fleet.Nights`)."""

    kind: Literal["diurnal"]
    start: Duration = Nights.start
    start_deviation: Duration = Nights.start_deviation
    duration: Duration = Nights.duration
    duration_deviation: Duration = Nights.duration_deviation
    probability: PositiveFloat = Nights.probability
    time_zones: dict[float, PositiveFloat] = {0.0: 1.0}

    @model_validator(mode="after")
    def _allowed(self) -> DiurnalSettings:
        _checked(self.nights)
        return self

    def nights(self) -> Nights:
        """The habits themselves."""
        fields = (name for name in type(self).model_fields if name != "kind")
        return Nights(**{name: getattr(self, name) for name in fields})


class TracedSettings(_AvailabilitySettings):
    """Every client as one of the recordings in a file, dealt out in turn."""

    kind: Literal["traced"]
    path: str
    offset: Literal["random", "none"] = "none"

    @field_validator("path")
    @classmethod
    def _is_a_recording(cls, path: str, info: ValidationInfo) -> str:
        _checked(lambda: recordings(find_file(path, folders(info))))
        return path


def recordings(path: Path) -> list[Traced]:
    """The times at which the clients in a file are available, in the order of their names.

    Raises
    ------
    TraceError
        The file is missing or no such file, or has a client who is never available.
    """
    schedules = []
    for name, each in sorted(read_availability(path).items()):
        if not len(each.starts):
            raise TraceError(f"{path}: client {name}: found no time at which it is available")
        schedules.append(Traced(each.starts, each.ends, each.period))
    return schedules


AvailabilitySettings = Annotated[
    AlwaysSettings
    | DropoutSettings
    | OnOffSettings
    | RenewalSettings
    | DiurnalSettings
    | TracedSettings,
    Field(discriminator="kind"),
]


MOST_CLIENTS = 10_000_000
"""Some 40 bytes each are held for as long as a run takes."""

Clients = Annotated[int, Field(gt=0, le=MOST_CLIENTS)]


class CellSettings(Settings):
    """Cells that clients share, each client dealt into one of them.

    ``uplink`` and ``downlink`` are the laws of each cell's own rate in that direction, None for
    one that is no bottleneck. Its clients share a cell max-min fairly. ``uplink_queue`` and
    ``downlink_queue`` are for one that is a single FIFO, as a home's uplink is: the bytes that fit
    into it, for which newcomers wait. None, the default, is for one that schedules per user.
    """

    count: Clients
    uplink: RateLaw | None = None
    downlink: RateLaw | None = None
    uplink_queue: Size | None = None
    downlink_queue: Size | None = None

    @model_validator(mode="after")
    def _is_a_bottleneck(self) -> CellSettings:
        if self.uplink is None and self.downlink is None:
            raise ValueError("found neither uplink nor downlink, allowed is one or both")
        for key, law in (("uplink", self.uplink), ("downlink", self.downlink)):
            if law is not None and law.always_zero:
                raise ValueError(f"{key}: found a rate of zero, over which nothing ever arrives")
        check_queue("uplink", self.uplink_queue, self.uplink)
        check_queue("downlink", self.downlink_queue, self.downlink)
        return self

    @property
    def queues(self) -> dict[str, float | None]:
        """Bytes that fit into its queues, by their keys."""
        return {"uplink_queue": self.uplink_queue, "downlink_queue": self.downlink_queue}


class FleetSettings(Settings):
    """The clients of a scenario.

    ``seconds_per_step`` overrides a device's arithmetic where measured. ``uplink_power`` is
    ``transmit_power`` at all times, or a phone's as it depends on the rate
    (:data:`fsim.fleet.UPLINK_POWER`). ``when_away`` says what becomes of a transfer or of training
    that a client breaks off by going away: it goes on, begins again, or the client is lost.
    ``silent_losses`` is the probability that a client that is lost falls silent, its radio gone:
    the others' processes end, and their kernels close the connection, which the server sees at
    once (``protocol.keepalive``).
    ``radio`` (:data:`fsim.fleet.RADIOS`) says how long it takes to wake up, and what it draws after
    the last byte. ``cells`` are bottlenecks that clients share.
    """

    clients: Annotated[Clients, Effect.TASK]
    devices: Annotated[dict[str, Annotated[float, Field(gt=0, le=1e9)]], Effect.TIME] = {
        "jetson-orin-nano": 1.0
    }
    seconds_per_step: Annotated[dict[str, Duration], Effect.TIME] = {}
    uplink: Annotated[LinkSettings, Effect.TIME]
    downlink: Annotated[LinkSettings, Effect.TIME]
    availability: AvailabilitySettings = AlwaysSettings(kind="always")
    uplink_power: Annotated[Literal["constant", "lte", "5g-low", "5g-mmwave"], Effect.REPORT] = (
        "constant"
    )
    transmit_power: Annotated[Power, Effect.REPORT] = 2.0
    receive_power: Annotated[Power, Effect.REPORT] = 1.0
    count_waiting: Annotated[bool, Effect.REPORT] = False
    radio: Annotated[str, Effect.TIME] = "none"
    when_away: Rule = "resume"
    silent_losses: Annotated[float, Field(ge=0, le=1), Effect.TIME] = 0.0
    cells: Annotated[CellSettings | None, Effect.TIME] = None

    @field_validator("devices", "seconds_per_step")
    @classmethod
    def _allowed_devices(cls, devices: dict[str, float]) -> dict[str, float]:
        for name in devices:
            one_of(name, DEVICES)
        return devices

    @field_validator("radio")
    @classmethod
    def _allowed_radio(cls, radio: str) -> str:
        return one_of(radio, RADIOS)

    @field_validator("devices")
    @classmethod
    def _some(cls, devices: dict[str, float]) -> dict[str, float]:
        if not devices:
            raise ValueError("found no device, allowed is one or more")
        return devices


class TransportSettings(SectionWithOptions):
    """The cost of a transfer beside its size over the capacity, the kind's options beside it."""

    registry: ClassVar[Mapping[str, type]] = TRANSPORTS

    kind: str = "tcp"

    @classmethod
    @override
    def make_named(cls, name: str, options: Mapping[str, Any]) -> Transport:
        return make_transport(name, options)

    def make(self) -> Transport:
        """The transport itself."""
        return make_transport(self.kind, self.options)
