"""Gain and cost of shortening prompts: accuracy, Token Recall, seconds, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from fsim.core.errors import InferenceError
from fsim.data.answer_metrics import token_recall
from fsim.data.encoding import Encoded
from fsim.inference.pooling import Pooled, check_window
from fsim.inference.prefill import Reader
from fsim.inference.preparation import WINDOW, Prepared, record
from fsim.inference.pruning import PromptPruner, Scorer
from fsim.inference.saliency import AttentionScorer, RandomScorer
from fsim.inference.token_choice import Keep

NONE = "none"
"""Reading the prompt whole."""

METHODS: dict[str, Callable[[Prepared, int], Scorer]] = {
    "fisher-head": lambda prepared, seed: prepared.head,
    "fisher-table": lambda prepared, seed: prepared.table,
    "attention": lambda prepared, seed: AttentionScorer(),
    "random": lambda prepared, seed: RandomScorer(seed),
}
"""Name -> what makes its scorer."""

TOP_SHARE = 0.1
"""p of Token Recall."""


@dataclass(frozen=True)
class Measurement:
    """One method under one rule, beside reading prompts whole in the same run.

    Attributes
    ----------
    method
        A key of :data:`METHODS`, or :data:`NONE`.
    keep
        The rule, as people write it.
    examples
        Test prompts whose answers were looked at.
    accuracy
        Share of them answered exactly right, greedily.
    points_lost
        Accuracy of reading whole less this one, in points (hundredths).
    lost, won
        Prompts that only reading whole got right, and those that only this one did.
    token_recall
        Share of each prompt's top tenth of tokens, by their sensitivity given the right answer,
        that stays; a mean over prompts.
    kept
        Share of the prompts' tokens that stays.
    prompt_s, answer_s
        Seconds of reading a prompt and of answering, medians.
    speed_up, slowest, fastest
        Seconds of reading whole over this one's, prompt and answer together, taken in turns of the
        same repetition: median, least and most.
    prompt_speed_up
        The same of reading the prompt alone, median.
    cache_bytes
        Keys and values after a prompt, mean.
    cache_share
        The same over reading whole.
    """

    method: str
    keep: str
    examples: int
    accuracy: float
    points_lost: float
    lost: int
    won: int
    token_recall: float
    kept: float
    prompt_s: float
    answer_s: float
    speed_up: float
    slowest: float
    fastest: float
    prompt_speed_up: float
    cache_bytes: float
    cache_share: float


@dataclass
class _Side:
    """One of the sides that take turns, and what it did."""

    method: str
    keep: str
    reader: Reader
    hits: list[bool]
    shares: list[float]
    cache: list[int]
    recall: list[float]
    prompt_s: list[float]
    answer_s: list[float]

    @property
    def total_s(self) -> list[float]:
        return [sum(pair) for pair in zip(self.prompt_s, self.answer_s, strict=True)]


@dataclass(frozen=True)
class Plan:
    """Plan of a measurement.

    Attributes
    ----------
    methods
        Keys of :data:`METHODS`.
    keeps
        Rules, and how people write them.
    new_tokens
        Length of an answer that is timed; end marks do not cut it short, so that all sides do the
        same work.
    repetitions
        Turns that every side takes, each turn with another prompt and another side first.
    recalled
        Test prompts whose token sensitivities are recorded, for Token Recall.
    window
        Tokens that every method's saliencies are means over, an odd number.
    seed
        Of the random method.

    Raises
    ------
    InferenceError
        No such method, no new tokens or repetitions, or a window without a middle.
    """

    methods: Sequence[str]
    keeps: Sequence[tuple[str, Keep]]
    new_tokens: int = 8
    repetitions: int = 10
    recalled: int = 32
    window: int = WINDOW
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown:
            raise InferenceError(f"methods: found {unknown[0]!r}, allowed are {', '.join(METHODS)}")
        check_window(self.window)
        for name in ("new_tokens", "repetitions"):
            if getattr(self, name) < 1:
                raise InferenceError(
                    f"{name.replace('_', ' ')}: found {getattr(self, name)}, allowed is 1 or more"
                )


def measure(
    prepared: Prepared,
    rows: Sequence[Encoded],
    plan: Plan,
    advance: Callable[[str], None] = lambda what: None,
) -> list[Measurement]:
    """Measure every method under every rule, and reading whole first.

    Parameters
    ----------
    prepared
        The model, and what was learned.
    rows
        Test prompts and their answers.
    plan
        What is measured.
    advance
        TrackerGroup ``"answers"`` after each prompt and ``"turns"`` after each turn.

    Raises
    ------
    InferenceError
        No prompts, or one that is shorter than what must be kept.
    """
    if not rows:
        raise InferenceError("examples: found 0, allowed is 1 or more")
    sides = [_side(NONE, "all", Reader(prepared.model))]
    for method in plan.methods:
        for rule_text, keep in plan.keeps:
            scorer = Pooled(METHODS[method](prepared, plan.seed), plan.window)
            reader = PromptPruner(prepared.model, prepared.layer, scorer, keep)
            sides.append(_side(method, rule_text, reader))
    _answer_all(prepared, rows, sides, plan.recalled, advance)
    _take_turns(prepared, rows, sides, plan, advance)
    return [_summary(side, sides[0]) for side in sides]


def _side(method: str, keep: str, reader: Reader) -> _Side:
    return _Side(method, keep, reader, [], [], [], [], [], [])


def _answer_all(
    prepared: Prepared,
    rows: Sequence[Encoded],
    sides: Sequence[_Side],
    recalled: int,
    advance: Callable[[str], None],
) -> None:
    """Compare each answer with the one that greedy decoding gives, without generating it.

    It is if each of its tokens is the most likely one after those before it.
    """
    device = prepared.model.get_input_embeddings().weight.device
    for number, row in enumerate(rows):
        ids = torch.tensor([row.ids], device=device)
        prompt, answer = ids[:, : -row.scored], ids[:, -row.scored :]
        fisher = None
        if number < recalled:
            (sample,) = record(prepared.model, [row], prepared.layer)
            fisher = sample.fisher.numpy()
        for side in sides:
            reading = side.reader.read(prompt)
            side.shares.append(float(reading.token_mask.float().mean()))
            side.cache.append(reading.cache_bytes)
            if fisher is not None:
                mask = reading.token_mask[0].cpu().numpy()
                side.recall.append(token_recall(mask, fisher, TOP_SHARE))
            likely = [reading.logits.argmax(dim=-1, keepdim=True)]
            if row.scored > 1:
                likely.append(side.reader.extend(reading, answer[:, :-1]).argmax(dim=-1))
            side.hits.append(torch.equal(torch.cat(likely, dim=1), answer))
        advance("answers")


def _take_turns(
    prepared: Prepared,
    rows: Sequence[Encoded],
    sides: Sequence[_Side],
    plan: Plan,
    advance: Callable[[str], None],
) -> None:
    device = prepared.model.get_input_embeddings().weight.device

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    for turn in range(-1, plan.repetitions):  # the first one warms up and is not counted
        row = rows[turn % len(rows)]
        prompt = torch.tensor([row.ids[: -row.scored]], device=device)
        for at in range(len(sides)):
            side = sides[(turn + at) % len(sides)]
            begin = now()
            reading = side.reader.read(prompt)
            read = now()
            side.reader.answer(reading, max_new_tokens=plan.new_tokens)
            end = now()
            if turn >= 0:
                side.prompt_s.append(read - begin)
                side.answer_s.append(end - read)
        advance("turns")


def _summary(side: _Side, whole: _Side) -> Measurement:
    ratios = [theirs / own for theirs, own in zip(whole.total_s, side.total_s, strict=True)]
    prompts = [theirs / own for theirs, own in zip(whole.prompt_s, side.prompt_s, strict=True)]
    pairs = list(zip(whole.hits, side.hits, strict=True))
    count = len(side.hits)
    return Measurement(
        method=side.method,
        keep=side.keep,
        examples=count,
        accuracy=sum(side.hits) / count,
        points_lost=100 * (sum(whole.hits) - sum(side.hits)) / count,
        lost=pairs.count((True, False)),
        won=pairs.count((False, True)),
        token_recall=statistics.mean(side.recall) if side.recall else float("nan"),
        kept=statistics.mean(side.shares),
        prompt_s=statistics.median(side.prompt_s),
        answer_s=statistics.median(side.answer_s),
        speed_up=statistics.median(ratios),
        slowest=min(ratios),
        fastest=max(ratios),
        prompt_speed_up=statistics.median(prompts),
        cache_bytes=statistics.mean(side.cache),
        cache_share=statistics.mean(side.cache) / statistics.mean(whole.cache),
    )
