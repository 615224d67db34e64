import pytest
import torch

from fsim.model.loading import load_base


class FixedScores:
    """Scores that a test chooses."""

    def __init__(self, scores):
        self.scores = scores

    def watching(self, layer):
        import contextlib

        return contextlib.nullcontext()

    def score(self, view):
        self.view = view
        return self.scores


@pytest.fixture(scope="session")
def nano_base():
    """The nano base model alone; tests leave it as it is."""
    torch.set_num_threads(1)
    return load_base("nano", device="cpu")


@pytest.fixture(scope="session")
def nano(nano_base):
    return nano_base.model
