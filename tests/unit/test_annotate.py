"""Plans written into a cfg: back unchanged, its own text untouched, refused when they no longer fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, plans
from profiles import examples

from darkfuse.errors import CfgError
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.show.annotate import annotate, annotated, read_annotation
from darkfuse.plan.types import Plan

MB = 1 << 20


def planned(graph: Graph, mem: int = 20 * MB) -> Plan:
    plan = plan_for(graph, mem, 2, False, BUILTIN["rpi4"])
    return replace(plan, budget_bytes=48 * MB, predicted_peak_bytes=47 * MB + 1)


@pytest.fixture(scope="module")
def tiny(root: Path) -> Graph:
    return load_graph(str(root / "cfg" / "yolov2-tiny.cfg"))


@pytest.fixture(scope="module")
def text(tiny: Graph) -> str:
    return annotate(tiny.cfg, planned(tiny))


def reread(text: str, path: str = "net.cfg") -> Graph:
    return build_graph(parse_cfg(text, path))


@pytest.mark.parametrize("name", ["yolov2", "yolov2-tiny", "yolov3-tiny", "yolov3", "darkfuse-voc7"])
def test_a_plan_comes_back_equal_and_the_text_stays(root: Path, name: str) -> None:
    graph = load_graph(str(root / "cfg" / f"{name}.cfg"))
    plan = planned(graph)
    written = annotate(graph.cfg, plan)
    assert [line for line in written.split("\n") if not line.startswith("fuse_")] \
        == "".join(graph.cfg.lines).split("\n")
    again = reread(written)
    assert again.fingerprint() == graph.fingerprint()
    assert read_annotation(again) == plan
    assert annotate(again.cfg, plan) == written == annotate(graph.cfg, plan)


@examples(80, function_fixtures=True)
@given(data=st.data())
def test_any_plan_comes_back(data: st.DataObject) -> None:
    graph = data.draw(networks())
    plan = data.draw(plans(graph, exact=False, threads=3))
    plan = replace(plan, arena_bytes=lower(graph, plan).arena_bytes, predicted_ms=1.25)
    assert read_annotation(reread(annotate(graph.cfg, plan))) == plan


def test_another_plan_replaces_the_first(tiny: Graph, text: str) -> None:
    other = planned(tiny, 6 * MB)
    assert annotate(reread(text).cfg, other) == annotate(tiny.cfg, other) != text


def test_a_cfg_without_a_plan_has_none(tiny: Graph) -> None:
    assert not annotated(tiny) and read_annotation(tiny) is None


def test_line_ends_and_odd_text_survive(tiny: Graph) -> None:
    odd = ("# caf\udce9\r\n" + "".join(tiny.cfg.lines).replace("\n", "\r\n")).rstrip("\r\n")
    graph = build_graph(parse_cfg(odd))
    written = annotate(graph.cfg, planned(tiny))
    assert "\n" not in written.replace("\r\n", "").rstrip("\n")
    assert written.startswith("# caf\udce9\r\n")
    assert read_annotation(reread(written)) == planned(tiny)


def line_of(text: str, start: str, which: int = 0) -> int:
    return [n for n, line in enumerate(text.split("\n"), 1) if line.startswith(start)][which]


@pytest.mark.parametrize(("old", "new", "says"), [
    ("fuse_kernel=direct", "fuse_kernel=magic", "is none of"),
    ("fuse_weights=pinned", "fuse_weights=somewhere", "is none of"),
    ("fuse_plan=1", "fuse_plan=2", "another version"),
    ("fuse_group=1", "fuse_group=7", "in its place comes group 0 or 1"),
    ("fuse_threads=2", "fuse_threads=two", "is not a whole number from 1 to 256"),
    ("fuse_budget=48M", "fuse_budget=much", "not an amount of memory"),
    ("fuse_grid=", "fuse_grid=9999x1", "does not fit"),
    ("fuse_grid=", "fuse_grid=5", "is no grid like 5x5"),
    ("fuse_cache=", "fuse_cache=some", "is none of"),
    ("fuse_latency_ms=", "fuse_latency_ms=soon", "is not a number"),
    ("fuse_threads=2", "fuse_tea=2", "is no annotation of"),
    ("fuse_threads=2", "fuse_exact=1\nfuse_exact=1", "is given twice"),
])
def test_an_annotation_edited_by_hand_is_refused_with_its_line(text: str, old: str, new: str,
                                                               says: str) -> None:
    lines = text.split("\n")
    at = line_of(text, old) - 1
    lines[at] = new
    broken = "\n".join(lines)
    with pytest.raises(CfgError, match=says) as refused:
        read_annotation(reread(broken))
    where = at + 1 + new.count("\n")
    assert str(refused.value).startswith(f"net.cfg:{where}: ")
    assert "\n" not in str(refused.value)


def test_what_a_plan_takes_is_worked_out_anew(text: str, tiny: Graph) -> None:
    lines = text.split("\n")
    lines[line_of(text, "fuse_arena=") - 1] = "fuse_arena=1"  # another version packed it otherwise
    assert read_annotation(reread("\n".join(lines))) == planned(tiny)


def test_a_missing_annotation_is_refused_at_its_section(text: str) -> None:
    broken = "\n".join(line for line in text.split("\n") if not line.startswith("fuse_network"))
    with pytest.raises(CfgError, match="fuse_network: is missing") as refused:
        read_annotation(reread(broken))
    assert refused.value.line == line_of(text, "[net]")


def test_a_network_edited_after_planning_is_refused(text: str) -> None:
    edited = text.replace("filters=16", "filters=24", 1)
    with pytest.raises(CfgError, match="the network was changed after its plan was made") as refused:
        read_annotation(reread(edited))
    assert refused.value.line == line_of(text, "fuse_fingerprint")


def test_opencv_reads_an_annotated_cfg(tmp_path: Path, root: Path, tiny: Graph, text: str) -> None:
    cv2 = pytest.importorskip("cv2")
    if int(cv2.__version__.split(".")[0]) > 4:
        pytest.skip("OpenCV 5 has no Darknet importer")
    from tools.make_weights import make_weights

    cfg, weights = tmp_path / "planned.cfg", tmp_path / "planned.weights"
    cfg.write_text(text)
    make_weights(tiny, str(weights))
    plain = cv2.dnn.readNetFromDarknet(str(root / "cfg" / "yolov2-tiny.cfg"), str(weights))
    planned_net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    assert planned_net.getLayerNames() == plain.getLayerNames()
