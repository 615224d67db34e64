"""Where Flower is not installed."""

import subprocess
import sys


def test_without_flower_one_line_says_what_is_missing():
    code = "import sys; sys.modules['flwr'] = None\nimport fsim.adapters.flower"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("ImportError: fsim.adapters.flower needs Flower")
