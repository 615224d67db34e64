"""Metrics of answers: their names, and each as a function of plain values."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

METRICS: dict[str, str] = {
    "exact_match": "share of the examples whose generated answer is the right one, end included",
    "token_accuracy": "share of the answer tokens that are the most likely after the right ones",
    "multiple_choice": "share of the examples whose likeliest choice, per token, is the answer",
    "rouge_l": "mean ROUGE-L F-measure of the generated answers",
}
"""The metrics in [0, 1] that can be an evaluation's headline figure, with one line about each."""

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""Unicode names of scripts written without spaces between words begin with one of these."""


def perplexity(loss: float) -> float:
    """The exponential of a mean token loss in nats; infinite beyond what a float holds."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def exact_match(hits: int, tokens: int) -> float:
    """1.0 if all of an answer's tokens are the most likely ones, otherwise 0.0.

    Greedy decoding produces an answer and its end mark if and only if each of their tokens is the
    most likely one after the tokens before it, so counting hits decides it without generating.
    """
    return float(hits == tokens)


def best_choice(log_likelihoods: Sequence[float], tokens: Sequence[int]) -> int | None:
    """The choice of highest mean log-likelihood per token.

    Dividing by the number of tokens keeps long choices from losing for their length alone.

    Parameters
    ----------
    log_likelihoods
        Of each choice, summed over its tokens, nats.
    tokens
        How many tokens each choice was summed over.

    Returns
    -------
    int or None
        Its place; the first of equals. A choice without a number is never chosen: None where no
        choice has one.
    """
    means = np.asarray(log_likelihoods, dtype=np.float64) / np.asarray(tokens)
    if np.isnan(means).all():
        return None
    return int(np.nanargmax(means))


def rouge_l(output: str, answer: str) -> float:
    """ROUGE-L F-measure of one text against another: Lin, ROUGE, 2004, by the rouge-score package.

    With L the length of the longest common subsequence of words, the harmonic mean of L over the
    words said and L over the answer's words; 0 where either has no word. Words are :class:`Words`,
    because the package's own tokenizer drops everything outside a-z and 0-9.
    """
    score: float = _scorer().score(answer, output)["rougeL"].fmeasure
    return float(score)


@cache
def _scorer() -> Any:
    # Importing the package brings nltk: only a run that is scored by it should wait for that.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=Words())


class Words:
    """Words of any script, as ROUGE counts them.

    Lower-cased runs of letters, combining marks and digits; of a script written without spaces,
    each character. ASCII text falls into the same words as by rouge-score's own tokenizer without
    stemming, which would make nothing of a Russian text and two words of the Spanish "año".
    """

    def tokenize(self, text: str) -> list[str]:
        """The words in their order."""
        return "".join(map(_spaced, unicodedata.normalize("NFC", text.lower()))).split()


@cache
def _spaced(character: str) -> str:
    """A character of a word as it is, or with spaces around; a space in place of any other."""
    category = unicodedata.category(character)
    if category == "Cf":  # joiners and direction marks, which stand within words
        return ""
    if category[0] not in "LMN":
        return " "
    if unicodedata.name(character, "").startswith(_UNSPACED):
        return f" {character} "
    return character


def token_recall(
    kept_mask: npt.ArrayLike, reference_scores: npt.ArrayLike, top_share: float
) -> float:
    """Share of a reference run's most sensitive tokens that a filter keeps.

    Token Recall of Fed-FSTQ (arXiv 2604.25421): of the top p of the reference run's tokens by
    Fisher sensitivity, the part still retained. The ``ceil(top_share x tokens)`` highest scores
    are the top; ties go to the earlier position.

    Parameters
    ----------
    kept_mask
        Whether each token is kept, any shape; without padding.
    reference_scores
        Sensitivity of the same tokens in the reference run, the same shape.
    top_share
        p, above 0 and up to 1.

    Raises
    ------
    ValueError
        Shapes that differ, no token, a score that is no number, or a share out of range.
    """
    mask = np.asarray(kept_mask, dtype=bool)
    scores = np.asarray(reference_scores, dtype=np.float64)
    if mask.shape != scores.shape or not mask.size:
        raise ValueError(
            f"found a mask of shape {mask.shape} and scores of shape {scores.shape}, allowed are "
            "equal shapes of one token or more"
        )
    if np.isnan(scores).any():
        raise ValueError("reference_scores: found NaN, allowed are numbers")
    if not 0 < top_share <= 1:
        raise ValueError(f"top_share: found {top_share}, allowed is above 0 and up to 1")
    # Rounded first: 0.1 x 30 is a little above 3 in floating point, and its ceiling would be 4.
    count = math.ceil(round(top_share * scores.size, 9))
    top = np.argsort(-scores.ravel(), kind="stable")[: max(count, 1)]
    return float(mask.ravel()[top].mean())
