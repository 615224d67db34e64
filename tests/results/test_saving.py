import errno
import os
from pathlib import Path

import pytest

from fsim.core.errors import OutputError
from fsim.results.loading import load_runs
from fsim.results.manifest import adopt
from fsim.results.saving import folder_name, replacing_file


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    with replacing_file(path) as file:
        file.write_text("old")
        assert not path.exists()

    def fail(error):
        with replacing_file(path) as file:
            file.write_text("half")
            raise error

    with pytest.raises(OutputError, match=r"table\.csv: cannot be written: No space left"):
        fail(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(RuntimeError):
        fail(RuntimeError())
    assert path.read_text() == "old"
    assert [each.name for each in path.parent.iterdir()] == ["table.csv"]


def write(path):
    with replacing_file(path) as file:
        file.write_text("new")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
@pytest.mark.parametrize("of_results", [False, True])
def test_what_is_no_file_is_refused_and_stays(tmp_path, make, linked, of_results):
    """Once, the report took the place of the device."""
    there, path = tmp_path / "there", tmp_path / "out.html"
    make(there)
    before = there.stat()
    if linked:
        path.symlink_to(there)
    if of_results:
        adopt(tmp_path)
    with pytest.raises(OutputError, match="cannot be written: found something else than a file"):
        write(path if linked else there)
    assert os.path.samestat(there.stat(), before)


def test_a_link_to_a_file_is_followed_but_not_among_results(tmp_path):
    path, linked = tmp_path / "out.html", tmp_path / "elsewhere" / "linked.html"
    path.symlink_to(linked)
    write(path)
    assert path.is_symlink()
    assert linked.read_text() == "new"
    linked.write_text("mine")
    adopt(tmp_path)
    write(path)
    assert not path.is_symlink()
    assert path.read_text() == "new"
    assert (tmp_path / "out.html.1").is_symlink()
    assert linked.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [("y/" * 1100 + "z", "too many folders"), ("", "something else than a file"), ("loop", "loop")],
)
def test_a_path_that_leads_nowhere_is_told(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(OutputError, match=message):
        write(Path(name))


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (None, "found no summary.json and no comparison.csv"),
        ("{", "cannot be read"),
        ('{"schema": 99}', "found results of version 99, allowed are 1, 2"),
        ('{"schema": 1}', "cannot be read: label: is missing"),
    ],
)
def test_damaged_results_are_told(tmp_path, summary, message):
    if summary is not None:
        (tmp_path / "summary.json").write_text(summary)
    with pytest.raises(OutputError, match=message):
        load_runs(tmp_path)


def test_folder_names():
    assert folder_name("qsgd:bits=2:bucket=64") == "qsgd-bits=2-bucket=64"
