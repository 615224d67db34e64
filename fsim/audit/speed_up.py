"""Measurements of ``fsim infer-bench``, beside the paper's speed-up at inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsim.core.documents import LARGEST_FILE, parse_json, read_text
from fsim.core.errors import OutputError

FILES = tuple(
    Path(__file__).with_name(f"inference-{name}.json")
    for name in ("layer-5", "layer-8", "layer-5-adapted")
)
"""The files ``infer-bench.json`` of what docs/inference.md shows."""

HEADS = (
    "method",
    "tokens kept",
    "exactly right",
    "points lost",
    "Token Recall",
    "speed-up end to end",
    "keys and values",
)


def read_inference(paths: Sequence[Path] = FILES) -> list[dict[str, Any]]:
    """Read measurements, a file each, as ``infer-bench.json`` has them.

    Raises
    ------
    OutputError
        A file that is no such measurement.
    """
    measured = []
    for path in paths:
        try:
            data: dict[str, Any] = parse_json(read_text(path, LARGEST_FILE))
            rows_of(data)
            note_of(data)
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path}: found no measurement of infer-bench: {error!r}") from None
        measured.append(data)
    return measured


def rows_of(data: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The cells of a table, a row a method and rule."""
    return tuple(
        (
            str(each["method"]),
            str(each["keep"]),
            f"{each['accuracy']:.1%}",
            f"{each['points_lost']:.1f}",
            f"{each['token_recall']:.0%}",
            f"{each['speed_up']:.2f} ({each['slowest']:.2f} to {each['fastest']:.2f})",
            f"{each['cache_share']:.0%}",
        )
        for each in data["measured"]
    )


def note_of(data: dict[str, Any]) -> str:
    """Note below a table of measurements."""
    facts = data["facts"]
    steps = facts.get("adapt_steps")
    adapted = f", used to shortened prompts by {steps} further steps of training" if steps else ""
    return (
        f"{facts['model']}, {facts['task']}{adapted}: {facts['examples']} held-out prompts of "
        f"{facts['prompt_tokens_mean']:.0f} tokens (mean), {facts['new_tokens']} new tokens, "
        f"shortened after layer {facts['layer']} of {facts['layers']}; {facts['repetitions']} "
        f"turns a side on {facts['device']}, median (least to most). See docs/inference.md."
    )
