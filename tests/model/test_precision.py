"""A frozen base in bfloat16 with activations and adapters in float32."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fsim.data.encoding import Batch, BatchShape, draw_batches, encode_examples
from fsim.data.tasks import make_task
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.model.lora import LoraSettings
from fsim.model.precision import keep_activations_wide
from fsim.training.cohort import Cohort, SlotJob
from fsim.training.settings import TrainingSettings


def test_a_linear_layer_multiplies_in_bfloat16_and_answers_in_float32():
    layer = torch.nn.Linear(3, 2, bias=False).to(torch.bfloat16)
    layer.weight.data = torch.tensor([[1.0, 2.0, 4.0], [0.5, 0.0, 1.0]], dtype=torch.bfloat16)
    keep_activations_wide(torch.nn.Sequential(layer))
    # 1 + 2^-10 is 1 on bfloat16's grid: 1 x 1 + 2 x 1 + 4 x 0.5.
    output = layer(torch.tensor([[1 + 2**-10, 1.0, 0.5]]))
    assert output.dtype == torch.float32
    assert output.tolist() == [[5.0, 1.0]]


def test_norms_and_embeddings_are_float32():
    lora = LoraSettings(rank=8, alpha=16, targets="all-linear")
    model = AdaptedModel(load_base("nano", "bfloat16", "cpu"), lora, 0).model
    assert model.model.norm.weight.dtype == torch.float32
    assert model.lm_head.weight.dtype == torch.bfloat16
    assert model.get_input_embeddings()(torch.tensor([[1]])).dtype == torch.float32


@pytest.fixture(scope="module")
def rows():
    torch.set_num_threads(1)
    examples = make_task("medical", {}).load(Path).train[:200]
    return encode_examples(load_base("nano", device="cpu").tokenizer, examples, 32)


def trained(dtype, rows):
    adapted = AdaptedModel(
        load_base("nano", dtype, "cpu"), LoraSettings(rank=8, alpha=16, targets="all-linear"), 0
    )
    start = adapted.layout.flatten(adapted.initial)
    jobs = [
        SlotJob(start, draw_batches(rows[at * 50 :], 8, 8, np.random.default_rng(at)))
        for at in range(2)
    ]
    settings = TrainingSettings(optimizer="adamw", learning_rate=3e-3)
    results = Cohort(adapted, 2, BatchShape.of(rows, 8), settings).train(jobs)
    return adapted, results


def test_losses_follow_those_of_float32(rows):
    _, wide = trained("float32", rows)
    adapted, narrow = trained("bfloat16", rows)
    for one, other in zip(wide, narrow, strict=True):
        # bfloat16 keeps three digits.
        np.testing.assert_allclose(other.losses, one.losses, rtol=0.03)
        apart = np.linalg.norm(one.end - other.end)
        moved = np.linalg.norm(one.end - adapted.layout.flatten(adapted.initial))
        assert apart < moved / 2


def test_a_small_adapter_is_not_rounded_away(rows):
    """An adapter that adds a ten-thousandth must show in the logits."""
    adapted = AdaptedModel(
        load_base("nano", "bfloat16", "cpu"), LoraSettings(rank=8, alpha=16, targets=("v_proj",)), 0
    )
    batch = Batch.of(rows[:4])
    with torch.no_grad():
        before = adapted.logits(batch)
        generator = np.random.default_rng(0)
        adapted.write(
            {
                name: generator.normal(0, 1e-4, value.shape).astype("f4") if "_B" in name else value
                for name, value in adapted.initial.items()
            }
        )
        change = adapted.logits(batch) - before
    assert change.abs().max() > 0
