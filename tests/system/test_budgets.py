"""A budget never changes an answer: the same boxes from the least memory to all there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from darkfuse.host.units import format_bytes, parse_bytes

pytestmark = pytest.mark.slow

ORIENTATION = 0x0112  # EXIF's tag

# In a process of its own: a budget is of all a process takes. Numbers in hexadecimal, to the last bit.
DETECT = """
import json, sys
import darkfuse
from darkfuse.host.process import peak_rss_bytes

cfg, weights, mem, exact, size, *photos = sys.argv[1:]
with darkfuse.load(cfg, weights or None, mem=mem, exact=exact == "exact", threads=1,
                   width=int(size) or None, height=int(size) or None) as net:
    found = [[[d.class_id, float(d.confidence).hex(), *(float(v).hex() for v in d.box)]
              for d in net.detect(photo, thresh=0.1).detections] for photo in photos]
print(json.dumps({"boxes": found, "total": net.budget.total, "peak": peak_rss_bytes()}))
"""


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """dog, kite, and a photo of 12 megapixels as a phone would store it: the dog again, lying on its side in
    the file, with the EXIF tag that turns it."""
    large = tmp_path_factory.mktemp("photos") / "large.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned to the right
    with Image.open(shared / "images" / "dog.jpg") as dog:
        lying = dog.resize((4000, 3000), Image.Resampling.BICUBIC).transpose(Image.Transpose.ROTATE_90)
        lying.save(large, quality=92, exif=exif)
    return [str(shared / "images" / "dog.jpg"), str(shared / "images" / "kite.jpg"), str(large)]


def detect(root: Path, cfg: str, weights: str, mem: str, exact: str, size: int, photos: list[str]) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    words = [sys.executable, "-c", DETECT, cfg, weights, mem, exact, str(size), *photos]
    run = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, f"{mem}: {run.stderr}"
    answer = json.loads(run.stdout)
    assert answer["total"] is None or answer["peak"] <= answer["total"], f"{mem}: took {answer['peak']}"
    return answer


MODELS = {"shipped": 0, "yolov3-tiny": 0, "yolov4-tiny": 0, "yolov2": 416}


@pytest.mark.parametrize("exact", ["exact", ""])
@pytest.mark.parametrize("model", MODELS)
def test_boxes_are_the_same_at_every_budget(
    root: Path, shared: Path, photos: list[str], reference_weights, model: str, exact: str
) -> None:
    if model == "shipped":
        cfg, weights = str(root / "cfg" / "darkfuse-voc7.cfg"), ""
    else:
        cfg, weights = str(shared / "models" / f"{model}.cfg"), str(reference_weights(model))

    def found(mem: str) -> Any:
        return detect(root, cfg, weights, mem, exact, MODELS[model], photos)

    expected = found("resident")["boxes"]
    assert all(expected)
    if model != "yolov2":  # trained, not random: what is on the photo scaled up is what is on the photo
        label, score = expected[2][0][:2]
        assert float.fromhex(score) > 0.5 and label == expected[0][0][0]
    least = found("min")
    budgets = [least["total"], *(int(least["total"] * factor) for factor in (1.1, 1.3, 1.7, 2.5, 4, 8))]
    if exact == "":
        budgets = budgets[1::2]
    for answer in (least, *(found(str(budget)) for budget in budgets)):
        if exact:
            assert answer["boxes"] == expected, format_bytes(answer["total"])
        else:
            assert close(answer["boxes"], expected), format_bytes(answer["total"])


def close(some: Any, others: Any) -> bool:
    """The same boxes, each number within 1e-4; but for those whose score is that near the threshold."""
    for one, other in zip(some, others):
        one, other = ([[label, *map(float.fromhex, numbers)] for label, *numbers in boxes]
                      for boxes in (one, other))
        for these, those in ((one, other), (other, one)):
            for box in these:
                same = any(box[0] == b[0] and all(abs(x - y) <= 1e-4 for x, y in zip(box[1:], b[1:]))
                           for b in those)
                if not same and box[1] > 0.1 + 1e-4:
                    return False
    return True


@pytest.mark.parametrize("mem", ["19M", "20M", "24M", "32M", "48M"])
@pytest.mark.parametrize("model", ["yolov4-tiny", "yolov3-tiny"])
def test_a_list_of_photos_keeps_to_the_budget_too(
    root: Path, shared: Path, photos: list[str], reference_weights, tmp_path: Path, model: str, mem: str
) -> None:
    """Several pictures share each read of weights then, by a team of two, and threads that read ahead."""
    report = tmp_path / "report.json"
    words = [str(shared / "models" / f"{model}.cfg"), str(reference_weights(model)), *photos[:2], photos[0]]
    words += ["--mem", mem, "--threads", "2", "--no-draw", "--json", str(report)]
    run = subprocess.run([sys.executable, "-m", "darkfuse", "detect", *words], cwd=root, capture_output=True,
                         text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    stats = [picture["stats"] for picture in json.loads(report.read_text())]
    assert max(one["peak_rss_bytes"] for one in stats) <= parse_bytes(mem)
