import subprocess
import sys

import pytest

from fsim.cli import main
from tests.conftest import ROOT


@pytest.fixture
def fsim(capsys, monkeypatch):
    """The command line as a process would run it, exit code and all, but in this one.

    A process of its own takes seconds to import PyTorch; what only it can show has one.
    """

    def command(*arguments):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["fsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        told = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, caught.value.code, told.out, told.err)

    return command
