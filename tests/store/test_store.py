import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import OutputError
from fsim.store.folder import new_temporary
from fsim.store.store import MAGIC, Fault, State, Store, key_of, place


def test_what_was_put_is_there_for_everyone(tmp_path):
    store = Store(tmp_path / "deep" / "store")
    key = key_of(kind="test", number=1)
    assert store.get(key) is None
    store.put(key, b"payload")
    assert Store(store.folder).get(key) == b"payload"
    store.put(key, b"other")
    assert store.get(key) == b"other"
    assert store.info().entries == 1


def test_keys_tell_parts_apart_and_not_their_order():
    assert key_of(a=1, b=2) == key_of(b=2, a=1)
    assert len({key_of(a=1), key_of(a=2), key_of(b=1), key_of(a="1"), key_of(a=None)}) == 5


@given(data=st.binary(min_size=1, max_size=200), cut=st.integers(0, 10**6), flip=st.booleans())
def test_damage_anywhere_is_detected_reported_and_forgotten(tmp_path_factory, data, cut, flip):
    store = Store(tmp_path_factory.mktemp("store"))
    key = key_of(x=1)
    store.put(key, data)
    path = store.folder / key[:2] / key[2:]
    content = path.read_bytes()
    at = len(MAGIC) + cut % (len(content) - len(MAGIC))
    damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] if flip else content[:at]
    path.write_bytes(damaged)
    assert list(store.faults()) == [Fault(path, State.DAMAGED)]
    assert store.verify() == [path]
    assert store.get(key) is None
    assert store.damaged == 1
    assert not path.exists()


@pytest.mark.parametrize("at", range(len(MAGIC)))
@pytest.mark.parametrize("flip", [True, False])
def test_what_does_not_begin_as_an_entry_is_not_taken_for_one(tmp_path, at, flip):
    store, key = Store(tmp_path), key_of(x=1)
    store.put(key, b"payload")
    path = tmp_path / key[:2] / key[2:]
    content = path.read_bytes()
    damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] if flip else content[:at]
    path.write_bytes(damaged)
    assert list(store.faults()) == [Fault(path, State.STRANGER)]
    assert store.get(key) is None
    store.put(key, b"payload")
    assert (store.prune(0), store.info().entries) == (0, 0)
    assert path.read_bytes() == damaged


def test_damage_is_told(tmp_path, caplog):
    store = Store(tmp_path)
    store.put(key_of(x=1), b"payload")
    (path,) = tmp_path.glob("*/*")
    path.write_bytes(path.read_bytes()[:-1])
    store.get(key_of(x=1))
    assert f"{path}: damaged entry removed" in caplog.text


def test_pruning_takes_the_least_recently_used_and_what_was_left_half_written(tmp_path):
    store = Store(tmp_path)
    for number in range(4):
        store.put(key_of(n=number), bytes(1000))
        path = tmp_path / key_of(n=number)[:2] / key_of(n=number)[2:]
        os.utime(path, (number, number))
    half, being_written = (path.parent / new_temporary() for _ in range(2))
    half.write_bytes(b"x")
    os.utime(half, (0, 0))
    being_written.write_bytes(b"x")
    assert store.get(key_of(n=0)) is not None
    assert store.prune(2200) == 2
    assert [store.get(key_of(n=n)) is not None for n in range(4)] == [True, False, False, True]
    assert not half.exists()
    assert being_written.exists()
    assert store.info().size < 2200


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store = Store(tmp_path)
    with pytest.raises(OutputError, match="cannot be written: No space left"):
        store.put(key_of(x=1), b"payload")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_ends_a_run_that_goes_on_from_there(tiny, tmp_path, monkeypatch):
    from fsim.experiments.run import run_to_folder

    real, written = os.fsync, []

    def full(handle):
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        written.append(handle)
        real(handle)

    out, folder = tmp_path / "out", tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="cannot be written: No space left on device") as told:
            run_to_folder(tiny(), out, store=Store(folder), workers=2)
    assert "\n" not in str(told.value)
    assert not out.exists()
    # The marker, the first evaluation and two jobs.
    assert (Store(folder).info().entries, Store(folder).verify()) == (3, [])
    facts = run_to_folder(tiny(), out, store=Store(folder))["facts"]
    assert (facts["jobs_reused"], facts["jobs_trained"]) == (2, 4)


def test_place(monkeypatch, tmp_path):
    monkeypatch.setenv("FSIM_STORE", "/elsewhere")
    assert str(place(None)) == "/elsewhere"
    assert str(place("here")) == "here"
    assert place("none") is None
    monkeypatch.delenv("FSIM_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert place(None) == tmp_path / "fsim" / "store"
