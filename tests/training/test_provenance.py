"""What stored results are told apart by."""

from fsim.core.types import TrainingRequest
from fsim.data.encoding import BatchShape
from fsim.store import key_of
from fsim.training.provenance import training_origin
from fsim.training.settings import TrainingSettings

OTHERS = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 0.1,
    "max_gradient_norm": None,
    "local_steps": 9,
    "local_epochs": 1.0,
    "batch_size": 9,
    "threads": 2,
    "cohort_width": 2,
    "compile": True,
    "proximal": 0.1,
    "measure_memory": True,
}
BESIDE = {
    "local_epochs": {"local_steps": None, "local_epochs": 2.0},
    "measure_memory": {"cohort_width": 1},
}
"""Key -> what is set before it is changed, where that is not the default."""


def test_every_setting_of_training_changes_the_key_of_its_results(nano):
    def stored_under(changes):
        origin = training_origin(
            nano, BatchShape(16, 40, 12), TrainingSettings(**changes), TrainingRequest(), width=2
        )
        return key_of(**origin)

    for key in TrainingSettings.model_fields:
        before = BESIDE.get(key, {})
        assert stored_under({**before, key: OTHERS[key]}) != stored_under(before), key
