"""The settings of a scenario: every key, its type, its default, and what is allowed."""

from fsim.core.validation import Settings
from fsim.settings.base import find_file
from fsim.settings.scenario import Scenario

__all__ = ["Scenario", "Settings", "find_file"]
