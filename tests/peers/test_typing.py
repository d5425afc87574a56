"""Type checkers see the package however it was installed: from a wheel, from an sdist, in place.

The wheel is made of the sdist, as releases are: installing either gives the same files.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

for package in ("setuptools", "Cython"):
    pytest.importorskip(package, reason="builds the package")

PROGRAM = '''\
import darkfuse
from darkfuse import darknet, dnn

net = darkfuse.load("x.cfg", mem="48M")
for found in net.detect("dog.jpg"):
    name: str = found.name
    where: float = found.box.cx
for result in net.detect(["a.jpg", "b.jpg"]):
    result.filter("dog", min=0.5).nonsense  # line 9: no such name
dnn.readNetFromDarknet("x.cfg", "x.weights").setMemory(48, 3)  # line 10: too many arguments
pairs: int = darknet.detect_image(net, ["dog"], darknet.make_image(1, 1, 3))  # line 11: a list
darkfuse.load("x.cfg", memory="48M")  # line 12: no such option
'''
WRONG = {9, 10, 11, 12}
BUILD = """
import sys
sys.path.insert(0, "tools/backend")
import darkfuse_build
print(getattr(darkfuse_build, sys.argv[1])(sys.argv[2]))
"""


def built(tree: Path, kind: str, folder: Path) -> Path:
    """What the build backend makes of a source tree."""
    done = subprocess.run([sys.executable, "-c", BUILD, f"build_{kind}", str(folder)], cwd=tree,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module", params=["sdist", "editable"])
def python(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the package in it, installed one way or another."""
    folder = tmp_path_factory.mktemp(request.param)
    tree = folder / "tree"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "tests", "docs")
    shutil.copytree(root, tree, ignore=left_out)
    kind = request.param
    if kind == "sdist":  # what pip does with one: a wheel made of it, which is installed
        with tarfile.open(built(tree, "sdist", folder)) as archive:
            archive.extractall(folder)
        tree, kind = next(found for found in folder.glob("darkfuse-*") if found.is_dir()), "wheel"
    wheel = built(tree, kind, folder)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    return python


def lines_refused(command: list[str], python: Path, folder: Path) -> set[int]:
    """Lines of the program that a checker says something against."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    ours = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run([*command, str(program)], cwd=folder, env=ours, capture_output=True, text=True)
    said = [line for line in done.stdout.splitlines() if "program.py:" in line and "error" in line]
    assert said, done.stdout + done.stderr
    return {int(line.split("program.py:")[1].split(":")[0]) for line in said}


def test_mypy_sees_it(python: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--python-executable", str(python), "--ignore-missing-imports",
               "--cache-dir", str(tmp_path / "cache")]
    assert lines_refused(command, python, tmp_path) == WRONG


def test_pyright_sees_it(python: Path, tmp_path: Path) -> None:
    if not importlib.util.find_spec("pyright"):
        pytest.skip("pyright is not installed")
    if subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True).returncode:
        pytest.skip("pyright cannot fetch itself")
    command = [sys.executable, "-m", "pyright", "--pythonpath", str(python)]
    assert lines_refused(command, python, tmp_path) == WRONG
