"""Pruned reading against whole passes in which later layers are kept from seeing what is pruned."""

from functools import partial

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from fsim.core.errors import InferenceError
from fsim.inference.prefill import Reader
from fsim.inference.pruning import PromptPruner, layers_of
from fsim.inference.token_choice import Keep
from tests.inference.conftest import FixedScores

LENGTH = 24


def make_model(kind, config):
    torch.manual_seed(0)
    return kind(config).eval()


SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.fixture(scope="module")
def models(nano):
    # Weights larger than the usual 0.02, so that attention is not flat and positions matter.
    wide = {"initializer_range": 0.3}
    return {
        "nano": nano,
        "llama": make_model(LlamaForCausalLM, LlamaConfig(**SMALL, **wide)),
        "llama, eager": make_model(
            LlamaForCausalLM, LlamaConfig(**SMALL, **wide, attn_implementation="eager")
        ),
        "mistral, a window of 8": make_model(
            MistralForCausalLM, MistralConfig(**SMALL, **wide, sliding_window=8)
        ),
        "gpt2": make_model(
            GPT2LMHeadModel, GPT2Config(vocab_size=64, n_embd=32, n_layer=4, n_head=4, **wide)
        ),
    }


NAMES = ("nano", "llama", "llama, eager", "mistral, a window of 8", "gpt2")


def prompts(rows=1, seed=0):
    torch.manual_seed(seed)
    return torch.randint(3, 64, (rows, LENGTH)), torch.randn(rows, LENGTH)


@torch.no_grad()
def whole(model, layer, ids, read, kept):
    """Logits at every position, nothing cached, pruned tokens hidden in the layers after n."""
    length = ids.shape[1]
    at = torch.arange(length)
    causal = at <= at[:, None]
    window = getattr(model.config, "sliding_window", None)
    if window is not None:
        causal = causal & (at > at[:, None] - window)
    own = torch.eye(length, dtype=torch.bool)  # so that no row of attention is empty
    early = (causal & read[:, None, :] | own)[:, None]
    late = (causal & kept[:, None, :] | own)[:, None]

    def hide(mask, module, positional, keywords):
        if "attention_mask" in keywords:
            return positional, {**keywords, "attention_mask": mask}
        return (*positional[:2], mask, *positional[3:]), keywords  # GPT-2 by position

    def float_mask(mask):
        return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)

    hooks = [
        module.register_forward_pre_hook(
            partial(hide, float_mask(early if number < layer else late)), with_kwargs=True
        )
        for number, module in enumerate(layers_of(model))
    ]
    try:
        positions = (read.long().cumsum(1) - 1).clamp(min=0)
        return model(input_ids=ids, position_ids=positions, attention_mask=read.long()).logits
    finally:
        for hook in hooks:
            hook.remove()


def generated(model, ids, mask, count):
    new = model.generate(
        ids, attention_mask=mask, max_new_tokens=count, min_new_tokens=count, do_sample=False,
        eos_token_id=None, pad_token_id=0, repetition_penalty=1.0,
    )  # fmt: skip
    return new[:, ids.shape[1] :].tolist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_pruned_prompt_and_its_answer_equal_a_masked_whole_pass(models, name, layer):
    model = models[name]
    ids, scores = prompts()
    pruner = PromptPruner(model, layer, FixedScores(scores), Keep(ratio=0.4))
    reading = pruner.read(ids)
    assert int(reading.token_mask.sum()) == 10
    answer = torch.randint(3, 64, (1, 12))
    steps = [reading.logits, *(pruner.extend(reading, token[None])[:, -1] for token in answer.T)]
    found = torch.stack(steps, dim=1)
    line = torch.cat([ids, answer], dim=1)
    kept = torch.cat([reading.token_mask, torch.ones_like(answer, dtype=torch.bool)], dim=1)
    expected = whole(model, layer, line, torch.ones_like(kept), kept)[:, LENGTH - 1 :]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    # The pruning was no trifle: the whole prompt says something else.
    untouched = model(input_ids=line).logits[:, LENGTH - 1 :]
    assert (found - untouched).abs().max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_padded_prompts_side_by_side_equal_masked_whole_passes(models, name):
    model = models[name]
    ids, scores = prompts(rows=3)
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    mask[2, :12] = 0
    pruner = PromptPruner(model, 2, FixedScores(scores), Keep(ratio=0.4))
    reading = pruner.read(ids, mask)
    assert reading.token_mask.sum(1).tolist() == [10, 8, 5]
    answer = torch.randint(3, 64, (3, 5))
    first = reading.logits[:, None]
    found = torch.cat([first, pruner.extend(reading, answer[:, :1])], dim=1)
    found = torch.cat([found, pruner.extend(reading, answer[:, 1:])], dim=1)
    line = torch.cat([ids, answer], dim=1)
    more = torch.ones_like(answer)
    read = torch.cat([mask, more], dim=1).bool()
    kept = torch.cat([reading.token_mask, more.bool()], dim=1)
    expected = whole(model, 2, line, read, kept)[:, LENGTH - 1 :]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_ratio_of_one_is_the_model_itself(models, name):
    model = models[name]
    ids, scores = prompts(rows=2)
    mask = torch.ones_like(ids)
    mask[1, :7] = 0
    pruner = PromptPruner(model, 2, FixedScores(scores), Keep(ratio=1.0))
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits[:, -1]
    torch.testing.assert_close(pruner.read(ids, mask).logits, expected, rtol=1e-5, atol=1e-5)
    assert pruner.generate(ids, mask, max_new_tokens=12) == generated(model, ids, mask, 12)


@pytest.mark.parametrize("name", NAMES)
def test_reading_whole_is_generating(models, name):
    ids, _ = prompts(rows=2)
    mask = torch.ones_like(ids)
    mask[1, :7] = 0
    found = Reader(models[name]).generate(ids, mask, max_new_tokens=12)
    assert found == generated(models[name], ids, mask, 12)


def test_alone_a_ratio_of_one_changes_no_bit(nano):
    ids, scores = prompts()
    reading = PromptPruner(nano, 3, FixedScores(scores), Keep(ratio=1.0)).read(ids)
    with torch.no_grad():
        expected = nano(input_ids=ids, use_cache=True, logits_to_keep=1).logits[:, -1]
    assert torch.equal(reading.logits, expected)


def test_neighbours_change_nothing(models):
    model = models["llama"]
    ids, scores = prompts(rows=2)
    mask = torch.ones_like(ids)
    mask[1, :9] = 0
    keep = Keep(budget=7)
    both = PromptPruner(model, 1, FixedScores(scores), keep).generate(ids, mask, max_new_tokens=8)
    alone = PromptPruner(model, 1, FixedScores(scores[1:, 9:]), keep).generate(
        ids[1:, 9:], max_new_tokens=8
    )
    assert both[1] == alone[0]


def test_later_layers_keep_less(nano):
    ids, scores = prompts()
    layers = len(layers_of(nano))
    whole_bytes = PromptPruner(nano, 1, FixedScores(scores), Keep(ratio=1.0)).read(ids).cache_bytes
    each = whole_bytes // layers
    config = nano.config
    assert each == LENGTH * 2 * config.num_key_value_heads * config.head_dim * 4
    reading = PromptPruner(nano, 1, FixedScores(scores), Keep(budget=6)).read(ids)
    assert reading.cache_bytes == each + (layers - 1) * each * 6 // LENGTH


def test_generation_ends_at_the_end_mark(nano):
    ids, scores = prompts()
    pruner = PromptPruner(nano, 2, FixedScores(scores), Keep(ratio=0.5))
    (free,) = pruner.generate(ids, max_new_tokens=6)
    (ended,) = pruner.generate(ids, max_new_tokens=6, end=free[2])
    assert ended == free[: free.index(free[2]) + 1]


def test_the_scorer_sees_what_leaves_the_layer(nano):
    ids, scores = prompts()
    scorer = FixedScores(scores)
    PromptPruner(nano, 2, scorer, Keep(ratio=0.5)).read(ids)
    with torch.no_grad():
        expected = nano(input_ids=ids, output_hidden_states=True).hidden_states[2]
    assert torch.equal(scorer.view.hidden, expected)


def test_an_adapter_of_peft_stays_in_use(nano_base):
    import copy

    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(
        copy.deepcopy(nano_base.model), LoraConfig(r=2, target_modules=["q_proj"])
    )
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    ids, scores = prompts()
    reading = PromptPruner(model, 2, FixedScores(scores), Keep(ratio=0.5)).read(ids)
    expected = whole(model, 2, ids, torch.ones_like(reading.token_mask), reading.token_mask)[:, -1]
    torch.testing.assert_close(reading.logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [0, -1, 4, 40])
def test_a_layer_out_of_range_is_refused(models, layer):
    with pytest.raises(InferenceError, match=rf"layer: found {layer}, allowed are 1 to 3 of 4"):
        PromptPruner(models["llama"], layer, FixedScores(None), Keep(ratio=0.5))


def test_a_model_without_layers_is_refused():
    with pytest.raises(InferenceError, match="found Linear with 0 lists of None layers"):
        PromptPruner(torch.nn.Linear(2, 2), 1, FixedScores(None), Keep(ratio=0.5))


def test_a_model_that_hands_states_from_token_to_token_is_refused():
    model = make_model(
        MambaForCausalLM, MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=3)
    )
    ids, scores = prompts()
    with pytest.raises(InferenceError, match="model: found layers that"):
        PromptPruner(model, 1, FixedScores(scores), Keep(ratio=0.5)).read(ids)


def test_padding_on_the_right_is_refused(nano):
    ids, scores = prompts()
    mask = torch.ones_like(ids)
    mask[:, -3:] = 0
    with pytest.raises(InferenceError, match="found padding on the right, allowed is on the left"):
        PromptPruner(nano, 1, FixedScores(scores), Keep(ratio=0.5)).read(ids, mask)


def test_a_mask_of_another_shape_is_refused(nano):
    ids, scores = prompts()
    with pytest.raises(InferenceError, match=r"mask: found \(1, 23\), allowed is the prompts' "):
        PromptPruner(nano, 1, FixedScores(scores), Keep(ratio=0.5)).read(
            ids, torch.ones(1, LENGTH - 1)
        )


def test_no_new_tokens_are_refused(nano):
    ids, scores = prompts()
    with pytest.raises(InferenceError, match="new tokens: found 0, allowed are 1 or more"):
        PromptPruner(nano, 1, FixedScores(scores), Keep(ratio=0.5)).generate(ids, max_new_tokens=0)
