"""Scenarios: read from YAML, overridden, and checked before anything happens."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fsim.core.documents import DEEPEST, LARGEST_SETTINGS, parse_yaml, read_text
from fsim.core.errors import ScenarioError, shown
from fsim.core.validation import Settings, explain
from fsim.settings import Scenario, find_file
from fsim.settings.fleet import TracedSettings


class LoadedScenario(Settings):
    """A scenario and the folders in which it looks for its files."""

    scenario: Scenario
    folders: tuple[Path, ...]

    def find(self, path: str) -> Path:
        """A file that the scenario names."""
        return find_file(path, self.folders)

    @property
    def digest(self) -> str:
        """SHA-256 of the scenario and of the files that it reads."""
        content = hashlib.sha256()
        content.update(json.dumps(self.scenario.model_dump(mode="json"), sort_keys=True).encode())
        for link in (self.scenario.fleet.uplink, self.scenario.fleet.downlink):
            if link.trace is not None:
                content.update(self.find(link.trace).read_bytes())
        availability = self.scenario.fleet.availability
        if isinstance(availability, TracedSettings):
            content.update(self.find(availability.path).read_bytes())
        for source in self.scenario.task.make().sources(self.find):
            content.update(source.read_bytes())
        return content.hexdigest()


ScenarioLike = LoadedScenario | Mapping[str, Any] | str | Path
"""Whatever :func:`as_loaded` takes for a scenario."""

Changes = Mapping[str, Any] | Sequence[str]
"""Whatever :func:`as_overrides` takes for changes of one."""


def as_loaded(scenario: ScenarioLike, set: Changes = ()) -> LoadedScenario:
    """The scenario that is meant, in whichever form it is given, checked.

    Parameters
    ----------
    scenario
        The path of a YAML file; nested mappings as such a file has them, values being taken as by
        ``set``, whose own files are looked for in the working folder; or one that is loaded.
    set
        Keys that get other values: see :func:`as_overrides`. Of a loaded scenario too, they change
        what was written, not the defaults that were filled in.

    Raises
    ------
    ScenarioError
        In one line: where, the key path, what was found and what is allowed.
    """
    if isinstance(scenario, LoadedScenario):
        overrides = as_overrides(set)
        if not overrides:
            return scenario
        data = scenario.scenario.model_dump(mode="json", exclude_unset=True)
        return _checked(data, scenario.scenario.name, scenario.folders, overrides)
    if isinstance(scenario, Mapping):
        data = plain_data(scenario)
        return _checked(data, "scenario", (Path(),), as_overrides(set))
    if isinstance(scenario, str | Path):
        return load_scenario(scenario, set)
    raise ScenarioError(
        f"scenario: found {shown(scenario)}, allowed is a path, a mapping or a loaded scenario"
    )


def load_scenario(path: str | Path, set: Changes = ()) -> LoadedScenario:
    """Read a scenario file.

    Parameters
    ----------
    path
        A YAML file of at most :data:`fsim.core.documents.LARGEST_SETTINGS` bytes.
    set
        Keys that get other values: see :func:`as_overrides`.

    Raises
    ------
    ScenarioError
        In one line: the file, the key path, what was found and what is allowed.
    """
    path = Path(path)
    try:
        data = parse_yaml(read_text(path, LARGEST_SETTINGS))
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: found no mapping of keys to values")
    # A trace is looked for where the command runs, then beside the scenario and above it.
    return _checked(data, str(path), (Path(), *path.resolve().parents), as_overrides(set))


def check_scenario(
    data: Mapping[str, Any], origin: str = "scenario", folders: Sequence[Path] = (Path(),)
) -> LoadedScenario:
    """Check a scenario given as nested mappings; see :func:`load_scenario`.

    Parameters
    ----------
    data
        As a YAML file has it.
    origin
        What an error says first.
    folders
        Where files that the scenario names are looked for.
    """
    try:
        scenario = Scenario.model_validate(data, context={"folders": tuple(folders)})
    except ValidationError as error:
        raise ScenarioError(f"{origin}: {explain(error, Scenario)}") from None
    return LoadedScenario(scenario=scenario, folders=tuple(folders))


def as_overrides(set: Changes) -> list[str]:
    """Changes of a scenario as the command line writes them, ``key.path=YAML`` each.

    Parameters
    ----------
    set
        Dotted keys and their values, of any kind that YAML can express, and NumPy's and paths too;
        or ``KEY=VALUE`` strings, which are returned as they are, in their order.

    Raises
    ------
    ScenarioError
        Neither of these.
    """
    if isinstance(set, Mapping):
        return [as_override(key, value) for key, value in set.items()]
    return as_texts("set", set)


def as_texts(argument: str, value: Any) -> list[str]:
    """``KEY=VALUE`` strings, one alone being a list of one; ScenarioError for anything else."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or not all(isinstance(each, str) for each in texts):
        raise ScenarioError(
            f"--{argument}: found {shown(value)}, allowed are keys and values, or KEY=VALUE each"
        )
    return list(texts)


def as_override(key: str, data: Any) -> str:
    """A value as an override is written: ``key.path=YAML``.

    Raises
    ------
    ScenarioError
        A key that would end elsewhere, or a value that YAML cannot express.
    """
    if not isinstance(key, str) or "=" in key:
        raise ScenarioError(f"found the key {shown(key)}, allowed is one without =")
    try:
        text = yaml.safe_dump(
            plain_data(data), default_flow_style=True, width=math.inf, allow_unicode=True
        )
    except (yaml.YAMLError, RecursionError):
        raise ScenarioError(f"{key}: found {shown(data)}, which YAML cannot express") from None
    return f"{key}={text.removesuffix('...' + chr(10)).strip()}"


def plain_data(data: Any) -> Any:
    """A value as YAML has it: arrays, NumPy's numbers, paths and tuples as what they stand for.

    Anything else stays what it is.
    """
    if isinstance(data, Mapping):
        return {key: plain_data(value) for key, value in data.items()}
    if hasattr(data, "tolist"):  # NumPy's and pandas' alike
        return data.tolist()
    if isinstance(data, os.PathLike):
        return os.fspath(data)
    if isinstance(data, list | tuple | range):
        return [plain_data(each) for each in data]
    return data


def _checked(
    data: dict[str, Any], origin: str, folders: Sequence[Path], overrides: Sequence[str]
) -> LoadedScenario:
    for override in overrides:
        _override(data, override)
    return check_scenario(data, origin, folders)


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ScenarioError(f"--set: found {shown(override)}, allowed is key.path=value")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ScenarioError(
            f"--set {shown(key)}: found {shown(text)}, which is not a YAML value: {error}"
        ) from None
    *parents, last = key.split(".")
    if len(parents) >= DEEPEST:
        raise ScenarioError(
            f"--set: found a key of {len(parents) + 1} parts, allowed are {DEEPEST}"
        )
    place: Any = data
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ScenarioError(f"--set {key}: {parent} has no keys below it")
    place[last] = value
