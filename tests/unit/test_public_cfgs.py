"""The cfgs of the public collections, in shorthand (tools/public): all load that should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from darkfuse.errors import CfgError
from darkfuse.graph import build_graph, load_graph
from darkfuse.graph.layers.yolo import MISSING_ANCHOR
from darkfuse.model.cfg import parse_cfg
from tools.check_cfgs import graph_key, public
from tools.public.names import DEBIAN, OURS, written
from tools.public.shorthand import cfg, count

REFUSED = {
    "crnn.train": "[rnn]", "lstm.train": "[lstm]", "rbms": "[rbm]", "yolov3-tiny_occlusion_track": "[crnn]",
    "yolov3-odla": "[odla]", "yolov3-tiny-odla": "[odla]", "yolov2-separable": "groups=64",
    "yolov2-separable-slim": "groups=512", "yolov2-separable-trunc": "groups=512",
}
# Millions of parameters that the papers name: Scaled-YOLOv4, 2020; YOLOv7, 2022; VGG, 2014.
PARAMETERS = {"yolov4-csp-swish": 52.9, "yolov4-p5": 70.8, "yolov4-p6": 127.5, "yolov7": 36.9,
              "yolov7x": 71.3,
              "vgg-16": 138.4}


def test_there_are_133_names() -> None:
    assert len({*OURS, *DEBIAN, *written()}) == len(OURS) + len(DEBIAN) + len(written()) == 133


@pytest.mark.parametrize("name", sorted(written()))
def test_every_network_in_shorthand_loads_or_says_why_not(name: str) -> None:
    text = written()[name]()
    if name in REFUSED:
        with pytest.raises(CfgError, match=re.escape(REFUSED[name])):
            build_graph(parse_cfg(text))
        return
    graph = build_graph(parse_cfg(text))
    assert len(graph.nodes) == text.count("\n[")  # [net] opens the file
    if name in PARAMETERS:
        assert graph.weight_bytes / 4e6 == pytest.approx(PARAMETERS[name], rel=0.01)


@pytest.mark.parametrize("short, other", [
    ("yolov4-custom", "yolov4"), ("yolo", "yolov2"), ("yolo-voc", "yolov2-voc"), ("yolov3-tiny_obj",
                                                                                  "yolov3-tiny"),
    ("tiny-yolo-voc", "yolov2-tiny-voc")])
def test_shorthand_is_the_network_that_comes_with_darkfuse(root: Path, short: str, other: str) -> None:
    assert graph_key(build_graph(parse_cfg(written()[short]()))) == graph_key(
        load_graph(str(root / "cfg" / f"{other}.cfg")))


def test_public_names_and_their_files(tmp_path: Path) -> None:
    (tmp_path / "resnet18.cfg").write_text("x")
    files = {name: (place, path) for name, place, path in public(tmp_path / "..", [tmp_path])}
    assert len(files) == 133 and files["resnet18"] == ("debian", tmp_path / "resnet18.cfg")
    assert files["yolov4"][0] == "ours" and not files["resnet34"][1].exists()


def test_words_of_the_shorthand() -> None:
    text = cfg("2(8/3s2g4d2p0:relu) max3/2p0 use:mish 4/1xn half-1 +@0:leaky r-1,-2 head1*1.1", 64, 32)
    assert text.count("groups=4\nfilters=8\nsize=3\nstride=2\npad=0\nactivation=relu") == 2
    for part in ("width=64\nheight=32", "size=3\nstride=2\npadding=0", "xnor=1\nfilters=4", "activation=mish",
                 "layers=-1\ngroups=2\ngroup_id=1", "from=0\nactivation=leaky",
                 "[yolo]\nmask=1\nscale_x_y=1.1"):
        assert part in text
    assert count("3(8/1 2(4/3)) use:leaky avg") == 10
    with pytest.raises(ValueError, match="'8x3' is no word"):
        cfg("8x3", 32)


HEAD = ("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters={0}\nsize=1\n[yolo]\nclasses=2\n"
        "num={1}\nmask={2}\nanchors={3}\n")


@pytest.mark.parametrize("filters, num, mask, anchors, wanted", [
    # Spaces mean nothing to Darknet: without the comma two numbers are one, and the last anchor lacks a half.
    (14, 3, "1,2", "1,2, 3    4, 5, 6", ((34.0, 5.0), (6.0, MISSING_ANCHOR))),
    (14, 2, "2,3", "1,2, 3,4, 5,6, 7,8", ((5.0, 6.0), (7.0, 8.0))),  # cspx-p7-mish: num=16, twenty listed
    (7, 2, "1", "1,2,", ((MISSING_ANCHOR, MISSING_ANCHOR),)),
])
def test_anchors_are_read_as_darknet_reads_them(filters: int, num: int, mask: str, anchors: str,
                                                wanted: tuple[tuple[float, float], ...]) -> None:
    graph = build_graph(parse_cfg(HEAD.format(filters, num, mask, anchors)))
    assert graph.nodes[-1].options.anchors == wanted


def test_comments_behind_values_are_none_of_them() -> None:
    text = HEAD.format("18#filters=255", 3, "0,1,2 # all", "1,1,2,2,3,3").replace("classes=2",
                                                                                  "classes=1\t#80")
    assert build_graph(parse_cfg(text)).nodes[-1].options.classes == 1
