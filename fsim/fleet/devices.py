"""Devices that clients can be: how fast they compute and what it draws.

``peak_flops`` is worked out from the maker's published core counts and clocks in float32, not
measured; ``utilisation`` is the share of it that training sustains, one assumption for all of them,
stated rather than hidden. Where seconds a step were measured, the scenario's
``fleet.seconds_per_step`` replaces both.
"""

from __future__ import annotations

from dataclasses import dataclass

UTILISATION = 0.3
"""Share of peak float32 arithmetic that fine-tuning is taken to sustain."""


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
        Watts drawn while training.
    source
        How ``peak_flops`` and ``compute_power`` come about.
    """

    name: str
    peak_flops: float
    compute_power: float
    source: str

    @property
    def sustained_flops(self) -> float:
        """Float32 operations a second while training."""
        return UTILISATION * self.peak_flops

    def seconds_for(self, operations: float) -> float:
        """Seconds of compute for a number of floating-point operations."""
        return operations / self.sustained_flops


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device(
            "jetson-orin-nano",
            1024 * 2 * 625e6,
            10.0,
            "NVIDIA Jetson Orin Nano 8GB data sheet: 1024 CUDA cores at 625 MHz, 7 to 15 W modes",
        ),
        Device(
            "jetson-agx-orin",
            2048 * 2 * 1.3e9,
            40.0,
            "NVIDIA Jetson AGX Orin 64GB data sheet: 2048 CUDA cores at 1.3 GHz, 15 to 60 W modes",
        ),
        Device(
            "phone-high",
            1 * 32 * 3.2e9 + 4 * 16 * 2.8e9,
            5.0,
            "big cores of a Snapdragon 8 Gen 2: 1 Cortex-X3 at 3.2 GHz (4 x 128-bit FMA a cycle), "
            "4 Cortex-A7xx at 2.8 GHz (2 x 128-bit); power assumed",
        ),
        Device(
            "phone-mid",
            2 * 16 * 2.4e9 + 6 * 8 * 2.0e9,
            3.5,
            "typical mid-range phone: 2 Cortex-A78 at 2.4 GHz (2 x 128-bit FMA a cycle), "
            "6 Cortex-A55 at 2.0 GHz (1 x 128-bit); power assumed",
        ),
        Device(
            "raspberry-pi-5",
            4 * 16 * 2.4e9,
            8.0,
            "Raspberry Pi 5 product brief: 4 Cortex-A76 at 2.4 GHz (2 x 128-bit FMA a cycle); "
            "power assumed",
        ),
        Device(
            "laptop",
            8 * 32 * 3.0e9,
            35.0,
            "8 cores with AVX2 at 3 GHz (2 x 256-bit FMA a cycle); power assumed",
        ),
    )
}
