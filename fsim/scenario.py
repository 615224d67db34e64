"""Scenarios: read from YAML, overridden, and checked before anything happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fsim.errors import ScenarioError
from fsim.settings import Scenario, Settings, find_file
from fsim.settings.fleet import TracedSettings
from fsim.validation import explain


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
        A YAML file.
    overrides
        ``key.path=value`` each, the value written as in YAML; applied in order.

    Raises
    ------
    ScenarioError
        In one line: the file, the key path, what was found and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: not a text file") from None
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
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
        raise ScenarioError(f"--set: found {override!r}, allowed is key.path=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ScenarioError(f"--set {key}: found {text!r}, which is not a YAML value") from None
    *parents, last = key.split(".")
    place: Any = data
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ScenarioError(f"--set {key}: {parent} has no keys below it")
    place[last] = value
