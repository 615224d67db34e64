"""The tests that need packages of extras, in an environment of their own: `make test` runs this.

Some of those packages pin others at versions that fsim's own environment does not have, so they lie
in a second one, `.venv-extras`, on top of the first: what is not in it is taken from there. Run it
by the Python of the first.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = Path(f"{sys.prefix}-extras")
PYTHON = FOLDER / "bin" / "python"
EXTRAS = "flower,fsspec,hub,mlflow,ray,tensorboard,test,wandb"
RUN = ["-m", "pytest", "-m", "extras"]

UNREACHABLE = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError")
"""In what pip prints, where it reached no index at all."""


def merged(own: str, first: str) -> str:
    """Constraints: the own ones, and those of the first environment for all other packages."""

    def name(line: str) -> str:
        return re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()

    pinned = {name(line) for line in own.splitlines() if "==" in line}
    others = [line for line in first.splitlines() if "==" in line and name(line) not in pinned]
    return "\n".join([*own.splitlines(), *others, ""])


def build(constraints: str) -> str | None:
    """Make the environment, unless it is there as these constraints and `setup.cfg` have it.

    Returns
    -------
    str or None
        What pip printed, where the installation failed.
    """
    stamp = FOLDER / "installed"
    made_of = f"{sys.prefix}\n{constraints}\n{(ROOT / 'setup.cfg').read_text(encoding='utf-8')}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made_of:
        return None
    shutil.rmtree(FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", FOLDER], check=True)
    # Added to the end of sys.path: what is installed here goes before what is there.
    packages = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (FOLDER / packages / "first.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (FOLDER / "constraints.txt").write_text(constraints, encoding="utf-8")
    install = ["-m", "pip", "install", "--constraint", FOLDER / "constraints.txt"]
    done = subprocess.run(
        [PYTHON, *install, "--editable", f".[{EXTRAS}]"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        return done.stdout
    stamp.write_text(made_of, encoding="utf-8")
    return None


def main() -> int:
    """Build and run; without a network, list what did not run."""
    own, first = (
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("constraints-extras.txt", "constraints.txt")
    )
    failure = build(merged(own, first))
    if failure is None:
        return subprocess.run([PYTHON, *RUN, "--extras-installed"], cwd=ROOT).returncode
    if not UNREACHABLE.search(failure):
        print(failure, "The extras cannot be installed.", sep="\n", file=sys.stderr)
        return 1
    print("No package index can be reached from here, so these tests did not run:", flush=True)
    return subprocess.run([sys.executable, *RUN, "--collect-only", "-q"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
