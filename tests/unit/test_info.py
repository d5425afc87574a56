"""The `darkfuse` command itself, and its info verb, run as a person runs them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from darkfuse import __version__
from darkfuse.cli.main import darknet_spellings


def darkfuse(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "darkfuse", *arguments], cwd=root,
                          capture_output=True, text=True)


def test_yolov2s_table(root: Path) -> None:
    done = darkfuse(root, "info", "cfg/yolov2.cfg")
    assert done.returncode == 0 and done.stderr == ""
    head, *layers, total, dialect, _ = done.stdout.splitlines()
    assert dialect == "dialect darknet: the cfg has no key or section of another program"
    assert head.split() == ["layer", "filters", "size", "input", "output", "BFLOPs", "weights", "activations"]
    assert len(layers) == 32
    words = [" ".join(line.split()) for line in layers]
    assert words[0] == "0 conv 32 3 x 3 / 1 608 x 608 x 3 -> 608 x 608 x 32 0.639 3,968 47,316,992"
    assert words[1] == "1 max 2 x 2 / 2 608 x 608 x 32 -> 304 x 304 x 32 11,829,248"
    assert words[28] == "28 route 27 24 -> 19 x 19 x 1280 1,848,320"
    # 159.46 MiB: the sum of Darknet's output buffers.
    assert " ".join(total.split()) == "total 32 layers 62.938 203,934,244 167,206,536"


def test_other_layers_have_rows(root: Path) -> None:
    text = darkfuse(root, "info", "cfg/yolov3.cfg").stdout
    rows = [" ".join(line.split()[1:]) for line in text.splitlines()]
    for words in ("res 1 -> 208 x 208 x 64 11,075,584", "upsample 2x 13 x 13 x 256 -> 26 x 26 x 256 692,224",
                  "yolo 52 x 52 x 255 -> 52 x 52 x 255 2,758,080"):
        assert words in rows


def test_network_size_in_darknets_spelling(root: Path) -> None:
    done = darkfuse(root, "info", "-width", "320", "-height=160", "cfg/yolov2-tiny.cfg")
    assert "320 x 160 x    3" in done.stdout.splitlines()[1]


def test_weights_that_fit_and_that_do_not(root: Path, shared: Path) -> None:
    weights = str(shared / "models/yolov3-tiny.weights")
    done = darkfuse(root, "info", "cfg/yolov3-tiny.cfg", weights)
    assert done.returncode == 0 and done.stderr == ""
    assert "35,434,956 bytes, 20 of them header: version 0.2.0, 32,013,312 images" in done.stdout
    short = darkfuse(root, "info", "cfg/yolov2.cfg", weights)
    assert short.returncode == 2 and short.stdout == ""
    assert "layer 18 (convolutional, cfg/yolov2.cfg:" in short.stderr and "168499308 bytes" in short.stderr
    long = darkfuse(root, "info", "cfg/yolov2-16.cfg", weights)
    assert long.returncode == 0 and long.stderr.startswith("darkfuse: warning: ")
    for text in (short.stderr, long.stderr):
        assert text.count("\n") == 1 and text.endswith("\n")


@pytest.mark.parametrize(("arguments", "words"), [
    (["info", "absent.cfg"], "absent.cfg: cannot read the cfg: No such file"),
    (["info", "cfg"], "Is a directory"),
    (["info", "README.md"], "README.md"),
    (["info", "cfg/yolov2.cfg", "--width", "0"], "width 0 is outside"),
    (["info", "cfg/yolov2.cfg", "--width", "wide"], "invalid int value"),
    (["info", "cfg/yolov2.cfg", "--wid", "320"], "unrecognized arguments"),
    (["info"], "required: CFG"),
    (["inform"], "no verb inform; did you mean info"),
    ([], "which verb"),
])
def test_bad_input_is_one_line_and_status_2(root: Path, arguments: list[str], words: str) -> None:
    done = darkfuse(root, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and done.stderr.startswith("darkfuse")
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n")


def test_version_and_help(root: Path) -> None:
    for spelling in ("--version", "-version"):
        assert darkfuse(root, spelling).stdout == f"darkfuse {__version__}\n"
    done = darkfuse(root, "--help")
    assert done.returncode == 0 and "info" in done.stdout


def test_a_reader_that_leaves_early_is_no_error(root: Path) -> None:
    command = f"{sys.executable} -m darkfuse info cfg/yolov3.cfg | head -1"
    done = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True)
    assert done.stdout.startswith("layer") and done.stderr == ""


def test_darknet_spellings() -> None:
    given = ["detect", "-thresh", ".5", "-dont_show", "-out=a_b", "-o", "x", "-", "-1", "--", "-nms"]
    wanted = ["detect", "--thresh", ".5", "--dont-show", "--out=a_b", "-o", "x", "-", "-1", "--", "-nms"]
    assert darknet_spellings(given) == wanted


BAR = """
import time
from darkfuse.cli.progress import REDRAW_SECONDS, Progress
with Progress("images", 4) as progress:
    progress.update(0)
    time.sleep(REDRAW_SECONDS)
    progress.update(3)
"""


def test_progress_is_drawn_for_a_terminal_only(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BAR], cwd=root, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", BAR], cwd=root, stderr=theirs, check=True)
    os.close(theirs)
    seen = os.read(ours, 4096).decode()
    os.close(ours)
    assert f"images [{'#' * 22:<30}]  75%" in seen
    assert seen.endswith("\r\x1b[K")  # wiped when done
