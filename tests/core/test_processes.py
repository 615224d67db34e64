"""Copies of this process that share its work."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fsim.core import processes
from fsim.core.processes import CAN_FORK, WorkerEnded, Workers, exit_text
from tests.conftest import ROOT

needs_fork = pytest.mark.skipif(not CAN_FORK, reason="processes are not copied on this system")


@pytest.fixture
def workers():
    made = []

    def make(function, count):
        made.append(Workers(function, count))
        return made[-1]

    yield make
    for each in made:
        each.close()


def children():
    """Processes of this one that are still running."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 2, 7])
def test_every_item_has_its_result_whoever_did_it(workers, count, items):
    offset = 100  # the function need not be picklable: the copies have it
    squares = workers(lambda item: item * item + offset, count)
    for _ in range(2):
        found = dict(squares.map(range(items)))
        assert found == {at: at * at + 100 for at in range(items)}


@needs_fork
def test_items_are_shared(workers):
    def where(item):
        time.sleep(0.02)
        return os.getpid()

    found = {pid for _, pid in workers(where, 3).map(range(12))}
    assert len(found) == 3
    assert os.getpid() in found


@needs_fork
def test_large_items_and_results_do_not_block_each_other(workers):
    # Each is several times what a pipe holds.
    double = workers(lambda item: item + item, 2)
    found = dict(double.map([b"x" * 1_000_000] * 9))
    assert {len(result) for result in found.values()} == {2_000_000}


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_is_the_functions_own_and_ends_the_copies(workers, count):
    def fail(item):
        if item == 3:
            raise IndexError("found 3")
        return item

    failing = workers(fail, count)
    with pytest.raises(IndexError, match="found 3"):
        list(failing.map(range(6)))
    assert dict(failing.map(range(3))) == {0: 0, 1: 1, 2: 2}


@needs_fork
def test_results_that_nobody_waits_for_do_not_come_later(workers):
    same = workers(lambda item: item, 2)
    for _ in same.map(range(10)):
        break
    assert dict(same.map(["a", "b", "c"])) == {0: "a", 1: "b", 2: "c"}


@needs_fork
def test_a_killed_copy_is_told_of_in_one_line(workers):
    parent = os.getpid()

    def die(item):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return item

    with pytest.raises(WorkerEnded, match=r"ended \(signal 9\); with --workers 1"):
        list(workers(die, 2).map(range(4)))


@needs_fork
def test_closing_ends_the_copies(workers):
    before = children()
    sharing = workers(lambda item: item, 3)
    list(sharing.map(range(6)))
    assert len(children()) == len(before) + 2
    sharing.close()
    assert children() == before


def of_group(leader):
    """Processes of the session that a process leads that are still running, itself included."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def left_after(process, end, count, later=0.0, within=20.0):
    """End the leader of a session when that has so many processes; what is left of it then."""
    try:
        wait_until(lambda: len(of_group(process.pid)) >= count, 120)
        time.sleep(later)
        assert process.poll() is None, "it was through before it could be ended"
        process.send_signal(end)
        process.wait()
        with suppress(TimeoutError):
            wait_until(lambda: not of_group(process.pid), within)
        return of_group(process.pid)
    finally:
        for pid in of_group(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_until(true, seconds):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.002)


WORK = {
    "waiting": "pass",
    "sleeping": "item and time.sleep(60)",
    # No other thread of a process comes to its turn meanwhile.
    "keeping the interpreter": "item and re.match('(a+)+$', 'a' * 40 + 'b')",
}


@needs_fork
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize(
    ("work", "thread"), [*((work, False) for work in WORK), ("sleeping", True)]
)
def test_copies_end_when_their_parent_does(work, end, count, thread):
    program = f"""
import re, threading, time
from fsim.core.processes import Workers

def work(item):
    {WORK[work]}

def share():
    # Copies of two makers, as in a run, whose training and evaluation have some each.
    several = [Workers(work, 3), Workers(work, 3)]
    for each in several:
        list(each.map([0, 0, 0]))
    list(several[1].map([0, 1, 1, 1]))
    time.sleep(60)

threading.Thread(target=share).start() if {thread} else share()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, start_new_session=True)
    assert left_after(parent, end, count, later=0.3 if count == 5 else 0.0) == []


@needs_fork
def test_copies_outlive_the_thread_that_made_them(workers):
    sharing = workers(lambda item: item, 2)
    maker = threading.Thread(target=lambda: list(sharing.map(range(4))))
    maker.start()
    maker.join()
    time.sleep(0.2)
    assert dict(sharing.map(range(4))) == {0: 0, 1: 1, 2: 2, 3: 3}


COMMANDS = {
    "run": ["run", "--workers", "2"],
    "compare": ["compare", "--policies", "float16,qsgd", "--jobs", "2"],
    "sweep": ["sweep", "--seeds", "0,1", "--jobs", "2"],
}


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("later", [0.0, 3.0])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_leaves_no_process(few_file, tmp_path, command, later):
    path = few_file(protocol__rounds=1000, training__cohort_width=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "fsim", *COMMANDS[command], str(path), "--out", tmp_path / "out"],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # Processes that are still importing when their parent ends find out when that is done.
    assert left_after(process, signal.SIGKILL, 2, later, within=60) == []


def test_without_forking_everything_is_done_here(workers, monkeypatch):
    monkeypatch.setattr(processes, "CAN_FORK", False)
    assert {pid for _, pid in workers(lambda item: os.getpid(), 4).map(range(5))} == {os.getpid()}


def test_how_a_process_ended():
    assert exit_text(None) == "no status"
    assert exit_text(-9) == "signal 9"
    assert exit_text(3) == "status 3"
