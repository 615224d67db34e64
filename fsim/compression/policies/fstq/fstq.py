"""``fstq``: Fisher-guided token selection and mixed-precision quantisation.

After "Fed-FSTQ", arXiv 2604.25421. The client trains on the tokens to which its loss is most
sensitive, and sends each coordinate at a precision chosen by its importance, the Fisher-weighted
square of the update. What the paper leaves open is an option here, its default stated; so are the
paper's ablations, and what is known to do better under the same allocation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal, cast

import numpy as np
from typing_extensions import override

from fsim.compression.budgets import budget_of, check_budget
from fsim.compression.coding.positions import index_width
from fsim.compression.coding.vectors import finite_vector
from fsim.compression.coding.wire import pack, unpack
from fsim.compression.policies.fstq.allocation import Prices, by_percentile, errors_of, for_budget
from fsim.compression.policies.fstq.payloads import (
    entropy_prices,
    entropy_sections,
    parse_entropy,
    parse_plain,
    plain_sections,
)
from fsim.compression.policies.fstq.quantiser import TIERS, BitArray, dequantise, quantise
from fsim.compression.policy import EncodingContext, Policy
from fsim.compression.size_option import SizeOption
from fsim.core.types import FloatArray, Layout, SensitivitySettings, TrainingRequest, Update

_TAG_BITS = 2

_ENTROPY_PRICES: Prices = {2: 4.0, 4: 7.0, 16: 18.0}
"""What a coordinate costs at first, entropy-coded; then what it was seen to cost."""

_PRICE_ROUNDS = 3


@dataclass(frozen=True)
class Fstq(Policy, SensitivitySettings):
    """Fed-FSTQ; by default by percentiles and plainly packed, as in the paper.

    Attributes
    ----------
    token_ratio
        Share of the scored tokens trained on between refresh steps, in (0, 1] (r_tok; not given in
        the paper).
    share16, share4, share2
        Shares of the coordinates sent at 16, 4 and 2 bits, the most important first; the rest is
        not sent. The paper gives no percentiles; these make the payload 2.4 bits a coordinate,
        1/6.67 of float16, which is the ratio that the paper reports.
    coding
        ``"plain"``: positions, tags and values packed at fixed widths, the paper's. ``"entropy"``:
        the same, entropy-coded.
    allocation
        ``"percentile"``: by the shares. ``"budget"``: greedily, most error taken away a bit first,
        such that the payload is no longer than the budget, metadata and header included.
    budget
        Bytes, for that allocation; where the context has a budget too, the smaller holds.
    scales
        ``"max"``: one a matrix, from its largest magnitude, the paper's. ``"least-squares"``: one
        for each tier of a matrix, of least weighted error.
    fisher
        False: importance is drawn at random (the paper's ablation of Fisher).
    uniform_fisher
        Every Fisher is 1: importance is the squared update.
    tokens
        False: no token is left out in training.
    quantise
        False: whatever is sent is sent as float16.
    random_support
        As many coordinates at each precision as there would be, at random places.
    refresh_every, smoothing, by, mask, weights, reduction, first, fisher_average, recall
        See :class:`fsim.core.types.SensitivitySettings`; H = 10 and rho = 0.9 are the paper's.
    """

    name: ClassVar[str] = "fstq"
    size_option: ClassVar[SizeOption | None] = SizeOption(
        ("share16", "share4", "share2"), 1e-3, 1.0
    )
    budget_condition: ClassVar[str | None] = "with allocation: budget"

    token_ratio: float = 0.5
    share16: float = 0.02
    share4: float = 0.12
    share2: float = 0.08
    coding: Literal["plain", "entropy"] = "plain"
    allocation: Literal["percentile", "budget"] = "percentile"
    budget: int | None = None
    scales: Literal["max", "least-squares"] = "max"
    fisher: bool = True
    uniform_fisher: bool = False
    tokens: bool = True
    quantise: bool = True
    random_support: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.token_ratio <= 1:
            raise ValueError(
                f"token_ratio: found {self.token_ratio}, allowed is above 0 and at most 1"
            )
        shares = (self.share16, self.share4, self.share2)
        if not (min(shares) >= 0 and 0 < sum(shares) <= 1):
            raise ValueError(
                f"share16, share4, share2: found {shares}, allowed are shares of 0 or more that "
                "sum to more than 0 and at most 1"
            )
        if self.refresh_every < 1:
            raise ValueError(f"refresh_every: found {self.refresh_every}, allowed is 1 or more")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing: found {self.smoothing}, allowed is 0 or more, below 1")
        if not 0 <= self.recall <= 1:
            raise ValueError(f"recall: found {self.recall}, allowed is 0 to 1")
        if self.uniform_fisher and not self.fisher:
            raise ValueError("uniform_fisher: found true, allowed is false where fisher is false")
        check_budget(self.budget)
        if self.budget is not None and self.allocation != "budget":
            raise ValueError("budget: found a number, allowed is none unless allocation is budget")

    @property
    def keeps_to_budget(self) -> bool:
        """With the greedy allocation."""
        return self.allocation == "budget"

    def training_request(self) -> TrainingRequest:
        """Token filtering and Fisher are measured in training."""
        names = (field.name for field in fields(SensitivitySettings))
        options = {name: getattr(self, name) for name in names}
        if not self.tokens:
            options |= {"token_ratio": 1.0, "weights": "hard"}
        return TrainingRequest(sensitivity=SensitivitySettings(**options))

    @override
    def encode(self, update: Update, context: EncodingContext) -> bytes:
        """Coordinates at 16, 4 and 2 bits by their sensitivity, the rest left out.

        Raises
        ------
        ValueError
            The context lacks the Fisher or the budget that the options need, the budget is too
            small for any payload, or a value is not finite or beyond float16.
        """
        layout = Layout.of(update)
        vector = finite_vector(self.name, layout, update)
        weights = self._weights(vector, layout, context)
        if self.allocation == "budget":
            return self._within_budget(vector, weights, layout, context)
        bits = by_percentile(weights * vector**2, (self.share16, self.share4, self.share2))
        if not self.quantise:
            bits[bits > 0] = 16
        if self.random_support:
            bits = context.rng.permutation(bits)
        return self._payload(vector, weights, bits, layout)

    @override
    def decode(self, payload: bytes, layout: Layout) -> Update:
        sections = unpack(payload, self.name, layout)
        if self.coding == "entropy":
            quantised = parse_entropy(sections, layout.size)
        else:
            quantised = parse_plain(sections, layout.size, tagged=self.quantise)
        return layout.unflatten(dequantise(quantised, layout, self.scales))

    def _weights(self, vector: FloatArray, layout: Layout, context: EncodingContext) -> FloatArray:
        """F_j, or what stands in its place in an ablation."""
        if not self.fisher:
            # Such that F delta^2, the importance, is uniform, wherever there is anything to send.
            draws = context.rng.random(len(vector), dtype=np.float32)
            squares = np.maximum(vector**2, np.float32(1e-30))
            return cast(FloatArray, draws / squares)
        if self.uniform_fisher:
            return np.ones(len(vector), dtype=np.float32)
        if context.fisher is None:
            raise ValueError("fstq needs the client's Fisher, the context has none")
        return finite_vector(self.name, layout, context.fisher)

    def _payload(
        self, vector: FloatArray, weights: FloatArray, bits: BitArray, layout: Layout
    ) -> bytes:
        quantised = quantise(vector, weights, bits, layout, self.scales)
        if self.coding == "entropy":
            return pack(self.name, layout, entropy_sections(quantised))
        return pack(self.name, layout, plain_sections(quantised, tagged=self.quantise))

    def _within_budget(
        self, vector: FloatArray, weights: FloatArray, layout: Layout, context: EncodingContext
    ) -> bytes:
        budget = budget_of(self.budget, context)
        if budget is None:
            raise ValueError("allocation budget needs a budget: neither option nor context has one")
        errors = errors_of(vector, weights, layout, self.scales)
        places = np.arange(len(vector))
        if self.random_support:
            places = context.rng.permutation(places)

        def encoded(bits: BitArray) -> bytes:
            return self._payload(vector, weights, bits[places], layout)

        allocations: list[BitArray] = []
        prices = self._first_prices(layout)
        for _ in range(_PRICE_ROUNDS):
            bits = for_budget(errors, prices[-1], lambda bits: len(encoded(bits)), budget)
            if bits is None:
                least = len(encoded(np.zeros(len(vector), dtype=np.uint8)))
                raise ValueError(
                    f"fstq: found a budget of {budget} bytes, a payload of this adapter has at "
                    f"least {least}"
                )
            allocations.append(bits)
            prices.pop()
            if self.coding == "entropy":
                quantised = quantise(vector, weights, bits[places], layout, self.scales)
                prices = [self._allowed(entropy_prices(quantised))]
            if not prices:
                break
        remaining_errors = [
            sum(float(np.sum(error[bits == tier])) for tier, error in errors.items())
            for bits in allocations
        ]
        return encoded(allocations[int(np.argmin(remaining_errors))])

    def _first_prices(self, layout: Layout) -> list[Prices]:
        """First guesses of a coordinate's price: in the plain form, in a bitmap or by its index."""
        if self.coding == "entropy":
            return [self._allowed(_ENTROPY_PRICES)]
        tag = _TAG_BITS if self.quantise else 0
        return [
            self._allowed({tier: tier + tag + place for tier in TIERS})
            for place in (0, index_width(layout.size))
        ]

    def _allowed(self, prices: Prices) -> Prices:
        return prices if self.quantise else {16: prices[16]}
