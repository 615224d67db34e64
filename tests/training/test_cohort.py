"""Many clients side by side: equal to each alone, to the bit; and to peft itself."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from fsim.core.errors import ScenarioError
from fsim.core.types import SensitivitySettings, TrainingRequest
from fsim.data.encoding import BatchShape, draw_batches
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import BaseModel, load_base
from fsim.model.lora import LoraSettings
from fsim.training.cohort import Cohort, SlotJob
from fsim.training.settings import TrainingSettings

ADAMW = TrainingSettings(optimizer="adamw", learning_rate=3e-3, weight_decay=0.01)
SGD = TrainingSettings(
    optimizer="sgd", learning_rate=0.1, weight_decay=0.01, max_gradient_norm=None
)


def base_of(architecture, layers=2):
    """A fresh base model; those other than nano are small and random, with nano's tokenizer."""
    nano = load_base("nano", device="cpu")
    if architecture == "nano":
        return nano
    torch.manual_seed(0)
    common = {"vocab_size": 4096, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if architecture == "qwen2":
        model = Qwen2ForCausalLM(
            Qwen2Config(
                hidden_size=48, intermediate_size=96, num_hidden_layers=layers,
                num_attention_heads=4, num_key_value_heads=2, **common,
            )
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(
                n_embd=48, n_layer=layers, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
                **common,
            )
        )  # fmt: skip
    model.requires_grad_(False)
    return BaseModel(model.eval(), nano.tokenizer)


LORA = {
    "nano": LoraSettings(rank=8, alpha=16, targets="all-linear"),
    "qwen2": LoraSettings(rank=4, alpha=8, targets=("q_proj", "v_proj", "down_proj")),
    "gpt2": LoraSettings(rank=4, alpha=8, targets=("c_attn",)),
}


def jobs_of(adapted, rows, count, steps=3, size=4, seed=0):
    """Jobs of clients that start from different adapters, each with its own rows."""
    flat = adapted.layout.flatten(adapted.initial)
    return [
        SlotJob(
            flat + np.random.default_rng(seed + client).normal(0, 0.01, flat.shape).astype("f4"),
            draw_batches(rows[client * 20 :], steps, size, np.random.default_rng(client)),
        )
        for client in range(count)
    ]


def train(adapted, rows, jobs, width, settings=ADAMW, sensitivity=None, size=4):
    shape = BatchShape.of(rows, size)
    return Cohort(adapted, width, shape, settings, TrainingRequest(sensitivity)).train(jobs)


def alone_with_peft(architecture, layout, job, settings):
    """A plain loop: peft's model, padding as usual, logits everywhere, the model's own loss."""
    lora = LORA[architecture]
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules=targets, task_type="CAUSAL_LM"
    )
    model = get_peft_model(base_of(architecture).model, config)
    named = {n.replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, value in layout.unflatten(job.start).items():
            named[name].copy_(torch.from_numpy(value))
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.SGD
    optimizer = kind(named.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    for batch in job.batches:
        length = max(len(row.ids) for row in batch)
        ids = torch.zeros(len(batch), length, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for at, row in enumerate(batch):
            ids[at, : len(row.ids)] = torch.tensor(row.ids)
            mask[at, : len(row.ids)] = 1
            begin = len(row.ids) - row.scored
            labels[at, begin : len(row.ids)] = torch.tensor(row.ids[begin:])
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        if settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(named.values(), settings.max_gradient_norm)
        if job.correction is not None:
            for name, value in layout.unflatten(job.correction.constant).items():
                start = torch.from_numpy(layout.unflatten(job.start)[name])
                pull = job.correction.proximal * (named[name].detach() - start)
                named[name].grad += torch.from_numpy(value) + pull
        optimizer.step()
    return layout.flatten({name: p.detach().numpy() for name, p in named.items()})


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
@pytest.mark.filterwarnings("ignore:fan_in_fan_out.*")
@pytest.mark.parametrize("architecture", LORA)
@pytest.mark.parametrize("settings", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("width", [1, 4], ids=["packed", "side-by-side"])
def test_equals_training_each_client_alone_with_peft(architecture, settings, width, rows):
    adapted = AdaptedModel(base_of(architecture), LORA[architecture], seed=0)
    jobs = jobs_of(adapted, rows, 3)
    results = [
        result
        for begin in range(0, len(jobs), width)
        for result in train(adapted, rows, jobs[begin : begin + width], width, settings)
    ]
    for job, result in zip(jobs, results, strict=True):
        expected = alone_with_peft(architecture, adapted.layout, job, settings)
        assert np.linalg.norm(result.end - expected) <= 1e-5 * np.linalg.norm(expected)
        moved, should = result.end - job.start, expected - job.start
        assert np.linalg.norm(moved - should) <= 2e-3 * np.linalg.norm(should)
        assert np.linalg.norm(should) > 0


SENSITIVE = SensitivitySettings(token_ratio=0.5, refresh_every=2)


@pytest.mark.parametrize("sensitivity", [None, SENSITIVE], ids=["plain", "fstq"])
@pytest.mark.parametrize("settings", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_a_result_does_not_depend_on_who_shared_its_batch_to_the_bit(
    nano, rows, settings, sensitivity
):
    jobs = jobs_of(nano, rows, 8)
    together = train(nano, rows, jobs[:4], 4, settings, sensitivity)
    shuffled = train(nano, rows, [jobs[5], jobs[2], jobs[7], jobs[0]], 4, settings, sensitivity)
    alone = train(nano, rows, [jobs[2]], 4, settings, sensitivity)
    for other in (shuffled[1], alone[0]):
        assert np.array_equal(other.end, together[2].end)
        assert other.losses == together[2].losses
        assert other.tokens_kept == together[2].tokens_kept
        if sensitivity is not None:
            assert np.array_equal(other.fisher, together[2].fisher)
    assert np.array_equal(shuffled[3].end, together[0].end)
    assert not np.array_equal(together[0].end, together[1].end)


@settings(max_examples=8, deadline=None)
@given(
    shape=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_ragged_cohorts_train_each_client_as_if_alone(rows, shape, seed):
    adapted = AdaptedModel(
        load_base("nano", device="cpu"),
        LoraSettings(rank=4, alpha=8, targets=("q_proj", "v_proj")),
        seed=0,
    )
    jobs = [
        jobs_of(adapted, rows, client + 1, steps, size, seed)[client]
        for client, (steps, size) in enumerate(shape)
    ]
    together = train(adapted, rows, jobs, 4, size=5)
    for job, result in zip(jobs, together, strict=True):
        (alone,) = train(adapted, rows, [job], 4, size=5)
        assert np.array_equal(alone.end, result.end)
        assert alone.losses == result.losses
        assert len(result.losses) == len(job.batches)


def test_widths_agree_to_rounding(nano, rows):
    jobs = jobs_of(nano, rows, 4)
    one = [train(nano, rows, [job], 1)[0] for job in jobs]
    for narrow, wide in zip(one, train(nano, rows, jobs, 4), strict=True):
        assert np.linalg.norm(narrow.end - wide.end) <= 1e-5 * np.linalg.norm(wide.end)


def test_too_many_or_no_jobs_are_refused(nano, rows):
    jobs = jobs_of(nano, rows, 3)
    with pytest.raises(ValueError, match="3 jobs do not fit 2 slots"):
        train(nano, rows, jobs, 2)
    with pytest.raises(ValueError, match="0 jobs"):
        train(nano, rows, [], 2)


def test_a_base_in_bfloat16_trains_adapters_in_float32(rows):
    base = load_base("nano", device="cpu")
    base.model.to(torch.bfloat16)
    adapted = AdaptedModel(base, LORA["nano"], seed=0)
    jobs = jobs_of(adapted, rows, 2, steps=12)
    results = train(adapted, rows, jobs, 2)
    assert all(result.losses[-1] < 0.8 * result.losses[0] for result in results)
    full = AdaptedModel(load_base("nano", device="cpu"), LORA["nano"], seed=0)
    exact = train(full, rows, jobs, 2)
    assert results[0].losses[0] == pytest.approx(exact[0].losses[0], rel=0.02)


@pytest.mark.parametrize(
    "choice",
    [{"by": "position"}, {"mask": "inputs"}, {"weights": "soft"}, {"reduction": "sum"},
     {"first": "full"}, {"fisher_average": "sum"}],
    ids=lambda choice: "-".join(*choice.items()),
)  # fmt: skip
def test_every_choice_left_open_by_the_paper_trains_and_changes_something(nano, rows, choice):
    jobs = jobs_of(nano, rows, 1, steps=10, size=8)
    plain = SensitivitySettings(token_ratio=0.5, refresh_every=4)
    chosen = SensitivitySettings(token_ratio=0.5, refresh_every=4, **choice)
    (default,) = train(nano, rows, jobs, 1, ADAMW, plain, size=8)
    (other,) = train(nano, rows, jobs, 1, ADAMW, chosen, size=8)
    assert np.mean(other.losses[-3:]) < 0.8 * other.losses[0]
    assert not np.array_equal(default.fisher, other.fisher)
    assert np.all(other.fisher >= 0)


def test_pruned_inputs_with_everything_kept_are_plain_training(nano, rows):
    jobs = jobs_of(nano, rows, 2, steps=4)
    (plain, _) = train(nano, rows, jobs, 2)
    everything = SensitivitySettings(token_ratio=1.0, mask="inputs", refresh_every=2)
    (same, _) = train(nano, rows, jobs, 2, ADAMW, everything)
    assert same.losses == pytest.approx(plain.losses, rel=1e-5)
    assert same.tokens_kept == 1
    assert np.linalg.norm(same.end - plain.end) <= 1e-5 * np.linalg.norm(plain.end)


@pytest.fixture
def shallow():
    """One layer with adapters of every kind: compiling takes as long as there are layers."""
    lora = LORA["qwen2"].model_copy(update={"targets": "all-linear"})
    return AdaptedModel(base_of("qwen2", layers=1), lora, seed=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_agrees_and_keeps_clients_apart(shallow, rows):
    settings = ADAMW.model_copy(update={"compile": True})
    jobs = jobs_of(shallow, rows, 4)
    plain, compiled = train(shallow, rows, jobs, 4), train(shallow, rows, jobs, 4, settings)
    for one, other in zip(plain, compiled, strict=True):
        assert np.linalg.norm(one.end - other.end) <= 1e-4 * np.linalg.norm(one.end)
    (alone,) = train(shallow, rows, jobs[2:3], 4, settings)
    assert np.array_equal(alone.end, compiled[2].end)
    # Outside of training the model is as it was.
    assert np.array_equal(train(shallow, rows, jobs, 4)[1].end, plain[1].end)


@pytest.mark.slow
def test_without_a_compiler_compiling_is_refused_in_one_line(shallow, rows, monkeypatch, tmp_path):
    torch.compiler.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "no-compiler"),))
    settings = ADAMW.model_copy(update={"compile": True})
    with pytest.raises(ScenarioError, match=r"training\.compile: PyTorch cannot compile here"):
        train(shallow, rows, jobs_of(shallow, rows, 1), 1, settings)
    torch.compiler.reset()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_training_on_a_cuda_device_agrees_with_the_processor(rows):
    here = AdaptedModel(load_base("nano", device="cpu"), LORA["nano"], seed=0)
    there = AdaptedModel(load_base("nano", "float32", "cuda"), LORA["nano"], seed=0)
    jobs = jobs_of(here, rows, 3)
    for one, other in zip(train(here, rows, jobs, 4), train(there, rows, jobs, 4), strict=True):
        assert np.linalg.norm(one.end - other.end) <= 1e-3 * np.linalg.norm(one.end)


def test_fedprox_pulls_back_to_where_training_began(nano, rows):
    # With SGD, w2 = w1 - rate (g + mu (w1 - w0)): the pull changes the second step by that alone.
    plain = TrainingSettings(optimizer="sgd", learning_rate=0.1, max_gradient_norm=None)
    (job,) = jobs_of(nano, rows, 1, steps=2)
    once = dataclasses.replace(job, batches=job.batches[:1])
    (first,), (second,) = train(nano, rows, [once], 1, plain), train(nano, rows, [job], 1, plain)
    (pulled,) = train(nano, rows, [job], 1, plain.model_copy(update={"proximal": 2.0}))
    expected = second.end - 0.1 * 2.0 * (first.end - job.start)
    np.testing.assert_allclose(pulled.end, expected, atol=1e-7)


def test_coordinates_that_are_frozen_stay_put_to_the_bit(nano, rows):
    jobs = jobs_of(nano, rows, 3, steps=2)
    trainable = np.random.default_rng(0).random(len(jobs[0].start)) < 0.5
    mixed = [dataclasses.replace(jobs[0], trainable=trainable), *jobs[1:]]
    found = train(nano, rows, mixed, 3)
    assert np.array_equal(found[0].end[~trainable], jobs[0].start[~trainable])
    assert (found[0].end[trainable] != jobs[0].start[trainable]).mean() > 0.9
    for one, other in zip(found[1:], train(nano, rows, jobs, 3)[1:], strict=True):
        assert np.array_equal(one.end, other.end)
