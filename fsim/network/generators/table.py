"""``python -m fsim.network.generators.table``: the tables of ``traces/README.md``."""

from __future__ import annotations

from fsim.network.generators.measure import measure
from fsim.network.generators.populations import POPULATIONS
from fsim.network.generators.profiles import PROFILES
from fsim.network.generators.writing import generate


def traces_table() -> str:
    """A row for each trace that ships: how it is made, and published against own statistics."""
    lines = ["| file | arguments | source | published | this trace |", "|---|---|---|---|---|"]
    for name, profile in PROFILES.items():
        rates = generate(profile, profile.seconds, seed=0)
        cells = (
            f"`{profile.path(name)}`",
            f"`{name} --seed 0 --seconds {profile.seconds}`",
            profile.source + (f" ({profile.note})" if profile.note else ""),
            profile.published.text(),
            measure(rates).text(profile.published),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def populations_table() -> str:
    """A row for each law of rates among clients."""
    lines = ["| with the trace | source | quantiles, Mbit/s | `uplink.mean` |", "|---|---|---|---|"]
    for name, population in POPULATIONS.items():
        quantiles = ", ".join(f"p{100 * p:g} {rate:g}" for p, rate in population.quantiles.items())
        lines.append(f"| {name} | {population.source} | {quantiles} | `{population.law}` |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"{traces_table()}\n\n{populations_table()}")
