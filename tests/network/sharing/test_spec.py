import json

import pytest

from fsim.core.errors import ScenarioError
from fsim.network.sharing import spec
from fsim.network.sharing.spec import check_uploads, load_uploads
from fsim.network.sharing.uploads import finish_times

CASE = {
    "backhaul_bytes_per_s": 1250000,
    "flows": [
        {"bytes": 1000000, "start_s": 0, "capacity_bytes_per_s": 125000.0},
        {"bytes": 1e6, "start_s": 2.5, "profile": [[0, 0], [3.5, 250000]], "period_s": 8},
    ],
    "finish_s": [8.0, 7.5],
}


def changed(place, value):
    """The case with one value another, or gone if that is None."""
    case = json.loads(json.dumps(CASE))
    *parents, last = place
    inside = case
    for parent in parents:
        inside = inside[parent]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return case


def test_json_and_yaml_are_read_alike(tmp_path):
    as_json, as_yaml = tmp_path / "case.json", tmp_path / "case.yaml"
    as_json.write_text(json.dumps(CASE), encoding="utf-8")
    as_yaml.write_text(
        """
        backhaul_bytes_per_s: 1250000
        flows:
          - {bytes: 1000000, start_s: 0, capacity_bytes_per_s: 125000.0}
          - bytes: 1.0e+6
            start_s: 2.5
            profile: [[0, 0], [3.5, 250000]]
            period_s: 8
        """,
        encoding="utf-8",
    )
    for path in (as_json, as_yaml):
        uploads = load_uploads(path)
        # The second waits until 3.5 s, sends 1 MB at 250 kB/s, and is through at 7.5 s.
        assert finish_times(uploads.flows, uploads.links) == pytest.approx([8.0, 7.5])


def test_known_finishes_are_not_read():
    for finish in (None, [1.0], "anything"):
        assert len(check_uploads(changed(["finish_s"], finish), "here").flows) == 2


def test_a_profile_is_on_the_clock_of_the_simulation_and_begins_again():
    profile = [[0, 100.0], [1, 0.0]]
    flow = {"bytes": 100, "start_s": 7.5, "profile": profile, "period_s": 2}
    uploads = check_uploads({"backhaul_bytes_per_s": 1e6, "flows": [flow]}, "here")
    # Up from 8 to 9 s.
    assert finish_times(uploads.flows, uploads.links) == pytest.approx([9.0])


def test_no_flows_are_a_set_of_uploads():
    assert check_uploads({"backhaul_bytes_per_s": 1, "flows": []}, "here").flows == ()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["backhaul_bytes_per_s"], None, "backhaul_bytes_per_s: is missing"),
        (["backhaul_bytes_per_s"], -1, "backhaul_bytes_per_s: found -1, allowed is greater than"),
        (["backhaul_bytes_per_s"], "1 Mbit/s", "found '1 Mbit/s', allowed is a valid number"),
        (["backhaul_bytes_per_s"], True, "found True, allowed is a valid number"),
        (["backhaul_bytes_per_s"], float("inf"), "found inf, allowed is a finite number"),
        (["backhaul_bytes_per_s"], 1e19, "allowed is less than or equal to"),
        (["backhaul"], 3, "backhaul: unknown key, allowed are backhaul_bytes_per_s, flows"),
        (["flows"], None, "flows: is missing"),
        (["flows"], {}, "flows: found {}, allowed is a valid list"),
        (["flows", 0], 3, "flows.0: found 3, allowed is a mapping with the keys bytes, start_s"),
        (["flows", 0, "bytes"], None, "flows.0.bytes: is missing"),
        (["flows", 0, "bytes"], -5, "flows.0.bytes: found -5, allowed is greater than or equal"),
        (["flows", 0, "bytes"], float("nan"), "flows.0.bytes: found nan, allowed is"),
        (["flows", 0, "start_s"], -0.1, "flows.0.start_s: found -0.1, allowed is greater than"),
        (["flows", 0, "weigth"], 2, "flows.0.weigth: unknown key, allowed are bytes, start_s"),
        (
            ["flows", 0, "capacity_bytes_per_s"],
            None,
            "flows.0: found no link, allowed is either capacity_bytes_per_s, or profile and",
        ),
        (["flows", 0, "period_s"], 2, "flows.0: found capacity_bytes_per_s and period_s, allowed"),
        (["flows", 1, "period_s"], None, "flows.1: found profile, allowed is either"),
        (["flows", 1, "profile"], [], "flows.1: profile: found no steps, allowed is one or more"),
        (["flows", 1, "profile"], [[0, 1, 2]], "found [0, 1, 2], allowed is [second, bytes/s]"),
        (["flows", 1, "profile"], [3], "flows.1.profile.0: found 3, allowed is [second, bytes/s]"),
        (["flows", 1, "profile", 1, 1], -2, "flows.1.profile.1.1: found -2, allowed is"),
        (["flows", 1, "profile", 0, 0], 1, "flows.1.profile: a capacity's start times must begin"),
        (["flows", 1, "profile", 1, 0], 0, "flows.1.profile: a capacity's start times must begin"),
        (["flows", 1, "period_s"], 3.5, "flows.1.profile: the last piece begins at 3.5 s, the"),
        (["flows", 1, "period_s"], 0, "flows.1.profile: the last piece begins at 3.5 s, the"),
    ],
)
def test_what_is_no_set_of_uploads_is_told_in_one_line(place, value, message):
    with pytest.raises(ScenarioError) as caught:
        check_uploads(changed(place, value), "case.json")
    assert str(caught.value).startswith("case.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "not JSON: Expecting property name"),
        ("a.json", b"", "not JSON"),
        ("a.json", b"9" * 5000, "not JSON"),
        ("a.json", b"[" * 100_000, "nested too deep"),
        ("a.yaml", b"[" * 100_000, "nested too deep"),
        ("a.yaml", b"flows: [", "not YAML"),
        ("a.yaml", b"", "found no mapping, allowed is one mapping with the keys"),
        ("a.yaml", b"- 1\n- 2\n", "found a list, allowed is one mapping with the keys"),
        ("a.yaml", b"flows: 2020-13-45", "not YAML"),
        ("a.yaml", b"a: &a [1]\nb: [*a, *a]", "found a reference (*), allowed are none"),
        ("a.yaml", b"flows: !!python/object/apply:os.getcwd []", "not YAML"),
        ("a.yaml", b"\xff\xfe\x00\x01", "not a text file"),
    ],
)
def test_hostile_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load_uploads(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(ScenarioError, match="No such file"):
        load_uploads(tmp_path / "absent.json")
    with pytest.raises(ScenarioError, match="Is a directory"):
        load_uploads(tmp_path)
    monkeypatch.setattr(spec, "MAX_BYTES", 10)
    path = tmp_path / "big.json"
    path.write_text(json.dumps(CASE), encoding="utf-8")
    with pytest.raises(ScenarioError, match="more than the 10 bytes that are allowed"):
        load_uploads(path)
