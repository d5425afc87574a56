"""Maps with infinities and NaN in them: counted, reported, and never a box."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkfuse.detect.decode import decode
from darkfuse.detect.report import json_frame, objects
from darkfuse.graph import Graph, build_graph
from darkfuse.model.cfg import parse_cfg

HEAD = {
    "region": "region classes=3 num=2 anchors=1,2,3,4 softmax=1",
    "background": "region classes=3 num=2 anchors=1,2,3,4 softmax=1 background=1",
    "logistic": "region classes=3 num=2 anchors=1,2,3,4",
    "yolo": "yolo classes=3 num=2 anchors=10,20,30,40",
    "new coords": "yolo classes=3 num=2 anchors=10,20,30,40 new_coords=1 scale_x_y=2.0",
}
VALUES = st.sampled_from((0.0, 0.5, 3.0, 20.0, 90.0, -90.0, 1e38, -1e38, math.nan, math.inf, -math.inf))


def network(head: str) -> Graph:
    """One detection layer on a map of 3 rows and 5 columns, which is the network's input too."""
    text = f"[net]\nwidth=5\nheight=3\nchannels=16\n[{head.split()[0]}]\n"
    return build_graph(parse_cfg(text + "\n".join(head.split()[1:])))


@pytest.mark.filterwarnings("ignore:.*left out")
@pytest.mark.parametrize("head", HEAD)
@settings(deadline=None)
@given(st.data())
def test_no_map_makes_a_box_that_is_no_number(head: str, data: st.DataObject) -> None:
    """Any mixture: what is found is finite, and valid JSON."""
    graph = network(HEAD[head])
    raw = np.array(data.draw(st.lists(VALUES, min_size=240, max_size=240)), np.float32).reshape(16, 3, 5)
    result = decode(graph, {0: raw}, 5, 3, 0.3, nms=0.0)
    assert all(math.isfinite(v) for d in result.detections for v in (d.confidence, *d.box))
    json.loads(json_frame(result, 1), parse_constant=pytest.fail)
    json.dumps(objects(result), allow_nan=False)


@pytest.mark.parametrize("head", HEAD)
@pytest.mark.parametrize("plane", range(8))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_value_that_is_no_number_costs_one_box(head: str, plane: int, value: float) -> None:
    graph = network(HEAD[head])
    raw = np.full((16, 3, 5), 0.9, np.float32)
    whole = decode(graph, {0: raw}, 5, 3, 0.1, nms=0.0)
    assert whole.not_finite == 0 and len(whole.by_box()) == 30
    raw[plane, 1, 2] = value
    with pytest.warns(UserWarning, match="1 box left out"):
        result = decode(graph, {0: raw}, 5, 3, 0.1, nms=0.0)
    assert result.not_finite == 1 and len(result.by_box()) == 29
    assert json.loads(json_frame(result, 1))["not_finite"] == 1
