"""Learning an update of which only signs and step sizes will be sent (FedBAT).

Li et al., "FedBAT: Communication-Efficient Federated Learning via Learnable Binarization", ICML
2024; :mod:`fsim.compression.policies.fedbat` says what is from there and what is chosen here. With
w the adapter that a client begins with, m what it has moved it by, and alpha a step size for each
matrix, the forward pass reads w + S(m, alpha), where S is +alpha with probability (m + alpha) / (2
alpha), else -alpha, m being cut to -alpha and alpha. So S = alpha s with a sign s, and

- dS/dm = 1 where abs(m) <= alpha, else 0 (straight through),
- dS/dalpha = s - m / alpha where abs(m) <= alpha, else s, which is then the sign of m.

A step size is alpha_0 exp(rho a), cut to bounds outside of which it has no gradient. Its exponent a
begins at 0 in every round and is learned by the optimiser of the adapter. In the warm-up, the first
floor(phi tau) of a client's tau steps, S is left out and a has a gradient of 0; at its end alpha_0
is set to the mean of abs(m) over the matrix.

One object serves all slots of a cohort; nothing of one slot enters another's figures. A slot's
draws are its own, a number for every coordinate and step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from fsim.core.types import BinarisationSettings, FloatArray, Layout
from fsim.model.slots import Slots, aligned


class Binarisation:
    """The binariser S between what an optimiser moves and what the model reads.

    A step of training is :meth:`binarise`, forward, backward, :meth:`straight_through`, optimiser.
    In between the two calls ``slots.values`` holds w + S(m, alpha); otherwise w + m.

    Parameters
    ----------
    slots
        The adapters, loaded with where training begins.
    layout
        Of an adapter.
    settings
        See :class:`fsim.core.types.BinarisationSettings`.
    steps, seeds
        Local steps of each slot that has any, and the seed of its draws.
    frozen
        Coordinates that are not trained and stay as they are, (slots, coordinates); None for none.

    Attributes
    ----------
    exponents
        a of every slot and matrix, (slots, matrices and padding), with a gradient to learn by.
    """

    def __init__(
        self,
        slots: Slots,
        layout: Layout,
        settings: BinarisationSettings,
        steps: Sequence[int],
        seeds: Sequence[int],
        frozen: torch.Tensor | None,
    ) -> None:
        if slots.gradients is None:
            raise RuntimeError("slots that are binarised keep gradients")
        values = slots.values.detach()
        count, width = values.shape
        self._values, self._gradients = values, slots.gradients
        self._settings = settings
        self._start = values.clone()
        self._latent = values.clone()
        self._matrices = len(layout.tensors)
        self._size = layout.size
        self._ends = [*steps, *[0] * (count - len(steps))]
        self._begins = [math.floor(settings.warmup * end) for end in self._ends]
        self._draws = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        # The matrix of each coordinate; padding belongs to one that is not looked at.
        columns = aligned(self._matrices + 1)
        owners = torch.full((width,), self._matrices, device=values.device)
        sizes = torch.from_numpy(np.diff(layout.bounds)).to(values.device)
        numbers = torch.arange(self._matrices, device=values.device)
        owners[: layout.size] = numbers.repeat_interleave(sizes)
        self._owners = owners
        self._keys = owners + columns * torch.arange(count, device=values.device).unsqueeze(1)
        self._sizes = torch.ones(columns, device=values.device, dtype=torch.float64)
        self._sizes[: self._matrices] = sizes
        self._trained = torch.ones_like(values, dtype=torch.bool)
        self._trained[:, layout.size :] = False
        if frozen is not None:
            self._trained &= ~frozen
        self._initial = torch.zeros(count, columns, device=values.device)
        self.exponents = torch.zeros(count, columns, device=values.device, requires_grad=True)
        self.exponents.grad = torch.zeros_like(self.exponents)
        self._forward_values: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    @torch.no_grad()
    def binarise(self, step: int) -> None:
        """Let the model read the adapters binarised where a slot's warm-up is over.

        Parameters
        ----------
        step
            From 0.
        """
        self._forward_values = None
        through = [begin <= step < end for begin, end in zip(self._begins, self._ends, strict=True)]
        if not any(through):
            return
        moved = self._values - self._start
        for slot, begin in enumerate(self._begins):
            if step == begin < self._ends[slot]:
                self._initial[slot] = self._mean_magnitudes(moved)[slot]
        draws = torch.zeros_like(moved)
        for slot, binarised in enumerate(through):
            if binarised:
                numbers = self._draws[slot].random(self._size, dtype=np.float32)
                draws[slot, : self._size] = torch.from_numpy(numbers)
        # Slots in their warm-up have no step size yet; any serves, since nothing of it is used.
        rows = torch.tensor(through, device=moved.device).unsqueeze(1)
        wide = torch.where(rows, self._step_sizes().index_select(1, self._owners), 1.0)
        ratios = moved / wide
        signs = torch.where(draws < (ratios + 1) / 2, 1.0, -1.0)
        applies = rows & self._trained
        self._latent.copy_(self._values)
        self._values.copy_(torch.where(applies, self._start + signs * wide, self._values))
        self._forward_values = ratios, signs, applies

    @torch.no_grad()
    def straight_through(self) -> None:
        """Put back what the optimiser moves, and turn gradients at S into those at m and a."""
        if self.exponents.grad is None:
            raise RuntimeError("the exponents' gradient has been taken away")
        self.exponents.grad.zero_()
        if self._forward_values is None:
            return
        ratios, signs, applies = self._forward_values
        self._values.copy_(self._latent)
        inside = ratios.abs() <= 1
        slopes = torch.where(applies, torch.where(inside, signs - ratios, signs), 0.0)
        raw = self._raw_step_sizes()
        free = (raw >= self._settings.smallest) & (raw <= self._settings.largest)
        at_step_sizes = self._sums(self._gradients * slopes).float()
        at_exponents = at_step_sizes * raw * self._settings.coefficient
        self.exponents.grad.copy_(torch.where(free, at_exponents, 0.0))
        self._gradients.masked_fill_(applies & ~inside, 0)

    @torch.no_grad()
    def scales(self, slot: int) -> FloatArray:
        """A slot's step sizes as they are now, (matrices,).

        Where its steps were all warm-up, those that would be set at its end.
        """
        if self._begins[slot] >= self._ends[slot]:
            self._initial[slot] = self._mean_magnitudes(self._values - self._start)[slot]
        values: FloatArray = self._step_sizes()[slot, : self._matrices].cpu().numpy().copy()
        return values

    def _raw_step_sizes(self) -> torch.Tensor:
        return self._initial * (self._settings.coefficient * self.exponents).exp()

    def _step_sizes(self) -> torch.Tensor:
        """Alpha, (slots, matrices and padding)."""
        return self._raw_step_sizes().clamp(self._settings.smallest, self._settings.largest)

    def _mean_magnitudes(self, moved: torch.Tensor) -> torch.Tensor:
        return (self._sums(moved.abs()) / self._sizes).float()

    def _sums(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Sums over each slot's matrices, one coordinate after the other, in double precision."""
        sums = torch.zeros(
            self._initial.numel(), dtype=torch.float64, device=coordinates.device
        ).index_add_(0, self._keys.flatten(), coordinates.flatten().double())
        return sums.view_as(self._initial)
