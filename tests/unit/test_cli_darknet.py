"""Darknet's own commands and flags: what becomes of them, and what is printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from darkfuse.cli.darknet import translated
from darkfuse.cli.main import main
from darkfuse.detect.report import alexeyab_lines, film_lines, label_lines
from darkfuse.detect.types import Box, Detection, Result
from darkfuse.errors import DarkfuseError


@pytest.mark.parametrize(("theirs", "ours"), [
    ("detector test coco.data x.cfg x.weights dog.jpg -i 0 -thresh .25 -ext_output -dont_show -out r.json",
     "detect --words alexeyab coco.data x.cfg x.weights dog.jpg -thresh .25 -ext_output -dont_show "
     "--json r.json"),
    ("detector demo coco.data x.cfg x.weights film.mp4 -out_filename o.avi -mjpeg_port 8090",
     "demo --words alexeyab coco.data x.cfg x.weights film.mp4 --out o.avi --http 0.0.0.0:8090"),
    ("detector demo coco.data x.cfg x.weights film.mp4 -prefix out -json_port 8070 -dont_show",
     "demo --words alexeyab coco.data x.cfg x.weights film.mp4 -prefix out --json-port 0.0.0.0:8070 "
     "-dont_show"),
    ("detector demo coco.data x.cfg x.weights -c 1",
     "demo --words alexeyab coco.data x.cfg x.weights --camera 1"),
    ("detector map coco.data x.cfg x.weights -thresh .3 -iou_thresh .75 -points 11",
     "map --words alexeyab coco.data x.cfg x.weights --conf-thresh .3 -iou_thresh .75 -points 11"),
    ("detector test -i 0 x.data -thresh 0.3 x.cfg -out r.json x.weights a.jpg",
     "detect --words alexeyab x.data -thresh 0.3 x.cfg --json r.json x.weights a.jpg"),
    ("detector valid coco.data x.cfg x.weights -out mine", "valid coco.data x.cfg x.weights --out mine"),
    ("detector recall coco.data x.cfg x.weights", "recall coco.data x.cfg x.weights"),
    ("detector calc_anchors coco.data -num_of_clusters 9 -width 416 -height 416",
     "anchors coco.data -num_of_clusters 9 -width 416 -height 416"),
    ("classifier valid i.data x.cfg x.weights", "valid i.data x.cfg x.weights"),
    ("classifier predict i.data x.cfg x.weights dog.jpg",
     "classify --words alexeyab i.data x.cfg x.weights dog.jpg"),
    ("detect x.cfg x.weights dog.jpg", "detect x.cfg x.weights dog.jpg"),
])
def test_commands_become_ours(theirs: str, ours: str) -> None:
    assert translated(theirs.split()) == ours.split()


@pytest.mark.parametrize(("words", "says"), [
    ("detector train coco.data x.cfg", "training is Darknet's"),
    ("classifier demo a.data x.cfg", "classifier predict"),
])
def test_what_there_is_not_is_said(words: str, says: str) -> None:
    with pytest.raises(DarkfuseError, match=says):
        translated(words.split())


@pytest.mark.parametrize(("words", "says"), [
    (["detcet", "x.jpg"], "did you mean detect?"),
    (["detect", "x.jpg", "--tresh", ".5"], "did you mean --thresh?"),
    (["detect", "yolov4.cgf", "dog.jpg"], "yolov4.cgf: neither a .cfg nor a picture"),
    (["detector", "tets", "x.data"], "detector tets: darkfuse has detector test, demo, map, valid, recall, "
                                     "calc_anchors; did you mean test?"),
])
def test_a_near_miss_gets_a_suggestion(words: list[str], says: str, capsys) -> None:
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert status == 2 and says in printed.err and not printed.out


def timeless(text: str) -> str:
    return re.sub(r"[\d.]+ milli", "N milli", text)


@pytest.fixture
def fork(root: Path) -> Path:
    shared = root.parent / "shared"
    if not (shared / "golden").exists():
        pytest.skip("../shared is not there")
    return shared


def test_the_forks_own_boxes_are_printed_word_for_word(fork: Path) -> None:
    frames = json.loads((fork / "golden" / "alexeyab-yolov4-tiny.json").read_text())
    found = []
    for thing in next(f for f in frames if f["filename"] == "dog.jpg")["objects"]:
        box = Box(*(thing["relative_coordinates"][k] for k in ("center_x", "center_y", "width", "height")))
        found.append(Detection(thing["class_id"], thing["name"], thing["confidence"], box))
    printed = "\n".join(alexeyab_lines(Result(tuple(found), 768, 576, "dog.jpg"), True)) + "\n"
    theirs = (fork / "golden" / "alexeyab-yolov4-tiny-dog.stdout.txt").read_text()
    assert timeless(printed) == timeless(theirs)


def test_the_command_repeats_the_fork(fork: Path, tmp_path: Path) -> None:
    """Word for word, and the numbers it writes to its JSON to their last digit but one."""
    data = tmp_path / "coco.data"
    data.write_text(f"classes=80\nnames={fork / 'models' / 'coco.names'}\n")
    model = fork / "models" / "yolov4-tiny"
    weights = tmp_path / "yolov4-tiny_last"  # any ending will do
    weights.symlink_to(f"{model}.weights")
    command = [sys.executable, "-m", "darkfuse", "detector", "test", str(data), f"{model}.cfg", str(weights)]
    rest = ["-ext_output", "-dont_show", "-out", str(tmp_path / "r.json"), "--no-draw"]
    done = subprocess.run([*command, "dog.jpg", *rest], cwd=fork / "images", capture_output=True, text=True)
    theirs = (fork / "golden" / "alexeyab-yolov4-tiny-dog.stdout.txt").read_text()
    assert timeless(done.stdout) == timeless(theirs), done.stderr
    frames = json.loads((fork / "golden" / "alexeyab-yolov4-tiny.json").read_text())
    names = "".join(frame["filename"] + "\n" for frame in frames)
    subprocess.run([*command, "-", *rest], cwd=fork / "images", input=names, text=True, check=True,
                   capture_output=True)
    ours = json.loads((tmp_path / "r.json").read_text())
    for own, frame in zip(ours, frames):
        boxes = [sorted((o["class_id"], -o["confidence"], *o["relative_coordinates"].values())
                        for o in one["objects"]) for one in (own, frame)]
        assert len(boxes[0]) == len(boxes[1])
        assert max(abs(a - b) for mine, other in zip(*boxes) for a, b in zip(mine, other)) <= 5e-6


def test_labels_are_saved_as_darknet_trains_on_them() -> None:
    right, left = Box(0.8, 0.5, 0.1, 0.2), Box(0.3, 0.5, 0.2, 0.2)
    result = Result((Detection(2, "cat", 0.9, right), Detection(5, "dog", 0.8, left),
                     Detection(1, "fox", 0.7, left)), 100, 200, "x.jpg", 0.5)
    assert label_lines(result) == ["2 0.8000 0.5000 0.1000 0.2000", "5 0.3000 0.5000 0.2000 0.2000"]
    assert alexeyab_lines(result) == ["x.jpg: Predicted in 500.000000 milli-seconds.", "dog: 80%", "fox: 70%",
                                      "cat: 90%"]


def test_frames_of_a_film_are_printed_as_the_fork_does() -> None:
    box, edge = Box(0.5, 0.5, 0.2, 0.1), Box(0.02, 0.9, 0.1, 0.3)
    result = Result((Detection(7, "truck", 0.7, box), Detection(2, "car", 0.25, box),
                     Detection(0, "person", 0.5, edge)), 768, 576, "", 0.5)
    assert film_lines(result, False, 4.26, 3.0) == [
        "Objects:", "", "truck: 70% , car: 25% ", "person: 50% ", "", "FPS:4.3 \t AVG_FPS:3.0"]
    assert film_lines(result, True, 1.0, 1.0)[2:4] == [
        "truck: 70% , car: 25% \t(left_x:  307   top_y:  259   width:  154   height:   58)",
        "person: 50% \t(left_x:    0   top_y:  432   width:   77   height:  173)"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_verbs_and_options(shell: str, capsys) -> None:
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "detect" in text and ("--thresh" in text or "-l thresh" in text)
    if shell == "bash":
        for typed, offered in (("det", "detect detector"), ("detector ca", "calc_anchors"),
                               ("detector test -ext", "-ext_output"), ("plan --wha", "--what-if")):
            line = f"COMP_WORDS=(darkfuse {typed}); COMP_CWORD={len(typed.split())}; _darkfuse"
            done = subprocess.run(["bash", "-c", f'{text}\n{line}; echo "${{COMPREPLY[@]}}"'],
                                  capture_output=True, text=True)
            assert done.stdout == offered + "\n"
