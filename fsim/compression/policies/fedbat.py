"""``fedbat``: an update that is binarised while it is learned, so that training makes up for it.

Li et al., "FedBAT: Communication-Efficient Federated Learning via Learnable Binarization", ICML
2024 (arXiv 2408.03215). Training sees the update through a binariser, S(m, alpha) = +alpha with
probability (m + alpha) / (2 alpha), else -alpha, m being cut to -alpha and alpha; the step size
alpha, one a matrix, is learned beside the update (:mod:`fsim.training.binarisation`, which has
the derivatives). What is encoded here is the full-precision m, the adapter after training minus
the one before, not cut: a last draw of S(m, alpha), one bit a coordinate, and the step sizes.

From the source, as far as its abstract and the authors' own code
(github.com/Leopold1423/fedbat-icml24) tell it: the binariser and its derivatives, warm-up and
coefficient with these defaults, alpha beginning at the mean magnitude of its layer's m when
the warm-up ends and learned as alpha_0 exp(rho a) with a from 0, its bounds, drawing anew when
sending. The text of the paper was not at hand to check these against.

Choices: a layer is one matrix; ``rounding: nearest``; the optimiser is the scenario's (the
authors use SGD without momentum, clipping or weight decay; with AdamW a moves by about the
learning rate a step, whatever its gradient's size); weight decay falls on the adapter as in
all other training and never on a, and a is not clipped. Where no training learned step sizes
(another pipeline, the downlink), they are the mean magnitudes, without bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fsim.compression.coding.signs import mean_magnitudes, pack_signs, unpack_signs
from fsim.compression.coding.vectors import expand, finite_vector
from fsim.compression.policy import EncodingContext, Policy
from fsim.core.types import BinarisationSettings, Layout, TrainingRequest, Update


@dataclass(frozen=True)
class FedBat(Policy):
    """Signs by chance, and step sizes that training learned with the update.

    Attributes
    ----------
    warmup
        Share of the local steps that come first and are trained as usual (phi), 0 to 1. At 1
        nothing is learned binarised, and what is sent is made after training.
    coefficient
        On the learning of step sizes (rho); at 0 they stay as they began.
    smallest, largest
        Bounds on the step sizes. Those of the authors, for steps of SGD at a rate of 0.1: set them
        by the size of what your training moves.
    rounding
        Of what is sent. ``"stochastic"``: by chance as in training; ``"nearest"``: the sign of m.
    """

    name: ClassVar[str] = "fedbat"

    warmup: float = 0.5
    coefficient: float = 6.0
    smallest: float = 5e-4
    largest: float = 5e-2
    rounding: Literal["stochastic", "nearest"] = "stochastic"

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup: found {self.warmup}, allowed are 0 to 1")
        if not 0 <= self.coefficient < float("inf"):
            raise ValueError(f"coefficient: found {self.coefficient}, allowed is 0 or more")
        if not 0 < self.smallest < float("inf"):
            raise ValueError(f"smallest: found {self.smallest}, allowed is above 0")
        if not self.smallest <= self.largest < float("inf"):
            raise ValueError(f"largest: found {self.largest}, allowed is {self.smallest} or more")

    def training_request(self) -> TrainingRequest:
        """Training that sees the update binarised."""
        return TrainingRequest(
            binarisation=BinarisationSettings(
                self.warmup, self.coefficient, self.smallest, self.largest
            )
        )

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """Signs and step sizes: ``context.scales``, or else the mean magnitudes.

        Raises
        ------
        ValueError
            A coordinate is not finite, or a matrix has no step size above 0 among those learned.
        """
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        scales = self._scales(vector, layout, context)
        if self.rounding == "nearest":
            return pack_signs(self.name, layout, scales, vector < 0)
        wide = expand(scales, layout)
        # Of a matrix of zeros either sign stands for 0.
        ratios = np.clip(vector, -wide, wide) / np.where(wide > 0, wide, 1)
        negative = context.rng.random(layout.size) >= (ratios + 1) / 2
        return pack_signs(self.name, layout, scales, negative)

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        return unpack_signs(self.name, payload, layout)

    def _scales(
        self, vector: npt.NDArray[np.float32], layout: Layout, context: EncodingContext
    ) -> npt.NDArray[np.float32]:
        if context.scales is None:
            return mean_magnitudes(vector, layout).astype(np.float32)
        learned = [context.scales.get(spec.name, 0.0) for spec in layout.tensors]
        for spec, scale in zip(layout.tensors, learned, strict=True):
            if not 0 < scale < float("inf"):
                raise ValueError(
                    f"{self.name}: {spec.name}: found a step size of {scale:g}, allowed is above 0"
                )
        return np.array(learned, dtype=np.float32)
