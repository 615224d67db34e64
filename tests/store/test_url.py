"""Stores at URLs: in memory, and in a folder as fsspec has it."""

import builtins
import multiprocessing
import os
import pickle
import time
import uuid

import fsspec
import pytest

from fsim.core.errors import OutputError, ScenarioError
from fsim.store import Store, key_of, place
from fsim.store.folder import new_temporary

KEYS = [key_of(n=number) for number in range(4)]


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/store"
    return f"file://{tmp_path / 'a b' / 'store'}"


def at(store, key):
    """The file of an entry, as fsspec has it."""
    files, root = fsspec.core.url_to_fs(store.folder)
    return files, f"{root}/{key[:2]}/{key[2:]}"


def test_what_was_put_is_there_for_everyone(url):
    store = Store(url)
    assert store.get(KEYS[0]) is None
    assert (store.info().entries, store.info().size, store.verify()) == (0, 0, [])
    store.put(KEYS[0], b"payload")
    assert Store(url + "/").get(KEYS[0]) == b"payload"
    store.put(KEYS[0], b"other")
    assert store.get(KEYS[0]) == b"other"
    # A magic of 8 bytes, 16 of the key, a digest of 16, and what was put.
    assert (store.info().folder, store.info().entries, store.info().size) == (url, 1, 45)


def test_a_folder_and_its_url_are_the_same_store(tmp_path):
    Store(tmp_path).put(KEYS[0], b"payload")
    store = Store(f"file://{tmp_path}")
    assert store.get(KEYS[0]) == b"payload"
    store.put(KEYS[1], b"other")
    assert Store(tmp_path).get(KEYS[1]) == b"other"
    assert list(tmp_path.rglob(".*")) == []


def test_damage_is_detected_reported_and_forgotten(url, caplog):
    store = Store(url)
    store.put(KEYS[0], b"payload")
    store.put(KEYS[1], b"whole")
    files, path = at(store, KEYS[0])
    content = files.cat_file(path)
    files.pipe_file(path, content[:-1] + b"x")
    where = f"{url}/{KEYS[0][:2]}/{KEYS[0][2:]}"
    assert store.verify() == [where]
    assert store.get(KEYS[0]) is None
    assert f"{where}: damaged entry removed" in caplog.text
    assert not files.exists(path)
    assert (store.damaged, store.info().entries) == (1, 1)


def test_pruning_takes_the_first_written_and_what_was_left_half_written(url, monkeypatch):
    store = Store(url)
    for number, key in enumerate(KEYS):
        store.put(key, bytes(1000))
        files, path = at(store, key)
        if url.startswith("file"):
            os.utime(path, (number, number))
        else:
            time.sleep(0.002)
    half = f"{path.rpartition('/')[0]}/{new_temporary()}"
    files.pipe_file(half, b"x")
    assert store.prune(2200) == 2
    assert [store.get(key) is not None for key in KEYS] == [False, False, True, True]
    assert files.exists(half)
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    assert store.prune(10**6) == 0
    assert not files.exists(half)


def test_a_store_at_a_url_is_pruned_only_when_asked(url, tmp_path, monkeypatch):
    monkeypatch.setattr("fsim.store.store.DEFAULT_LIMIT", 1500)
    stores = Store(url), Store(tmp_path / "folder")
    for store in stores:
        for key in KEYS:
            store.put(key, bytes(1000))
        store.tidy()
    assert [store.info().entries for store in stores] == [4, 1]


def test_a_write_that_fails_is_told_and_leaves_nothing(url, monkeypatch):
    store = Store(url)
    files, _path = at(store, KEYS[0])

    def full(path, content, *more, **options):
        raise OSError(28, "No space left on device\nand more")

    monkeypatch.setattr(type(files), "pipe_file", full)
    with pytest.raises(OutputError, match=r"cannot be written: .*No space left on device$"):
        store.put(KEYS[0], b"payload")
    assert store.info().entries == 0


def test_what_cannot_be_read_is_told(url, monkeypatch):
    store = Store(url)
    store.put(KEYS[0], b"payload")

    def broken(path, *more, **options):
        raise OSError(5, "Input/output error\nand more")

    monkeypatch.setattr(type(at(store, KEYS[0])[0]), "cat_file", broken)
    with pytest.raises(OutputError, match=r"cannot be read: .*Input/output error$"):
        store.get(KEYS[0])
    with pytest.raises(OutputError, match=r"cannot be read: .*Input/output error$"):
        Store(url)


def test_place_tells_urls_from_folders(monkeypatch, tmp_path):
    assert place("memory://here") == "memory://here"
    monkeypatch.setenv("FSIM_STORE", "s3://bucket/fsim")
    assert place(None) == "s3://bucket/fsim"
    assert place("none") is None


def test_a_protocol_that_nobody_knows_is_refused_in_a_line():
    with pytest.raises(ScenarioError, match=r"^--store: found nobody://x: .*nobody") as error:
        Store("nobody://x")
    assert "\n" not in str(error.value)


def test_a_driver_that_is_not_installed_is_told(monkeypatch):
    real = builtins.__import__

    def without(name, *more, **options):
        if name.partition(".")[0] == "s3fs":
            raise ImportError("No module named 's3fs'")
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ScenarioError, match=r"--store: found s3://bucket: .*s3fs"):
        Store("s3://bucket")


def test_without_fsspec_it_is_told_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, *more, **options):
        if name.partition(".")[0] == "fsspec":
            raise ImportError(name)
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ScenarioError, match=r"not installed: pip install 'fsim\[fsspec\]'"):
        Store("memory://x")


def put_and_get(store):
    """In another process."""
    store.put(KEYS[1], b"from there")
    return store.get(KEYS[0])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_sees_the_same_entries(tmp_path, method):
    store = Store(f"file://{tmp_path}")
    store.put(KEYS[0], b"from here")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(put_and_get, (store,)) == b"from here"
    assert store.get(KEYS[1]) == b"from there"


def test_it_travels_as_its_url():
    store = pickle.loads(pickle.dumps(Store(url := f"memory://{uuid.uuid4().hex}")))
    assert store.folder == store.everywhere().folder == url
    store.put(KEYS[0], b"payload")
    assert Store(url).get(KEYS[0]) == b"payload"


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_run_finds_its_training_at_a_url(tiny, tmp_path, kind):
    from fsim.simulation.run import simulate

    url = f"memory://{uuid.uuid4().hex}" if kind == "memory" else f"file://{tmp_path}"
    first, second = (simulate(tiny(), store=Store(url)) for _ in range(2))
    assert (first.facts["jobs_trained"], second.facts["jobs_reused"]) == (6, 6)
    assert second.records.equals(first.records)


def test_the_commands_look_after_a_store_at_a_url(tmp_path):
    from typer.testing import CliRunner

    from fsim.cli.app import app

    url = f"file://{tmp_path}"
    for key in KEYS:
        Store(url).put(key, bytes(1000))

    def call(*arguments):
        result = CliRunner().invoke(app, ["store", *arguments, "--store", url])
        return result.exit_code, " ".join(result.output.split())

    code, told = call("info")
    assert code == 0
    assert "4 entries, 4.16 kB" in told
    assert call("prune", "--limit", "2200 B") == (0, "2 entries removed, 2.08 kB left")
    (path, *_) = tmp_path.glob("??/*")
    path.write_bytes(path.read_bytes()[:-1])
    code, told = call("verify")
    assert code == 1
    assert told.endswith("1 damaged entries")


@pytest.mark.slow
def test_cells_in_processes_of_their_own_share_a_store_at_a_url(few_file, tmp_path):
    from fsim.experiments.sweep import sweep

    table = sweep(
        few_file(), {"fleet.downlink.rate": ["1 Mbit/s", "2 Mbit/s"]},
        out=tmp_path / "out", store=f"file://{tmp_path / 'store'}", jobs=2,
    )  # fmt: skip
    assert table["status"].tolist() == ["completed", "completed"]
    assert table["jobs_reused"].tolist() == [0, 6]
