"""Base class of compression policies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from fsim.compression.size_option import SizeOption
from fsim.core.registry import Registry
from fsim.core.rng import participation, stream, torch_seed
from fsim.core.types import Layout, TrainingRequest, Update


@dataclass(frozen=True)
class EncodingContext:
    """Context of a client's encoding: random numbers, memory, budget, and results of training.

    Attributes
    ----------
    rng
        For stochastic rounding; a stream of this client, round and asking alone.
    fisher
        Diagonal Fisher of the update's coordinates, where the policy asked training for it.
    memory
        The client's own store, kept from one of its rounds to the next (error feedback).
    seed
        Of this client, round and asking, for what the server must be able to draw again: a policy
        that needs it puts it into its payload.
    round_number
        Of the run, from 1; 0 outside of one.
    budget
        Bytes that the payload should not exceed; None where the scenario sets no budget.
    scales
        The step size that training learned for each matrix, by name, where the policy asked for
        binarised training.
    """

    rng: np.random.Generator
    fisher: Update | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    round_number: int = 0
    budget: int | None = None
    scales: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls, seed: int, client: int, round_number: int, repeat: int = 0, **more: Any
    ) -> EncodingContext:
        """The context of a client in a round, its draws from streams of its own.

        Parameters
        ----------
        seed
            Of the run.
        repeat
            How often the client was asked before in this round.
        more
            The other fields.
        """
        keys = participation(client, round_number, repeat)
        return cls(
            rng=stream(seed, "compression", *keys),
            seed=torch_seed(seed, "compression.shared", *keys),
            round_number=round_number,
            **more,
        )


class Policy(ABC):
    """Base class of policies: an update becomes a payload, and a payload an update.

    A policy is a frozen dataclass; its fields are its options, each with a default and, in the
    docstring, its meaning. The upload is billed by ``len(encode(...))`` and the server aggregates
    what ``decode`` makes of those very bytes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]

    size_option: ClassVar[SizeOption | None] = None
    """What ``--match-budget`` tunes; None for a policy that no option makes longer or shorter."""

    budget_condition: ClassVar[str | None] = None
    """With what options payloads keep to a budget, as an error says it: empty for any, None for a
    policy that has no such options."""

    whole_matrices: ClassVar[bool] = False
    """True if an update in packets is cut between matrices only: what is sent for a matrix is of
    no use in part."""

    @abstractmethod
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """Serialise an update (float32 arrays by name).

        Raises
        ------
        ValueError
            The update holds a value that the policy cannot express.
        """

    @abstractmethod
    def decode(self, payload: bytes, layout: Layout) -> Update:
        """The update that a payload stands for.

        Raises
        ------
        PayloadError
            The bytes are not a payload of this policy for this layout.
        """

    @property
    def keeps_to_budget(self) -> bool:
        """True if payloads are no longer than the context's budget, or refused."""
        return False

    def slice_length(self, length: int) -> int:
        """The most coordinates, up to ``length``, that are coded without padding."""
        return length

    def training_request(self) -> TrainingRequest:
        """Request to local training; by default for nothing."""
        return TrainingRequest()

    def trains(self, name: str, round_number: int) -> bool:
        """True if a tensor of the adapter is trained in a round; those that are not stay put."""
        return True


POLICIES: Registry[Policy] = Registry("policy", Policy, "fsim.compression.Policy")
"""Name -> policy; those that ship are listed in :mod:`fsim.compression.registry`."""
