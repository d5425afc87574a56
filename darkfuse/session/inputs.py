"""What a caller hands over, as the session uses it: arrays as pictures, class names from where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from darkfuse.detect.decode import class_count
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.graph import Graph
from darkfuse.graph.build import DETECTION
from darkfuse.host.isa import ISAS
from darkfuse.media.picture import Picture
from darkfuse.model.locate import class_names

FITS = ("crop", "letterbox", "stretch")


def check_options(threads: int | None, isa: str | None) -> None:
    """Refuse a team or an instruction set that no machine has."""
    if threads is not None and not 1 <= threads <= 256:
        raise DarkfuseError(f"threads={threads} is outside 1..256")
    if isa not in (None, *ISAS):
        raise DarkfuseError(f"isa={isa!r} is none of {', '.join(ISAS)}")


def check_pictures(graph: Graph) -> None:
    """Raise `DarkfuseError` for a network whose input is no picture."""
    if graph.input.c not in (1, 3, 4):
        raise DarkfuseError(f"{graph.path}: takes {graph.input.c} channels; a picture has 1, 3 or 4 (for "
                            "other maps there is `forward`)")


def check_classifies(graph: Graph, top: int, fit: str) -> None:
    """Raise `DarkfuseError` for what `Network.classify` cannot do."""
    if any(node.kind in DETECTION for node in graph.nodes):
        raise DarkfuseError(f"{graph.path}: this network detects, it does not classify; use detect")
    if top < 1:
        raise DarkfuseError(f"top={top} is not a number of classes, 1 or more")
    if fit not in FITS:
        raise DarkfuseError(f"there is no fit {fit!r}; there are {', '.join(FITS)}")


@contextmanager
def as_file_or_array(image: Any, bgr: bool = False) -> Iterator[tuple[Any, Any]]:
    """A picture in any form as a path or an array, and what to remember of it for drawing.

    What is in a picture file (bytes, a binary file) is put into a temporary one while it is decoded: decoders
    read files, in a process of their own where memory is short. Raises `ImageError`.
    """
    if isinstance(image, (str, os.PathLike)):
        if "://" in os.fspath(image):
            raise ImageError(f"{image}: addresses are not fetched; download the picture first")
        yield image, image
    elif hasattr(image, "read") or isinstance(image, (bytes, bytearray)):
        import tempfile

        data = image.read() if hasattr(image, "read") else image
        if not isinstance(data, (bytes, bytearray)):
            raise ImageError("expected a file opened as binary, 'rb'")
        with tempfile.NamedTemporaryFile(prefix="darkfuse-") as file:
            file.write(data)
            file.flush()
            try:
                yield file.name, bytes(data)
            except ImageError as error:
                name = getattr(image, "name", f"{len(data)} bytes given as a picture")
                raise ImageError(str(error).replace(file.name, str(name), 1)) from None
    elif hasattr(image, "convert") and hasattr(image, "tobytes"):  # a Pillow image
        width, height = image.size
        yield memoryview(image.convert("RGB").tobytes()).cast("B", (height, width, 3)), image
    else:
        yield (_swapped(image) if bgr else image), image


def _swapped(image: Any) -> Any:
    """An array's first three channels the other way round."""
    if not hasattr(image, "ndim") or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ImageError("bgr=True wants an array (height, width, 3)" + _none(image))
    return image[..., [2, 1, 0, 3][: image.shape[2]]]


def _none(image: Any) -> str:
    return "" if image is not None else "; None is what cv2.imread gives for a file it cannot read"


def as_picture(image: Any) -> Picture:
    """An array as a picture; without numpy, any buffer of bytes of that shape will do."""
    try:
        view = memoryview(image)
    except TypeError:
        kind = type(image).__name__
        raise ImageError(f"expected a path or a (height, width, 3) uint8 array, not {kind}"
                         + _none(image)) from None
    shape = (*(view.shape or ()), 1) if view.ndim == 2 else view.shape or ()
    if len(shape) != 3 or shape[2] not in (1, 3, 4) or view.format != "B" or 0 in shape:
        raise ImageError(f"expected a (height, width, 3) uint8 array (or grey, or RGBA), not {view.shape} of "
                         f"{view.format!r}")
    height, width, channels = shape
    pixels = view.cast("B") if view.c_contiguous else view.tobytes()
    return Picture(width, height, pixels, width, height, channels)


def names_of(
    graph: Graph, weights: str, names: str | os.PathLike[str] | Sequence[str] | None
) -> tuple[str, ...]:
    """Class names of a network: those given, or of the file named, or as many as it needs found beside it.

    Raises `DarkfuseError` for a `.data` file without names, `CfgError` for a file that cannot be read.
    """
    from darkfuse.model.names import read_data, read_names

    if names is None:
        detects = any(node.kind in DETECTION for node in graph.nodes)
        classes = class_count(graph) if detects else graph.node(graph.outputs[0]).out_shape.values
        return class_names(graph.path, weights, classes) or ()
    if not isinstance(names, (str, os.PathLike)):
        return tuple(names)
    path = os.fspath(names)
    if path.endswith(".data"):
        data = read_data(path)
        if data.names is None:
            raise DarkfuseError(f"{path}: has no names= line")
        path = data.names
    return read_names(path)
