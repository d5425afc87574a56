"""A near miss gets a suggestion: verbs, options, their values, files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import darkfuse
from darkfuse.cli.main import main
from darkfuse.errors import DarkfuseError, ImageError


@pytest.fixture
def folder(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for file in ("cfg/darkfuse-voc7.cfg", "weights/darkfuse-voc7.weights", "docs/images/cat.jpg"):
        shutil.copy(root / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("line", "said"), [
    ("detect cta.jpg", "cta.jpg: cannot read the picture: No such file or directory; did you mean cat.jpg?"),
    ("detect darkfuse-voc7.cfg darkfuse-voc.weights cat.jpg", "did you mean darkfuse-voc7.weights?"),
    ("detect darkfuse-vco7.cfg cat.jpg", "no such cfg file; did you mean darkfuse-voc7.cfg?"),
    ("plan yolov2", "yolov2: no such cfg file; did you mean yolov2.cfg?"),
    ("detect cat.jpg --dialect alexey", "did you mean alexeyab?"),
    ("plan yolov2.cfg --device rpi44", "did you mean rpi4?"),
    ("download yolov3-tinny", "did you mean yolov3-tiny?"),
    ("completion bsh", "did you mean bash?"),
    ("detect cat.jpg --nodraw", "did you mean --no-draw?"),
    ("detect darkfuse-voc7.weights darkfuse-voc7.cfg cat.jpg", "name the .cfg these weights belong to"),
    ("detect darkfuse-voc7.cfg notes.txt cat.jpg", "notes.txt: neither weights nor a picture"),
    ("detect https://example.com/cat.jpg", "addresses are not fetched"),
    ("map darkfuse-voc7.cfg darkfuse-voc7.weights labelled", "labelled: there is no such file or folder"),
])
def test_a_near_miss(line: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "notes.txt").write_text("hello")
    try:
        status = main(line.split())
    except SystemExit as end:
        status = int(end.code or 0)
    printed = capsys.readouterr()
    assert status == 2 and said in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_out_that_says_json_is_darknets(folder: Path) -> None:
    assert main(["detect", "cat.jpg", "-out", "result.json", "--no-draw"]) == 0
    assert (folder / "result.json").read_text().startswith("[") and not (folder / "result.json.jpg").exists()


def test_callers_are_told(folder: Path) -> None:
    with pytest.raises(DarkfuseError, match="these are weights; the .cfg goes first"):
        darkfuse.load("darkfuse-voc7.weights", "darkfuse-voc7.cfg")
    with darkfuse.load() as net:
        assert repr(net).startswith("<Network ") and "7 names" in repr(net)
        with pytest.raises(ImageError, match="None is what cv2.imread gives"):
            net.detect(None, bgr=True)
        with pytest.raises(ImageError, match="^7 bytes given as a picture: not a JPEG"):
            net.detect(b"nothing")
        with pytest.raises(DarkfuseError, match="thresh=50 is not between 0 and 1"):
            net.detect("cat.jpg", thresh=50)
        found = net.detect("cat.jpg")
        assert "cat" in found and "cow" not in found and found[0] in found and found[:1] == (found[0],)
