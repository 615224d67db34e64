import base64
import re

import nbformat
import pytest
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


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": ROOT}}
    )
    client.execute()
    outputs = [cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"]
    kinds = {kind for output in outputs for item in output for kind in item.get("data", {})}
    assert "image/png" in kinds
    assert "text/html" in kinds
