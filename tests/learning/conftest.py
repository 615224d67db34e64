from pathlib import Path

import pytest
import torch

from fsim.learning.adapter import AdaptedModel, LoraSettings
from fsim.learning.encoding import encode_examples
from fsim.learning.models import load_base
from fsim.learning.tasks import make_task


@pytest.fixture
def nano():
    """The nano base model with an adapter on all its linear layers."""
    torch.set_num_threads(1)
    return AdaptedModel(load_base("nano", device="cpu"), LoraSettings(8, 16, "all-linear"), seed=0)


@pytest.fixture(scope="module")
def rows():
    """400 of medical's training examples, encoded for nano."""
    torch.set_num_threads(1)
    examples = make_task("medical", {}).load(Path).train[:400]
    return encode_examples(load_base("nano", device="cpu").tokenizer, examples, 32)
