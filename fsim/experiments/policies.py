"""The policies of a comparison, as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fsim.compression import POLICIES, make_policy
from fsim.core.errors import ScenarioError, shown
from fsim.core.registry import parse_choice
from fsim.core.validation import repeated

LONGEST_LABEL = 200
"""Characters of a policy with its options, by which its folder is called."""

MOST_POLICIES = 1000


@dataclass(frozen=True)
class PolicyChoice:
    """A policy as the command line names it: ``qsgd`` or ``qsgd:bits=2:bucket=64``."""

    label: str
    policy: str
    options: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> PolicyChoice:
        """Read and check a choice.

        Raises
        ------
        ScenarioError
            Saying what was found and what is allowed.
        """
        if not isinstance(text, str):
            raise ScenarioError(
                f"--policies: found {shown(text)}, allowed is NAME or NAME:OPTION=VALUE:..."
            )
        if len(text.strip()) > LONGEST_LABEL:
            raise ScenarioError(
                f"--policies: found {shown(text)} of {len(text.strip())} characters, allowed are "
                f"{LONGEST_LABEL}"
            )
        name, options = parse_choice("--policies", text)
        try:
            make_policy(name, options)
        except ValueError as error:
            raise ScenarioError(f"--policies: {error}") from None
        return cls(text.strip(), name, options)


def parse_policies(text: str) -> list[PolicyChoice]:
    """Read a comma-separated list of policies, each at most once; see :func:`as_policies`."""
    return as_policies(text)


def as_policies(policies: str | Sequence[str | PolicyChoice]) -> list[PolicyChoice]:
    """The policies that are meant, in whichever form they are given, each at most once.

    Parameters
    ----------
    policies
        ``NAME`` or ``NAME:OPTION=VALUE:...`` each, in a list or separated by commas.

    Raises
    ------
    ScenarioError
        No policy, an unknown one, or one twice.
    """
    if isinstance(policies, str):
        policies = [part.strip() for part in policies.split(",") if part.strip()]
    if not isinstance(policies, Sequence):
        raise ScenarioError(f"--policies: found {shown(policies)}, allowed is a list of names")
    if len(policies) > MOST_POLICIES:
        raise ScenarioError(f"--policies: found {len(policies)}, allowed are {MOST_POLICIES}")
    choices = [
        each if isinstance(each, PolicyChoice) else PolicyChoice.parse(each) for each in policies
    ]
    labels = [choice.label for choice in choices]
    if not labels:
        raise ScenarioError(f"--policies: found none, allowed are {', '.join(POLICIES)}")
    if twice := repeated(labels):
        raise ScenarioError(f"--policies: found {shown(twice)} twice")
    return choices
