"""A time line, opened in Speedscope, a viewer that runs offline."""

import json
import re
import shutil
import subprocess
import tarfile

import pytest

from fsim.records import SERVER
from fsim.report.timeline import write_timeline
from tests.results.made import recorder

pytestmark = pytest.mark.slow

SPEEDSCOPE = "speedscope@1.25.0"


@pytest.fixture(scope="module")
def speedscope(tmp_path_factory):
    """The viewer's page, from npm's registry."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("found no npm, from which Speedscope is had")
    folder = tmp_path_factory.mktemp("speedscope")
    try:
        packed = subprocess.run(
            [npm, "pack", "--silent", SPEEDSCOPE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm's registry did not give {SPEEDSCOPE} within 120 s")
    archives = list(folder.glob("*.tgz"))
    if packed.returncode or not archives:
        pytest.skip(f"npm's registry did not give {SPEEDSCOPE}: {packed.stderr.strip()[-200:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package" / "dist" / "release" / "index.html"


def test_a_viewer_opens_it_and_finds_every_track_and_duration(
    speedscope, watched, screenshots, tmp_path
):
    made = recorder(rounds=5, clients=3, lost=(2, 1))
    path = tmp_path / "timeline.json"
    write_timeline(made.records(), made.evaluations(), path, "float16")
    seen = watched(speedscope)
    seen.page.locator("input[type=file]").set_input_files(path)
    # A profile a track: the server's rounds and three clients.
    seen.page.get_by_text("(1/4)").wait_for()
    assert "float16: server" in seen.page.inner_text("body")
    # It warns of slices that overlap without nesting.
    assert not [words for _, words in seen.said if "Tried to end" in words]
    assert not [words for _, words in seen.said if "still open" in words]
    assert not [words for kind, words in seen.said if kind == "error"]
    assert all(url.startswith(("file:", "blob:", "data:")) for url in seen.asked)
    seen.page.screenshot(path=screenshots / "timeline-in-speedscope.png")
    with seen.page.expect_download() as download:
        seen.page.get_by_text("Export").click()
    understood = json.loads(download.value.path().read_text())
    records = made.records()
    lasting = records[records["duration_s"] > 0]
    for profile in understood["profiles"]:
        track = re.search(r"(?:client (\d+)|rounds) \(tid", profile["name"])
        client = SERVER if track[1] is None else int(track[1])
        opened, closed = (
            [event["at"] / 1e6 for event in profile["events"] if event["type"] == kind]
            for kind in "OC"
        )
        durations = [end - begin for begin, end in zip(opened, closed, strict=True)]
        own = lasting[lasting["client"] == client]
        assert durations == pytest.approx(own["duration_s"].tolist(), abs=1e-8)
