"""The commands that list what there is to choose from."""

from __future__ import annotations

import dataclasses
from typing import Any

from fsim.cli.options import line


def policies() -> None:
    """List the compression policies and their options."""
    from fsim.compression import POLICIES

    for name, policy in POLICIES.items():
        line(name, _first_sentence(policy), _options(policy))


def tasks() -> None:
    """List the tasks."""
    from fsim.data.tasks import TASKS

    for name, task in TASKS.items():
        line(name, _first_sentence(task), _options(task))


def models() -> None:
    """List the base models."""
    from fsim.model.loading import MODELS

    for model in MODELS.values():
        state = "present" if model.present() else f"get it with: {model.how_to_get}"
        line(model.name, model.summary, state)
    line("FOLDER", "any local folder with a Hugging Face causal language model")
    line("ORGANISATION/NAME", "one in the Hugging Face cache of this machine, or on the hub")


def protocols() -> None:
    """List the round protocols."""
    from fsim.server.protocols import PROTOCOLS

    for protocol in PROTOCOLS.values():
        line(protocol.name, protocol.summary)


def devices() -> None:
    """List the devices that clients can be."""
    from fsim.fleet import DEVICES

    for device in DEVICES.values():
        rates = f"{device.sustained_flops / 1e9:.0f} GFLOP/s sustained, {device.compute_power:g} W"
        line(device.name, f"{rates}; {device.source}")


def _options(thing: Any) -> str:
    def told(field: dataclasses.Field[Any]) -> str:
        required = field.default is dataclasses.MISSING
        return f"{field.name} (required)" if required else f"{field.name}={field.default}"

    return ", ".join(told(field) for field in dataclasses.fields(thing) if field.init)


def _first_sentence(thing: type) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0].rstrip(".")
