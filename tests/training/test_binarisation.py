"""FedBAT's binariser and training: against its definition, and a plain loop around peft."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.func import functional_call

from fsim.core.types import BinarisationSettings, Layout, SensitivitySettings, TrainingRequest
from fsim.data.encoding import BatchShape, draw_batches
from fsim.model.loading import load_base
from fsim.model.slots import Slots
from fsim.store import Store
from fsim.training.binarisation import Binarisation
from fsim.training.cohort import Cohort, SlotJob, SlotResult
from fsim.training.settings import TrainingSettings
from fsim.training.trainer import Trainer, TrainingJob

ADAMW = TrainingSettings(optimizer="adamw", learning_rate=3e-3)
SGD = TrainingSettings(optimizer="sgd", learning_rate=0.1, max_gradient_norm=None)
FEDBAT = BinarisationSettings()
WIDE = BinarisationSettings(warmup=0, coefficient=1, smallest=1e-6, largest=1e6)

LAYOUT = Layout.of({"a": np.zeros((3, 4)), "b": np.zeros((5, 1))})


def binariser(moved, alphas=None, settings=WIDE, seed=0, trained=None):
    """A binariser of one slot that has begun at 0, been moved, and ended its warm-up."""
    slots = Slots(LAYOUT, 1, trainable=True, device=torch.device("cpu"))
    slots.load([np.zeros(LAYOUT.size, np.float32)])
    frozen = None
    if trained is not None:
        frozen = torch.zeros_like(slots.values, dtype=torch.bool)
        frozen[0, : LAYOUT.size] = torch.from_numpy(~trained)
    found = Binarisation(slots, LAYOUT, settings, [9], [seed], frozen)
    if alphas is not None:
        # Begin with the step sizes asked for: each matrix's mean magnitude.
        begin = np.repeat(np.array(alphas, np.float32), np.diff(LAYOUT.bounds))
        slots.values.detach()[0, : LAYOUT.size] = torch.from_numpy(begin)
        found.binarise(0)
        found.straight_through()
    slots.values.detach()[0, : LAYOUT.size] = torch.from_numpy(moved)
    return slots, found


MOVED = np.linspace(-2.4, 2.3, LAYOUT.size).astype(np.float32)


def slot_values(slots):
    return slots.values.detach()[0, : LAYOUT.size].numpy().copy()


def test_step_sizes_begin_as_mean_magnitudes():
    slots, found = binariser(MOVED)
    found.binarise(0)
    means = [np.abs(part).mean() for part in np.split(MOVED, LAYOUT.bounds[1:-1])]
    assert found.scales(0) == pytest.approx(means, rel=1e-6)
    assert np.abs(slot_values(slots)) == pytest.approx(np.repeat(means, [12, 5]), rel=1e-6)
    found.straight_through()
    assert np.array_equal(slot_values(slots), MOVED)


def test_it_is_unbiased_within_and_cut_beyond_the_step_size():
    slots, found = binariser(MOVED, [1.5, 2.0])
    wide, count = np.repeat([1.5, 2.0], [12, 5]), 4000
    total = np.zeros(LAYOUT.size)
    for _ in range(count):
        found.binarise(1)
        values = slot_values(slots)
        assert np.abs(values) == pytest.approx(wide)
        total += values / count
        found.straight_through()
    expected = np.clip(MOVED, -wide, wide)
    deviations = np.sqrt((wide**2 - expected**2) / count)
    assert np.all(np.abs(total - expected) <= 5 * deviations + 1e-6)
    # Beyond, chance has no say.
    beyond = np.abs(MOVED) > wide
    assert beyond.any()
    assert total[beyond] == pytest.approx(expected[beyond])


def by_autograd(moved, drawn, alphas, weights):
    """Gradients of sum(weights x S) by PyTorch: S = alpha s, s having m / alpha's derivative.

    As a function of r = m / alpha, s = clip(r) + (what chance adds to it), the latter a constant.
    """
    m = torch.tensor(moved, dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor(alphas, dtype=torch.float64, requires_grad=True)
    wide = alpha.repeat_interleave(torch.tensor([12, 5]))
    clipped = (m / wide).clamp(-1, 1)
    signs = torch.where(torch.tensor(drawn) < (clipped.detach() + 1) / 2, 1.0, -1.0)
    chance = (signs - clipped).detach()
    (wide * (clipped + chance) @ torch.tensor(weights, dtype=torch.float64)).backward()
    return m.grad.numpy(), alpha.grad.numpy()


@given(seed=st.integers(0, 2**32 - 1), first=st.floats(0.1, 3), second=st.floats(0.1, 3))
def test_gradients_are_those_of_autograd(seed, first, second):
    rng = np.random.default_rng(seed)
    moved = rng.normal(size=LAYOUT.size).astype(np.float32)
    weights = rng.normal(size=LAYOUT.size).astype(np.float32)
    slots, found = binariser(moved, [first, second], seed=seed)
    alphas = found.scales(0).astype(np.float64)
    draws = np.random.Generator(np.random.PCG64(seed))
    draws.random(LAYOUT.size, dtype=np.float32)
    drawn = draws.random(LAYOUT.size, dtype=np.float32)
    at_m, at_alpha = by_autograd(moved, drawn, alphas, weights)
    found.binarise(1)
    slots.gradients[0, : LAYOUT.size] = torch.from_numpy(weights)
    found.straight_through()
    assert slots.gradients[0, : LAYOUT.size].numpy() == pytest.approx(at_m, abs=1e-6)
    # With the exponent at 0, dalpha/da = rho alpha, and rho is 1 here.
    learned = found.exponents.grad[0, :2].numpy()
    assert learned == pytest.approx(at_alpha * alphas, rel=1e-4, abs=1e-4)


def test_the_mean_gradient_at_a_step_size_is_that_of_the_mean():
    # E S = clip(m, -alpha, alpha): of alpha's gradient nothing is left within, sign(m) beyond.
    slots, found = binariser(MOVED, [1.5, 2.0])
    weights = np.cos(np.arange(LAYOUT.size)).astype(np.float32)
    count, total = 4000, np.zeros(2)
    for _ in range(count):
        found.binarise(1)
        slots.gradients[0, : LAYOUT.size] = torch.from_numpy(weights)
        found.straight_through()
        total += found.exponents.grad[0, :2].numpy() / count / np.array([1.5, 2.0])

    def mean(alphas):
        wide = np.repeat(alphas, [12, 5])
        return weights * np.clip(MOVED.astype(np.float64), -wide, wide)

    for matrix, part in enumerate((slice(0, 12), slice(12, 17))):
        up, down = np.array([1.5, 2.0]), np.array([1.5, 2.0])
        up[matrix] += 1e-6
        down[matrix] -= 1e-6
        slope = (mean(up) - mean(down))[part].sum() / 2e-6
        assert total[matrix] == pytest.approx(slope, abs=5 * np.sqrt(12 / count))


def test_bounds_hold_and_stop_the_learning():
    tight = dataclasses.replace(WIDE, smallest=1.9, largest=3.0)
    slots, found = binariser(MOVED, [1.5, 2.0], tight)
    assert found.scales(0) == pytest.approx([1.9, 2.0])
    found.binarise(1)
    slots.gradients.fill_(1)
    found.straight_through()
    assert found.exponents.grad[0, 0] == 0
    assert found.exponents.grad[0, 1] != 0


def test_what_is_frozen_is_not_binarised():
    trained = np.arange(LAYOUT.size) >= 12
    slots, found = binariser(np.where(trained, MOVED, 0), settings=FEDBAT, trained=trained)
    found.binarise(4)
    assert not slot_values(slots)[:12].any()
    assert np.all(np.abs(slot_values(slots)[12:]) == np.float32(5e-2))


def jobs_of(adapted, rows, count, steps=6, size=4):
    flat = adapted.layout.flatten(adapted.initial)
    return [
        SlotJob(
            flat + np.random.default_rng(client).normal(0, 0.01, flat.shape).astype("f4"),
            draw_batches(rows[client * 20 :], steps, size, np.random.default_rng(client)),
            seed=1000 + client,
        )
        for client in range(count)
    ]


def train(adapted, rows, jobs, width, settings=ADAMW, binarisation=FEDBAT, sensitivity=None):
    request = TrainingRequest(sensitivity=sensitivity, binarisation=binarisation)
    return Cohort(adapted, width, BatchShape.of(rows, 4), settings, request).train(jobs)


class PlainBinariser(torch.autograd.Function):
    """S with its derivatives, written from the paper's definition for one matrix."""

    @staticmethod
    def forward(ctx, update, alpha, drawn):
        probability = ((update + alpha) / (2 * alpha)).clamp(0, 1)
        binary = torch.where(drawn < probability, alpha, -alpha)
        ctx.save_for_backward(update, alpha, binary)
        return binary

    @staticmethod
    def backward(ctx, outer):
        update, alpha, binary = ctx.saved_tensors
        within = (update >= -alpha) & (update <= alpha)
        slope = torch.where(within, (binary - update) / alpha, update.sign())
        return outer * within, (outer * slope).sum(), None


def alone_with_peft(layout, job, settings, binarisation):
    """A plain loop of one client: peft's model, its weights replaced by w + S(m, alpha)."""
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_base("nano", device="cpu").model, config)
    names = {n.replace(".default.", "."): n for n, p in model.named_parameters() if p.requires_grad}
    start = {n: torch.from_numpy(a.copy()) for n, a in layout.unflatten(job.start).items()}
    updates = {n: torch.zeros_like(a, requires_grad=True) for n, a in start.items()}
    exponents = {n: torch.zeros((), requires_grad=True) for n in start}
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.SGD
    optimizer = kind(
        [*updates.values(), *exponents.values()], lr=settings.learning_rate, weight_decay=0
    )
    generator, initial = np.random.Generator(np.random.PCG64(job.seed)), None

    def alpha(name):
        size = initial[name] * torch.exp(binarisation.coefficient * exponents[name])
        return size.clamp(binarisation.smallest, binarisation.largest)

    for number, batch in enumerate(job.batches, 1):
        if number > binarisation.warmup * len(job.batches):
            if initial is None:
                initial = {n: m.detach().abs().mean() for n, m in updates.items()}
            drawn = layout.unflatten(generator.random(layout.size, dtype=np.float32))
            read = {
                names[n]: start[n]
                + PlainBinariser.apply(updates[n], alpha(n), torch.from_numpy(drawn[n]))
                for n in start
            }
        else:
            read = {names[n]: start[n] + updates[n] for n in start}
        length = max(len(row.ids) for row in batch)
        ids = torch.zeros(len(batch), length, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for at, row in enumerate(batch):
            ids[at, : len(row.ids)] = torch.tensor(row.ids)
            mask[at, : len(row.ids)] = 1
            labels[at, len(row.ids) - row.scored : len(row.ids)] = torch.tensor(
                row.ids[len(row.ids) - row.scored :]
            )
        # As zero_grad(set_to_none=False): in the warm-up an exponent has a gradient of 0.
        for each in (*updates.values(), *exponents.values()):
            each.grad = torch.zeros_like(each)
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        functional_call(model, read, (), inputs).loss.backward()
        if settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(updates.values(), settings.max_gradient_norm)
        optimizer.step()
    if initial is None:
        initial = {n: m.detach().abs().mean() for n, m in updates.items()}
    moved = layout.flatten({n: m.detach().numpy() for n, m in updates.items()})
    return moved, np.array([alpha(spec.name).item() for spec in layout.tensors])


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
@pytest.mark.parametrize("settings", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("warmup", [0.5, 0.9])
def test_equals_a_plain_loop_around_peft(nano, rows, settings, warmup):
    binarisation = BinarisationSettings(warmup=warmup)
    jobs = jobs_of(nano, rows, 3)
    results = train(nano, rows, jobs, 4, settings, binarisation)
    for job, result in zip(jobs[:2], results, strict=False):
        moved, alphas = alone_with_peft(nano.layout, job, settings, binarisation)
        expected = job.start + moved
        assert np.linalg.norm(result.end - expected) <= 1e-5 * np.linalg.norm(expected)
        assert np.linalg.norm(result.end - job.start - moved) <= 2e-3 * np.linalg.norm(moved)
        assert result.scales == pytest.approx(alphas, rel=1e-4)
        assert np.all((alphas >= 5e-4) & (alphas <= 5e-2))


def test_step_sizes_are_learned(nano, rows):
    jobs = jobs_of(nano, rows, 1)
    (learned,) = train(nano, rows, jobs, 1)
    (kept,) = train(nano, rows, jobs, 1, binarisation=BinarisationSettings(coefficient=0))
    # Three steps of AdamW at 3e-3, times 6: a few hundredths.
    ratios = learned.scales / kept.scales
    assert np.all(ratios != 1)
    assert np.all(np.abs(np.log(ratios)) < 6 * 3 * 3e-3)


@pytest.mark.parametrize("settings", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_a_result_does_not_depend_on_who_shared_its_batch_to_the_bit(nano, rows, settings):
    jobs = jobs_of(nano, rows, 6)
    # Another number of steps: its warm-up is over at another time.
    short = dataclasses.replace(jobs[3], batches=jobs[3].batches[:3])
    together = train(nano, rows, [jobs[0], jobs[1], jobs[2], short], 4, settings)
    shuffled = train(nano, rows, [short, jobs[2], jobs[5], jobs[0]], 4, settings)
    alone = train(nano, rows, [jobs[2]], 4, settings)
    (short_alone,) = train(nano, rows, [short], 4, settings)
    pairs = [
        (together[2], shuffled[1]), (together[2], alone[0]), (together[0], shuffled[3]),
        (together[3], shuffled[0]), (together[3], short_alone),
    ]  # fmt: skip
    for one, other in pairs:
        assert np.array_equal(one.end, other.end)
        assert np.array_equal(one.scales, other.scales)
        assert one.losses == other.losses
    assert not np.array_equal(together[0].end, together[1].end)


def test_other_draws_another_result(nano, rows):
    (job,) = jobs_of(nano, rows, 1)
    (one,) = train(nano, rows, [job], 1)
    (other,) = train(nano, rows, [dataclasses.replace(job, seed=1)], 1)
    half = len(job.batches) // 2
    assert one.losses[:half] == other.losses[:half]
    assert all(np.array(one.losses[half:]) != np.array(other.losses[half:]))


def test_all_warm_up_is_plain_training_to_the_bit(nano, rows):
    jobs = jobs_of(nano, rows, 2)
    plain = train(nano, rows, jobs, 2, binarisation=None)
    warm = train(nano, rows, jobs, 2, binarisation=BinarisationSettings(warmup=1))
    for job, one, other in zip(jobs, plain, warm, strict=True):
        assert np.array_equal(one.end, other.end)
        assert one.losses == other.losses
        assert one.scales is None
        moved = np.abs(nano.layout.flatten(nano.layout.unflatten(other.end - job.start)))
        means = np.add.reduceat(moved, nano.layout.bounds[:-1]) / np.diff(nano.layout.bounds)
        assert other.scales == pytest.approx(means.clip(5e-4, 5e-2), rel=1e-4)


def test_one_factor_alone_is_binarised(nano, rows):
    # What ffa asks for: the A matrices stay put, to the bit, and keep out of the rest's way.
    (job,) = jobs_of(nano, rows, 1)
    ones = [np.full(spec.size, "lora_B" in spec.name) for spec in nano.layout.tensors]
    trainable = np.concatenate(ones)
    (result,) = train(nano, rows, [dataclasses.replace(job, trainable=trainable)], 1)
    assert np.array_equal(result.end[~trainable], job.start[~trainable])
    assert (result.end[trainable] != job.start[trainable]).mean() > 0.9
    assert all(math.isfinite(loss) for loss in result.losses)


def test_it_trains_and_goes_with_sensitivities(nano, rows):
    jobs = jobs_of(nano, rows, 1, steps=12)
    (result,) = train(nano, rows, jobs, 1, sensitivity=SensitivitySettings(token_ratio=0.5))
    assert np.mean(result.losses[-3:]) < 0.9 * result.losses[0]
    assert result.fisher is not None
    again = SlotResult.from_bytes(result.to_bytes())
    assert np.array_equal(again.scales, result.scales)
    assert again.losses == result.losses


def test_results_are_kept_by_the_seed_of_their_draws(nano, rows, tmp_path):
    batches = draw_batches(rows, 2, 4, np.random.default_rng(0))
    job = TrainingJob(0, 1, nano.initial, batches, seed=1)
    for binarisation, trained in ((FEDBAT, 2), (None, 1)):
        request = TrainingRequest(binarisation=binarisation)
        trainer = Trainer(nano, BatchShape.of(rows, 4), ADAMW, request, 1, Store(tmp_path))
        first = trainer.result(trainer.submit(job))
        again = trainer.result(trainer.submit(job))
        trainer.result(trainer.submit(dataclasses.replace(job, seed=2)))
        assert (trainer.trained, trainer.reused) == (trained, 3 - trained)
        assert first.scales == again.scales
        assert (first.scales is None) == (binarisation is None)
        if first.scales is not None:
            assert list(first.scales) == sorted(nano.initial)
