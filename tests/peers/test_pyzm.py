"""ZoneMinder's pyzm, as PyPI has it, finds what is in a photo through the importer that OpenCV 5 has not."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (pip install opencv-python)")
pytestmark = pytest.mark.skipif(hasattr(cv2.dnn, "readNetFromDarknet"), reason="this OpenCV has the importer")

PROGRAM = """\
import sys
from pyzm import Detector
from pyzm.models.config import ModelConfig

cfg, weights, names, photo = sys.argv[1:]
detector = Detector(models=[ModelConfig(name="tiny", config=cfg, weights=weights, labels=names)])
found = detector.detect(photo)
print([(d.label, round(float(d.confidence), 3), d.bbox.as_list()) for d in found.detections])
"""
RESTORED = "import sys, runpy, darkfuse; darkfuse.restore(); sys.argv.pop(0); runpy.run_path(sys.argv[0])"


@pytest.fixture(scope="module", params=["pyzm==2.5.2", "pyzm"])
def pyzm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What was asked for, and the folder it is installed in."""
    folder = tmp_path_factory.mktemp("pyzm")
    words = ["-m", "pip", "install", "-q", "--target", str(folder), request.param, "portalocker"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{request.param} is not to be had: {done.stderr.strip().splitlines()[-1:]}")
    return request.param, folder


def test_pyzm_detects_on_opencv_5(pyzm: tuple[str, Path], root: Path, shared: Path, tmp_path: Path) -> None:
    asked, folder = pyzm
    (tmp_path / "program.py").write_text(PROGRAM)
    files = ("models/yolov4-tiny.cfg", "models/yolov4-tiny.weights", "models/coco.names", "images/dog.jpg")
    words = [str(tmp_path / "program.py"), *(str(shared / file) for file in files)]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{folder}"}

    def run(*start: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *start, *words], env=environment, cwd=tmp_path,
                              capture_output=True, text=True, timeout=300)

    bare = run()  # the program as it is, without us
    assert bare.returncode or "[]" in bare.stdout
    done = run("-c", RESTORED) if "==" in asked else run("-m", "darkfuse.cv2", "--as", "4.14")
    assert done.returncode == 0, done.stderr
    found = ast.literal_eval(done.stdout.splitlines()[-1])
    assert sorted(label for label, _, _ in found) == ["bicycle", "dog", "truck"], found
    _, confidence, box = next(one for one in found if one[0] == "dog")
    assert confidence > 0.7
    assert all(abs(a - b) < 15 for a, b in zip(box, (137, 206, 317, 538))), box  # the fork's own box
