"""What is in a folder and is not a store's: it is never read, counted, replaced or removed."""

import hashlib
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fsim.cli.app import app
from fsim.core.errors import FsimError, OutputError
from fsim.experiments.run import run_to_folder
from fsim.store.folder import MARKER, new_temporary
from fsim.store.store import EARLIER_MAGIC, MAGIC, MARK, State, Store, key_of
from tests.conftest import ROOT

KEYS = [key_of(n=number) for number in range(4)]
OLD = (1_000_000_000, 1_000_000_000)


@pytest.fixture(params=["folder", "url"])
def open_store(request):
    """Open a folder as a store: by its path, and by its URL."""
    return lambda folder: Store(folder if request.param == "folder" else f"file://{folder}")


def entry(root, key):
    return root / key[:2] / key[2:]


def earlier(key, payload=b"payload"):
    """The name and content of an entry as fsim 0.1.0 wrote it."""
    content = EARLIER_MAGIC + hashlib.sha256(payload).digest() + payload
    return f"{key[:2]}/{key[2:]}", content


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, OLD)


def tree(root):
    """All that is below a folder: names, kinds, contents, where links lead; no link is followed."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if path.is_symlink():
                found[path.relative_to(root)] = os.readlink(path)
            elif path.is_file():
                found[path.relative_to(root)] = path.read_bytes()
            else:
                found[path.relative_to(root)] = path.lstat().st_mode
    return found


# A folder that is no store.

FOREIGN = {
    "documents": {"en/guide.md": b"guide", "de/anleitung.md": b"Anleitung"},
    "one document": {"notes.txt": b"notes"},
    "hexadecimal folder": {"de/anleitung.md": b"Anleitung"},
    "hidden": {"de/.htaccess.txt": b"x"},
    "objects of git": {f"{KEYS[0][:2]}/{KEYS[0][2:]}": b"x\x01blob"},
    "an entry among documents": {
        f"{KEYS[0][:2]}/{KEYS[0][2:]}": MAGIC + bytes(40),
        "README": b"read me",
    },
    "an earlier store among documents": dict([earlier(KEYS[0]), ("de/x.md", b"x")]),
    "a file of the marker's name": {MARKER: b"my notes on stores"},
    "a folder of the marker's name": {f"{MARKER}/setup.py": b"x"},
    "folders in folders": {"aa/bb/cc": b"x"},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_that_is_no_store_is_refused_and_left_alone(open_store, tmp_path, files):
    write(tmp_path, files)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"found a folder that is no store, with .* in it; all"):
        open_store(tmp_path)
    assert tree(tmp_path) == before


def test_a_file_is_refused(open_store, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match=r"file: found a file, allowed is a folder"):
        open_store(tmp_path / "file")


@pytest.mark.parametrize(
    "command",
    [["store", "info"], ["store", "verify"], ["store", "prune", "--limit", "0 B"], ["run", "tiny"],
     ["compare", "tiny", "--policies", "float16"], ["sweep", "tiny", "--seeds", "0"],
     ["infer-bench"]],
    ids=lambda command: " ".join(command[:2]),
)  # fmt: skip
def test_every_command_refuses_it_before_any_work(tiny_file, tmp_path, command):
    write(tmp_path / "en", FOREIGN["documents"])
    before = tree(tmp_path / "en")
    given = [str(tiny_file()) if word == "tiny" else word for word in command]
    out = [] if command[0] == "store" else ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*given, *out, "--store", str(tmp_path / "en")])
    assert isinstance(result.exception, FsimError)
    assert result.exception.exit_code == 2
    assert "no store" in str(result.exception)
    assert "\n" not in str(result.exception)
    assert tree(tmp_path / "en") == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [True, False])
def test_an_empty_folder_and_none_are_stores_to_be(open_store, tmp_path, make):
    root = tmp_path / "store"
    if make:
        (root / "ab").mkdir(parents=True)
    store = open_store(root)
    assert (store.info().entries, store.verify(), store.prune(0)) == (0, [], 0)
    assert not (root / MARKER).exists()
    store.put(KEYS[0], b"payload")
    assert (root / MARKER).read_bytes() == MARK
    assert open_store(root).get(KEYS[0]) == b"payload"


def test_what_a_crash_leaves_of_a_beginning_is_no_obstacle(open_store, tmp_path):
    write(tmp_path, {new_temporary(): MARK[:5], f"ab/{new_temporary()}": MAGIC, MARKER: MARK[:5]})
    store = open_store(tmp_path)
    store.put(KEYS[0], b"payload")
    assert (tmp_path / MARKER).read_bytes() == MARK
    assert open_store(tmp_path).verify() == []


def test_a_lost_marker_is_written_again(open_store, tmp_path):
    open_store(tmp_path).put(KEYS[0], b"payload")
    (tmp_path / MARKER).unlink()
    again = open_store(tmp_path)
    assert again.get(KEYS[0]) == b"payload"
    again.put(KEYS[1], b"payload")
    assert (tmp_path / MARKER).exists()


def test_a_damaged_marker_is_told(open_store, tmp_path):
    store = open_store(tmp_path)
    store.put(KEYS[0], b"payload")
    (tmp_path / MARKER).write_bytes(b"")
    assert [(Path(str(f.place)).name, f.state) for f in store.faults()] == [(MARKER, State.DAMAGED)]


# A store of fsim 0.1.0.


def test_an_earlier_store_is_adopted_and_its_entries_are_not_believed(open_store, tmp_path, caplog):
    write(tmp_path, dict([earlier(key) for key in KEYS[:3]]) | {"ab/.tmp4x_9z": b"half"})
    before = tree(tmp_path)
    store = open_store(tmp_path)
    assert store.info().entries == 3
    assert store.get(KEYS[0]) is None
    assert "entry of fsim 0.1.0, its result is computed again" in caplog.text
    assert tree(tmp_path) == before
    store.put(KEYS[0], b"payload")
    assert store.get(KEYS[0]) == b"payload"
    assert (tmp_path / MARKER).exists()
    # What it left half-written cannot be told from a stranger's.
    assert [fault.state for fault in store.faults()] == [State.STRANGER]
    assert store.prune(0) == 3
    assert (tmp_path / "ab" / ".tmp4x_9z").exists()


def test_damage_in_an_earlier_entry_is_told(open_store, tmp_path):
    name, content = earlier(KEYS[0])
    write(tmp_path, {name: content + b"x"})
    assert [fault.state for fault in open_store(tmp_path).faults()] == [State.DAMAGED]


# Entries under another key.


def test_an_entry_under_another_key_is_not_believed(open_store, tmp_path, caplog):
    store = open_store(tmp_path)
    for key in KEYS[:2]:
        store.put(key, key.encode())
    entry(tmp_path, KEYS[1]).write_bytes(entry(tmp_path, KEYS[0]).read_bytes())
    assert [fault.state for fault in store.faults()] == [State.SWAPPED]
    assert store.get(KEYS[1]) is None
    assert "swapped entry removed" in caplog.text
    assert (store.damaged, store.get(KEYS[0])) == (1, KEYS[0].encode())


@given(payload=st.binary(max_size=50), at=st.integers(8, 10**6))
def test_the_checksum_covers_the_key(tmp_path_factory, payload, at):
    store = Store(tmp_path_factory.mktemp("store"))
    store.put(KEYS[0], payload)
    content = bytearray(entry(store.folder, KEYS[0]).read_bytes())
    content[8:24] = bytes.fromhex(KEYS[1])[:16]
    write(store.folder, {f"{KEYS[1][:2]}/{KEYS[1][2:]}": bytes(content)})
    assert [fault.state for fault in store.faults()] == [State.DAMAGED]
    assert store.get(KEYS[1]) is None


# What stands where an entry would.


def fifo(path, outside):
    os.mkfifo(path)


def folder(path, outside):
    path.mkdir()
    (path / "file").write_bytes(MAGIC)


def link(path, outside):
    path.symlink_to(outside)


def link_to_nowhere(path, outside):
    path.symlink_to(outside.with_name("nowhere"))


def device(path, outside):
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # zeros without end
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")


def bound_socket(path, outside):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may not be long
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def text(path, outside):
    path.write_text("a stranger's")


STRANGERS = [fifo, folder, link, link_to_nowhere, device, bound_socket, text]


@pytest.mark.parametrize("make", STRANGERS, ids=lambda make: make.__name__)
def test_a_stranger_in_an_entrys_place_is_left_alone(open_store, tmp_path, caplog, make):
    root, outside = tmp_path / "store", tmp_path / "outside"
    store = open_store(root)
    for key in KEYS[:2]:
        store.put(key, b"payload")
    outside.write_bytes(entry(root, KEYS[0]).read_bytes())
    entry(root, KEYS[0]).unlink()
    make(entry(root, KEYS[0]), outside)
    before = tree(tmp_path)
    assert store.get(KEYS[0]) is None
    store.put(KEYS[0], b"payload")
    assert "found something else than an entry, which is left alone" in caplog.text
    assert store.info().entries == 1
    assert {fault.state for fault in store.faults()} == {State.STRANGER}
    assert tree(tmp_path) == before
    assert store.prune(0) == 1
    assert tree(tmp_path) == {
        name: what for name, what in before.items() if tmp_path / name != entry(root, KEYS[1])
    }


@pytest.mark.parametrize("make", STRANGERS, ids=lambda make: make.__name__)
def test_a_stranger_in_the_markers_place_makes_no_store(open_store, tmp_path, make):
    (tmp_path / "outside").write_bytes(MARK)
    (tmp_path / "store").mkdir()
    make(tmp_path / "store" / MARKER, tmp_path / "outside")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="no store, with fsim-store in it"):
        open_store(tmp_path / "store")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", STRANGERS, ids=lambda make: make.__name__)
def test_a_stranger_in_the_place_of_a_folder_is_left_alone(open_store, tmp_path, make):
    root, outside = tmp_path / "store", tmp_path / "outside"
    open_store(outside).put(KEYS[0], b"payload")
    store = open_store(root)
    store.put(KEYS[1], b"payload")
    make(root / KEYS[0][:2], outside / KEYS[0][:2])
    before = tree(tmp_path)
    assert store.get(KEYS[0]) is None
    if make is not folder:
        store.put(KEYS[0], b"payload")
    assert tree(tmp_path) == before
    assert store.info().entries == 1
    assert {fault.state for fault in store.faults()} == {State.STRANGER}
    assert store.prune(0) == 1
    assert entry(outside, KEYS[0]).exists()


def test_a_run_goes_on_beside_a_pipe(tiny, tmp_path):
    from fsim.simulation.run import simulate

    store = tmp_path / "store"
    first = simulate(tiny(protocol__rounds=1), store=Store(store))
    for path in list(store.glob("??/*")):
        path.unlink()
        os.mkfifo(path)
    second = simulate(tiny(protocol__rounds=1), store=Store(store))
    assert second.records.equals(first.records)


HEXADECIMAL = st.text("0123456789abcdef", min_size=60, max_size=64)
NAMES = st.one_of(
    st.sampled_from([KEYS[0][2:], KEYS[1][2:], KEYS[0], "README", ".hidden", ".fsim-store-", "ab"]),
    HEXADECIMAL,
    st.text("abcdef0123456789._-", min_size=1, max_size=9).filter(lambda n: n not in (".", "..")),
)
GROUPS = st.sampled_from(["", KEYS[0][:2], KEYS[1][:2], "ab", "en", "AB", "abc", "de/fg", "ab/cd"])
THINGS = st.one_of(
    st.binary(max_size=60).filter(lambda b: not b.startswith((MAGIC, EARLIER_MAGIC))),
    st.sampled_from([fifo, link, link_to_nowhere, bound_socket]),
)


@pytest.mark.parametrize("kind", ["folder", "url"])
@given(things=st.lists(st.tuples(GROUPS, NAMES, THINGS), max_size=12))
def test_nothing_but_entries_is_ever_removed(tmp_path_factory, kind, things):
    base = tmp_path_factory.mktemp("base")
    root, outside = base / "store", base / "outside"
    write(base, {"outside": MAGIC + b"not to be touched"})
    store = Store(f"file://{root}" if kind == "url" else root)
    for key in KEYS:
        store.put(key, b"payload")
    for group, name, thing in things:
        path = root / group / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            continue
        if path.name == MARKER or os.path.lexists(path):
            continue
        if isinstance(thing, bytes):
            path.write_bytes(thing)
            os.utime(path, OLD)
        else:
            thing(path, outside)
    entries = {entry(root, key) for key in KEYS}
    before = tree(base)
    assert store.info().entries == len(KEYS)
    strangers = {Path(str(f.place).removeprefix("file://")) for f in store.faults()}
    assert not strangers & entries
    store.tidy()
    assert tree(base) == before
    assert store.prune(0) == len(KEYS)
    assert tree(base) == {name: what for name, what in before.items() if base / name not in entries}


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_strangers_at_a_url(kind, tmp_path):
    url = f"memory://{uuid.uuid4().hex}" if kind == "memory" else f"file://{tmp_path}/store"
    files, root = fsspec.core.url_to_fs(url)
    store = Store(url)
    for key in KEYS[:2]:
        store.put(key, b"payload")
    names = ["README", f"{KEYS[0][:2]}/notes.txt", f"{KEYS[2][:2]}/{KEYS[2][2:]}", "ab/cd/ef"]
    strangers = {f"{root}/{name}" for name in names}
    for path in strangers:
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(path, b"a stranger's")
    store.put(KEYS[2], b"payload")
    assert store.info().entries == 2
    assert {fault.state for fault in store.faults()} == {State.STRANGER}
    assert len(store.verify()) == len(strangers)
    assert store.prune(0) == 2
    assert all(files.cat_file(path) == b"a stranger's" for path in strangers)


@pytest.mark.parametrize("files", [*FOREIGN.values()][:5], ids=[*FOREIGN][:5])
def test_a_bucket_that_is_no_store_is_refused(files):
    url = f"memory://{uuid.uuid4().hex}"
    there, root = fsspec.core.url_to_fs(url)
    for name, content in files.items():
        there.pipe_file(f"{root}/{name}", content)
    with pytest.raises(OutputError, match="no store, with"):
        Store(url)
    assert {path: there.cat_file(path) for path in there.find(root)} == {
        f"{root}/{name}": content for name, content in files.items()
    }


def test_verify_names_each_with_what_it_is(tmp_path):
    store = Store(tmp_path)
    for key in KEYS:
        store.put(key, key.encode())
    swapped, damaged = entry(tmp_path, KEYS[0]), entry(tmp_path, KEYS[1])
    swapped.write_bytes(entry(tmp_path, KEYS[2]).read_bytes())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    write(tmp_path, {"README": b"x"})
    (tmp_path / "ab").symlink_to("/")
    result = CliRunner().invoke(app, ["store", "verify", "--store", str(tmp_path)])
    assert result.exit_code == 1
    assert sorted(result.output.splitlines()) == sorted(
        [
            f"swapped: {swapped}",
            f"damaged: {damaged}",
            f"stranger: {tmp_path / 'README'}",
            f"stranger: {tmp_path / 'ab'}",
            "2 strangers, 1 swapped entries, 1 damaged entries",
        ]
    )
    assert list(Store(tmp_path / "none").faults()) == []


def test_a_store_that_cannot_be_tidied_costs_no_results(tiny, tmp_path, monkeypatch, caplog):
    def refused(path, *more, **options):
        raise PermissionError(13, "Permission denied")

    store = Store(tmp_path / "store")
    monkeypatch.setattr("fsim.store.store.DEFAULT_LIMIT", 0)
    monkeypatch.setattr(Path, "unlink", refused)
    summary = run_to_folder(tiny(protocol__rounds=1), tmp_path / "out", store=store)
    assert summary["status"] == "completed"
    assert (tmp_path / "out" / "summary.json").exists()
    assert "store not tidied" in caplog.text
    with pytest.raises(OutputError, match="cannot be removed: Permission denied"):
        store.prune(0)


def test_many_processes_begin_a_store_together(tmp_path):
    program = f"""
import sys
from pathlib import Path
from fsim.store import Store, key_of
for number in range(40):
    store = Store(Path({str(tmp_path / "store")!r}))
    store.put(key_of(n=number), b"payload")
    store.prune(1000)
    store.put(key_of(own=sys.argv[1], n=number), b"payload")
"""
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(n)], cwd=ROOT) for n in range(4)
    ]
    deadline = time.monotonic() + 60
    assert [each.wait(deadline - time.monotonic()) for each in running] == [0] * 4
    store = Store(tmp_path / "store")
    assert store.verify() == []
    assert not list((tmp_path / "store").rglob(".fsim-store-*"))
    assert store.info().entries > 0
