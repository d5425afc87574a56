"""What `detect` takes, and what a `Result` can do."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkfuse
from darkfuse.detect.types import Box, Detection, Result

CAT, DOG = Box(0.5, 0.5, 0.2, 0.4), Box(0.2, 0.3, 0.1, 0.1)
RESULT = Result((Detection(0, "cat", 0.9, CAT), Detection(1, "dog", 0.6, DOG), Detection(0, "cat", 0.5, DOG)),
                200, 100, "x.jpg", 0.1)


def test_it_is_a_sequence_that_says_what_it_holds() -> None:
    assert len(RESULT) == 3 and [d.name for d in RESULT] == ["cat", "dog", "cat"]
    assert RESULT[0].name == "cat" and RESULT[-1].confidence == 0.5
    assert repr(RESULT) == "<Result of x.jpg, 200x100: cat 90%, dog 60%, cat 50%>"
    assert RESULT.counts() == {"cat": 1, "dog": 1}


def test_filter_by_name_number_and_score() -> None:
    assert RESULT.filter("cat").confidence == [0.9, 0.5] == RESULT.filter([0]).confidence
    assert RESULT.filter(min=0.55).names == ["cat", "dog"]
    assert len(RESULT.filter(["dog"], 0.7)) == 0


def test_other_programs_forms() -> None:
    rows = list(csv.reader(io.StringIO(RESULT.to_csv())))
    assert rows[0][:3] == ["class_id", "name", "confidence"] and len(rows) == 4
    assert [float(v) for v in rows[1][3:]] == [80, 30, 120, 70]
    assert json.loads(RESULT.to_json()) == json.loads(json.dumps(RESULT.to_dict()))
    found = RESULT.to_coco(7)[0]
    assert found["image_id"] == 7 and found["bbox"] == pytest.approx([80, 30, 40, 40])
    assert RESULT.to_yolo() == "0 0.5000 0.5000 0.2000 0.4000\n1 0.2000 0.3000 0.1000 0.1000\n"
    for name in ("pandas", "supervision"):
        try:
            __import__(name)
        except ImportError:
            with pytest.raises(darkfuse.DarkfuseError, match=f"pip install {name}"):
                getattr(RESULT, f"to_{name}")()
        else:
            assert len(getattr(RESULT, f"to_{name}")()) == 3


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (120, 160, 3)).astype(np.uint8)).save(path)
    return path


def test_a_picture_may_come_in_any_form(photo: Path) -> None:
    image = Image.open(photo).convert("RGB")
    array = np.asarray(image)
    with darkfuse.load() as net:
        seen = net.detect(photo, 0.01)
        others = [net.detect(photo.read_bytes(), 0.01), net.detect(image, 0.01), net.detect(array, 0.01),
                  net.detect(np.ascontiguousarray(array[..., ::-1]), 0.01, bgr=True)]
        with open(photo, "rb") as file:
            others.append(net.detect(file, 0.01))
        assert len(seen) and all(other.detections == seen.detections for other in others)
        assert seen.path == str(photo) and {other.path for other in others} == {""}
        several = net.detect([photo, array], 0.01)
        assert next(several).detections == next(several).detections == seen.detections
        assert len(list(net.detect((p for p in [photo] * 3), 0.01))) == 3
        for result in (seen, *others):
            drawn = result.plot()
            assert drawn.size == (160, 120) and len(result.crop()) == len(result)
            assert np.abs(np.asarray(drawn, int) - array).sum() > 0
        assert (seen._repr_png_() or b"").startswith(b"\x89PNG")
        out = seen.save(photo.with_name("out"))
        assert Image.open(out).size == (160, 120)
        with pytest.raises(darkfuse.DarkfuseError, match="binary"):
            net.detect(io.StringIO("x"))
        with pytest.raises(darkfuse.DarkfuseError, match="bgr"):
            net.detect(array[..., 0], bgr=True)


def test_bgr_pictures_are_drawn_in_their_own_colours(photo: Path) -> None:
    array = np.asarray(Image.open(photo).convert("RGB"))
    with darkfuse.load() as net:
        result = net.detect(array[..., ::-1].copy(), 0.99, bgr=True)
    np.testing.assert_array_equal(np.asarray(result.plot()), array)


def test_a_film_is_a_stream_of_results(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    film = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(film, cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for shade in range(5):
        writer.write(np.full((48, 64, 3), shade * 50, np.uint8))
    writer.release()
    with darkfuse.load() as net:
        assert [(r.width, r.height) for r in net.stream(film)] == [(64, 48)] * 5
        with pytest.raises(darkfuse.DarkfuseError, match="none.avi"):
            next(net.stream("none.avi"))


FILMED = """
import sys, darkfuse
from darkfuse.host.process import peak_rss_bytes
net = darkfuse.load(mem=sys.argv[1])
frames = sum(1 for _ in net.stream(sys.argv[2]))
print(frames, peak_rss_bytes())
"""


def test_a_film_stays_within_the_budget(root: Path, tmp_path: Path) -> None:
    """OpenCV comes when a film is opened, after the plan: the network is planned for what it leaves."""
    pytest.importorskip("cv2", reason="films need OpenCV")
    from video import make_video

    film = make_video(tmp_path / "film.avi", 5, size=(640, 480))
    done = [subprocess.run([sys.executable, "-c", FILMED, mem, str(film)], cwd=root, capture_output=True,
                           text=True) for mem in ("96M", "40M")]
    frames, peak = map(int, done[0].stdout.split())
    assert frames == 5 and peak <= 96 << 20
    assert done[1].returncode == 1 and "for Python, OpenCV and the video" in done[1].stderr.splitlines()[-1]
