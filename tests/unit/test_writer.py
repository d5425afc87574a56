"""Films are written whole or not at all, under both endings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkfuse.errors import ImageError

cv2 = pytest.importorskip("cv2", reason="films need OpenCV")


@pytest.mark.parametrize("ending", ["mp4", "avi"])
def test_a_film_is_written_whole(ending: str, tmp_path: Path) -> None:
    from darkfuse.media.writer import Writer

    path = tmp_path / f"film.{ending}"
    with Writer(str(path), 64, 48, 10.0, timed=False) as film:
        for number in range(7):
            film.add(np.full((48, 64, 3), 30 * number, np.uint8), number / 10)
        assert not path.exists()
    video, levels = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = video.read()
        if not good:
            break
        levels.append(float(frame.mean()))
    assert len(levels) == 7 and levels == sorted(levels)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_film_with_frames_missing_is_not_kept(tmp_path: Path) -> None:
    from darkfuse.media.writer import Writer

    (tmp_path / "film.avi").write_text("the one before")
    film = Writer(str(tmp_path / "film.avi"), 64, 48, 10.0, timed=False)
    film.add(np.zeros((48, 64, 3), np.uint8), 0.0)
    film.frames = 5  # as though the encoder had left out four
    with pytest.raises(ImageError, match="film.avi: cannot write the video: .*with 1 of 5 frames"):
        film.close()
    assert (tmp_path / "film.avi").read_text() == "the one before" and len(list(tmp_path.iterdir())) == 1


def test_other_endings_are_refused(tmp_path: Path) -> None:
    from darkfuse.media.writer import Writer

    with pytest.raises(ImageError, match="name it .mp4 or .avi"):
        Writer(str(tmp_path / "film.mkv"), 64, 48, 10.0, timed=False)
