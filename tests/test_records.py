import json

import pytest
from pandas.api.types import is_string_dtype

from fsim.records import EVALUATION_TYPES, RECORD_TYPES, SERVER, Kind, Recorder


def test_rows_keep_order_types_and_totals():
    recorder = Recorder()
    recorder.record(Kind.DOWNLOAD, 0.0, 1.5, 3, 1, size=100, energy=1.5)
    recorder.record(Kind.UPLOAD, 1.5, 2.0, 3, 1, size=40, energy=4.0, details={"b": 1, "a": 2.5})
    recorder.record(Kind.ROUND, 0.0, 3.5, SERVER, 1)
    recorder.evaluation(3.5, 1, 0.25, 1.5, 4.5)
    records, evaluations = recorder.records(), recorder.evaluations()
    assert records["kind"].tolist() == ["download", "upload", "round"]
    for column, kind in RECORD_TYPES.items():
        # pandas 2 keeps strings as objects, pandas 3 as strings.
        assert is_string_dtype(records[column]) if kind == "str" else records[column].dtype == kind
    assert {c: str(t) for c, t in evaluations.dtypes.items()} == EVALUATION_TYPES
    assert json.loads(records["details"][1]) == {"a": 2.5, "b": 1}
    row = evaluations.iloc[0]
    assert (row["uplink_bytes"], row["downlink_bytes"], row["energy_j"]) == (40, 100, 5.5)


def test_bytes_sent_must_be_received_or_lost():
    recorder = Recorder()
    recorder.record(Kind.UPLOAD, 0, 1, 0, 1, size=40)
    with pytest.raises(RuntimeError, match="40 bytes sent, but 0 received and 0 lost"):
        recorder.check_conservation()
    recorder.record(Kind.RECEIVE, 1, 0, 0, 1, size=30)
    recorder.record(Kind.LOST, 1, 0, 0, 1, size=10)
    recorder.check_conservation()


@pytest.mark.parametrize("wrong", [{"size": -1}, {"energy": -1.0}, {"duration": -1.0}])
def test_nothing_is_negative(wrong):
    row = {"time": 0.0, "duration": 1.0, "client": 0, "round_number": 1, **wrong}
    with pytest.raises(ValueError, match="cannot be"):
        Recorder().record(Kind.UPLOAD, **row)
