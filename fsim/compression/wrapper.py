"""Policies around another one: which policy that is, and what is left to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fsim.compression.policy import POLICIES, Policy
from fsim.core.registry import parse_choice
from fsim.core.types import TrainingRequest


@dataclass(frozen=True)
class Wrapper(Policy):
    """A policy that leaves the coding to another one.

    Attributes
    ----------
    inner
        That policy, as NAME or NAME:OPTION=VALUE:...; not a wrapper itself.
    """

    budget_condition: ClassVar[str | None] = "with one of them inside"

    inner: str = "float16"

    def __post_init__(self) -> None:
        name, options = parse_choice("inner", self.inner)
        if issubclass(POLICIES.get(name, Policy), Wrapper):
            raise ValueError(f"inner: found {name!r}, allowed is a policy with none inside")
        object.__setattr__(self, "_policy", POLICIES.make(name, options))

    @property
    def policy(self) -> Policy:
        """The policy inside."""
        inner_policy: Policy = self.__dict__["_policy"]
        return inner_policy

    @property
    def keeps_to_budget(self) -> bool:
        """As the policy inside."""
        return self.policy.keeps_to_budget

    @property
    def whole_matrices(self) -> bool:  # type: ignore[override]
        """As the policy inside."""
        return self.policy.whole_matrices

    def slice_length(self, length: int) -> int:
        """As the policy inside."""
        return self.policy.slice_length(length)

    def training_request(self) -> TrainingRequest:
        """The inside policy's."""
        return self.policy.training_request()
