"""``fsim trace generate``: make a capacity trace, named or of a law of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsim.cli.options import console
from fsim.core.errors import TraceError
from fsim.core.units import parse_quantity

if TYPE_CHECKING:
    from fsim.network.generators import Outages, Profile

Text = str | None

COMMON = ("mean", "sigma")
OUTAGES = ("outage_share", "outage_mean", "outage_longest")
CUSTOM = {
    "lognormal": ((*COMMON, "correlation"), OUTAGES),
    "markov": ((*COMMON, "levels", "shares", "stay"), ("within", *OUTAGES)),
}
"""Law -> options that it needs, options that it may have."""


def generate(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A named trace (see --list), lognormal, markov, or any generator as "
            "NAME:OPTION=VALUE:... (see `fsim generators`)."
        ),
    ] = None,
    seconds: Annotated[int, typer.Option(help="Length; one rate a second.")] = 600,
    seed: Annotated[int, typer.Option(help="Another seed, another trace.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The CSV file to write.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the named traces.")] = False,
    mean: Annotated[Text, typer.Option(help='lognormal, markov: as "1.5 Mbit/s".')] = None,
    sigma: Annotated[Text, typer.Option(help="lognormal, markov: of the log of rate.")] = None,
    correlation: Annotated[Text, typer.Option(help="lognormal: of neighbouring seconds.")] = None,
    levels: Annotated[Text, typer.Option(help="markov: relative rates, as 1,3,8.")] = None,
    shares: Annotated[Text, typer.Option(help="markov: of time, as 0.2,0.5,0.3.")] = None,
    stay: Annotated[Text, typer.Option(help="markov: probability that a state is kept.")] = None,
    within: Annotated[Text, typer.Option(help="markov: correlation within a state.")] = None,
    outage_share: Annotated[Text, typer.Option(help="Of time without capacity.")] = None,
    outage_mean: Annotated[Text, typer.Option(help='Of an outage, as "5 s".')] = None,
    outage_longest: Annotated[Text, typer.Option(help='One lasts that, as "22 s".')] = None,
) -> None:
    """Make a capacity trace, named or of a law of one's own."""
    from fsim.core.registry import parse_choice
    from fsim.network.generators import GENERATORS, PROFILES, save, trace_text, write_csv

    if list_all:
        _list()
        return
    if name is None:
        raise TraceError("found no NAME, allowed is one that --list lists, lognormal or markov")
    if out is None:
        raise TraceError("found no --out, allowed is a file to write")
    options = {
        key: value
        for key, value in (
            ("mean", mean),
            ("sigma", sigma),
            ("correlation", correlation),
            ("levels", levels),
            ("shares", shares),
            ("stay", stay),
            ("within", within),
            ("outage_share", outage_share),
            ("outage_mean", outage_mean),
            ("outage_longest", outage_longest),
        )
        if value is not None
    }
    if name in CUSTOM:
        _check_options(name, options, *CUSTOM[name])
        text = trace_text(_custom(name, options), _command(name, options), seconds, seed)
        save(text, out)
    elif name in PROFILES:
        _check_options(name, options, (), ())
        write_csv(name, seconds, seed, out)
    elif (choice := parse_choice("NAME", name))[0] in GENERATORS:
        _check_options(name, options, (), ())
        save(trace_text(_registered(*choice), _command(name, {}), seconds, seed), out)
    else:
        allowed = ", ".join(dict.fromkeys([*PROFILES, *CUSTOM, *GENERATORS]))
        raise TraceError(f"found trace {name!r}, allowed are {allowed}")
    console.print(f"Trace: {out}", highlight=False, soft_wrap=True)


def _list() -> None:
    from fsim.network.generators import PROFILES

    for name, profile in PROFILES.items():
        line = f"{name:<22} {profile.source}: {profile.published.text()}"
        line += f" [{profile.note}]" if profile.note else ""
        console.print(line, highlight=False, soft_wrap=True)


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _check_options(
    name: str, options: dict[str, str], required: tuple[str, ...], possible: tuple[str, ...]
) -> None:
    """Refuse options that the trace does not have, and the lack of those that it needs."""
    allowed = [*required, *possible]
    for key in options:
        if key not in allowed:
            names = ", ".join(map(_flag, allowed)) or "none of the options of a law"
            raise TraceError(f"found {_flag(key)} for {name}, allowed: {names}")
    missing = [key for key in required if key not in options]
    if missing:
        raise TraceError(f"found no {', '.join(map(_flag, missing))}, which {name} needs")


def _command(name: str, values: dict[str, str]) -> str:
    """The command line, as it goes into the trace's first line; one line, whatever was given."""
    options = [
        part for key, value in values.items() for part in (_flag(key), " ".join(value.split()))
    ]
    return shlex.join(["fsim", "trace", "generate", name, *options])


def _custom(name: str, options: dict[str, str]) -> Profile:
    """A profile of the law that the options describe."""
    from fsim.network.generators import LogNormalTrace, MarkovTrace, Profile, Statistics

    mean = _quantity("mean", options["mean"], "rate") * 8 / 1e6
    sigma = _number("sigma", options["sigma"])
    outages = _outages(options)
    generator: LogNormalTrace | MarkovTrace
    if name == "lognormal":
        correlation = _number("correlation", options["correlation"])
        generator = LogNormalTrace(mean, sigma, correlation, outages)
    else:
        generator = MarkovTrace(
            mean,
            _numbers("levels", options["levels"]),
            _numbers("shares", options["shares"]),
            sigma,
            _number("stay", options["stay"]),
            _number("within", options.get("within", "0")),
            outages,
        )
        correlation = None
    statistics = Statistics(
        mean=mean,
        outage_share=outages.share or None,
        longest_outage=outages.longest,
        correlation=correlation,
    )
    return Profile(f"{name}, as in the command", statistics, generator)


def _registered(name: str, options: dict[str, Any]) -> Profile:
    """A profile of a generator by name; its statistics are what the trace turns out to have."""
    from fsim.network.generators import GENERATORS, Profile, Statistics

    try:
        generator = GENERATORS.make(name, options)
    except ValueError as error:
        raise TraceError(str(error)) from None
    return Profile(f"{name}, as in the command", Statistics(), generator)


def _outages(options: dict[str, str]) -> Outages:
    from fsim.network.generators import Outages

    if not any(key in options for key in OUTAGES):
        return Outages()
    missing = [key for key in ("outage_share", "outage_mean") if key not in options]
    if missing:
        raise TraceError(f"found no {', '.join(map(_flag, missing))}, which outages need")
    longest = None
    if "outage_longest" in options:
        seconds = _quantity("outage_longest", options["outage_longest"], "duration")
        if seconds < 1 or seconds != int(seconds):
            raise TraceError(f"--outage-longest: found {seconds:g} s, allowed are whole seconds")
        longest = int(seconds)
    mean = _quantity("outage_mean", options["outage_mean"], "duration")
    return Outages(_number("outage_share", options["outage_share"]), mean, longest)


def _quantity(key: str, text: str, dimension: str) -> float:
    try:
        return parse_quantity(text, dimension)
    except ValueError as error:
        raise TraceError(f"{_flag(key)}: {error}") from None


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise TraceError(f"{_flag(key)}: found {text!r}, allowed is a number") from None


def _numbers(key: str, text: str) -> tuple[float, ...]:
    return tuple(_number(key, part) for part in text.split(","))
