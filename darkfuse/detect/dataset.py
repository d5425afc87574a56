"""A folder of photos with labels to score a network on.

    DATA/images/NAME.jpg            (or .jpeg, .png, .bmp)
    DATA/labels/NAME.txt            a line per object: class, centre x, centre y, width, height
    DATA/labels/NAME.difficult.txt  optional, the same: objects nobody is expected to find

Coordinates are fractions of the photo, as Darknet trains on. A photo without a label file has no objects.
"""

from __future__ import annotations

import math
import os

from darkfuse.detect.average_precision import Truth
from darkfuse.errors import DatasetError
from darkfuse.host.record import dataclass

IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class Photo:
    """A photo and where its labels are (the files may be missing)."""

    stem: str
    image: str
    label: str
    difficult: str


def photos(folder: str, split: str | None = None, limit: int | None = None,
           key: str = "valid") -> list[Photo]:
    """The photos of a folder, sorted by name.

    Parameters
    ----------
    folder : str
        With ``images/`` and ``labels/`` inside; or a Darknet ``.data`` file, whose ``valid=`` lists photos,
        labels being where Darknet looks: beside each, or in ``labels`` in place of ``images``.
    split : str, optional
        A file of names, one a line, without folder or ending (both are dropped if there): only these.
    limit : int, optional
        At most so many, the first ones.
    key : str
        Of the ``.data`` file: 'valid' or 'train'.

    Raises
    ------
    DatasetError
        No ``images/`` or ``labels/``, no photo, or a name in ``split`` that has none.
    """
    if folder.endswith(".data"):
        return _listed(folder, key)[:limit]
    images, labels = os.path.join(folder, "images"), os.path.join(folder, "labels")
    for part in (images, labels):
        if not os.path.isdir(part):
            raise DatasetError(
                f"{folder}: no folder {os.path.basename(part)}/ in it; images/ and labels/ are needed"
            )
    found: dict[str, str] = {}
    for name in sorted(os.listdir(images)):
        stem, ending = os.path.splitext(name)
        if ending.lower() in IMAGES:
            found[stem] = os.path.join(images, name)
    stems = sorted(found)
    if split is not None:
        stems = _names(split)
        missing = [s for s in stems if s not in found]
        if missing:
            raise DatasetError(
                f"{split}: {len(missing)} of its {len(stems)} names have no photo in {images}, the "
                f"first is {missing[0]}"
            )
    if not stems:
        raise DatasetError(f"{split or images}: no photos")
    return [
        Photo(s, found[s], os.path.join(labels, s + ".txt"), os.path.join(labels, s + ".difficult.txt"))
        for s in stems[:limit]
    ]


def listed_paths(data: str, key: str = "valid") -> list[str]:
    """Paths of the photos a .data file lists, in its order. Raises `DatasetError`."""
    from darkfuse.model.names import read_data

    path = read_data(data).values.get(key)
    if not path:
        raise DatasetError(f"{data}: has no {key}= line that lists photos")
    found = _lines(path)
    if not found:
        raise DatasetError(f"{path}: no photos")
    return found


def _listed(data: str, key: str) -> list[Photo]:
    found = []
    for image in listed_paths(data, key):
        stem = os.path.splitext(os.path.basename(image))[0]
        label = os.path.splitext("/labels/".join(f"/{image}".rsplit("/images/", 1))[1:])[0]
        found.append(Photo(stem, image, label + ".txt", label + ".difficult.txt"))
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: cannot read the list of photos: {getattr(error, 'strerror', error)}"
        ) from None


def _names(path: str) -> list[str]:
    names = [os.path.basename(line) for line in _lines(path)]
    return [os.path.splitext(n)[0] if os.path.splitext(n)[1].lower() in IMAGES else n for n in names]


def truths(photo: Photo, width: int, height: int, classes: int) -> list[Truth]:
    """The labels of a photo of ``width`` x ``height`` pixels, as `average_precision` wants them.

    Raises
    ------
    DatasetError
        A line is not five numbers, or its class is not one of the network's; names file and line.
    """
    return [
        (c, (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height, difficult)
        for path, difficult in ((photo.label, False), (photo.difficult, True))
        for c, x, y, w, h in _labels(path, classes)
    ]


def _labels(path: str, classes: int) -> list[tuple[int, float, float, float, float]]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot read the labels: {getattr(error, 'strerror', error)}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        try:
            kind, (x, y, w, h) = int(words[0]), map(float, words[1:])
        except ValueError:
            raise DatasetError(
                f"{path}:{number}: expected a class and four numbers, found '{line.strip()[:60]}'"
            ) from None
        if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
            raise DatasetError(
                f"{path}:{number}: a box needs finite numbers and a size above 0, found '{line.strip()[:60]}'"
            )
        if not 0 <= kind < classes:
            raise DatasetError(f"{path}:{number}: class {words[0][:20]}, but the network knows 0 to "
                               f"{classes - 1}")
        rows.append((kind, x, y, w, h))
    return rows
