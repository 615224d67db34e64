"""What is added to every gradient (SCAFFOLD, FedDyn), in cohorts and alone."""

import dataclasses

import numpy as np
import pytest

from fsim.core.types import GradientCorrection, TrainingRequest
from fsim.data.encoding import BatchShape
from fsim.store import Store
from fsim.training.gradient_correction import SlotCorrection
from fsim.training.settings import TrainingSettings
from fsim.training.trainer import Trainer, TrainingJob
from tests.training.test_cohort import alone_with_peft, jobs_of, train

CLIPPED = TrainingSettings(
    optimizer="sgd", learning_rate=0.1, weight_decay=0.01, max_gradient_norm=0.5
)


def corrected(jobs):
    """The jobs with corrections, the first of which pulls towards the start as well."""
    return [
        dataclasses.replace(
            job,
            correction=SlotCorrection(
                np.random.default_rng(at).normal(0, 0.01, job.start.shape).astype("f4"),
                proximal=2.0 * (at == 0),
            ),
        )
        for at, job in enumerate(jobs)
    ]


@pytest.mark.parametrize("width", [1, 4], ids=["packed", "side-by-side"])
def test_equals_a_plain_loop_that_adds_it_after_clipping(nano, rows, width):
    plain = jobs_of(nano, rows, 3)
    jobs = [*corrected(plain[:2]), plain[2]]
    results = [
        result
        for begin in range(0, len(jobs), width)
        for result in train(nano, rows, jobs[begin : begin + width], width, CLIPPED)
    ]
    for job, result in zip(jobs, results, strict=True):
        expected = alone_with_peft("nano", nano.layout, job, CLIPPED)
        assert np.linalg.norm(result.end - expected) <= 1e-5 * np.linalg.norm(expected)
    (without,) = train(nano, rows, [plain[0]], 1, CLIPPED)
    assert not np.array_equal(results[0].end, without.end)


def test_frozen_coordinates_stay(nano, rows):
    (job,) = corrected(jobs_of(nano, rows, 1))
    trainable = np.arange(len(job.start)) % 2 == 0
    (result,) = train(nano, rows, [dataclasses.replace(job, trainable=trainable)], 1, CLIPPED)
    assert np.array_equal(result.end[~trainable], job.start[~trainable])


def test_stored_results_are_told_apart_by_it(nano, rows, tmp_path):
    # The pull towards the start is nothing in the first step.
    (slot,) = corrected(jobs_of(nano, rows, 1, steps=2))
    job = TrainingJob(0, 1, nano.layout.unflatten(slot.start), slot.batches)
    constant = nano.layout.unflatten(slot.correction.constant)
    twice = {name: 2 * values for name, values in constant.items()}
    corrections = [
        None,
        GradientCorrection(constant),
        GradientCorrection(twice),
        GradientCorrection(constant, proximal=0.5),
    ]
    shape = BatchShape.of(rows, 4)

    def trained():
        store = Store(tmp_path)
        trainer = Trainer(nano, shape, CLIPPED, TrainingRequest(), width=1, store=store)
        jobs = [dataclasses.replace(job, correction=each) for each in corrections]
        found = [trainer.result(trainer.submit(each)) for each in jobs]
        return found, trainer.trained

    (first, computed), (second, again) = trained(), trained()
    assert (computed, again) == (4, 0)
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(one.delta[name], other.delta[name]) for name in one.delta)
    name = next(iter(first[0].delta))
    assert len({each.delta[name].tobytes() for each in first}) == 4
