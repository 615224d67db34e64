"""Shortening the token stream at inference: which prompt tokens the later layers need.

Nothing here needs a scenario: any causal language model of transformers, alone or with an adapter
of peft's, and any training loop.
"""

from fsim.inference.adapting import Adaptation, adapt, merge_adaptation
from fsim.inference.keeping import Keep
from fsim.inference.pooling import Pooled
from fsim.inference.pruning import PromptPruner, Scorer, View
from fsim.inference.reading import Reader, Reading
from fsim.inference.recording import SaliencyRecorder
from fsim.inference.saliency import (
    AttentionScorer,
    FisherHead,
    FisherTable,
    RandomScorer,
    Sample,
)

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
