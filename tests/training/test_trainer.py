import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel

from fsim.core.errors import ScenarioError, TrainingDiverged
from fsim.core.types import MergingSettings, SensitivitySettings, TrainingRequest
from fsim.data.encoding import Batch, BatchShape, Encoded, draw_batches, encode_examples
from fsim.data.tasks import make_task
from fsim.evaluation.evaluation import Evaluator
from fsim.model.adapter import AdaptedModel
from fsim.model.loading import load_base
from fsim.model.lora import LoraSettings
from fsim.store import Store
from fsim.training.settings import TrainingSettings
from fsim.training.trainer import Trainer, TrainingJob, automatic_width

ADAMW = TrainingSettings(optimizer="adamw", learning_rate=3e-3)


@pytest.fixture
def rows(nano):
    return encode_examples(nano.tokenizer, make_task("medical", {}).load(Path).train[:64], 32)


def job_of(nano, rows, steps=3, client=0):
    batches = draw_batches(rows, steps, 4, np.random.default_rng(client))
    return TrainingJob(client, 1, nano.initial, batches)


def trainer_of(nano, settings=ADAMW, sensitivity=None, merging=None, store=None):
    request = TrainingRequest(sensitivity, merging)
    return Trainer(nano, BatchShape(16, 40, 12), settings, request, width=2, store=store)


def train(nano, job, sensitivity=None, settings=ADAMW):
    trainer = trainer_of(nano, settings, sensitivity)
    return trainer.result(trainer.submit(job))


def test_the_loss_falls_and_jobs_do_not_touch_each_other(nano, rows):
    first, second = job_of(nano, rows, 12, client=0), job_of(nano, rows, 12, client=1)
    trainer = trainer_of(nano)
    tickets = [trainer.submit(first), trainer.submit(second)]
    together = [trainer.result(ticket) for ticket in tickets]
    assert together[0].losses[-1] < 0.7 * together[0].losses[0]
    for job, result in zip((second, first), reversed(together), strict=True):
        alone = train(nano, job)
        assert alone.losses == result.losses
        assert all(np.array_equal(alone.delta[n], result.delta[n]) for n in alone.delta)


def test_plain_training_is_what_a_token_ratio_of_one_gives(nano, rows):
    plain = train(nano, job_of(nano, rows))
    measured = train(nano, job_of(nano, rows), SensitivitySettings(token_ratio=1.0))
    assert plain.fisher is None
    assert measured.tokens_kept == 1.0
    assert measured.losses == pytest.approx(plain.losses, rel=1e-5)
    assert all(np.allclose(plain.delta[n], measured.delta[n], atol=1e-6) for n in plain.delta)


def test_fisher_is_the_moving_average_of_squared_gradients(nano, rows):
    job = job_of(nano, rows, steps=2)
    result = train(nano, job, SensitivitySettings(token_ratio=1.0, smoothing=0.9))
    one = train(nano, dataclasses.replace(job, batches=job.batches[:1]), SensitivitySettings(1.0))
    # After one step F = 0.1 g1^2. Nudging a coordinate of B gives g1 by finite differences.
    name = next(n for n in nano.initial if "lora_B" in n and "v_proj" in n)
    batch = Batch.of(job.batches[0])

    def loss(adapter):
        nano.write(adapter)
        with torch.no_grad():
            logits = nano.logits(batch)[batch.scored].double()
            return torch.nn.functional.cross_entropy(logits, batch.targets[batch.scored]).item()

    at = np.unravel_index(np.argmax(one.fisher[name]), one.fisher[name].shape)
    up, down = copy.deepcopy(nano.initial), copy.deepcopy(nano.initial)
    up[name][at] += 1e-2
    down[name][at] -= 1e-2
    gradient = (loss(up) - loss(down)) / 2e-2
    assert one.fisher[name][at] == pytest.approx(0.1 * gradient**2, rel=0.02)
    assert set(result.fisher) == set(nano.initial)
    assert all(np.all(f >= 0) for f in result.fisher.values())
    # F2 = 0.9 F1 + 0.1 g2^2, so it is nowhere below 0.9 F1.
    assert all(np.all(result.fisher[n] >= 0.8999 * one.fisher[n]) for n in one.fisher)


def test_token_filter_drops_the_stated_share_after_the_refresh_step(nano, rows):
    job = job_of(nano, rows, steps=4)
    scored = [row.scored for batch in job.batches for row in batch]
    kept = [row.scored for row in job.batches[0]]
    kept += [-(-row.scored // 2) for batch in job.batches[1:] for row in batch]
    result = train(nano, job, SensitivitySettings(token_ratio=0.5))
    assert result.tokens_kept == pytest.approx(sum(kept) / sum(scored))


def test_divergence_names_client_round_and_step(nano, rows):
    broken = copy.deepcopy(nano.initial)
    name = next(iter(broken))
    broken[name][:] = np.nan
    trainer = trainer_of(nano)
    job = dataclasses.replace(job_of(nano, rows, client=7), adapter=broken)
    healthy = trainer.submit(job_of(nano, rows))
    ticket = trainer.submit(job)
    assert trainer.result(healthy).losses
    with pytest.raises(TrainingDiverged, match=r"client 7, round 1: .* became nan at local step 1"):
        trainer.result(ticket)


def test_operations_worked_by_hand(nano, rows):
    # 4 layers of 4 x 128^2 attention and 3 x 128 x 384 MLP weights, rank 8 beside each.
    row = rows[0]
    length = len(row.ids) - 1
    frozen = 4 * (4 * 128**2 + 3 * 128 * 384)
    adapter = 4 * 8 * (4 * 256 + 3 * 512)
    expected = length * (4 * frozen + 6 * adapter)
    expected += 3 * 4 * 4 * 128 * length**2 + row.scored * 4 * 128 * 4096
    job = TrainingJob(0, 1, nano.initial, [[row], [row, row]])
    assert trainer_of(nano).operations(job) == 3 * expected


def test_operations_of_merged_tokens_worked_by_hand(nano):
    # 30 tokens read, 5 of them scored: 24 may merge, 12 compared with 12, and 18 are left in the
    # last three of four layers.
    row = Encoded(tuple(range(3, 34)), 5, False)
    layer = 4 * (4 * 128**2 + 3 * 128 * 384) + 6 * 8 * (4 * 256 + 3 * 512)
    expected = (30 + 3 * 18) * layer + 3 * 4 * 128 * (30**2 + 3 * 18**2)
    expected += 5 * 4 * 128 * 4096 + 2 * 32 * 12 * 12
    job = TrainingJob(0, 1, nano.initial, [[row]])
    assert trainer_of(nano, merging=MergingSettings(0.5, 1)).operations(job) == expected
    plain = trainer_of(nano).operations(job)
    assert trainer_of(nano, merging=MergingSettings(1.0, 1)).operations(job) == plain
    assert 0.6 < expected / plain < 0.8


def test_results_are_stored_by_how_tokens_merge(nano, rows, tmp_path):
    store, job = Store(tmp_path), job_of(nano, rows, steps=1)
    merged = []
    for merging in (None, MergingSettings(), MergingSettings(0.75), MergingSettings()):
        trainer = trainer_of(nano, merging=merging, store=store)
        merged.append(trainer.result(trainer.submit(job)))
        assert trainer.reused == (len(merged) == 4)
    assert merged[1].losses == merged[3].losses
    assert len({result.losses for result in merged}) == 3


def test_exact_match_without_generating_is_what_generating_gives(nano):
    # After some training, so that a good share of the answers is right.
    data = make_task("medical", {}).load(Path)
    train_rows = encode_examples(nano.tokenizer, data.train, 32)
    batches = draw_batches(train_rows, 40, 16, np.random.default_rng(0))
    delta = train(nano, TrainingJob(0, 1, nano.initial, batches)).delta
    adapter = {n: nano.initial[n] + delta[n] for n in delta}
    test_rows = encode_examples(nano.tokenizer, data.test[:60], 32)
    said = Evaluator(nano, test_rows).evaluate(adapter)
    right = 0
    for row in test_rows:
        prompt = torch.tensor([row.ids[: -row.scored]])
        mask = torch.ones_like(prompt)
        output = nano.model.generate(
            input_ids=prompt, attention_mask=mask, max_new_tokens=12, do_sample=False
        )
        answer = tuple(output[0, prompt.shape[1] :].tolist())[: row.scored]
        right += answer == row.ids[-row.scored :]
    assert 5 < right < 55
    assert said.accuracy == right / 60


def test_a_saved_adapter_loads_in_peft_and_gives_the_same_logits(nano, rows, tmp_path):
    adapter = {n: a + 0.01 for n, a in nano.initial.items()}
    nano.save(adapter, tmp_path)
    loaded = PeftModel.from_pretrained(load_base("nano", device="cpu").model, str(tmp_path))
    batch = Batch.of(rows[:4])
    nano.write(adapter)
    with torch.no_grad():
        full = loaded(input_ids=batch.ids, attention_mask=batch.read.long()).logits
        ours = nano.logits(batch)
    theirs = full.gather(1, batch.at.unsqueeze(-1).expand(-1, -1, full.shape[-1]))
    assert torch.allclose(theirs[batch.scored], ours[batch.scored], atol=1e-5)
    # And back: what peft saves is read here.
    loaded.save_pretrained(str(tmp_path / "again"))
    again = nano.load(tmp_path / "again")
    assert all(np.array_equal(again[name], adapter[name]) for name in adapter)


def test_adapters_that_are_none_or_another_models_are_refused(nano, tmp_path):
    with pytest.raises(ScenarioError, match="no adapter of peft's"):
        nano.load(tmp_path)
    small = AdaptedModel(
        load_base("nano", device="cpu"), LoraSettings(rank=4, alpha=8, targets=("q_proj",)), seed=0
    )
    small.save(small.initial, tmp_path / "small")
    with pytest.raises(ScenarioError, match="not those of this model"):
        nano.load(tmp_path / "small")


def test_the_automatic_width_shrinks_as_batches_grow():
    # 192 kB of activations a client: two fit.
    assert automatic_width(BatchShape(8, 47, 8), 128, 8) == 2
    assert automatic_width(BatchShape(8, 47, 8), 128, 10) == 2
    assert automatic_width(BatchShape(2, 32, 8), 128, 100) == 10
    assert automatic_width(BatchShape(2, 32, 8), 128, 3) == 3
    # 96 kB: five fit. Of 7 clients, two passes of 4 cost 8.4, two of 5 cost 10.4, four of 2 8.8.
    assert automatic_width(BatchShape(4, 47, 8), 128, 7) == 4
    assert automatic_width(BatchShape(4, 61, 8), 576, 10) == 1


def test_a_model_without_the_named_layers():
    with pytest.raises(ScenarioError, match=r"model\.lora\.targets: .*nothing_of_the_kind"):
        AdaptedModel(
            load_base("nano", device="cpu"),
            LoraSettings(rank=8, alpha=16, targets=("nothing_of_the_kind",)),
            seed=0,
        )


def test_initial_adapter_comes_from_the_seed_alone():
    def initial(seed):
        return AdaptedModel(
            load_base("nano", device="cpu"),
            LoraSettings(rank=4, alpha=8, targets=("q_proj",)),
            seed,
        ).initial

    state = torch.get_rng_state()
    first, again, other = initial(1), initial(1), initial(2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(np.array_equal(first[n], again[n]) for n in first)
    assert any(not np.array_equal(first[n], other[n]) for n in first)


def test_nano_knows_nothing_of_the_task_before_training(nano):
    data = make_task("medical", {}).load(Path)
    rows = encode_examples(nano.tokenizer, data.test[:200], 64)
    assert Evaluator(nano, rows).evaluate(nano.initial).accuracy < 0.05
