import pytest
import torch

from fsim.learning.adapter import AdaptedModel, LoraSettings
from fsim.learning.models import load_base


@pytest.fixture
def nano():
    """The nano base model with an adapter on all its linear layers."""
    torch.set_num_threads(1)
    return AdaptedModel(load_base("nano", device="cpu"), LoraSettings(8, 16, "all-linear"), seed=0)
