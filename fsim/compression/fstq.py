"""``fstq``: Fisher-guided token selection and mixed-precision quantisation.

After "Fed-FSTQ", arXiv 2604.25421. The client trains on the tokens to which its loss is most
sensitive, and sends each coordinate at a precision chosen by its importance, the Fisher-weighted
square of the update. What the paper leaves open is an option here, its default stated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.positions import decode_positions, encode_positions
from fsim.compression.wire import (
    Section,
    pack,
    pack_bits,
    packed_length,
    section_array,
    unpack,
    unpack_bits,
)
from fsim.errors import PayloadError
from fsim.vocabulary import Layout, SensitivitySettings, Update

TIERS = (16, 4, 2)
"""Bits of a coordinate that is sent, the most precise first; the others send nothing."""

_EPSILON = 1e-12
"""Keeps the scale of an all-zero matrix finite (epsilon of the paper's quantiser)."""


@dataclass(frozen=True)
class Fstq(Policy, SensitivitySettings):
    """Fed-FSTQ by percentiles, plainly packed.

    Attributes
    ----------
    token_ratio
        Share of the scored tokens trained on between refresh steps, in (0, 1] (r_tok; not given in
        the paper).
    share16, share4, share2
        Shares of the coordinates sent at 16, 4 and 2 bits, the most important first; the rest is
        not sent. The paper gives no percentiles; these make the payload 2.4 bits a coordinate,
        1/6.67 of float16, which is the ratio that the paper reports.
    refresh_every, smoothing, by, mask, weights, reduction, first, fisher_average
        See :class:`fsim.vocabulary.SensitivitySettings`; H = 10 and rho = 0.9 are the paper's.
    """

    name: ClassVar[str] = "fstq"

    token_ratio: float = 0.5
    share16: float = 0.02
    share4: float = 0.12
    share2: float = 0.08

    def __post_init__(self) -> None:
        if not 0 < self.token_ratio <= 1:
            raise ValueError(
                f"token_ratio: found {self.token_ratio}, allowed is above 0 and at most 1"
            )
        shares = (self.share16, self.share4, self.share2)
        if min(shares) < 0 or not 0 < sum(shares) <= 1:
            raise ValueError(
                f"share16, share4, share2: found {shares}, allowed are shares of 0 or more that "
                "sum to more than 0 and at most 1"
            )
        if self.refresh_every < 1:
            raise ValueError(f"refresh_every: found {self.refresh_every}, allowed is 1 or more")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing: found {self.smoothing}, allowed is 0 or more, below 1")

    def sensitivity(self) -> SensitivitySettings:
        """Token filtering and Fisher are measured in training."""
        names = (field.name for field in fields(SensitivitySettings))
        return SensitivitySettings(**{name: getattr(self, name) for name in names})

    def allocate(self, importance: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Bits of each coordinate by rank of its importance u_j = F_j delta_j^2 (steps 5 and 6)."""
        bits = np.zeros(len(importance), dtype=np.uint8)
        order = np.argsort(-importance, kind="stable")
        cuts = np.cumsum([0.0, self.share16, self.share4, self.share2]) * len(importance)
        for tier, begin, end in zip(TIERS, cuts, cuts[1:], strict=False):
            bits[order[round(begin) : round(end)]] = tier
        return bits

    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """See :class:`Policy`; the context must bring the Fisher."""
        if context.fisher is None:
            raise ValueError("fstq needs the client's Fisher, the context has none")
        layout = Layout.of(update)
        vector = layout.flatten(update)
        bits = self.allocate(layout.flatten(context.fisher) * vector**2)
        largest = np.maximum.reduceat(np.abs(vector), layout.bounds[:-1]).astype("<f4")
        exact = vector[bits == 16].astype("<f2")
        if not np.all(np.isfinite(exact)):
            raise ValueError(f"fstq cannot express {np.max(largest):g} in float16")
        values = [exact.tobytes()]
        for tier in TIERS[1:]:
            limit = _limit(tier)
            scale = _expand(largest, layout) / np.float32(limit + _EPSILON)
            at = (bits == tier) & (scale > 0)
            levels = np.zeros(len(vector), dtype=np.int64)
            levels[at] = np.clip(np.rint(vector[at] / scale[at]), -limit, limit)
            values.append(pack_bits(levels[bits == tier] + limit, tier))
        sent = bits > 0
        return pack(
            self.name,
            layout,
            {
                Section.POSITIONS: encode_positions(sent),
                Section.TAGS: pack_bits(np.searchsorted((2, 4, 16), bits[sent]), 2),
                Section.SCALES: largest.tobytes(),
                Section.VALUES: b"".join(values),
            },
        )

    def decode(self, payload: bytes, layout: Layout) -> Update:
        """See :class:`Policy`."""
        sections = unpack(payload, self.name, layout)
        sent = decode_positions(sections.get(Section.POSITIONS, b""), layout.size)
        tags = unpack_bits(sections.get(Section.TAGS, b""), int(sent.sum()), 2)
        if np.any(tags > 2):
            raise PayloadError("the payload has a tag that stands for no precision")
        bits = np.zeros(layout.size, dtype=np.uint8)
        bits[sent] = np.array([2, 4, 16])[tags]
        largest = section_array(sections, Section.SCALES, "<f4", len(layout.tensors))
        values = sections.get(Section.VALUES, b"")
        vector = np.zeros(layout.size, dtype=np.float32)
        at = 0
        for tier in TIERS:
            chosen = bits == tier
            count = int(chosen.sum())
            data = values[at : at + packed_length(count, tier)]
            at += packed_length(count, tier)
            if tier == 16:
                vector[chosen] = section_array({Section.VALUES: data}, Section.VALUES, "<f2", count)
            else:
                levels = unpack_bits(data, count, tier) - _limit(tier)
                scale = _expand(largest, layout) / np.float32(_limit(tier) + _EPSILON)
                vector[chosen] = levels * scale[chosen]
        if at != len(values):
            raise PayloadError(f"the payload has {len(values) - at} bytes of values too many")
        return layout.unflatten(vector)


def _limit(bits: int) -> int:
    """q_max(b) = 2^(b-1) - 1 (step 7)."""
    return int(2 ** (bits - 1) - 1)


def _expand(per_matrix: npt.NDArray[np.float32], layout: Layout) -> npt.NDArray[np.float32]:
    return np.repeat(per_matrix, np.diff(layout.bounds))
