"""The specification of a sweep: on the command line, in a sweep file, or from Python."""

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
    each_once,
    make_axis,
    make_cells,
    parse_axis,
)
from fsim.settings import find_file
from fsim.settings.loading import (
    Changes,
    LoadedScenario,
    ScenarioLike,
    as_overrides,
    as_texts,
    plain_data,
)

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
        The scenario file, or the scenario itself.
    overrides
        ``key.path=value`` each, for all cells.
    axes
        Keys and the values that they take; seeds are the key ``seed``.
    """

    scenario: ScenarioLike
    overrides: tuple[str, ...]
    axes: tuple[Axis, ...]

    @classmethod
    def read(
        cls,
        scenario: ScenarioLike,
        over: Sequence[str] | Mapping[str, Any] = (),
        seeds: str | Sequence[int] = (),
        set: Changes = (),
    ) -> SweepSpec:
        """From a scenario or a sweep file, and what is asked for beside it.

        Parameters
        ----------
        scenario
            As :func:`fsim.settings.loading.as_loaded` takes it, or the path of a sweep file: a
            mapping with ``over``. What that says of a key is replaced by what ``over`` and
            ``seeds`` say of it.
        over
            ``key.path=value,value`` each, or keys and their values.
        seeds
            Values of the key ``seed``; see :func:`as_seeds`.
        set
            Keys that get other values in all cells, after the file's own
            (:func:`fsim.settings.loading.as_overrides`).

        Raises
        ------
        ScenarioError
            In one line: where, what was found and what is allowed.
        """
        file: SweepFile | None = None
        folders: tuple[Path, ...] = (Path(),)
        if isinstance(scenario, LoadedScenario):
            folders = scenario.folders
        elif isinstance(scenario, str | Path):
            scenario, file = _scenario_of(Path(scenario))
            # Files are looked for as the scenario looks for them.
            folders = (Path(), *scenario.resolve().parents)
        all_axes = [] if file is None else [
            make_axis(key, values, folders) for key, values in file.over.items()
        ]  # fmt: skip
        if isinstance(over, Mapping):
            all_axes += [make_axis(key, values, folders) for key, values in over.items()]
        else:
            own_axes = [parse_axis(text, folders) for text in as_texts("over", over)]
            each_once([axis.key for axis in own_axes])
            all_axes += own_axes
        if seed_values := as_seeds(seeds) or list(file.seeds if file else ()):
            all_axes.append(make_axis("seed", seed_values, folders))
        own = [] if file is None else as_overrides(file.set)
        axes = {axis.key: axis for axis in all_axes}
        if not axes:
            raise ScenarioError("--over: found no key to sweep, allowed is one or more, or --seeds")
        return cls(scenario, (*own, *as_overrides(set)), tuple(axes.values()))

    def cells(self) -> list[Cell]:
        """All combinations, each checked; see :func:`fsim.experiments.grid.make_cells`."""
        return make_cells(self.scenario, self.overrides, self.axes)


def as_seeds(seeds: str | Sequence[int]) -> list[int]:
    """Seeds that are meant: whole numbers, or text as the command line has it, ``"0,1,2"``.

    Raises
    ------
    ScenarioError
        Something that is no seed, or one twice.
    """
    if isinstance(seeds, str):
        return parse_seeds(seeds)
    numbers = plain_data(seeds)
    if not isinstance(numbers, list) or not all(type(each) is int for each in numbers):
        raise ScenarioError(
            f"--seeds: found {shown(seeds)}, allowed are whole numbers, as in 0,1,2"
        )
    return parse_seeds(",".join(map(str, numbers))) if numbers else []


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


def _scenario_of(path: Path) -> tuple[Path, SweepFile | None]:
    """The scenario's own file, and the sweep file that names it, if that is what is at the path."""
    file = _sweep_file(path)
    if file is None:
        return path, None
    return find_file(file.scenario, (Path(), *path.resolve().parents)), file


def _sweep_file(path: Path) -> SweepFile | None:
    """The content of a sweep file; None for any other file, which the scenario then refuses."""
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
