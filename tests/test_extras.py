"""The environment of extras: what it is made of."""

from pathlib import Path

from tests.extras import UNREACHABLE, merged

ROOT = Path(__file__).parents[1]


def test_own_pins_take_the_place_of_the_first_ones():
    assert merged("# why\ntomli_w==1\nray==2\n", "# first\nray==1\nTomli.W==3\ntorch==4\n") == (
        "# why\ntomli_w==1\nray==2\ntorch==4\n"
    )


def test_every_pin_of_the_second_file_is_needed():
    own = (ROOT / "constraints-extras.txt").read_text(encoding="utf-8").splitlines()
    first = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert not {line for line in own if "==" in line} & set(first)


def test_only_an_index_that_is_not_reached_counts_as_no_network():
    refused = "ERROR: Could not find a version that satisfies the requirement flwr==1.42.0"
    assert not UNREACHABLE.search(refused)
    assert UNREACHABLE.search(
        "WARNING: Retrying after connection broken by 'NewConnectionError(...: Failed to establish"
    )
