"""Places where results cannot be: told before anything is done, in one line."""

import os
import subprocess
from pathlib import Path

import pytest

from fsim.core.errors import OutputError
from fsim.results import location as places
from fsim.results.folders import replacing
from fsim.results.location import resolved
from fsim.results.manifest import Identity

RUN = Identity("run", "made", "1")


def write(folder):
    with replacing(folder, RUN) as staged:
        (staged / "summary.json").write_text("new")


def refused(folder, message):
    with pytest.raises(OutputError, match=message) as told, replacing(folder, RUN):
        pytest.fail("it began")
    assert "\n" not in str(told.value)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """The folder that commands run in, beside one of a stranger's."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "years.csv").write_text("of work")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path
    assert (tmp_path / "data" / "years.csv").read_text() == "of work"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (".", "runs in, or one above it; allowed is a folder inside it"),
        ("", "runs in"),
        ("..", "or one above it"),
        ("new/..", "runs in"),
        ("/", "found the root"),
        ("new/../..", "one above it"),
        ("../data", "found a folder with other files in it"),
        ("runs/../../data", "found a folder with other files in it"),
        ("../data/years.csv", "found a file, allowed is a folder"),
        ("../data/years.csv/run", "found a file at .*years.csv, allowed is a folder"),
        ("x" * 255, "cannot be written: File name too long"),
        ("x" * 300 + "/y", "cannot be written: File name too long"),
        ("/".join(["x" * 200] * 25), "cannot be written: File name too long"),
        ("a\0b", "cannot be written: embedded null byte"),
        ("y/" * 1100, "folders within each other, allowed are 200"),
        ("\udcff/run", "found a name that is no UTF-8"),
    ],
)
def test_places_that_are_refused(there, out, message):
    refused(Path(out), message)
    assert not list((there / "here").rglob("summary.json"))


def test_a_file_on_the_way_is_told(there):
    refused(Path("../data/years.csv/deep/run"), "found a file at")


def test_a_link_is_followed_and_stays(there):
    (there / "scratch").mkdir()
    link = there / "here" / "out"
    link.symlink_to(there / "scratch" / "run")
    (there / "scratch" / "run").mkdir()
    for _ in range(2):
        write(Path("out"))
        assert link.is_symlink()
        assert (there / "scratch" / "run" / "summary.json").read_text() == "new"
    assert os.listdir(there / "scratch") == ["run"]
    assert os.listdir(there / "here") == ["out"]


def test_links_to_nothing_or_to_a_file(there):
    Path("nothing").symlink_to("nowhere")
    refused(Path("nothing"), "nothing: found a link to nothing, allowed is one to a folder")
    refused(Path("nothing/deep/run"), "nothing: found a link to nothing")
    Path("loop").symlink_to("loop")
    refused(Path("loop"), "loop: found a link to nothing|cannot be written")
    Path("file").symlink_to(there / "data" / "years.csv")
    refused(Path("file"), "found a file")
    Path("data").symlink_to(there / "data")
    refused(Path("data"), "found a folder with other files in it")


@pytest.mark.parametrize("at", [".", "deep"])
def test_a_mount_point_is_refused(there, monkeypatch, at):
    out = Path("out").absolute()
    (out / "deep").mkdir(parents=True)
    monkeypatch.setattr(places, "_mounts", lambda: [Path("/"), out / at])
    refused(out, "mount point.* which cannot be replaced; allowed is a folder inside it")
    if at == ".":
        write(out / "run")


def test_mount_points_are_those_that_there_are():
    mounts = places._mounts()
    if not mounts:
        pytest.skip("the system does not tell")
    assert Path("/proc") in mounts
    told = subprocess.run(["mount"], capture_output=True, text=True, check=False).stdout
    assert told.count("\n") == 0 or {Path(line.split(" on ")[1].split(" type ")[0])
                                     for line in told.splitlines()} <= set(mounts)  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("which", ["out", "."])
def test_a_place_that_must_not_be_written(there, which):
    Path("above/out").mkdir(parents=True)
    closed = Path("above") / which
    closed.chmod(0o500)
    try:
        refused(Path("above/out"), "cannot be written: Permission denied")
    finally:
        closed.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("which", ["out", "."])
def test_a_place_that_is_closed_meanwhile(there, which):
    write(Path("above/out"))
    closed = Path("above") / which

    def close():
        with replacing(Path("above/out"), RUN) as staged:
            (staged / "summary.json").write_text("newer")
            closed.chmod(0o500)

    try:
        with pytest.raises(OutputError, match="cannot be written: Permission denied"):
            close()
    finally:
        closed.chmod(0o700)
    assert Path("above/out/summary.json").read_text() == "new"
    write(Path("above/out"))
    assert os.listdir("above") == ["out"]


def test_a_folder_of_another_user_in_a_shared_one(there, monkeypatch):
    Path("shared/out").mkdir(parents=True)
    Path("shared").chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    refused(Path("shared/out"), "found a folder of another user, allowed is a folder inside it")
    assert resolved(Path("shared/out/mine")).name == "mine"
