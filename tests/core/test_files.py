"""Files that are written whole, however many write them, and the files beside them."""

import multiprocessing
import os
import time

import pytest

from fsim.core.errors import OutputError
from fsim.core.files import ABANDONED_S, unfinished, whole_file
from fsim.network.generators import save
from fsim.results.manifest import Manifest, adopt
from fsim.results.saving import replacing_file


@pytest.mark.parametrize(
    "write", [save, lambda text, path: _write(replacing_file, text, path)], ids=["save", "results"]
)
def test_no_file_beside_it_is_touched(tmp_path, write):
    """A trace called env was once written by way of .env."""
    others = [tmp_path / name for name in (".trace.csv", ".fsim-new.trace.csv", "trace.csv~")]
    for other in others:
        other.write_text("mine")
    write("new", tmp_path / "trace.csv")
    assert (tmp_path / "trace.csv").read_text() == "new"
    assert all(other.read_text() == "mine" for other in others)


def test_what_killed_processes_left_is_cleared_once_it_is_old(tmp_path):
    path = tmp_path / "table.csv"
    old, young, another = (
        tmp_path / f".fsim-new.{number}.{name}"
        for number, name in ((1, path.name), (2, path.name), (3, "a.csv"))
    )
    for left in (old, young, another):
        left.write_text("half")
    then = time.time() - ABANDONED_S - 10
    for left in (old, another):
        os.utime(left, (then, then))
    _write(whole_file, "new", path)
    assert {each.name for each in tmp_path.iterdir()} == {path.name, young.name, another.name}


def test_too_deep_a_folder_is_told(tmp_path):
    with pytest.raises(OutputError, match="found too many folders within each other"):
        _write(whole_file, "new", tmp_path / ("y/" * 1100) / "table.csv")


def test_processes_that_write_the_same_files_do_not_mix_them(tmp_path):
    adopt(tmp_path)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_hammer, args=(tmp_path, text)) for text in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    names = {f"{number}.txt" for number in range(3)}
    assert {each.name for each in tmp_path.glob("*.txt*")} == names
    assert all(len(set((tmp_path / name).read_text())) == 1 for name in names)
    assert names < Manifest.read(tmp_path).files


def _hammer(folder, text):
    for number in range(90):
        adopt(folder)
        with replacing_file(folder / f"{number % 3}.txt") as path, path.open("w") as file:
            for _ in range(50):
                file.write(text * 1000)


def _write(writing, text, path):
    with writing(path) as temporary:
        assert temporary in (unfinished(path), unfinished(path.resolve()))
        temporary.write_text(text)
