"""Lists of pictures looked at several at a time: the answers of one by one, whatever goes wrong with one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import darkfuse
from darkfuse.cli.main import main
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.graph import load_graph
from darkfuse.plan.price.device import load_device
from darkfuse.plan.price.predict import predict
from darkfuse.plan.search.batch import plan_for_pictures
from darkfuse.plan.search.search import fastest_within, plan_for
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.types import Plan

GOLDEN = Path(__file__).parent.parent / "golden"
CFG, WEIGHTS = GOLDEN / "mini-alexeyab.cfg", GOLDEN / "mini-alexeyab.weights"
PICTURES = [str(GOLDEN / f"{name}.png") for name in ("astronaut", "cat", "nothing")]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def boxes(results) -> list[tuple]:
    return [(tuple(result.detections), result.width, result.height, result.path) for result in results]


def streaming(batch: int) -> Plan:
    """Everything streamed for so many pictures, but the first layer."""
    plan = layer_by_layer(load_graph(str(CFG)), 1, "streamed")
    first, *rest = plan.groups
    pinned = tuple(replace(layer, residency="pinned") for layer in first.layers)
    return replace(plan, batch=batch, groups=(replace(first, layers=pinned), *rest))


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_list_has_the_answers_of_one_by_one(batch):
    pictures = PICTURES + PICTURES[:2]
    with darkfuse.load(CFG, WEIGHTS, threads=1, plan=streaming(1)) as net:
        want = boxes(net.detect(path) for path in pictures)
        alone = net.stats["bytes_read"]
    with darkfuse.load(CFG, WEIGHTS, threads=1, plan=streaming(batch)) as net:
        found = net.detect(pictures)
        assert boxes([next(found)]) == want[:1]
        assert boxes(found) == want[1:]
        assert boxes(net.detect(pictures[:2])) == want[:2]
        assert net.stats["bytes_read"] == (alone // 2 if batch > 1 else alone) > 0
        assert net.stats.get("batch", 1) == min(batch, 2)
        assert boxes([net.detect(pictures[1])]) == want[1:2]
        assert net.stats["bytes_read"] == alone


@pytest.mark.parametrize("batch", ["auto", 3])
@pytest.mark.parametrize("mem", ["min", "small"])
def test_batches_within_a_budget(batch, mem):
    with darkfuse.load(CFG, WEIGHTS, threads=1, read_bandwidth="50M", batch=batch, mem=mem) as net:
        want = boxes(net.detect(path) for path in PICTURES)
        assert boxes(net.detect(PICTURES)) == want
        assert net.stats.get("batch", 1) <= 3


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_a_bad_picture_spoils_no_other(bad, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(PICTURES[0]).read_bytes()[:20000])  # its header is sound
    pictures = PICTURES[:]
    pictures.insert(bad, str(broken))
    with darkfuse.load(CFG, WEIGHTS, threads=1, plan=streaming(4)) as net:
        want = boxes(net.detect(PICTURES))
        seen = list(net.detect_each(pictures))
        assert isinstance(seen[bad], ImageError) and "broken.png" in str(seen[bad])
        assert boxes(one for one in seen if not isinstance(one, ImageError)) == want
        found = net.detect(pictures)
        with pytest.raises(ImageError, match=r"broken\.png"):
            for _ in pictures:
                next(found)
        assert boxes(net.detect(PICTURES)) == want


def test_arrays_and_bytes_in_a_batch():
    data = Path(PICTURES[1]).read_bytes()
    with darkfuse.load(CFG, WEIGHTS, threads=1, plan=streaming(2)) as net:
        of_path, of_bytes = net.detect([PICTURES[1], data])
    assert of_bytes.detections == of_path.detections
    assert (of_path.path, of_bytes.path) == (PICTURES[1], "")


def test_an_impossible_batch_is_one_line(capsys):
    with pytest.raises(DarkfuseError, match="batch 0 is no number of pictures"):
        darkfuse.load(CFG, WEIGHTS, batch=0)
    assert main(["detect", str(CFG), str(WEIGHTS), PICTURES[0], "--no-draw", "--batch", "many"]) == 2
    said = capsys.readouterr().err
    assert "'many' is no number of pictures" in said and said.count("\n") == 1


def test_detect_of_a_folder_says_the_same_in_batches(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        shutil.copy(PICTURES[number % 3], folder / f"{number}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    said = []
    for batch in ("1", "4"):
        words = ["detect", str(CFG), str(WEIGHTS), str(folder), "--no-draw", "--threads", "1", "--mem", "min",
                 "--read-bandwidth", "50M", "--batch", batch]
        assert main(words) == 2  # one is bad
        out = capsys.readouterr()
        assert "bad.png" in out.err
        said.append([line for line in out.out.splitlines() if "Predicted in" not in line])
    assert said[0] == said[1] and said[0]


def test_the_planner_takes_as_many_pictures_as_is_fastest():
    graph = load_graph(str(Path(__file__).parent.parent.parent / "cfg" / "yolov2-tiny.cfg"))
    device = load_device("rpi4")
    one = plan_for(graph, 12 << 20, 1, False, device)
    best = plan_for_pictures(graph, 12 << 20, 1, False, device, 64)
    assert best.batch > 1 and best.arena_bytes <= 12 << 20
    assert best.predicted_ms < 0.6 * one.predicted_ms
    for batch in (best.batch // 2, 2 * best.batch):
        other = fastest_within(graph, 12 << 20, 1, False, device, batch)
        assert other is None or other.predicted_ms >= best.predicted_ms
    assert plan_for_pictures(graph, 12 << 20, 1, False, device, 1) == one
    resident = plan_for_pictures(graph, 256 << 20, 1, False, device, 64)
    assert resident.batch == 1 and predict(graph, resident, device).read_bytes == 0
