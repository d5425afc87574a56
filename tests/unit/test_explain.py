"""`darkfuse plan`: the table says what the plan says, the picture shows every buffer in its place."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from darkfuse.cli.main import main
from darkfuse.graph import load_graph
from darkfuse.host.units import format_bytes
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.price.predict import predict
from darkfuse.plan.show.annotate import annotate
from darkfuse.plan.show.explain import explain
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.show.plot import CHART, COLOURS, HEIGHT, NAMES, WIDTH, draw, kind_of, save
from darkfuse.plan.show.shapes import Box
from darkfuse.session.whatif import Planner

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def planner(root: Path) -> Planner:
    return Planner(load_graph(str(root / "cfg" / "yolov2.cfg")), BUILTIN["rpi4"], 4)


def test_the_table_has_a_row_for_every_group_that_computes(planner: Planner) -> None:
    answer = planner.fastest("40M")
    lines = explain(planner.graph, answer.plan, answer.prediction, [(128 << 20, answer.prediction.ms / 2)])
    table = lines[2 : lines.index("", 2)]
    computing = [n for n, group in enumerate(answer.prediction.groups) if group.layers]
    assert [int(line.split()[0]) for line in table[1:]] == computing
    times = [float(m.group(1)) for line in table[1:] for m in [re.search(r" (\d+\.\d)( +#*)?$", line)] if m]
    assert sum(times) == pytest.approx(answer.prediction.ms, abs=0.06 * len(times))
    text = "\n".join(lines)
    assert "More memory would buy: 128M" in text and "yolov2 for 40M" in text
    assert "Ahead of their place in the cfg, to hold less meanwhile: 25,26" in text
    assert "Weights read for every frame" in text


def test_a_plan_with_everything_pinned_reads_nothing(planner: Planner) -> None:
    plan = parse_plan("p", planner.graph, 4)
    text = "\n".join(explain(planner.graph, plan, predict(planner.graph, plan, planner.device)))
    assert "nothing is read for a frame" in text and "More memory" not in text


def test_every_buffer_is_drawn_and_none_of_a_stage_overlap(planner: Planner) -> None:
    answer = planner.fastest("32M")
    program = lower(planner.graph, answer.plan)
    boxes = [s for s in draw(planner.graph, answer.plan, program, answer.prediction) if isinstance(s, Box)]
    left, top, width, height = CHART
    drawn = [b for b in boxes if b.fill in COLOURS.values() and b.y < top + height]
    readers = {w.raw for w in program.weights} - {-1}  # drawn read by read
    assert len(drawn) == len(program.buffers) - len(readers) + len(answer.prediction.slots)
    area = sum(b.w * b.h for b in drawn)
    assert 0.3 * width * height < area  # a good plan leaves little of the arena empty
    for box in drawn:
        assert left - 1 <= box.x <= box.x + box.w <= left + width + 1
        assert top - 1 <= box.y <= box.y + box.h <= top + height + 1
    assert {kind_of(b) for b in program.buffers} <= set(COLOURS)


def test_streamed_filters_that_stay_are_named_and_drawn_as_weights(planner: Planner) -> None:
    graph = planner.graph
    plan = parse_plan("s", graph, 4)
    number, group = next((n, g) for n, g in enumerate(plan.groups) if 29 in g.nodes)
    own = [replace(x, raw=16, block=32, slots=4, resident=3 if x.node == 29 else 0) for x in group.layers]
    groups = [*plan.groups[:number], replace(group, layers=tuple(own)), *plan.groups[number + 1:]]
    plan = replace(plan, groups=tuple(groups))
    prediction = predict(graph, plan, planner.device)
    stays = 3 * 16 * 1280 * 9 * 4  # 3 reads of 16 filters of 1280 channels, 3x3, float32
    rows = [line for line in explain(graph, plan, prediction) if " stay " in line]
    assert len(rows) == 1 and " 29 " in rows[0] and f"streamed, {format_bytes(stays)} stay" in rows[0]
    program = lower(graph, plan)
    kinds = {kind_of(b) for b in program.buffers if b.name.endswith("resident")}
    assert kinds == {"packed"} and prediction.read_bytes < predict(graph, parse_plan("s", graph, 4),
                                                                   planner.device).read_bytes


def test_room_to_read_ahead_is_named(planner: Planner) -> None:
    plan = replace(parse_plan("s", planner.graph, 2), ahead_bytes=5 << 20)
    lines = explain(planner.graph, plan, predict(planner.graph, plan, planner.device))
    assert any("room to read 5M more ahead" in line for line in lines)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_plots_are_whole_pictures(planner: Planner, tmp_path: Path, ending: str) -> None:
    answer = planner.by_hand("76x1/8/38x1/17/s")
    shapes = draw(planner.graph, answer.plan, lower(planner.graph, answer.plan), answer.prediction)
    path = tmp_path / f"plan.{ending}"
    save(shapes, str(path))
    if ending == "svg":
        tree = ET.parse(path).getroot()
        assert tree.tag == SVG + "svg"
        assert len(tree.findall(SVG + "rect")) == sum(isinstance(s, Box) for s in shapes)
        words = [text.text or "" for text in tree.findall(SVG + "text")]
        assert any("76x1 tiles" in text for text in words)
        assert "time since the picture came in, ms" in words and "memory the engine holds" in words
        legend = [text for text in words if text in NAMES.values()]
        assert len(legend) == len({kind_of(b) for b in lower(planner.graph, answer.plan).buffers})
        photo = tree.findall(SVG + "image")
        assert len(photo) == 1 and photo[0].get("href", "").startswith("data:image/jpeg;base64,")
        # what may be pointed at says what it is: every buffer, every group, every tile
        titles = [title.text or "" for title in tree.iter(SVG + "title")]
        assert sum(", in use " in title for title in titles) == sum(
            isinstance(shape, Box) and ", in use " in shape.words for shape in shapes) > 10
        tiles = sum(title.startswith("tile ") for title in titles)
        assert 70 < tiles <= 76  # the last may need no new row
    else:
        from PIL import Image

        with Image.open(path) as image:
            assert image.size == (WIDTH, HEIGHT) and len(image.convert("RGB").getcolors(1 << 20) or []) > 8
    assert list(tmp_path.iterdir()) == [path]


def test_the_budget_is_a_line_on_the_plot(root: Path, tmp_path: Path) -> None:
    cfg, out = str(root / "cfg" / "yolov2-tiny.cfg"), tmp_path / "plan.svg"
    assert main(["plan", cfg, "--mem", "40M", "--device", "rpi3", "--threads", "4", "--plot", str(out)]) == 0
    tree = ET.parse(out).getroot()
    budget = [line for line in tree.findall(SVG + "line") if line.get("stroke-dasharray")]
    assert len(budget) == 1 and "of 40M" in (budget[0].findtext(SVG + "title") or "")
    # nothing in the arena lies above it
    height = float(budget[0].get("y1", "0"))
    blocks = [box for box in tree.findall(SVG + "rect") if ", in use" in (box.findtext(SVG + "title") or "")]
    assert blocks and all(float(box.get("y", "0")) >= height - 0.1 for box in blocks)


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg, out = str(root / "cfg" / "yolov2-tiny.cfg"), tmp_path / "plan.json"
    assert main(["plan", cfg, "--mem", "40M", "--device", "rpi3", "--threads", "4", "--json", str(out)]) == 0
    assert "yolov2-tiny for 40M" in capsys.readouterr().out
    plan = json.loads(out.read_text())
    assert plan["predicted_peak_bytes"] <= 40 << 20 and plan["predicted_latency_ms"] > 0


def test_a_plan_in_the_cfg_is_the_one_explained(root: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    graph = load_graph(str(root / "cfg" / "yolov2-tiny.cfg"))
    answer = Planner(graph, BUILTIN["rpi3"], 3).by_hand("13x1/10/s")
    path = tmp_path / "net.cfg"
    path.write_text(annotate(graph.cfg, answer.plan))
    assert main(["plan", str(path), "--device", "rpi3"]) == 0
    said = capsys.readouterr().out
    assert "with 3 threads" in said and "0-9" in said and "13x1" in said


@pytest.mark.parametrize(("words", "says"), [
    ([], "say how much memory there is"),
    (["--mem", "5M"], "the least that works is"),
    (["--mem", "lots"], "is not an amount of memory"),
    (["--mem", "48M", "--device", "toaster"], "no device profile"),
    (["--mem", "48M", "--threads", "0"], "outside 1..256"),
    (["--config", "5x5/8"], "write grid/cut/grid"),
    (["--mem", "48M", "--plot", "x.gif"], "is an .svg or a .png"),
])
def test_bad_wishes_are_one_line(root: Path, words: list[str], says: str,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(root / "cfg" / "yolov2-tiny.cfg"), *words]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
