"""Shortening the token stream at inference: which prompt tokens the later layers need.

Nothing here needs a scenario: any causal language model of transformers, alone or with an adapter
of peft's, and any training loop.
"""

from fsim.inference.adaptation import Adaptation, adapt, merge_adaptation
from fsim.inference.pooling import Pooled
from fsim.inference.prefill import Reader, Reading
from fsim.inference.pruning import PromptPruner, Scorer, View
from fsim.inference.recorder import SaliencyRecorder
from fsim.inference.saliency import (
    AttentionScorer,
    FisherHead,
    FisherTable,
    RandomScorer,
    Sample,
)
from fsim.inference.token_choice import Keep

__all__ = [
    "Adaptation",
    "AttentionScorer",
    "FisherHead",
    "FisherTable",
    "Keep",
    "Pooled",
    "PromptPruner",
    "RandomScorer",
    "Reader",
    "Reading",
    "SaliencyRecorder",
    "Sample",
    "Scorer",
    "View",
    "adapt",
    "merge_adaptation",
]
