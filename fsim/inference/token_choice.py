"""Choice of the tokens of a prompt that stay: from scores to a mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fsim.core.errors import InferenceError


@dataclass(frozen=True)
class Keep:
    """The rule by which tokens stay. Exactly one of the first three is given.

    Attributes
    ----------
    ratio
        Share of each prompt's tokens that stays, above 0 and up to 1; rounded up.
    budget
        Tokens of each prompt that stay; shorter prompts stay whole.
    mass
        A threshold, above 0 and up to 1: of the tokens that may go, the fewest stay whose
        saliencies, exp(score), add up to this share of all of theirs. Each prompt gets as many as
        it needs, so that it is read by itself.
    first, last
        Tokens at the beginning and the end that always stay, and count as kept: attention of most
        models leans on the first one, and the last one is what the answer follows.

    Raises
    ------
    InferenceError
        A value out of range, or not exactly one rule.
    """

    ratio: float | None = None
    budget: int | None = None
    mass: float | None = None
    first: int = 1
    last: int = 1

    def __post_init__(self) -> None:
        rules = {"ratio": self.ratio, "budget": self.budget, "mass": self.mass}
        names = [name for name, value in rules.items() if value is not None]
        if len(names) != 1:
            raise InferenceError(
                f"keep: found {' and '.join(names) or 'no rule'}, allowed is one of ratio, budget "
                "and mass"
            )
        for name in ("ratio", "mass"):
            value = rules[name]
            if value is not None and not 0 < value <= 1:
                raise InferenceError(f"keep {name}: found {value}, allowed is above 0 and up to 1")
        if self.first < 0 or self.last < 1:
            raise InferenceError(
                f"keep: found the first {self.first} and the last {self.last} tokens to stay, "
                "allowed are 0 or more and 1 or more"
            )
        if self.budget is not None and self.budget < self.always:
            raise InferenceError(
                f"keep budget: found {self.budget}, allowed is {self.always} or more: the first "
                f"{self.first} and the last {self.last} always stay"
            )

    @property
    def always(self) -> int:
        """Tokens of a prompt that stay whatever their scores."""
        return self.first + self.last

    def count(self, length: int) -> int:
        """Tokens of a prompt that stay by ratio or budget; of a threshold, the most that may.

        Parameters
        ----------
        length
            Of the prompt.

        Raises
        ------
        InferenceError
            A prompt shorter than what must be kept, or a ratio that keeps less than that.
        """
        if length < self.always:
            raise InferenceError(
                f"prompt: found {length} tokens, allowed are {self.always} or more: the first "
                f"{self.first} and the last {self.last} always stay"
            )
        if self.ratio is None:
            return length if self.budget is None else min(self.budget, length)
        # Rounded first: 0.1 x 30 is a little above 3 in floating point.
        count = math.ceil(round(self.ratio * length, 9))
        if count < self.always:
            raise InferenceError(
                f"keep ratio: found {self.ratio}, which leaves {count} of {length} tokens, allowed "
                f"is what leaves {self.always} or more"
            )
        return count

    def mask(self, scores: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """Mask of the tokens that stay, (rows, length), boolean; ties go to the earlier token.

        Parameters
        ----------
        scores
            Logarithm of each token's saliency up to a constant, (rows, length).
        read
            Where a token is, padding left out, (rows, length), boolean.

        Raises
        ------
        InferenceError
            As of :meth:`count`; scores that are no numbers, or more than one prompt for a
            threshold.
        """
        lengths = read.sum(dim=1)
        counts = [self.count(length) for length in lengths.tolist()]
        if self.mass is not None and len(scores) > 1:
            raise InferenceError(
                f"keep mass: found {len(scores)} prompts side by side, allowed is one: each keeps "
                "another number of tokens"
            )
        if not scores[read].isfinite().all():
            raise InferenceError("scores: found one that is not finite, allowed are numbers")
        place = read.long().cumsum(dim=1) - 1
        fixed = read & ((place < self.first) | (place >= lengths.unsqueeze(1) - self.last))
        count = torch.tensor(counts, device=scores.device)
        if self.mass is not None:
            count = _count_for_mass(scores, read & ~fixed, self.mass) + self.always
        ranked = scores.masked_fill(fixed, math.inf).masked_fill(~read, -math.inf)
        order = ranked.argsort(dim=1, descending=True, stable=True)
        return read & (order.argsort(dim=1) < count.unsqueeze(1))


def _count_for_mass(scores: torch.Tensor, free: torch.Tensor, mass: float) -> torch.Tensor:
    """Number of the free tokens that have that share of their saliency, (rows,)."""
    if mass == 1 or not free.any():
        return free.sum(dim=1)
    shares = scores.double().masked_fill(~free, -math.inf).softmax(dim=1)
    reached = shares.sort(dim=1, descending=True).values.cumsum(dim=1)
    return (reached < mass).sum(dim=1) + 1
