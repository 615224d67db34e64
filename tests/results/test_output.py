import errno

import pytest

from fsim.errors import OutputError
from fsim.results.loading import load_runs
from fsim.results.output import folder_name, replacing_file


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
