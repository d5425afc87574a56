"""Which program's answers a cfg asks for, and that its batch norm reaches the weights."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

import darkfuse
from darkfuse.cli.main import main
from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError
from darkfuse.graph import build_graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.model.dialect import NAMES, dialect_of
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.search.simple import layer_by_layer
from tools import families_table

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
CONV = "[convolutional]\nfilters=16\nsize=1\nactivation=leaky\n"
YOLO = "[yolo]\nclasses=1\nnum=1\nanchors=1,2\n"


@pytest.mark.parametrize("text", [
    NET + "letter_box=1\n" + CONV, NET + CONV.replace("leaky", "mish"), NET + CONV + "dilation=2\n",
    NET + CONV + "[route]\nlayers=-1\ngroups=2\n", NET + CONV + YOLO + "nms_kind=greedynms\n",
    NET + CONV + YOLO + "scale_x_y=1.05\n", NET + CONV + "[reorg3d]\nstride=2\n",
    NET + CONV + "[sam]\nfrom=-1\n",
    NET + CONV + "[maxpool]\nstride=2\nantialiasing=1\n", NET + CONV + "[Gaussian_yolo]\nnum=1\n",
])
def test_what_only_the_fork_reads_makes_its_dialect(text: str) -> None:
    found = dialect_of(parse_cfg(text))
    assert found.name == "alexeyab"
    assert "line " in found.why and "AlexeyAB" in found.why


@pytest.mark.parametrize("name", ["yolov2", "yolov2-tiny", "yolov3", "yolov3-tiny", "darkfuse-voc7"])
def test_cfgs_of_the_original_stay_with_it(name: str, root: Path) -> None:
    graph = load_graph(str(root / "cfg" / f"{name}.cfg"))
    assert graph.dialect.name == "darknet" and graph.dialect.epsilons == (0.0, 1e-6)
    assert graph.dialect.letterbox and graph.dialect.thresh == 0.5


def test_letter_box_of_the_net_section_counts_for_the_fork_alone() -> None:
    cfg = parse_cfg(NET + "letter_box=1\n" + CONV)
    assert dialect_of(cfg).letterbox
    assert not dialect_of(cfg, "opencv").letterbox
    assert not dialect_of(parse_cfg(NET + CONV), "alexeyab").letterbox


def test_a_dialect_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(DarkfuseError, match=r"no dialect 'yolo'.*auto, darknet, alexeyab, opencv"):
        dialect_of(parse_cfg(NET + CONV), "yolo")


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("residency", ["pinned", "loaded", "streamed"])
def test_the_epsilon_reaches_the_folded_weights(name: str, residency: str, tmp_path: Path) -> None:
    """With variances near the epsilon the dialects differ by far more than rounding."""
    graph = build_graph(parse_cfg("[net]\nwidth=1\nheight=1\nchannels=1\n[convolutional]\nfilters=4\nsize=1\n"
                                  "batch_normalize=1\nactivation=linear\n"), dialect=name)
    variances = np.array([1e-12, 1e-6, 1e-5, 1.0], "<f4")
    arrays = [np.zeros(4), np.ones(4), np.zeros(4), variances, np.ones(4)]
    weights = tmp_path / "net.weights"
    header = np.array([0, 2, 0, 0, 0], "<i4").tobytes()
    weights.write_bytes(header + np.concatenate(arrays).astype("<f4").tobytes())
    index = weight_offsets(graph, str(weights))
    program = lower(graph, layer_by_layer(graph, 1, residency, True), (), index)
    engine = Engine(program, str(weights), 1)
    engine.run_chw(np.ones((1, 1, 1), np.float32))
    want = {"darknet": lambda v: math.sqrt(v) + 1e-6, "alexeyab": lambda v: math.sqrt(v + 1e-5),
            "opencv": lambda v: math.sqrt(v + 1e-6)}[name]
    assert engine.output(0).tolist() == [[[np.float32(1 / want(float(v)))]] for v in variances]
    engine.close()




def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    wide = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    high = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    both = max(wide, 0.0) * max(high, 0.0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


Row = tuple[int, float, tuple[float, ...]]


def rows(result: darkfuse.Result) -> list[Row]:
    return [(d.class_id, d.confidence, tuple(d.box)) for d in result.detections]


def alone(these: list[Row], those: list[Row], thresh: float) -> list[Row]:
    """Which of `these` have no counterpart, but for scores within 0.01 of the threshold."""
    return [one for one in these if one[1] > thresh + 0.01 and not any(
        one[0] == other[0] and abs(one[1] - other[1]) <= 0.01 and iou(one[2], other[2]) >= 0.97
        for other in those)]


@pytest.mark.parametrize("letter", ["", "-letter_box"])
@pytest.mark.parametrize("model", ["yolov4-tiny", "yolo-fastest-1.1-xl"])
def test_the_boxes_are_those_of_alexeyabs_program(model: str, letter: str, shared: Path) -> None:
    """Every box of its own has a counterpart here, and the other way round."""
    frames = json.loads((shared / "golden" / f"alexeyab-{model}{letter}.json").read_text())
    models, letterbox, plainly = shared / "models", True if letter else None, []
    cfg, weights = models / f"{model}.cfg", models / f"{model}.weights"
    with darkfuse.load(cfg, weights, names=models / "coco.names") as net:
        assert net.dialect.name == "alexeyab"
        for frame in frames:
            theirs = [(thing["class_id"], thing["confidence"], tuple(
                thing["relative_coordinates"][key] for key in ("center_x", "center_y", "width", "height")))
                for thing in frame["objects"]]
            picture = shared / "images" / frame["filename"]
            found = net.detect(picture, letterbox=letterbox)
            ours = rows(found)
            assert alone(theirs, ours, net.dialect.thresh) == [] == alone(ours, theirs, net.dialect.thresh)
            assert {d.name for d in found.detections} == {thing["name"] for thing in frame["objects"]}
            plainly += alone(theirs, rows(net.detect(picture, letterbox=letterbox, nms_kind="plain")), 0.25)
    if model == "yolo-fastest-1.1-xl" and not letter:
        assert plainly  # with plain IoU some of its boxes are missing: the comparison would notice


def test_thresholds_follow_the_dialect(shared: Path) -> None:
    cfg, weights = (shared / "models" / f"yolov4-tiny.{ending}" for ending in ("cfg", "weights"))
    dog, scores = shared / "images" / "dog.jpg", {}
    for dialect in ("darknet", "alexeyab"):
        with darkfuse.load(cfg, weights, dialect=dialect) as net:
            scores[dialect] = net.detect(dog).confidence
            assert net.dialect.why == "asked for"
    assert min(scores["darknet"]) > 0.5 > min(scores["alexeyab"]) > 0.25


def test_commands_say_which_dialect_and_why(shared: Path, root: Path, command) -> None:
    cfg = shared / "models" / "yolov4-tiny.cfg"
    told = command("darkfuse", "info", cfg).stdout
    assert "dialect alexeyab: groups= in line 51 is read by AlexeyAB's Darknet only" in told
    assert "dialect darknet: asked for" in command("darkfuse", "info", cfg, "--dialect", "darknet").stdout
    run = command("darkfuse", "detect", cfg, shared / "models" / "yolov4-tiny.weights",
                  shared / "images" / "dog.jpg", "--no-draw", "--stats", "--json", "-", "-dialect", "opencv",
                  "--size", "320x224", "-nms_kind", "greedynms")
    assert run.returncode == 0 and "dialect opencv (asked for)" in run.stderr
    assert json.loads(run.stdout)[0]["dialect"] == {"name": "opencv", "why": "asked for"}
    for words, says in ((("--dialect", "yolo"), "invalid choice: 'yolo'"),
                        (("--size", "3x"), "3x is not WxH"),
                        (("--size", "0"), "network width 0 is outside 1..16384")):
        run = command("darkfuse", "detect", cfg, shared / "images" / "dog.jpg", *words)
        assert run.returncode == 2 and says in run.stderr


def test_the_table_of_models_is_up_to_date() -> None:
    assert families_table.main(["--check"]) == 0


def test_a_plan_for_another_size(root: Path, command) -> None:
    cfg = root / "cfg" / "yolov4-tiny.cfg"
    told = command("darkfuse", "plan", cfg, "--mem", "48M", "--size", "256x192", "--threads", "1")
    assert told.returncode == 0 and "128x96x32" in told.stdout
    wrong = command("darkfuse", "plan", cfg, "--mem", "48M", "--size", "256x")
    assert wrong.returncode == 2 and "256x is not WxH" in wrong.stderr


@pytest.mark.parametrize("verb, words", [
    ("detect", ("dog.jpg",)), ("classify", ("dog.jpg",)), ("watch", ("here",)), ("map", ("here.data",)),
    ("valid", ("here.data",)), ("recall", ("here.data",)), ("demo", ("--video", "film.avi", "--no-window")),
])
def test_every_verb_hands_over_dialect_and_size(
    verb: str, words: tuple[str, ...], shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str]
) -> None:
    """What each loads its network with; a network is not run."""
    def load(*_: object, **how: object) -> None:
        raise DarkfuseError(f"{how['dialect']} {how['width']}x{how['height']}")

    if verb == "demo":
        pytest.importorskip("cv2")
        shutil.copy(shared / "videos" / "vtest.avi", tmp_path / "film.avi")
    shutil.copy(shared / "images" / "dog.jpg", tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here.data").write_text("classes=80\nvalid=list.txt\nnames=names.txt\n")
    (tmp_path / "list.txt").write_text("dog.jpg\n")
    (tmp_path / "names.txt").write_text("thing\n" * 80)
    (tmp_path / "dog.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("darkfuse.session.network.load", load)
    models = shared / "models"
    given = [str(models / "yolov4-tiny.cfg"), str(models / "yolov4-tiny.weights")]
    files = [*given, *words] if verb in ("detect", "classify") else [*words, *given]
    assert main([verb, *files, "--dialect", "opencv", "--size", "320x224"]) == 2
    assert "opencv 320x224" in capsys.readouterr().err
