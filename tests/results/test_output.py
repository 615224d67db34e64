import pytest

from fsim.errors import OutputError
from fsim.results.loading import load_runs
from fsim.results.output import check_folder, folder_name, replacing


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "runs" / "one"
    with replacing(target) as temporary:
        (temporary / "summary.json").write_text("{}")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["summary.json"]

    def fail():
        with replacing(target) as temporary:
            (temporary / "summary.json").write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert (target / "summary.json").read_text() == "{}"
    assert [p.name for p in target.parent.iterdir()] == ["one"]


def test_an_earlier_output_is_replaced_and_anything_else_refused(tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    check_folder(earlier)
    (earlier / "comparison.csv").write_text("policy\n")
    check_folder(earlier)
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter1.tex").write_text("years of work")
    with pytest.raises(OutputError, match="other files in it"), replacing(other):
        pass
    assert (other / "chapter1.tex").read_text() == "years of work"
    with pytest.raises(OutputError, match="found a file"):
        check_folder(other / "chapter1.tex")


def test_a_full_disk_is_told_and_loses_nothing(tmp_path):
    target = tmp_path / "run"
    with replacing(target) as temporary:
        (temporary / "summary.json").write_text("{}")
    with pytest.raises(OutputError, match="cannot be written: No space left"), replacing(target):
        raise OSError(28, "No space left on device")
    assert (target / "summary.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("summary", "message"),
    [
        (None, "found no summary.json and no comparison.csv"),
        ("{", "cannot be read"),
        ('{"schema": 99}', "found results of version 99, allowed are 1, 2"),
        ('{"schema": 1}', "cannot be read: 'label'"),
    ],
)
def test_damaged_results_are_told(tmp_path, summary, message):
    if summary is not None:
        (tmp_path / "summary.json").write_text(summary)
    with pytest.raises(OutputError, match=message):
        load_runs(tmp_path)


def test_folder_names():
    assert folder_name("qsgd:bits=2:bucket=64") == "qsgd-bits=2-bucket=64"
