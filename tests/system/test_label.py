"""`darkfuse label`: every picture of a collection exactly once, however often it is killed and resumed."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from darkfuse.cli.main import main
from darkfuse.live.label import Results

GOLDEN = Path(__file__).parent.parent / "golden"
CFG, WEIGHTS = str(GOLDEN / "mini-alexeyab.cfg"), str(GOLDEN / "mini-alexeyab.weights")
PICTURES = [GOLDEN / f"{name}.png" for name in ("astronaut", "cat", "nothing")]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def collection(tmp_path: Path) -> tuple[list[str], list[str]]:
    """Sources of every kind, and the names of their pictures; one in ten is none."""
    folder, names = tmp_path / "pictures", []
    for number in range(60):
        path = folder / f"{number % 7}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % 10:
            shutil.copy(PICTURES[number % 3], path)
        else:
            path.write_bytes(b"no picture")
        names.append(str(path))
    shard = str(tmp_path / "more.tar.gz")
    with tarfile.open(shard, "w:gz") as tar:
        for number in range(30):
            data = PICTURES[number % 3].read_bytes()
            member = tarfile.TarInfo(f"a/{number}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            names.append(f"{shard}:a/{number}.png")
    listed = tmp_path / "list.txt"
    others = [tmp_path / f"other {number}.png" for number in range(10)]
    for path in others:
        shutil.copy(PICTURES[1], path)
    listed.write_text("".join(f"{path}\n" for path in [*others, names[1]]))  # one is in the folder as well
    return [str(folder), shard, str(listed)], [*names, *map(str, others)]


def words(sources: list[str], out: Path, *more: str) -> list[str]:
    return ["label", CFG, WEIGHTS, *sources, "--out", str(out), "--threads", "1", *more]


def told(out: Path) -> dict[str, dict]:
    """The lines by picture, none of which has two."""
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    found = {line["filename"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def test_every_picture_has_one_line_and_the_boxes_of_detect(collection, tmp_path, capsys):
    sources, names = collection
    out = tmp_path / "boxes.jsonl"
    assert main(words(sources, out, "--batch", "4", "--mem", "min")) == 0
    found = told(out)
    assert sorted(found) == sorted(names)
    assert "6 of all cannot be read" in capsys.readouterr().err
    alone = tmp_path / "alone.json"
    assert main(["detect", CFG, WEIGHTS, names[1], "--no-draw", "--threads", "1", "--json", str(alone)]) == 0
    want = [(o["class_id"], o["confidence"]) for o in json.loads(alone.read_text())[0]["objects"]]
    assert [(o["class_id"], o["confidence"]) for o in found[names[1]]["objects"]] == want
    assert main(words(sources, out, "--resume")) == 0  # nothing is left to do
    assert told(out) == found
    assert main(words(sources, out)) == 2
    assert "go on with it (--resume)" in capsys.readouterr().err


def test_shards_share_out_all_pictures(collection, tmp_path):
    sources, names = collection
    folder = tmp_path / "labels"
    for number in range(3):
        assert main(words(sources, folder, "--shard", f"{number}/3")) == 0
    parts = [told(folder / f"labels-{number:05d}-of-00003.jsonl") for number in range(3)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert all(parts)


def test_killed_at_any_moment_no_picture_is_lost_or_doubled(collection, tmp_path):
    sources, names = collection
    out, dice = tmp_path / "boxes.jsonl", random.Random(3)
    command = [sys.executable, "-m", "darkfuse", *words(sources, out, "--resume")]
    kills = 0
    while True:
        run = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            # At first no Python can be through; then longer and longer, or a slow machine never ends
            run.wait(dice.uniform(0.2, 1.5) * 1.3**kills if kills else 0.02)
            break
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            kills += 1
            if out.exists() and kills % 2:  # as if it had been killed in the middle of a line
                with out.open("ab") as lines:
                    lines.write(b'{"filename":"half')
    assert run.returncode == 0, run.communicate()[1]
    run.communicate()
    assert kills
    assert sorted(told(out)) == sorted(names)


def test_lines_of_another_kind_are_left_alone(tmp_path, capsys):
    out = tmp_path / "boxes.jsonl"
    out.write_text("my diary\n")
    assert main(words([str(PICTURES[0])], out, "--resume")) == 2
    assert "holds other lines" in capsys.readouterr().err
    assert out.read_text() == "my diary\n"


def test_two_processes_cannot_write_the_same_lines(tmp_path, capsys):
    out = tmp_path / "boxes.jsonl"
    with Results(str(out), False):
        assert main(words([str(PICTURES[0])], out)) == 2
    assert "another process writes to it" in capsys.readouterr().err


def test_coco_form(tmp_path):
    out = tmp_path / "coco.json"
    assert main(words([str(path) for path in PICTURES], out)) == 0
    coco = json.loads(out.read_text())
    assert [image["file_name"] for image in coco["images"]] == [str(path) for path in PICTURES]
    assert {found["image_id"] for found in coco["annotations"]} <= {0, 1, 2}
    for found in coco["annotations"]:
        left, top, wide, high = found["bbox"]
        assert wide > 0 and high > 0 and abs(found["area"] - wide * high) <= 0.01 * wide * high + 0.1


@pytest.mark.parametrize(("source", "says"), [
    ("nowhere.tar", "nowhere.tar: cannot be read: No such file"),
    ("nowhere.txt", "nowhere.txt: cannot be read: No such file"),
])
def test_a_source_that_cannot_be_read_is_one_line(source, says, tmp_path, capsys):
    assert main(words([source], tmp_path / "boxes.jsonl")) == 2
    said = capsys.readouterr().err
    assert says in said


def test_lists_and_tar_files_come_first_without_a_model(collection, tmp_path):
    sources, _ = collection
    out = tmp_path / "boxes.jsonl"
    assert main(["label", sources[2], sources[1], "--size", "64", "--threads", "1", "--out", str(out)]) == 0
    assert len(told(out)) == 41


def test_parquet_has_the_lines(collection, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    sources, names = collection
    out = tmp_path / "boxes.parquet"
    assert main(words(sources[1:2], out, "--shard", "1/2")) == 0
    rows = parquet.read_table(tmp_path / "boxes-00001-of-00002.parquet").to_pylist()
    lines = told(tmp_path / "boxes-00001-of-00002.jsonl")
    assert rows
    for row in rows:
        line = lines.pop(row["filename"])
        none = dict.fromkeys(("error", "not_finite", "width", "height"))
        assert row == {**none, "objects": [], **line}
    assert not lines


@pytest.mark.parametrize(("more", "says"), [
    (("--workers", "2"), "2 is not local:N"),
    (("--workers", "local:2", "--dask", "tcp://127.0.0.1:1"), "not allowed with"),
    (("--dask", "tcp://127.0.0.1:1"), "tcp://127.0.0.1:1: no Dask scheduler with workers answers"),
    (("--dask", "nothing://127.0.0.1:1"), "nothing://127.0.0.1:1: no Dask scheduler with workers answers"),
])
def test_a_cluster_that_is_not_there_is_one_line(more, says, tmp_path, command):
    pytest.importorskip("distributed")
    done = command("darkfuse", *words([str(PICTURES[0])], tmp_path / "boxes.jsonl", *more), timeout=60)
    assert done.returncode == 2 and says in done.stderr
    assert len(done.stderr.splitlines()) == 1
