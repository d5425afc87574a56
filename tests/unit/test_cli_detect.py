"""`darkfuse detect` as people run it: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from darkfuse.cli.detect import list_pictures, sort_files
from darkfuse.errors import DarkfuseError
from darkfuse.graph import load_graph
from tools.make_weights import make_weights


@pytest.fixture(scope="session")
def darkfuse(command):
    """Runs `darkfuse detect`."""
    return partial(command, "darkfuse", "detect")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with cfg/small.cfg, weights/small.weights and two photos."""
    (tmp_path / "cfg").mkdir()
    (tmp_path / "weights").mkdir()
    cfg = tmp_path / "cfg" / "small.cfg"
    cfg.write_text("""[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=14
size=1
activation=linear

[region]
anchors=1.5,2.0, 3.0,2.5
classes=2
num=2
softmax=1
""")
    (tmp_path / "cfg" / "small.names").write_text("left\nright\n")
    make_weights(load_graph(str(cfg)), str(tmp_path / "weights" / "small.weights"), 3)
    for number, name in enumerate(("a.jpg", "b.png")):
        Image.radial_gradient("L").convert("RGB").resize((90 + 40 * number, 70)).save(tmp_path / name)
    return tmp_path


def test_prints_darknets_words_and_draws(tiny: Path, darkfuse) -> None:
    run = darkfuse("cfg/small.cfg", "a.jpg", "-thresh", ".01", cwd=tiny)
    assert run.returncode == 0, run.stderr
    first, *rest = run.stdout.splitlines()
    words = first.split()
    assert words[:3] == ["a.jpg:", "Predicted", "in"] and float(words[3]) > 0 and words[4] == "seconds."
    assert rest and all(line.rsplit(": ", 1)[0] in ("left", "right") and line.endswith("%") for line in rest)
    assert Image.open(tiny / "predictions.jpg").size == (90, 70)
    assert run.stderr == ""


def test_json_form_and_statistics(tiny: Path, darkfuse) -> None:
    run = darkfuse(
        "cfg/small.cfg",
        "weights/small.weights",
        "a.jpg",
        "b.png",
        "--json",
        "out.json",
        "--thresh",
        "0.01",
        "--no-draw",
        "--stats",
        "--threads",
        "2",
        cwd=tiny,
    )
    assert run.returncode == 0, run.stderr
    frames = json.loads((tiny / "out.json").read_text())
    assert [(f["frame_id"], f["filename"]) for f in frames] == [(1, "a.jpg"), (2, "b.png")]
    for frame in frames:
        assert frame["objects"]
        for thing in frame["objects"]:
            assert set(thing) == {"class_id", "name", "relative_coordinates", "confidence"}
            assert set(thing["relative_coordinates"]) == {"center_x", "center_y", "width", "height"}
            assert thing["name"] == ("left", "right")[thing["class_id"]] and 0.01 < thing["confidence"] <= 1
        stats = frame["stats"]
        assert set(stats) == {"latency_ms", "arena_bytes", "peak_rss_bytes", "bytes_read", "macs"}
        assert stats["macs"] == load_graph(str(tiny / "cfg" / "small.cfg")).macs
        assert stats["latency_ms"] > 0 and stats["arena_bytes"] > 0 and stats["peak_rss_bytes"] > 1 << 20
    assert "multiply-adds" in run.stdout
    assert not (tiny / "predictions").exists() and not list(tiny.glob("*.part"))


def test_json_on_standard_output_stands_alone(tiny: Path, darkfuse) -> None:
    run = darkfuse("cfg/small.cfg", "a.jpg", "--json", "-", "--stats", cwd=tiny)
    assert len(json.loads(run.stdout)) == 1 and "multiply-adds" in run.stderr


def test_folder_list_and_standard_input(tiny: Path, darkfuse) -> None:
    photos = tiny / "photos"
    photos.mkdir()
    shutil.move(tiny / "a.jpg", photos)
    shutil.move(tiny / "b.png", photos)
    (photos / "notes.txt").write_text("no picture, and not named like one")
    folder = darkfuse("cfg/small.cfg", "photos", "-out", "drawn", cwd=tiny)
    assert folder.returncode == 0, folder.stderr
    heads = [line.split(":")[0] for line in folder.stdout.splitlines() if "Predicted in" in line]
    assert heads == ["photos/a.jpg", "photos/b.png"]
    assert sorted(p.name for p in (tiny / "drawn").iterdir()) == ["a.jpg", "b.jpg"]
    piped = darkfuse("cfg/small.cfg", "--no-draw", cwd=tiny, input="photos/b.png\n\nphotos/a.jpg\n")
    assert [line.split(":")[0] for line in piped.stdout.splitlines() if "Predicted in" in line] == [
        "photos/b.png",
        "photos/a.jpg",
    ]
    assert "Enter Image Path" not in piped.stdout


def test_frames_keep_their_numbers_where_a_copy_cannot_be_written(tiny: Path, darkfuse) -> None:
    (tiny / "predictions" / "a.jpg").mkdir(parents=True)
    words = ["cfg/small.cfg", "a.jpg", "b.png", "--thresh", "0.01", "--json", "found.json"]
    done = darkfuse(*words, cwd=tiny)
    assert done.returncode == 2 and "it is a folder" in done.stderr
    assert [frame["frame_id"] for frame in json.loads((tiny / "found.json").read_text())] == [1, 2]


def test_a_bad_picture_among_good_ones(tiny: Path, darkfuse) -> None:
    (tiny / "broken.jpg").write_bytes((tiny / "a.jpg").read_bytes()[:400])
    run = darkfuse(
        "cfg/small.cfg", "a.jpg", "broken.jpg", "none.jpg", "b.png", "--no-draw", "--json", "o.json", cwd=tiny
    )
    assert run.returncode == 2
    assert [f["filename"] for f in json.loads((tiny / "o.json").read_text())] == ["a.jpg", "b.png"]
    lines = run.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("darkfuse: broken.jpg: ") and lines[1].startswith(
        "darkfuse: none.jpg: cannot read"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["none.cfg", "a.jpg"], "none.cfg: no such cfg file"),
        (["cfg/small.cfg", "none.weights", "a.jpg"], "none.weights: cannot read the weights"),
        (["weights/small.weights", "a.jpg"], "name the .cfg these weights belong to"),
        (["cfg/lonely.cfg", "a.jpg"], "its weights are not at weights/lonely.weights"),
        (["cfg/small.cfg", "weights/short.weights", "a.jpg"], "too short"),
        (["cfg/small.cfg", "weights/rubbish.weights", "a.jpg"], "not a Darknet weights file"),
        (
            ["cfg/unknown.cfg", "weights/small.weights", "a.jpg"],
            "cfg/unknown.cfg:19: unknown section [regoin]",
        ),
        (["cfg/zero.cfg", "weights/small.weights", "a.jpg"], "cfg/zero.cfg:2: "),
        (["cfg/small.cfg", "none.jpg"], "none.jpg: cannot read the picture"),
        (["cfg/small.cfg", "cfg/small.names"], "not a JPEG, PNG"),
        (["cfg/small.cfg", "a.jpg", "weights/small.weights"], "the order is CFG WEIGHTS IMAGE"),
        (["cfg/small.cfg", "empty"], "empty: no pictures in this folder"),
        (["cfg/small.cfg", "a.jpg", "--names", "none.names"], "none.names: cannot read the names file"),
        (["cfg/small.cfg", "a.jpg", "--thresh", "x"], "x is not between 0 and 1"),
        (["cfg/small.cfg", "a.jpg", "-nms", "1.5"], "1.5 is not between 0 and 1"),
        (["cfg/small.cfg", "a.jpg", "--threads", "0"], "0 is not a number of threads"),
        (["cfg/small.cfg", "a.jpg", "--mem", "lots"], "not an amount of memory"),
        (["cfg/small.cfg", "a.jpg", "--mem", "9M"], "the least that works is"),
        (["cfg/small.cfg", "a.jpg", "--json", "no/where.json"], "no/where.json: cannot write the JSON"),
        (["cfg/small.cfg", "a.jpg", "--out", "no/where"], "no/where.jpg: cannot write the picture"),
        (["cfg/small.cfg", "a.jpg", "--out", "a"], "a.jpg: is the picture itself"),
        (["cfg/small.cfg", "a.jpg", "--isa", "sse9"], "invalid choice: 'sse9'"),
        (["cfg/small.cfg", "a.jpg", "--frobnicate"], "unrecognized arguments: --frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tiny: Path, words: list[str], says: str, darkfuse) -> None:
    text = (tiny / "cfg" / "small.cfg").read_text()
    (tiny / "cfg" / "lonely.cfg").write_text(text)
    (tiny / "cfg" / "unknown.cfg").write_text(text.replace("[region]", "[regoin]"))
    (tiny / "cfg" / "zero.cfg").write_text(text.replace("width=64", "width=0"))
    whole = (tiny / "weights" / "small.weights").read_bytes()
    (tiny / "weights" / "short.weights").write_bytes(whole[:-8])
    (tiny / "weights" / "rubbish.weights").write_bytes(b"\xff" * len(whole))
    (tiny / "empty").mkdir()
    before = sorted(p.name for p in tiny.iterdir())
    run = darkfuse(*words, cwd=tiny)
    assert run.returncode == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1 and says in run.stderr
    left = sorted(p.name for p in tiny.iterdir())
    assert left == before, "something was left half-written"


def test_weights_of_an_annotated_cfg_and_too_long_a_file(tiny: Path, darkfuse) -> None:
    shutil.copy(tiny / "cfg" / "small.cfg", tiny / "cfg" / "small.48M.cfg")
    with open(tiny / "weights" / "small.weights", "ab") as file:
        file.write(b"\0" * 64)
    run = darkfuse("cfg/small.48M.cfg", "a.jpg", "--no-draw", cwd=tiny)
    assert run.returncode == 0
    assert run.stderr.startswith("darkfuse: warning: ") and "64 bytes are left over" in run.stderr


def test_asks_for_paths_when_a_person_is_there(tiny: Path, root: Path) -> None:
    terminal, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "darkfuse", "detect", "cfg/small.cfg", "--no-draw"],
        cwd=tiny,
        stdin=slave,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    os.close(slave)
    os.write(terminal, b"a.jpg\n\x04")
    out, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 0
    assert out.startswith("Enter Image Path: a.jpg: Predicted in ") and out.count("Enter Image Path: ") == 2


def test_interrupted_it_leaves_at_once_and_nothing_behind(tiny: Path, root: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "darkfuse",
            "detect",
            "cfg/small.cfg",
            "--json",
            "o.json",
            "--no-draw",
        ],
        cwd=tiny,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdin and process.stdout
    process.stdin.write("a.jpg\n")
    process.stdin.flush()
    assert "Predicted in" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in stderr
    assert not list(tiny.glob("o.json*"))


def test_arguments_are_told_apart_by_their_endings() -> None:
    assert sort_files(["x.cfg", "y.weights", "z.jpg"]) == ("x.cfg", "y.weights", None, ["z.jpg"])
    assert sort_files(["coco.data", "x.cfg", "y.backup", "-"]) == ("x.cfg", "y.backup", "coco.data", ["-"])
    assert sort_files(["x.cfg", "z.jpg", "folder"]) == ("x.cfg", None, None, ["z.jpg", "folder"])
    assert sort_files([]) == (None, None, None, [])
    with pytest.raises(DarkfuseError, match="name the .cfg"):
        sort_files(["y.weights", "z.jpg"])


def test_folders_are_read_by_name(tmp_path: Path) -> None:
    for name in ("2.JPG", "1.png", "x.txt", "10.jpeg"):
        (tmp_path / name).touch()
    assert [Path(p).name for p in list_pictures([str(tmp_path), "other"])] == [
        "1.png",
        "10.jpeg",
        "2.JPG",
        "other",
    ]
