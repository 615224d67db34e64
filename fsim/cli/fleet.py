"""``fsim fleet``: who the clients of a scenario are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsim.cli.options import Out, Overrides, ScenarioFile, console, print_path
from fsim.core.units import format_bytes, format_duration

if TYPE_CHECKING:
    from fsim.fleet import Population
    from fsim.fleet.description import Description, Quantiles

AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def fleet(
    scenario: ScenarioFile, override: Overrides = None, out: Out = None, as_json: AsJson = False
) -> None:
    """Draw a scenario's clients and show what they are: devices, links, availability."""
    from fsim.fleet.description import describe
    from fsim.settings.loading import load_scenario
    from fsim.simulation.build import build_population

    loaded = load_scenario(scenario, override or ())
    population = build_population(loaded)
    description = describe(population)
    path = (out or Path("runs")) / f"{loaded.scenario.name}-fleet.png"
    _save_figure(population, description, path)
    if as_json:
        figures = {"name": loaded.scenario.name, **description.as_dict(), "figure": str(path)}
        print(json.dumps(figures, indent=2))
        return
    console.print(_devices(description))
    console.print(_links(description))
    console.print(_availability(description))
    print_path("Figure", path)


def _devices(description: Description) -> Table:
    table = Table(title=f"{description.clients:,} clients", title_justify="left", box=SIMPLE_HEAD)
    for head in ("device", "clients", "sustained", "step", "memory", "battery"):
        table.add_column(head, justify="left" if head == "device" else "right", no_wrap=True)
    for count in description.devices:
        device, step = count.device, count.seconds_per_step
        table.add_row(
            device.name,
            f"{count.clients:,} ({count.clients / description.clients:.0%})",
            f"{device.sustained_flops / 1e9:.0f} GFLOP/s",
            "-" if step is None else format_duration(step),
            format_bytes(device.memory),
            "mains" if device.battery is None else f"{device.battery / 1e3:.1f} kJ",
        )
    return table


def _links(description: Description) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("of the clients")
    for head in ("5% below", "median", "95% below"):
        table.add_column(head, justify="right", no_wrap=True)

    def add(name: str, quantiles: Quantiles, factor: float, unit: str) -> None:
        values = (
            f"{value * factor:.3g} {unit}" for value in (quantiles.p5, quantiles.p50, quantiles.p95)
        )
        table.add_row(name, *values)

    add("uplink, mean rate", description.uplink_mbit_s, 1, "Mbit/s")
    add("downlink, mean rate", description.downlink_mbit_s, 1, "Mbit/s")
    add("round trip, uplink", description.uplink_round_trip_s, 1000, "ms")
    add("round trip, downlink", description.downlink_round_trip_s, 1000, "ms")
    add("upload of 1 MB (tcp, alone)", description.upload_s, 1, "s")
    if description.seconds_per_step is not None:
        add("a local step, measured", description.seconds_per_step, 1, "s")
    return table


def _availability(description: Description) -> Table:
    hours = range(0, 24, 3)
    table = Table(box=SIMPLE_HEAD)
    table.add_column(f"hour, of {description.sample:,} clients")
    for hour in hours:
        table.add_column(str(hour), justify="right", no_wrap=True)
    shares = (f"{description.available[hour]:.0%}" for hour in hours)
    table.add_row("available", *shares)
    return table


def _save_figure(population: Population, description: Description, path: Path) -> None:
    from fsim.figures.fleet import fleet_figure
    from fsim.fleet.description import uplink_rates
    from fsim.results.saving import replacing_file

    rates: dict[str, list[float]] = {count.device.name: [] for count in description.devices}
    for profile, rate in zip(population, uplink_rates(population), strict=True):
        rates[profile.device.name].append(rate)
    with replacing_file(path) as temporary:
        figure = fleet_figure(rates, description.available, description.sample)
        figure.savefig(temporary, dpi=150, format="png")
