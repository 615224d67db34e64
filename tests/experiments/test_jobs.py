"""The order of jobs, and engines that lose a worker."""

import os
import signal
import subprocess
import sys

import pytest

from fsim.core.errors import FsimError, ScenarioError
from fsim.experiments.engines.local import Processes
from fsim.experiments.engines.registry import make_engine
from fsim.experiments.jobs import Job, Outcome, do_jobs, learning_key
from fsim.store import Store
from tests.conftest import ROOT


class Script:
    """An engine that ends its jobs in the order in which they began, as it was told."""

    def __init__(self, room, failing=()):
        self._most, self._failing = room, failing
        self.begun, self._working = [], []

    @property
    def room(self):
        return self._most - len(self._working)

    def start(self, number, job):
        self.begun.append(number)
        self._working.append(number)

    def wait(self):
        number = self._working.pop(0)
        error = FsimError("no") if number in self._failing else None
        return [(number, Outcome({} if error is None else None, error))]

    def close(self):
        self.closed = True


def jobs(tiny, tmp_path, *changes):
    store = Store(tmp_path)
    return [Job(tiny(**change), tmp_path, store) for change in changes]


SLOW, FAST = {"fleet__downlink__rate": "1 kbit/s"}, {"transport": {"kind": "fluid"}}
OTHER = {"training__local_steps": 3}


def test_what_trains_the_same_has_one_key(tiny):
    assert learning_key(tiny()) == learning_key(tiny(**SLOW)) == learning_key(tiny(**FAST))
    for change in (OTHER, {"seed": 1}, {"compression__policy": "topk"}, {"fleet__clients": 7}):
        assert learning_key(tiny(**change)) != learning_key(tiny())


@pytest.mark.parametrize(
    "timed",
    [
        {"protocol__kind": "deadline"},
        {"protocol__kind": "buffered", "protocol__buffer": 2},
        {"protocol__selection": "oort"},
        {"fleet__availability": {"kind": "on-off", "on": "1 h", "off": "1 h"}},
        {"compression": {"policy": "fisher-rdo", "upload_seconds": "5 s"}},
        {"server__crashes": [{"at": "1 min", "down": "1 min"}]},
    ],
)
def test_where_time_decides_what_is_trained_it_has_a_part_in_the_key(tiny, timed):
    assert learning_key(tiny(**timed)) != learning_key(tiny(**timed, **SLOW))
    other = {"target__value": 0.9, "fleet__transmit_power": "3 W"}
    assert learning_key(tiny(**timed)) == learning_key(tiny(**timed, **other))


def test_a_transport_that_loses_packets_has_a_part_in_the_key(tiny):
    keys = {learning_key(tiny(transport={"kind": "datagram", "loss": x})) for x in (0.1, 0.2)}
    assert len(keys | {learning_key(tiny())}) == 3


def test_the_first_of_those_that_train_the_same_goes_alone(tiny, tmp_path):
    todo = jobs(tiny, tmp_path, {}, SLOW, FAST, OTHER, {**OTHER, **SLOW})
    engine = Script(room=3)
    told = list(do_jobs(engine, todo))
    # 0 and 3 train; 1 and 2 wait for 0, and 4 for 3.
    assert engine.begun == [0, 3, 1, 2, 4]
    assert sum(isinstance(event, Outcome) for _, event in told) == 5
    assert engine.closed
    free = Script(room=3)
    list(do_jobs(free, todo, leaders=False))
    assert free.begun == [0, 1, 2, 3, 4]


def test_if_the_first_fails_the_next_goes_alone(tiny, tmp_path):
    engine = Script(room=3, failing=[0])
    events = [
        (number, event is None)
        for number, event in do_jobs(engine, jobs(tiny, tmp_path, {}, SLOW, FAST))
    ]
    assert events == [(0, True), (0, False), (1, True), (1, False), (2, True), (2, False)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dask", 1), "--engine: found 'dask', allowed are local, ray"),
        (("local", 0), "--jobs: found 0, allowed is 1 or more"),
        (("local", 1, "auto"), "--ray-address: found one"),
    ],
)
def test_what_is_no_engine_is_told(arguments, message):
    with pytest.raises(ScenarioError, match=message):
        make_engine(*arguments)


@pytest.mark.slow
def test_a_killed_worker_costs_its_jobs_rerun_and_a_fault_ends_only_its_job(tiny, tmp_path):
    todo = [
        Job(tiny(protocol__rounds=1), tmp_path / "run", None),
        Job(tiny(evaluation__examples=100_000), tmp_path / "faulty", None),
    ]
    outcomes, killed = {}, False
    for number, event in do_jobs(engine := Processes(1), todo):
        if not killed:
            (worker, _, _) = engine._busy[0]
            os.kill(worker._process.pid, signal.SIGKILL)
            killed = True
        if isinstance(event, Outcome):
            outcomes[number] = event
    assert outcomes[0].failure is None
    assert (tmp_path / "run" / "summary.json").exists()
    assert outcomes[1].failure.startswith("evaluation.examples: found 100000, the task medical has")


def test_a_process_follows_its_parent_before_all_that_takes_long():
    """A parent that was killed meanwhile would leave it for as long as the imports take."""
    code = (
        "import sys, fsim.experiments.worker\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
