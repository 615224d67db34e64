"""What a sweep is asked for: on the command line, in a sweep file, or from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from fsim.core.documents import LARGEST_SETTINGS, parse_yaml, read_text
from fsim.core.errors import ScenarioError, shown
from fsim.core.quantities import LARGEST_SEED, Seed
from fsim.core.validation import Settings, explain
from fsim.experiments.grid import (
    Axis,
    Cell,
    as_override,
    each_once,
    make_axis,
    make_cells,
    parse_axis,
)
from fsim.settings import find_file

MOST_SEEDS = 10_000


class SweepFile(Settings):
    """A sweep written down; ``set`` maps keys to values that all cells have."""

    scenario: str
    over: dict[str, list[Any]] = Field(default_factory=dict)
    seeds: tuple[Seed, ...] = ()
    set: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class SweepSpec:
    """A sweep, ready to be made into cells.

    Attributes
    ----------
    scenario
        The scenario file.
    overrides
        ``key.path=value`` each, for all cells.
    axes
        Keys and the values that they take; seeds are the key ``seed``.
    """

    scenario: Path
    overrides: tuple[str, ...]
    axes: tuple[Axis, ...]

    @classmethod
    def read(
        cls,
        path: Path,
        over: Sequence[str] | Mapping[str, Sequence[Any]] = (),
        seeds: Sequence[int] = (),
        overrides: Sequence[str] = (),
    ) -> SweepSpec:
        """From a scenario or a sweep file, and what is asked for beside it.

        Parameters
        ----------
        path
            A scenario, or a sweep file: a mapping with ``over``. What it says of a key is replaced
            by what ``over`` and ``seeds`` say of it.
        over
            ``key.path=value,value`` each, or keys and their values.
        seeds
            Values of the key ``seed``.
        overrides
            ``key.path=value`` for all cells, after the file's own.

        Raises
        ------
        ScenarioError
            In one line: where, what was found and what is allowed.
        """
        written = _sweep_file(path)
        folders = (Path(), *path.resolve().parents)
        scenario = path if written is None else find_file(written.scenario, folders)
        # Files are looked for as the scenario looks for them.
        folders = (Path(), *scenario.resolve().parents)
        given = [] if written is None else [
            make_axis(key, values, folders) for key, values in written.over.items()
        ]  # fmt: skip
        if isinstance(over, Mapping):
            given += [make_axis(key, values, folders) for key, values in over.items()]
        else:
            asked = [parse_axis(text, folders) for text in over]
            each_once([axis.key for axis in asked])
            given += asked
        if chosen := list(seeds or (written.seeds if written else ())):
            given.append(make_axis("seed", chosen, folders))
        own = [] if written is None else [as_override(*item) for item in written.set.items()]
        axes = {axis.key: axis for axis in given}
        if not axes:
            raise ScenarioError("--over: found no key to sweep, allowed is one or more, or --seeds")
        return cls(scenario, (*own, *overrides), tuple(axes.values()))

    def cells(self) -> list[Cell]:
        """All combinations, each checked; see :func:`fsim.experiments.grid.make_cells`."""
        return make_cells(self.scenario, self.overrides, self.axes)


def parse_seeds(text: str) -> list[int]:
    """Read ``0,1,2``.

    Raises
    ------
    ScenarioError
        Something that is no seed, or one twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ScenarioError(f"--seeds: found {shown(text)}, allowed are whole numbers, as in 0,1,2")
    if max(map(len, parts)) > len(str(LARGEST_SEED)) or len(parts) > MOST_SEEDS:
        raise ScenarioError(
            f"--seeds: found {len(parts)}, {shown(text)}, allowed are {MOST_SEEDS} numbers of 0 "
            f"to {LARGEST_SEED}"
        )
    seeds = [int(part) for part in parts]
    if len(set(seeds)) < len(seeds):
        raise ScenarioError(f"--seeds: found {shown(text)}, with one twice")
    return seeds


def _sweep_file(path: Path) -> SweepFile | None:
    """What a sweep file says; None for anything that is not one, which the scenario then tells."""
    try:
        data = parse_yaml(read_text(path, LARGEST_SETTINGS))
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from None
    if not isinstance(data, dict) or not {"over", "scenario", "seeds"} & data.keys():
        return None
    try:
        return SweepFile.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(f"{path}: {explain(error, SweepFile)}") from None
