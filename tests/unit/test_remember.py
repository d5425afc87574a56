"""Plans that a later start finds again, and what it must never take for one."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path

import pytest

from darkfuse.graph import Graph, load_graph
from darkfuse.plan.price.device import BUILTIN
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.types import Plan
from darkfuse.session import remember
from darkfuse.session.remember import MOST, STEP, Remembered, round_down

DEVICE = BUILTIN["rpi4"]
MB = 1 << 20


@pytest.fixture
def graph(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return load_graph(str(root / "cfg" / "yolov2-tiny.cfg"))


def memory(graph: Graph, arena: int | None = 40 * MB) -> Remembered:
    return Remembered(graph, arena, 2, False, DEVICE, None)


def kept(graph: Graph) -> tuple[Path, Plan]:
    plan = layer_by_layer(graph, 2)
    memory(graph).keep(plan)
    return Path(memory(graph).path), plan


def test_what_was_kept_is_found_again_and_nothing_else(graph: Graph, root: Path) -> None:
    assert memory(graph).recall() is None
    _, plan = kept(graph)
    assert memory(graph).recall() == plan
    other = load_graph(str(root / "cfg" / "yolov2-tiny-voc.cfg"))
    swift = dataclasses.replace(DEVICE, read=2 * DEVICE.read)
    for elsewhere in (memory(graph, None), memory(graph, 41 * MB), memory(other),
                      Remembered(graph, 40 * MB, 1, False, DEVICE, None),
                      Remembered(graph, 40 * MB, 2, True, DEVICE, None),
                      Remembered(graph, 40 * MB, 2, False, swift, None),
                      Remembered(graph, 40 * MB, 2, False, DEVICE, "generic")):
        assert elsewhere.recall() is None


def test_another_version_s_plan_is_stale(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plan = kept(graph)
    monkeypatch.setattr("darkfuse.__version__", "0.0.0")
    assert memory(graph).recall() is None
    os.replace(path, memory(graph).path)  # even under the name it would have
    assert memory(graph).recall() is None


def test_damage_is_never_taken_for_a_plan(graph: Graph) -> None:
    path, plan = kept(graph)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-20], b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000,
                    whole.replace(b'\\"slots\\":2', b'\\"slots\\":3', 1)):
        path.write_bytes(damaged)
        assert memory(graph).recall() is None
        memory(graph).keep(plan)
        assert memory(graph).recall() == plan
    foreign = json.loads(whole)
    foreign["plan"] = dataclasses.replace(plan, fingerprint="0" * 16).to_json()
    path.write_text(json.dumps(foreign))
    assert memory(graph).recall() is None


def test_the_folder_stays_small_and_what_is_used_stays(graph: Graph) -> None:
    path, plan = kept(graph)
    os.utime(path, ns=(0, 0))
    assert memory(graph).recall() == plan  # which makes it the newest
    for number in range(MOST + 5):
        memory(graph, number).keep(plan)
    names = os.listdir(path.parent)
    assert len(names) == MOST and all(name.endswith(".json") for name in names)


def test_two_that_write_at_once_leave_a_whole_plan(graph: Graph) -> None:
    plan = layer_by_layer(graph, 2)
    writers = [threading.Thread(target=memory(graph).keep, args=(plan,)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert memory(graph).recall() == plan
    assert len(os.listdir(os.path.dirname(memory(graph).path))) == 1


def test_a_folder_that_cannot_be_written_is_no_matter(graph: Graph, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    kept(graph)
    assert memory(graph).recall() is None


def test_arenas_are_rounded_so_that_starts_agree() -> None:
    assert round_down(None, True) is None and round_down(-5, True) == -5 and round_down(7, True) == 7
    for arena in (3 * MB + 7, 40 * MB, 999 * MB + 12345):
        named, free = round_down(arena, True), round_down(arena, False)
        assert named is not None and free is not None
        assert named % STEP == 0 and 0 <= arena - named < STEP
        assert free <= named and arena - free < max(STEP, arena // remember.IDLE_PART + 1)
