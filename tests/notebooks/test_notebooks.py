import base64
import re

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def committed(path):
    """Outputs of a notebook as it is in the repository, cell by cell."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_with_small_outputs_and_nothing_of_a_machine(path):
    outputs = [item for items in committed(path) for item in items]
    assert all(item["output_type"] != "error" for item in outputs)
    images = [item["data"]["image/png"] for item in outputs if "image/png" in item.get("data", {})]
    assert images
    assert max(len(base64.b64decode(image)) for image in images) < 150_000
    text = path.read_text(encoding="utf-8")
    assert len(text) < 600_000
    # Where somebody's home, their temporary files or their packages are is nobody else's business.
    assert re.findall(r"/(?:home|root|tmp|work|Users|private|opt)/|site-packages", text) == []


SMALLER = {
    r"'protocol\.rounds': \d+": "'protocol.rounds': 2",
    r"'evaluation\.examples': \d+": "'evaluation.examples': 20",
    r"'protocol\.clients_per_round': \d+": "'protocol.clients_per_round': 2",
    r"scenario\('mine', \d+\)": "scenario('mine', 2)",
    r"'local_steps': \d+": "'local_steps': 2",
}
"""What says in a notebook how long its runs take, and what it says in a test."""

OWN_PROCESS = {r"jobs=\d+": "jobs=None"}
"""The same for processes that runs have: those of the first notebook show that they work."""


def in_small(path):
    """A notebook as it is in the repository, with runs that take seconds."""
    notebook = nbformat.read(path, as_version=4)
    smaller = SMALLER if path == NOTEBOOKS[0] else SMALLER | OWN_PROCESS
    shortened = 0
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            for pattern, number in smaller.items():
                cell["source"], found = re.subn(pattern, number, cell["source"])
                shortened += found
    # Where a notebook has come to say it otherwise, this would run for as long as a reader does.
    assert shortened
    return notebook


@pytest.fixture(scope="module")
def kernel():
    """A kernel for one notebook after another: importing PyTorch takes as long as one of them."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=ROOT)
    client.stop_channels()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(path, kernel):
    notebook = in_small(path)
    # No name of the notebook before is there for this one.
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset_selective -f ."))
    NotebookClient(notebook, km=kernel, timeout=500).execute()
    outputs = [cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"]
    kinds = {kind for output in outputs for item in output for kind in item.get("data", {})}
    assert "image/png" in kinds
    assert "text/html" in kinds
