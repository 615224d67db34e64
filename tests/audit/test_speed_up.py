import pytest

from fsim.audit.experiments import INFERENCE
from fsim.audit.presentation import sections, to_data
from fsim.audit.speed_up import HEADS, note_of, read_inference, rows_of
from fsim.core.errors import OutputError


def test_what_is_kept_with_the_package_is_shown():
    kept = read_inference()
    assert [each["facts"]["layer"] for each in kept] == [5, 8, 5]
    assert ["further steps" in note_of(each) for each in kept] == [False, False, True]
    (section,) = [each for each in sections([]) if each.experiment == INFERENCE]
    for grid, own in zip(section.measured, kept, strict=True):
        assert grid.rows == rows_of(own)
        assert grid.note == note_of(own)
        assert all(len(row) == len(HEADS) for row in grid.rows)
    assert to_data([])["inference"] == kept


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert read_inference([]) == []
    with pytest.raises(OutputError, match=r"none\.json: found no measurement"):
        read_inference([tmp_path / "none.json"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"measured": [{}]}', '{"measured": []}'])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(OutputError, match="found no measurement of infer-bench"):
        read_inference([path])
