"""Which program's answers a cfg asks for, and that its batch norm reaches the weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError
from darkfuse.graph import build_graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.model.dialect import NAMES, dialect_of
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.search.simple import layer_by_layer

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


