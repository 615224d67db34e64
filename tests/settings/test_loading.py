import pickle

import pytest
import yaml

from fsim.core.errors import ScenarioError
from fsim.settings.loading import LoadedScenario, check_scenario, load_scenario
from fsim.simulation.build import build_population
from tests.conftest import ROOT, tiny_data

SCENARIOS = sorted((ROOT / "scenarios").glob("**/*.yaml"))


def refused(**changes):
    with pytest.raises(ScenarioError) as caught:
        check_scenario(tiny_data(**changes), "tiny.yaml", (ROOT,))
    message = str(caught.value)
    assert message.startswith("tiny.yaml: ")
    assert "\n" not in message
    return message.removeprefix("tiny.yaml: ")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_loads_and_says_what_it_asks(path):
    loaded = load_scenario(path)
    inside = path.relative_to(ROOT / "scenarios").with_suffix("").parts
    assert loaded.scenario.name == "-".join(inside).replace("_", "-")
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# Question:")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_written_out_is_the_same_scenario(path, tmp_path):
    loaded = load_scenario(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(loaded.scenario.to_yaml(), encoding="utf-8")
    again = check_scenario(yaml.safe_load(copy.read_text()), str(copy), loaded.folders)
    assert again.scenario == loaded.scenario
    assert again.digest == loaded.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol__round": 3}, "protocol: round: unknown key, allowed are kind, clients_per_round, "
         "rounds, keepalive"),
        ({"protocol__rounds": "many"}, "protocol.rounds: found 'many', allowed is a valid integer"),
        ({"protocol__rounds": 0}, "protocol.rounds: found 0, allowed is greater than 0"),
        ({"protocol__kind": "anarchy"}, "protocol: found protocol 'anarchy', allowed are synchronous, deadline"),
        ({"protocol__clients_per_round": 7}, "protocol.clients_per_round: found 7, the fleet has 6"),
        ({"compression__policy": "zip"}, "compression: found policy 'zip', allowed are float32"),
        ({"compression__bits": 3}, "compression: bits: unknown key"),
        ({"fleet__uplink__rate": "-1 Mbit/s"}, "fleet.uplink.rate: found '-1 Mbit/s', a rate cannot"),
        ({"fleet__uplink__rate": 5}, "fleet.uplink.rate: found 5, allowed is a rate with a unit"),
        ({"fleet__uplink__rate": "0 Mbit/s"}, "fleet.uplink: rate: found a rate of zero"),
        ({"fleet__uplink__trace": "t.csv"}, "fleet.uplink.trace: t.csv: no such file"),
        ({"fleet__uplink": {"round_trip": "1 s"}}, "fleet.uplink: found neither of rate and trace"),
        ({"fleet__uplink__mean": "1 Mbit/s"}, "fleet.uplink: found a mean without a trace"),
        ({"fleet__devices": {"abacus": 1}}, "fleet.devices: found 'abacus', allowed are jetson"),
        ({"fleet__devices": {}}, "fleet.devices: found no device"),
        ({"fleet__devices": {"laptop": -1}}, "fleet.devices.laptop: found -1, allowed is greater"),
        ({"fleet__availability": {"kind": "dropout", "probability": 1}},
         "fleet.availability.probability: found 1: no client would ever be available"),
        ({"fleet__availability": {"kind": "on-off", "on": "0 s", "off": "1 h"}},
         "fleet.availability: on: found 0 s: no client would ever be available"),
        ({"fleet__availability": {"kind": "sometimes"}},
         "fleet.availability: kind: found 'sometimes', allowed are 'always', 'dropout', 'on-off'"),
        ({"fleet__availability": {"kind": "dropout", "chance": 1}},
         "fleet.availability.chance: unknown key, allowed are kind, probability"),
        ({"fleet": 3}, "fleet: found 3, allowed is a mapping with the keys clients, devices"),
        ({"model__name": "gpt-17"}, "model.name: found 'gpt-17', allowed are nano, smollm2-135m, a folder"),
        ({"task__name": "poetry"}, "task: found task 'poetry', allowed are medical, multilingual, code"),
        ({"target__value": 40}, "target.value: found 40, allowed is less than or equal to 1"),
        ({"name": "../up"}, "name: found '../up', allowed is"),
        ({"training__local_epochs": 1}, "training: local_steps, local_epochs: found 2 and 1.0, allowed is one"),
        ({"training__local_steps": None}, "training: local_steps, local_epochs: found None and None"),
        ({"training__local_epochs": 0}, "training.local_epochs: found 0, allowed is greater than 0"),
        ({"server__correction": "nova"}, "server.correction: found correction 'nova', allowed are none, scaffold, fednova, feddyn"),
        ({"transport": {"kind": "pigeon"}}, "transport: found transport 'pigeon', allowed are tcp, fluid, arq, datagram"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_path_found_and_allowed(changes, message):
    assert refused(**changes).startswith(message)


def test_a_missing_part_is_named():
    data = tiny_data()
    del data["target"]
    with pytest.raises(ScenarioError, match="tiny: target: is missing"):
        check_scenario(data, "tiny")


def test_a_trace_with_one_sample(tmp_path):
    trace = tmp_path / "short.csv"
    trace.write_text("time_s,rate_mbit_s\n0,5\n")
    message = refused(fleet__uplink={"trace": str(trace)})
    assert message == (f"fleet.uplink.trace: {trace}: found 1 samples, a trace needs at least 2")


def test_a_trace_of_nothing_but_outage(tmp_path):
    trace = tmp_path / "dead.csv"
    trace.write_text("time_s,rate_mbit_s\n0,0\n1,0\n")
    assert "the capacity is zero throughout" in refused(fleet__uplink={"trace": str(trace)})


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no mapping"), ("- 1", "no mapping"), ("a: [", "not YAML"), ("name: x", "is missing")],
)
def test_files_that_are_no_scenario(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=message) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ScenarioError, match=r"none\.yaml: No such file"):
        load_scenario(tmp_path / "none.yaml")


def test_overrides(tiny_file):
    loaded = load_scenario(tiny_file(), ["protocol.rounds=7", "fleet.uplink.rate=3 Mbit/s"])
    assert loaded.scenario.protocol.rounds == 7
    assert loaded.scenario.fleet.uplink.rate.parameters == (375_000.0,)
    for override, message in [
        ("protocol.rounds", "allowed is key.path=value"),
        ("protocol.rounds.x=1", "rounds has no keys below it"),
        ("protocol.turns=1", "protocol: turns: unknown key"),
        ("seed=[", "not a YAML value"),
    ]:
        with pytest.raises(ScenarioError, match=message):
            load_scenario(tiny_file(), [override])


def test_the_digest_follows_scenario_and_trace(tmp_path):
    trace = tmp_path / "t.csv"
    trace.write_text("time_s,rate_mbit_s\n0,5\n1,6\n")

    def digest(**changes):
        data = tiny_data(fleet__uplink={"trace": str(trace)}, **changes)
        loaded: LoadedScenario = check_scenario(data, "tiny")
        return loaded.digest

    first = digest()
    assert digest() == first
    assert digest(seed=1) != first
    trace.write_text("time_s,rate_mbit_s\n0,5\n1,7\n")
    assert digest() != first


def test_all_clients_may_enter_a_trace_at_one_moment(tiny):
    link = {"trace": "traces/lte-driving.csv", "offset": "5 min"}
    loaded = tiny(fleet__uplink=link)
    rates = {client.uplink.capacity.rate_at(0.0) for client in build_population(loaded)}
    plain = build_population(tiny(fleet__uplink={**link, "offset": "none"}))[0].uplink.capacity
    assert rates == {plain.rate_at(300.0)}
    assert check_scenario(yaml.safe_load(loaded.scenario.to_yaml()), "again", (ROOT,)).scenario == (
        loaded.scenario
    )
    with pytest.raises(ScenarioError, match=r"fleet\.uplink\.offset"):
        tiny(fleet__uplink={**link, "offset": "soon"})


def recorded(tmp_path, active, inactive):
    """A FedScale recording of two clients, the second as given."""
    clients = {
        "1": {"active": [0, 50], "inactive": [20, 90], "finish_time": 100},
        "2": {"active": active, "inactive": inactive, "finish_time": 100},
    }
    path = tmp_path / "availability.pkl"
    path.write_bytes(pickle.dumps(clients))
    return {"kind": "traced", "path": str(path)}


def test_clients_are_there_when_the_recording_says_so(tiny, tmp_path):
    loaded = tiny(fleet__availability=recorded(tmp_path, [10], [30]))
    begins = {client.availability.next_available(0.0) for client in build_population(loaded)}
    assert begins == {0.0, 10.0}


def test_a_recording_of_a_client_who_is_never_there_is_refused(tmp_path):
    message = refused(fleet__availability=recorded(tmp_path, [], []))
    assert message.endswith("client 2: found no time at which it is available")


def test_passes_over_a_clients_own_examples_become_steps():
    training = {"local_epochs": 2, "batch_size": 8}
    scenario = check_scenario(tiny_data(training=training), "tiny", (ROOT,)).scenario
    # Whole batches of a pass: 24 of 31 examples, and all of 5.
    assert [scenario.training.steps(examples) for examples in (8, 31, 5)] == [2, 6, 2]
    assert scenario.training.model_dump()["local_steps"] is None
    again = check_scenario(yaml.safe_load(scenario.to_yaml()), "tiny", (ROOT,)).scenario
    assert again == scenario
    part = scenario.training.model_copy(update={"local_epochs": 0.1})
    assert [part.steps(examples) for examples in (8, 800)] == [1, 10]


@pytest.mark.parametrize("kind", ["datagram", "fluid"])
@pytest.mark.parametrize("key", ["fleet.cells.uplink_queue", "server.egress_queue"])
def test_a_queue_and_a_transport_without_windows_are_refused_by_both_names(tiny, kind, key):
    place, _, name = key.rpartition(".")
    section = {"count": 1} if place == "fleet.cells" else {}
    section |= {name.removesuffix("_queue"): "1 Mbit/s", name: "50 kB"}
    tiny(**{place.replace(".", "__"): section})
    with pytest.raises(ScenarioError) as told:
        tiny(**{place.replace(".", "__"): section}, transport={"kind": kind})
    (line,) = str(told.value).splitlines()
    assert f"{key}: found 50000 B and transport.kind: {kind}" in line
    assert line.endswith("allowed is no queue, or one of tcp, arq")


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ({"ingress_queue": "50 kB"}, "ingress_queue: found 50000 B and no ingress, allowed is"),
        ({"egress": "1 Mbit/s", "egress_queue": "1 kB"}, "egress_queue: found 1000 B, allowed is"),
    ],
)
def test_a_queue_is_a_links_and_holds_a_packet(tiny, server, message):
    with pytest.raises(ScenarioError) as told:
        tiny(server=server)
    assert message in str(told.value)
    cells = {key.replace("ingress", "uplink"): value for key, value in server.items()}
    if "uplink_queue" in cells:
        with pytest.raises(ScenarioError, match="uplink_queue: found 50000 B and no uplink"):
            tiny(fleet__cells={"count": 1, "downlink": "1 Mbit/s", **cells})
