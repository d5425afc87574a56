"""Run by a Python whose OpenCV still reads Darknet files: networks in a folder, answers into it.

    python opencv4_answers.py FOLDER

For every `x.cfg` with `x.weights` and `x.npy` (the input, channels first) it writes `x.answer.npy`, the
values of the last layer. Where there is `x.layers`, OpenCV's names of layers, it writes `x.answer.npz` with
the values of those instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

for cfg in sorted(Path(sys.argv[1]).glob("*.cfg")):
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(cfg.with_suffix(".weights")))
    net.setInput(np.load(cfg.with_suffix(".npy"))[None])
    names = cfg.with_suffix(".layers")
    if names.exists():
        layers = names.read_text().split()
        np.savez(cfg.with_suffix(".answer.npz"), **dict(zip(layers, net.forward(layers))))
    else:
        np.save(cfg.with_suffix(".answer.npy"), net.forward())
