"""The labels of a collection as other programs want them, made of its lines when all are there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

from darkfuse.host.extras import need
from darkfuse.host.files import WholeFile
from darkfuse.live.label import Results

ROWS = 4096  # pictures of a row group of Parquet, all of which are in memory


def write_coco(results: Results, path: str, names: Sequence[str]) -> None:
    """All lines in COCO's form: images, categories, and annotations with scores, boxes in pixels.

    Raises `DarkfuseError` when it cannot be written.
    """
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    with WholeFile(path, "the labels") as file:
        file.write('{"images": [')
        for number, told in enumerate(results.lines()):
            image = {"id": number, "file_name": told["filename"], "width": told.get("width", 0),
                     "height": told.get("height", 0)}
            file.write(",\n"[: 2 * (number > 0)] + json.dumps(image))
        file.write(f'],\n"categories": {json.dumps(categories)},\n"annotations": [')
        count = 0
        for number, told in enumerate(results.lines()):
            for found in told.get("objects", ()):
                file.write(",\n"[: 2 * (count > 0)] + json.dumps(_annotation(count, number, told, found)))
                count += 1
        file.write("]}\n")


def _annotation(count: int, image: int, told: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    box = found["relative_coordinates"]
    wide, high = box["width"] * told["width"], box["height"] * told["height"]
    left, top = box["center_x"] * told["width"] - wide / 2, box["center_y"] * told["height"] - high / 2
    return {"id": count, "image_id": image, "category_id": found["class_id"], "area": round(wide * high, 2),
            "bbox": [round(edge, 2) for edge in (left, top, wide, high)], "iscrowd": 0,
            "score": found["confidence"]}


def write_parquet(results: Results, path: str) -> None:
    """All lines as Parquet, a row for each picture: the same fields, `objects` a list.

    Raises `DarkfuseError` when it cannot be written, or pyarrow is not installed.
    """
    pa: Any = need("pyarrow", "Parquet")
    parquet: Any = need("pyarrow.parquet", "Parquet")

    box = pa.struct([(name, pa.float64()) for name in ("center_x", "center_y", "width", "height")])
    found = pa.struct([("class_id", pa.int32()), ("name", pa.string()), ("confidence", pa.float64()),
                       ("relative_coordinates", box)])
    schema = pa.schema([("filename", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
                        ("error", pa.string()), ("not_finite", pa.int32()), ("objects", pa.list_(found))])
    with WholeFile(path, "the labels") as file, parquet.ParquetWriter(file.file, schema) as writer:
        rows = map(_row, results.lines())
        while some := list(islice(rows, ROWS)):
            writer.write_table(pa.Table.from_pylist(some, schema))


def _row(told: dict[str, Any]) -> dict[str, Any]:
    # A file name that is no UTF-8 is held as Python holds it, which Arrow refuses
    name = told["filename"].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return {"objects": [], **told, "filename": name}
