"""Devices that clients can be: how fast they compute, what they hold, and what it draws.

``peak_flops`` is worked out from the maker's published core counts and clocks in float32, not
measured; :data:`UTILISATION` is the share of it that training sustains, one assumption for all of
them, stated rather than hidden. Where seconds a step were measured, the scenario's
``fleet.seconds_per_step`` replaces both. Every other figure is either published, as ``source``
says, or named in ``assumed``.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsim.core.registry import Catalog

UTILISATION = 0.3
"""Share of peak float32 arithmetic that fine-tuning is taken to sustain. Assumed."""

USABLE_MEMORY = 0.6
"""Share of a device's memory that training may have beside system and other programs. Assumed."""

CELL_VOLTAGE = 3.85
"""Volts by which a phone battery's mAh become joules: nominal of lithium-ion cells. Assumed."""

GB = 1e9


@dataclass(frozen=True)
class Device:
    """A kind of client hardware.

    Attributes
    ----------
    name
        As scenarios write it.
    peak_flops
        Float32 operations a second, all cores, by the maker's figures.
    compute_power
        Watts that the whole device draws while training.
    source
        Where the figures come from that are not in ``assumed``.
    idle_power
        Watts that the whole device draws while it waits, its screen off.
    memory
        Bytes of main memory, shared by system, CPU and GPU.
    battery
        Joules when full; None for a device on the mains.
    assumed
        Names of the attributes that are assumptions and not published figures.
    """

    name: str
    peak_flops: float
    compute_power: float
    source: str
    idle_power: float = 0.0
    memory: float = float("inf")
    battery: float | None = None
    assumed: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Speed, power and the source of both, in one line."""
        rate = f"{self.sustained_flops / 1e9:.0f} GFLOP/s sustained, {self.compute_power:g} W"
        return f"{rate}; {self.source}"

    @property
    def sustained_flops(self) -> float:
        """Float32 operations a second while training."""
        return UTILISATION * self.peak_flops

    def seconds_for(self, operations: float) -> float:
        """Seconds of compute for a number of floating-point operations."""
        return operations / self.sustained_flops

    def fits(self, size: float) -> bool:
        """Tell whether training of ``size`` bytes (weights, activations, states) has room."""
        return size <= USABLE_MEMORY * self.memory


def _phone_battery(milliampere_hours: float) -> float:
    """Joules of a phone's battery: Ah x V x 3600 s."""
    return milliampere_hours / 1000 * CELL_VOLTAGE * 3600


DEVICES: Catalog[Device] = Catalog(
    "device",
    Device,
    "fsim.fleet.Device",
    (
        Device(
            "jetson-orin-nano",
            1024 * 2 * 625e6,
            10.0,
            "NVIDIA Jetson Orin Nano 8GB data sheet: 1024 CUDA cores at 625 MHz, 8 GB LPDDR5, "
            "7 to 15 W modes",
            idle_power=4.0,
            memory=8 * GB,
            assumed=("compute_power", "idle_power"),
        ),
        Device(
            "jetson-agx-orin",
            2048 * 2 * 1.3e9,
            40.0,
            "NVIDIA Jetson AGX Orin 64GB data sheet: 2048 CUDA cores at 1.3 GHz, 64 GB LPDDR5, "
            "15 to 60 W modes",
            idle_power=9.0,
            memory=64 * GB,
            assumed=("compute_power", "idle_power"),
        ),
        Device(
            "phone-high",
            1 * 32 * 3.2e9 + 4 * 16 * 2.8e9,
            5.0,
            "big cores of a Snapdragon 8 Gen 2: 1 Cortex-X3 at 3.2 GHz (4 x 128-bit FMA a cycle), "
            "4 Cortex-A7xx at 2.8 GHz (2 x 128-bit); 8 GB and 5000 mAh as in the Samsung Galaxy "
            "S23 Ultra",
            idle_power=0.5,
            memory=8 * GB,
            battery=_phone_battery(5000),
            assumed=("compute_power", "idle_power"),
        ),
        Device(
            "phone-mid",
            2 * 16 * 2.4e9 + 6 * 8 * 2.0e9,
            3.5,
            "Samsung Exynos 1280: 2 Cortex-A78 at 2.4 GHz (2 x 128-bit FMA a cycle), 6 Cortex-A55 "
            "at 2.0 GHz (1 x 128-bit); 6 GB and 5000 mAh as in the Galaxy A53 5G",
            idle_power=0.5,
            memory=6 * GB,
            battery=_phone_battery(5000),
            assumed=("compute_power", "idle_power"),
        ),
        Device(
            "phone-low",
            4 * 8 * 1.6e9 + 4 * 8 * 1.2e9,
            2.5,
            "Unisoc SC9863A: 4 Cortex-A55 at 1.6 GHz and 4 at 1.2 GHz (1 x 128-bit FMA a cycle); "
            "2 GB and 5000 mAh as in the Samsung Galaxy A03 Core",
            idle_power=0.4,
            memory=2 * GB,
            battery=_phone_battery(5000),
            assumed=("compute_power", "idle_power"),
        ),
        Device(
            "raspberry-pi-5",
            4 * 16 * 2.4e9,
            8.0,
            "Raspberry Pi 5 product brief: 4 Cortex-A76 at 2.4 GHz (2 x 128-bit FMA a cycle), "
            "the 8 GB model",
            idle_power=3.0,
            memory=8 * GB,
            assumed=("compute_power", "idle_power"),
        ),
        Device(
            "laptop",
            8 * 32 * 3.0e9,
            35.0,
            "8 cores with AVX2 (2 x 256-bit FMA a cycle); no particular machine",
            idle_power=6.0,
            memory=16 * GB,
            battery=55 * 3600.0,
            assumed=("peak_flops", "compute_power", "idle_power", "memory", "battery"),
        ),
    ),
)
"""Name -> device."""
