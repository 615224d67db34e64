"""``ffa`` and ``alternating``: train and send only one of LoRA's two factors.

Averaging A and B apart is not averaging their product. FFA-LoRA (Sun et al., "Improving LoRA in
Privacy-preserving Federated Learning", ICLR 2024) freezes A at its random start, and RoLoRA (Chen
et al., "Robust Federated Finetuning of LLMs via Alternating Optimization of LoRA", 2024) trains A
and B in turn: either way what is averaged is linear, and half of the coordinates travel.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fsim.compression.coding.vectors import finite_vector
from fsim.compression.coding.wire import Section, framed_length, pack, unpack
from fsim.compression.policy import EncodingContext
from fsim.compression.wrapper import Wrapper
from fsim.core.errors import PayloadError
from fsim.core.types import Layout, Update

_A, _B = b"A", b"B"


@dataclass(frozen=True)
class _Half(Wrapper):
    """One factor, encoded by another policy."""

    @abstractmethod
    def factor(self, round_number: int) -> bytes:
        """Factor that a round trains, ``b"A"`` or ``b"B"``."""

    @override
    def trains(self, name: str, round_number: int) -> bool:
        return (".lora_A" in name) == (self.factor(round_number) == _A)

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        factor = self.factor(context.round_number)
        names = _names(update, factor)
        if not names:
            raise ValueError(f"{self.name} needs an update with both of LoRA's factors")
        layout = Layout.of(update)
        finite_vector(self.name, layout, update)  # the other factor's coordinates are not looked at
        fisher, budget = context.fisher, context.budget
        frame = framed_length([len(factor)])
        part = dataclasses.replace(
            context,
            fisher=None if fisher is None else {name: fisher[name] for name in names},
            memory=context.memory.setdefault(f"factor {factor.decode()}", {}),
            budget=None if budget is None else max(0, budget - frame),
        )
        payload = self.policy.encode({name: update[name] for name in names}, part)
        return pack(self.name, layout, {Section.VALUES: factor + payload})

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        values = unpack(payload, self.name, layout).get(Section.VALUES, b"")
        update = {spec.name: np.zeros(spec.shape, dtype=np.float32) for spec in layout.tensors}
        names = _names(update, values[:1])
        if values[:1] not in (_A, _B) or not names:
            raise PayloadError(f"found a payload of factor {values[:1]!r}, allowed are A and B")
        half = Layout.of({name: update[name] for name in names})
        return update | self.policy.decode(values[1:], half)


@dataclass(frozen=True)
class Ffa(_Half):
    """A frozen at its random start, B trained and sent (FFA-LoRA)."""

    name: ClassVar[str] = "ffa"

    def factor(self, round_number: int) -> bytes:
        """Always B."""
        return _B


@dataclass(frozen=True)
class Alternating(_Half):
    """B in odd rounds, A in even ones (RoLoRA)."""

    name: ClassVar[str] = "alternating"

    def factor(self, round_number: int) -> bytes:
        """B first: while it is zero, A has no gradient."""
        return _A if round_number and round_number % 2 == 0 else _B


def _names(update: Update, factor: bytes) -> list[str]:
    return [name for name in update if (".lora_A" in name) == (factor == _A)]
