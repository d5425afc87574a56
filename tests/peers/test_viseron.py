"""The calls of Viseron's Darknet component, in its order, in a program that is not changed by a line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (pip install opencv-python)")

PROGRAM = """
import sys
import cv2
import numpy as np

config, weights, names, photo = sys.argv[1:]
labels = open(names).read().rstrip("\\n").split("\\n")
net = cv2.dnn.readNet(weights, config, "darknet")
net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
model = cv2.dnn_DetectionModel(net)
model.setInputParams(size=(416, 416), scale=1 / 255)
frame = cv2.imread(photo)
for given in (frame, cv2.UMat(frame)):
    ids, scores, boxes = model.detect(given, 0.5, 0.4)
    assert isinstance(ids, np.ndarray) and len(ids) == len(scores) == len(boxes)
    found = sorted((labels[int(i)], [int(v) for v in box]) for i, box in zip(np.array(ids).flatten(), boxes))
    print(found)
"""


def test_viserons_calls_find_what_is_there(root: Path, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    models = shared / "models"
    done = subprocess.run(
        [sys.executable, "-m", "darkfuse.cv2", str(tmp_path / "program.py"), str(models / "yolov4-tiny.cfg"),
         str(models / "yolov4-tiny.weights"), str(models / "coco.names"), str(shared / "images" / "dog.jpg")],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second and [name for name, _ in ast.literal_eval(first)] == ["bicycle", "dog", "truck"]
