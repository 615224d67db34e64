"""How new results take the place of old ones: what stays, what goes, and what a kill leaves."""

import errno
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from fsim.core.errors import OutputError
from fsim.core.files import UNFINISHED
from fsim.results import folders
from fsim.results.folders import growing, replacing
from fsim.results.manifest import MANIFEST, Identity
from fsim.results.saving import replacing_file

RUN = Identity("run", "made", "1")
OTHERS = {
    "other settings": Identity("run", "made", "2"),
    "another scenario": Identity("run", "else", "1"),
    "a comparison": Identity("comparison", "made", "1", {"topk:seed=0": "topk"}),
    "a sweep": Identity("sweep", "made", "", {"seed=0-a": "seed=0-a"}),
}


def write(folder, text="new", identity=RUN, overwrite=False, also=None):
    """Results of two files, one in a folder below, as a run has them."""
    with replacing(folder, identity, overwrite=overwrite) as staged:
        for name in ("summary.json", "adapter/adapter_config.json"):
            (staged / name).parent.mkdir(exist_ok=True)
            (staged / name).write_text(text)
        if also is not None:
            also()


def content(folder):
    """Everything below a folder: path -> text; without manifests and what is unfinished."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != MANIFEST
        and not path.name.startswith(UNFINISHED)
        and not any(part.endswith(".fsim") for part in path.relative_to(folder).parts[:-1])
    }


def results(text="new"):
    return {"adapter/adapter_config.json": text, "summary.json": text}


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "runs" / "one"
    write(target, also=lambda: not target.exists() or pytest.fail("it appeared early"))
    assert content(target) == results()

    def fail():
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write(target, "newer", also=fail)
    assert content(tmp_path) == {f"runs/one/{name}": text for name, text in results().items()}
    assert [path.name for path in target.parent.iterdir()] == ["one"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_others_wrote_before_and_meanwhile_stays_in_its_place(tmp_path, overwrite):
    target = tmp_path / "one"
    write(target, "old")
    theirs = {
        "notes.txt": "a", "adapter/README": "b", "deep/er/data.csv": "c", ".hidden": "d",
        "adapter/deep/x": "e",
    }  # fmt: skip

    def add(name):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(theirs[name])

    first, *later = theirs
    add(first)
    (target / "empty").mkdir()
    (target / "link").symlink_to("notes.txt")
    inode = (target / first).stat().st_ino
    target.chmod(0o750)
    write(
        target,
        identity=OTHERS["other settings"] if overwrite else RUN,
        overwrite=overwrite,
        also=lambda: [add(name) for name in later],
    )
    assert content(target) == results() | theirs | {"link": "a"}
    assert (target / "link").is_symlink()
    assert (target / "empty").is_dir()
    assert (target / first).stat().st_ino == inode
    assert target.stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["one"]


@pytest.mark.parametrize("first", [RUN, *OTHERS.values()], ids=["a run", *OTHERS])
@pytest.mark.parametrize("second", [RUN, *OTHERS.values()], ids=["a run", *OTHERS])
@pytest.mark.parametrize("writing", [replacing, growing])
def test_results_of_something_else_are_replaced_only_with_overwrite(
    tmp_path, first, second, writing
):
    target = tmp_path / "one"
    write(target, "old", first)
    (target / "notes.txt").write_text("mine")
    if first == second:
        with writing(target, second) as place, replacing_file(place / "more.csv") as file:
            file.write_text("x")
        assert (target / "more.csv").exists()
        return
    allowed = "found .*; allowed is another --out, or --overwrite"
    with pytest.raises(OutputError, match=allowed), writing(target, second):
        pytest.fail("it began")
    assert content(target) == results("old") | {"notes.txt": "mine"}
    with writing(target, second, overwrite=True) as place:
        with replacing_file(place / "new.csv") as file:
            file.write_text("x")
        assert content(target) == results("old") | {"notes.txt": "mine"}
    assert content(target) == {"new.csv": "x", "notes.txt": "mine"}
    assert os.listdir(tmp_path) == ["one"]
    write(target, "third", second)


@pytest.mark.parametrize("kind", ["comparison", "sweep"])
def test_fewer_runs_would_lose_some(tmp_path, kind):
    two = Identity(kind, "made", "1", {"a:seed=0": "a", "b:seed=0": "b"})
    one = Identity(kind, "made", "1", {"a:seed=0": "a"})
    write(tmp_path / "x", "old", two)
    lost = rf"found another {kind} of scenario 'made', with 1 run that this one lacks \(b:seed=0\)"
    with pytest.raises(OutputError, match=lost):
        write(tmp_path / "x", "new", one)
    write(tmp_path / "y", "old", one)
    write(tmp_path / "y", "new", two)
    assert content(tmp_path / "y") == results()


@pytest.mark.parametrize("name", ["summary.json", "adapter", "pareto.png"])
def test_a_name_that_is_taken_is_refused_before_and_kept_after(tmp_path, name, caplog):
    target = tmp_path / "one"
    with replacing(target, RUN) as staged:
        (staged / "records.parquet").write_text("old")
    (target / name).write_text("mine")
    with pytest.raises(OutputError, match=f"found {name}, which fsim did not write"):
        write(target)
    assert content(target) == {"records.parquet": "old", name: "mine"}
    (target / name).unlink()
    write(target, also=lambda: (target / name).write_text("mine"))
    if name in ("summary.json", "adapter"):
        assert content(target) == results() | {f"{name}.1": "mine"}
        assert f"found one that fsim did not write, now {name}.1" in caplog.text
    with replacing_file(target / "pareto.png") as file:
        file.write_text("drawn")
    if name == "pareto.png":
        assert (target / "pareto.png.1").read_text() == "mine"
        assert "now pareto.png.1" in caplog.text


def test_a_file_where_a_run_has_to_be_is_refused(tmp_path):
    two = OTHERS["a comparison"]
    write(tmp_path / "out", "old", two)
    (tmp_path / "out" / "topk").write_text("mine")
    with pytest.raises(OutputError, match="found topk, which fsim did not write"):
        write(tmp_path / "out", "new", two)
    with pytest.raises(OutputError, match="found topk, which fsim did not write"):
        write(tmp_path / "out", "new", Identity("sweep", "made", "", two.runs), overwrite=True)
    assert content(tmp_path / "out") == results("old") | {"topk": "mine"}


def test_what_is_drawn_later_is_known_as_fsims(tmp_path):
    target = tmp_path / "one"
    write(target, "old")
    for name in ("report.html", "pareto.png", "adapter/more.json"):
        with replacing_file(target / name) as file:
            file.write_text("drawn")
    write(target)
    # Nothing says of a file below that fsim wrote it: there is no manifest.
    assert content(target) == results() | {"adapter/more.json": "drawn"}


def test_a_run_within_is_known_by_its_own_manifest(tmp_path):
    whole = Identity("comparison", "made", "1", {"a:seed=0": "a"})

    def compare():
        with replacing(tmp_path / "all", whole) as staged:
            write(staged / "a")

    compare()
    with replacing_file(tmp_path / "all" / "a" / "timeline.json") as file:
        file.write_text("drawn")
    (tmp_path / "all" / "a" / "notes.txt").write_text("mine")
    compare()
    assert content(tmp_path / "all") == {
        **{f"a/{name}": text for name, text in results().items()}, "a/notes.txt": "mine",
    }  # fmt: skip


@pytest.mark.parametrize(
    "told",
    ["{", "[]", "null", "[" * 100_000, '{"schema": 99}', '{"schema": 1}',
     '{"schema": 1, "kind": "run", "name": "made", "digest": "1", "runs": [], "files": []}',
     '{"schema": 1, "kind": "run", "name": "made", "digest": "1", "runs": {}, "files": [3]}'],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(tmp_path, told):
    target = tmp_path / "one"
    write(target, "old")
    (target / MANIFEST).write_text(told)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=rf"{MANIFEST}: (cannot be read|found version 99)"):
            write(target, overwrite=overwrite)
    assert content(target) == results("old")
    assert os.listdir(tmp_path) == ["one"]


def test_a_manifest_reaches_nothing_outside_its_folder(tmp_path):
    target = tmp_path / "one"
    write(target, "old")
    (tmp_path / "outside.txt").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("mine")
    (target / "link").symlink_to(tmp_path / "there")
    told = json.loads((target / MANIFEST).read_text())
    told["files"] += ["../outside.txt", str(tmp_path / "outside.txt"), "link/x", "../there/x"]
    (target / MANIFEST).write_text(json.dumps(told))
    write(target)
    assert (tmp_path / "outside.txt").read_text() == "mine"
    assert (tmp_path / "there" / "x").read_text() == "mine"
    assert (target / "link").is_symlink()


def test_a_full_disk_is_told_and_loses_nothing(tmp_path):
    target = tmp_path / "run"
    write(target, "old")

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="cannot be written: No space left"):
        write(target, also=full)
    assert content(target) == results("old")
    assert os.listdir(tmp_path) == ["run"]


def test_an_error_of_another_file_is_not_told_as_the_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "run", also=(tmp_path / "trace.csv").read_text)


def test_a_folder_that_is_removed_meanwhile(tmp_path):
    target = tmp_path / "runs" / "one"
    write(target, "old")
    away = tmp_path / "away"
    write(target, also=lambda: target.rename(away))
    assert content(target) == results()
    with pytest.raises(OutputError, match=r"one: cannot be written: No such file"):
        write(target, also=lambda: target.parent.rename(tmp_path / "gone"))
    assert content(tmp_path / "gone" / "one") == results()


def test_other_results_that_come_meanwhile_are_not_replaced(tmp_path):
    target = tmp_path / "one"
    write(tmp_path / "other", "theirs", OTHERS["another scenario"])
    with pytest.raises(OutputError, match="found a run of scenario 'else'"):
        write(target, also=lambda: (tmp_path / "other").rename(target))
    assert content(target) == results("theirs")
    assert os.listdir(tmp_path) == ["one"]


@pytest.mark.parametrize("writing", [replacing, growing])
def test_two_at_one_folder_are_refused_however_it_is_spelt(tmp_path, writing):
    target = tmp_path / "one"
    (tmp_path / "link").symlink_to(target)
    target.mkdir()
    told = []

    def second(spelt):
        try:
            with replacing(spelt, RUN):
                told.append("began")
        except OutputError as error:
            told.append(str(error))

    spelt = [target, tmp_path / "link", tmp_path / "none" / ".." / "one"]
    with writing(target, RUN):
        for each in spelt:
            thread = threading.Thread(target=second, args=[each])
            thread.start()
            thread.join()
    assert told == [f"{each}: another process is at work on it" for each in spelt]
    write(target)
    assert sorted(os.listdir(tmp_path)) == ["link", "one"]


def test_a_work_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / ".one.fsim").mkdir()
    (tmp_path / ".one.fsim" / "x").write_text("mine")
    with pytest.raises(OutputError, match="found something that fsim did not make"):
        write(tmp_path / "one")
    assert (tmp_path / ".one.fsim" / "x").read_text() == "mine"


def test_what_others_left_in_a_work_folder_is_moved_out_of_it(tmp_path):
    half = tmp_path / ".one.fsim" / "half"
    half.mkdir(parents=True)
    (half.parent / "lock").touch()
    (half / "records.parquet").write_text("unfinished")
    (half / "notes.txt").write_text("mine")
    write(tmp_path / "one")
    assert content(tmp_path / "one") == results() | {"notes.txt": "mine"}
    assert os.listdir(tmp_path) == ["one"]


def test_a_growing_folder_keeps_its_part(tmp_path):
    """One that is to replace something else as well, which stays until the end."""
    grown = OTHERS["a sweep"]

    def begin_and_fail(target):
        with growing(target, grown, overwrite=True) as place:
            write(place / "seed=0-a", "cell")
            raise RuntimeError("killed")

    for target in (tmp_path / "new", tmp_path / "other"):
        if target.name == "other":
            write(target, "old")
        with pytest.raises(RuntimeError):
            begin_and_fail(target)
        if target.name == "other":
            assert content(target) == results("old")
        with pytest.raises(OutputError, match="found a"):
            write(target, "refused", OTHERS["a comparison"])
        with growing(target, grown, overwrite=True) as place:
            assert (place / "seed=0-a" / "summary.json").read_text() == "cell"
        assert content(target) == {f"seed=0-a/{k}": text for k, text in results("cell").items()}
    assert sorted(os.listdir(tmp_path)) == ["new", "other"]


def test_a_growing_folder_that_came_to_nothing_is_gone(tmp_path):
    with pytest.raises(RuntimeError), growing(tmp_path / "x", OTHERS["a sweep"]):
        raise RuntimeError("no engine")
    assert os.listdir(tmp_path) == []


# Kills. A child process ends itself, without a word, before the n-th thing that it asks of the
# file system.

STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "ctypes.dlopen",
         "os.listdir", "os.scandir", "os.link"}  # fmt: skip


def killed(step, do):
    """Do it in a child that is killed before a step; whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event, arguments):
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), 9)

        try:
            sys.addaudithook(count)
            do()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


THEIRS = {"notes.txt": "a", "adapter/README": "b", "own/data.csv": "c"}


def whole_and_safe(above, target, before=True):
    """The old results or the new ones are there whole, and others' files somewhere."""
    found = content(target) if target.exists() else {}
    ours = {name: text for name, text in found.items() if name not in THEIRS}
    if before:
        assert ours in (results("old"), results("new"))
        everywhere = {path.name: path.read_text() for path in above.rglob("*") if path.is_file()}
        for name, text in THEIRS.items():
            assert everywhere[Path(name).name] == text
    else:
        assert ours in ({}, results("new"))


@pytest.mark.parametrize("case", ["exchange", "two renames", "first", "another", "old version"])
def test_a_kill_at_any_moment_leaves_one_of_the_two_whole(tmp_path, monkeypatch, case):
    if case == "two renames":
        monkeypatch.setattr(folders, "_renameat2", lambda *_: False)
    second = OTHERS["another scenario"] if case == "another" else RUN
    do = lambda target: lambda: write(target, "new", second, overwrite=True)  # noqa: E731
    step = 0
    while True:
        above = tmp_path / str(step)
        target = above / "one"
        above.mkdir()
        if case != "first":
            write(target, "old")
            if case == "old version":
                told = {"schema": 2, "label": "", "status": "", "metrics": {}, "name": "made",
                        "scenario_sha256": "1"}  # fmt: skip
                monkeypatch.setitem(globals(), "results", _older_results(told))
                (target / "summary.json").write_text(json.dumps(told))
                (target / MANIFEST).unlink()
            for name, text in THEIRS.items():
                (target / name).parent.mkdir(exist_ok=True)
                (target / name).write_text(text)
        if not killed(step, do(target)):
            break
        if case == "two renames" and not target.exists():
            # The only moment at which nothing is there; the next command of any kind mends it.
            assert (above / ".one.fsim" / "whole").exists()
        else:
            whole_and_safe(above, target, before=case != "first")
        # The next one is killed too, somewhere; then one goes through.
        killed(step * 7 % 29, do(target))
        write(target, "new", second, overwrite=True)
        theirs = {} if case == "first" else THEIRS
        assert content(target) == {**_new(), **theirs}
        assert os.listdir(above) == ["one"]
        assert not list(target.rglob(f"{UNFINISHED}*"))
        step += 1
    assert step > 20


@pytest.mark.parametrize("case", ["new", "its own", "another"])
def test_a_growing_folder_may_be_killed_at_any_moment(tmp_path, case):
    grown = OTHERS["a sweep"]
    cell = {f"seed=0-a/{name}": text for name, text in results("cell").items()}
    old = {**cell, "sweep.csv": "old"} if case == "its own" else results("old")

    def do(text):
        with growing(target, grown, overwrite=True) as place:
            if not (place / "seed=0-a" / "summary.json").exists():
                write(place / "seed=0-a", "cell")
            with replacing_file(place / "sweep.csv") as file:
                file.write_text(text)

    step = 0
    while True:
        target = tmp_path / str(step) / "one"
        target.parent.mkdir()
        if case == "another":
            write(target, "old")
        elif case == "its own":
            do("old")
        if case != "new":
            (target / "notes.txt").write_text("mine")
        if not killed(step, lambda: do("new")):
            break
        found = content(target) if target.exists() else {}
        notes = [path.read_text() for path in target.parent.rglob("notes.txt")]
        assert notes == ([] if case == "new" else ["mine"])
        found.pop("notes.txt", None)
        new = {**cell, "sweep.csv": "new"}
        assert found in (old, new) or (case == "new" and found.items() <= new.items())
        do("new")
        found = content(target)
        assert found.pop("notes.txt", None) == (None if case == "new" else "mine")
        assert found == new
        assert os.listdir(target.parent) == ["one"]
        step += 1
    assert step > 20


def _new():
    return {"adapter/adapter_config.json": "new", "summary.json": "new"}


def _older_results(told):
    old = {"adapter/adapter_config.json": "old", "summary.json": json.dumps(told)}
    return lambda text="new": old if text == "old" else _new()
