"""Scenarios: read from YAML, overridden, and checked before anything happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def load_scenario(path: Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read a scenario file.

    Parameters
    ----------
    path
        A YAML file of at most :data:`fsim.core.documents.LARGEST_SETTINGS` bytes.
    overrides
        ``key.path=value`` each, the value written as in YAML; applied in order.

    Raises
    ------
    ScenarioError
        In one line: the file, the key path, what was found and what is allowed.
    """
    try:
        data = parse_yaml(read_text(path, LARGEST_SETTINGS))
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: found no mapping of keys to values")
    for override in overrides:
        _override(data, override)
    # A trace is looked for where the command runs, then beside the scenario and above it.
    folders = (Path(), *path.resolve().parents)
    return check_scenario(data, str(path), folders)


def check_scenario(
    data: Mapping[str, Any], origin: str, folders: Sequence[Path] = (Path(),)
) -> LoadedScenario:
    """Check a scenario given as nested mappings; see :func:`load_scenario`."""
    try:
        scenario = Scenario.model_validate(data, context={"folders": tuple(folders)})
    except ValidationError as error:
        raise ScenarioError(f"{origin}: {explain(error, Scenario)}") from None
    return LoadedScenario(scenario=scenario, folders=tuple(folders))


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
