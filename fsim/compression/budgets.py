"""Budgets: the limit in bytes that holds for a payload."""

from __future__ import annotations

from fsim.compression.policy import EncodingContext


def budget_of(option: int | None, context: EncodingContext) -> int | None:
    """The smaller of a policy's own budget and the context's; None where neither is set."""
    return min((limit for limit in (option, context.budget) if limit is not None), default=None)


def check_budget(budget: int | None) -> None:
    """Refuse a budget that allows nothing.

    Raises
    ------
    ValueError
        It is not a number of bytes of 1 or more.
    """
    if budget is not None and budget < 1:
        raise ValueError(f"budget: found {budget}, allowed is 1 byte or more")
