"""Sequences end to end: the same hidden states, losses and gradients as with padding."""

import numpy as np
import pytest
import torch
from transformers import (
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from fsim.data.encoding import Batch, Encoded
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import BaseModel, load_base
from fsim.model.lora import LoraSettings
from fsim.model.packing import Packing

SMALL = {
    "vocab_size": 4096, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 0,
}  # fmt: skip


def random_rows(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Encoded(tuple(rng.integers(3, 4000, n).tolist()), min(3, n - 1), False) for n in lengths
    ]


def adapted_from(model):
    model.requires_grad_(False)
    base = BaseModel(model.eval(), load_base("nano", device="cpu").tokenizer)
    return AdaptedModel(base, LoraSettings(rank=4, alpha=8, targets=("q_proj", "v_proj")), seed=0)


@pytest.fixture
def mistral():
    """A model whose tokens see the last five alone."""
    torch.manual_seed(0)
    return adapted_from(MistralForCausalLM(MistralConfig(**SMALL, sliding_window=5)))


def test_places_and_positions_by_hand():
    batch = Batch.of([Encoded((7, 8, 9, 2), 1, False), Encoded((5, 2), 1, False)])
    packing = Packing.of(batch)
    assert packing.places.tolist() == [0, 1, 2, 3]
    inputs = packing.inputs(batch, None)
    assert inputs["input_ids"].tolist() == [[7, 8, 9, 5]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 0]]
    assert packing.line_up(batch, torch.tensor([3, 1])).tolist() == [3, 1]


@pytest.mark.parametrize("model", ["nano", "mistral"])
def test_losses_and_gradients_are_those_of_padding(model, request):
    adapted = request.getfixturevalue(model)
    assert adapted.packs
    batch = Batch.of(random_rows([4, 19, 9, 2, 13]))
    counts = batch.scored.float()
    slots = adapted.slots(1, trainable=True)
    flat = adapted.layout.flatten(adapted.initial)
    slots.load([flat + np.random.default_rng(0).normal(0, 0.02, flat.shape).astype("f4")])
    adapted.use(slots)
    found = {}
    for packs in (True, False):
        adapted.packs = packs
        embedded = adapted.model.get_input_embeddings()(batch.ids).detach().requires_grad_()
        loss = adapted.loss(batch, counts, 1, embedded)
        (at_embeddings,) = slots.backward(loss.sum(), embedded)
        found[packs] = loss.detach().clone(), slots.gradients.clone(), at_embeddings.clone()
    for packed, padded in zip(found[True], found[False], strict=True):
        assert float(padded.norm()) > 0
        assert float((packed - padded).norm()) <= 2e-6 * float(padded.norm())
    # Nothing flows to padding.
    assert not found[True][2][~batch.read].any()


def test_a_window_shorter_than_a_sequence_is_kept(mistral):
    # The oracle is transformers' own mask, row by row without any padding.
    rows = random_rows([14, 9])
    batch = Batch.of(rows)
    packing = Packing.of(batch)
    with torch.no_grad():
        packed = mistral.model.base_model(**packing.inputs(batch, None), use_cache=False)[0][0]
        alone = [
            mistral.model.base_model(torch.tensor([row.ids[:-1]]), use_cache=False)[0][0]
            for row in rows
        ]
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_a_model_that_hands_states_on_is_not_packed():
    torch.manual_seed(0)
    # Its short convolutions look back over whatever tokens come before.
    config = Lfm2Config(**SMALL, layer_types=["conv", "full_attention", "conv"])
    assert not adapted_from(Lfm2ForCausalLM(config)).packs


def test_a_model_with_attention_of_its_own_keeps_it():
    torch.manual_seed(0)
    adapted = adapted_from(LlamaForCausalLM(LlamaConfig(**SMALL, attn_implementation="eager")))
    assert not adapted.packs
    assert adapted.model.config._attn_implementation == "eager"
