"""`darkfuse.dnn` against `cv2.dnn` of OpenCV 4, call by call and value by value.

OpenCV 5 has no Darknet importer, so the other side is an interpreter of its own, named by DARKFUSE_CV4:

    python -m venv cv4 && cv4/bin/pip install 'opencv-python<5'
    DARKFUSE_CV4=cv4/bin/python python -m pytest tests/peers/test_dnn.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkfuse.graph import load_graph
from darkfuse.graph.weights import weight_offsets
from tools.make_weights import make_weights

CV4 = os.environ.get("DARKFUSE_CV4", "")
SCRIPT = Path(__file__).with_name("dnn_script.py")
REAL = ("yolov3-tiny", "yolov4-tiny", "yolov2-lite-coco")
MADE = ("yolov2-tiny", "yolov7-tiny", "enet-coco")
pytestmark = pytest.mark.skipif(not CV4, reason="DARKFUSE_CV4 names no Python with OpenCV 4")

DARKNET19 = [32, "m", 64, "m", 128, -64, 128, "m", 256, -128, 256, "m", 512, -256, 512, -256, 512, "m",
             1024, -512, 1024, -512, 1024]


def darknet19() -> str:
    """The cfg of Darknet-19; negative filters are 1x1."""
    parts = ["[net]\nwidth=224\nheight=224\nchannels=3\n"]
    for layer in DARKNET19:
        parts.append("[maxpool]\nsize=2\nstride=2\n" if isinstance(layer, str) else
                     f"[convolutional]\nbatch_normalize=1\nfilters={abs(layer)}\n"
                     f"size={3 if layer > 0 else 1}\n"
                     "stride=1\npad=1\nactivation=leaky\n")
    parts.append("[convolutional]\nfilters=1000\nsize=1\nstride=1\npad=1\nactivation=linear\n")
    return "\n".join([*parts, "[avgpool]\n", "[softmax]\ngroups=1\n"])


def model(name: str, root: Path, folder: Path) -> tuple[Path, Path]:
    """cfg and weights: real ones of `../shared`, else made up."""
    shared = root.parent / "shared" / "models"
    if name in REAL:
        if not (shared / f"{name}.weights").exists():
            pytest.skip("../shared is not there")
        return shared / f"{name}.cfg", shared / f"{name}.weights"
    cfg, weights = folder / f"{name}.cfg", folder / f"{name}.weights"
    text = darknet19() if name == "darknet19" else (root / "cfg" / f"{name}.cfg").read_text()
    cfg.write_text(text)
    graph = load_graph(str(cfg))
    make_weights(graph, str(weights))
    values = np.memmap(weights, np.float32, "r+", offset=20)
    for node, at in zip(graph.nodes, weight_offsets(graph, str(weights)).offsets):
        before_boxes = any(graph.node(reader).kind == "yolo" for reader in graph.consumers(node.index))
        if at is not None and node.weights is not None and before_boxes:
            start = (at - 20) // 4  # scores near 1 are equal in float32: which class is best would be chance
            values[start : start + node.weights.total] *= 0.1
    values.flush()
    return cfg, weights


@pytest.mark.slow
@pytest.mark.parametrize("name", [*REAL, *MADE, "darknet19"])
def test_every_call_returns_what_opencv_returns(name: str, root: Path, tmp_path: Path) -> None:
    if name in MADE and not (root / "cfg" / f"{name}.cfg").exists():
        pytest.skip(f"cfg/{name}.cfg is not there")
    cfg, weights = model(name, root, tmp_path)
    photo = root.parent / "shared" / "images" / "dog.jpg"
    if photo.exists():
        image = np.array(Image.open(photo))[..., ::-1].copy()
    else:
        image = np.random.default_rng(3).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    np.save(tmp_path / "image.npy", image)
    answers = {}
    for python, library in ((CV4, "cv2"), (sys.executable, "darkfuse")):
        out = tmp_path / f"{library}.npz"
        subprocess.run([python, str(SCRIPT), library, str(cfg), str(weights), str(tmp_path / "image.npy"),
                        str(out)], check=True, cwd=root)
        answers[library] = np.load(out)
    theirs, ours = answers["cv2"], answers["darkfuse"]
    assert set(ours.files) == set(theirs.files)  # names hold the types too
    assert len(ours.files) >= 50
    compared, largest = 0, 0.0
    for key in theirs.files:
        a, b = theirs[key], ours[key]
        if name in MADE and key.startswith("detect"):
            # Hundreds of boxes of made-up weights score alike to the last bit: their order is chance, and
            # is compared with the real weights. Here what was found is, each of ids, scores and boxes.
            a, b = (np.array(sorted(values.tolist()), values.dtype) for values in (a, b))
        assert (a.shape, a.dtype) == (b.shape, b.dtype), key
        compared += a.size
        if a.dtype.kind == "f" and a.size:
            largest = max(largest, float(np.abs(a - b).max()))
        if a.dtype.kind == "f":
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-4, err_msg=key)
        else:
            np.testing.assert_array_equal(b, a, err_msg=key)
    print(f"{name}: {len(theirs.files)} calls, {compared:,} values, largest difference {largest:.1e}")


RESTORED = """
import sys, darkfuse
net = darkfuse.restore().dnn.readNetFromDarknet(*sys.argv[1:])
print(type(net).__module__.partition(".")[0])
"""


@pytest.mark.parametrize("mem, whose", [("", "cv2"), ("512M", "darkfuse")])
def test_opencv_4_keeps_its_importer_unless_a_budget_is_named(
    root: Path, shared: Path, mem: str, whose: str
) -> None:
    files = [str(shared / "models" / f"yolov3-tiny.{kind}") for kind in ("cfg", "weights")]
    environment = {**os.environ, "PYTHONPATH": str(root), "DARKFUSE_MEM": mem}
    done = subprocess.run([CV4, "-c", RESTORED, *files], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [whose], done.stderr
