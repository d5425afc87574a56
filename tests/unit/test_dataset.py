"""A folder of photos and labels, read or refused in one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from darkfuse.detect.average_precision import evaluate
from darkfuse.detect.dataset import photos, truths
from darkfuse.detect.precision_table import as_json, table
from darkfuse.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for name in ("b.jpg", "a.JPG", "c.png", "notes.md"):
        (tmp_path / "images" / name).write_bytes(b"")
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n\n0 0.25 0.25 0.1 0.1\n")
    (tmp_path / "labels" / "a.difficult.txt").write_text("1 0.9 0.9 0.2 0.2\n")
    return tmp_path


def test_photos_in_order(folder):
    assert [p.stem for p in photos(str(folder))] == ["a", "b", "c"]
    assert [p.stem for p in photos(str(folder), limit=2)] == ["a", "b"]


@pytest.mark.parametrize("text", ["c\na\n", "c.png\na.JPG", "data/images/c.png\n\nother/a\n"])
def test_split_keeps_its_own_order(folder, text):
    (folder / "split.txt").write_text(text)
    assert [p.stem for p in photos(str(folder), str(folder / "split.txt"))] == ["c", "a"]


def test_truths_in_pixels(folder):
    photo = photos(str(folder))[0]
    assert truths(photo, 200, 100, 2) == [
        (1, 50.0, 37.5, 150.0, 62.5, False),
        pytest.approx((0, 40.0, 20.0, 60.0, 30.0, False)),
        pytest.approx((1, 160.0, 80.0, 200.0, 100.0, True)),
    ]


def test_photo_without_labels_has_no_objects(folder):
    assert truths(photos(str(folder))[1], 200, 100, 2) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("1 0.5 0.5 0.5", "expected a class and four numbers"),
        ("1 0.5 0.5 0.5 0.5 0.5", "expected a class and four numbers"),
        ("dog 0.5 0.5 0.5 0.5", "expected a class and four numbers"),
        ("1 0.5 0.5 0 0.5", "a size above 0"),
        ("1 nan 0.5 0.5 0.5", "finite numbers"),
        ("2 0.5 0.5 0.5 0.5", "class 2, but the network knows 0 to 1"),
        ("-1 0.5 0.5 0.5 0.5", "class -1"),
    ],
)
def test_bad_label_line(folder, line, what):
    (folder / "labels" / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DatasetError, match=rf"a\.txt:2: .*{what}"):
        truths(photos(str(folder))[0], 200, 100, 2)


def test_label_that_is_no_text(folder):
    (folder / "labels" / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"a\.txt: cannot read the labels"):
        truths(photos(str(folder))[0], 200, 100, 2)


def test_folder_faults(folder, tmp_path):
    with pytest.raises(DatasetError, match="no folder images/ in it"):
        photos(str(tmp_path / "nowhere"))
    (folder / "split.txt").write_text("a\nx\ny\n")
    with pytest.raises(DatasetError, match="2 of its 3 names have no photo .* the first is x"):
        photos(str(folder), str(folder / "split.txt"))
    with pytest.raises(DatasetError, match="none.txt: cannot read the list of photos"):
        photos(str(folder), str(folder / "none.txt"))
    (folder / "split.txt").write_text("\n")
    with pytest.raises(DatasetError, match="split.txt: no photos"):
        photos(str(folder), str(folder / "split.txt"))


def test_table_and_json_say_the_same(folder):
    import json

    there = [truths(p, 200, 100, 3) for p in photos(str(folder))]
    found = [[(1, 0.9, 50.0, 37.5, 150.0, 60.1), (0, 0.8, 0.0, 0.0, 9.0, 9.0)], [], []]
    result = evaluate(found, there, 3)
    lines = table(result, ["cat", "dog", "unicorn"], 0.3)
    assert len({len(line) for line in lines[:-1]}) == 1, "columns do not line up"
    assert [w for w in lines[3].split()] == ["dog", "1", "1", "100.00%", "100.00%", "100.00%", "90.00%"]
    assert lines[4].split() == ["unicorn", "0", "0", "-", "-", "-", "-"]
    assert lines[6].split()[3] == "50.00%"
    assert lines[-1] == "3 photos, 100.0 ms each in the network"
    data = json.loads(as_json(result, ["cat", "dog", "unicorn"], 0.3))
    assert data["mean"]["voc11"] == 0.5
    assert data["classes"][1]["coco"] == pytest.approx(0.9)
    assert data["classes"][2]["voc_area"] is None
