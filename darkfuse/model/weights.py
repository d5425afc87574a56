"""The `.weights` file: its header, and where each layer's floats begin. No weight is read here.

Layout, little endian: int32 major, minor, revision; images seen, 8 bytes if major*10 + minor >= 2 (with both
below 1000) and 4 bytes before; then the float32 values of every layer that has any, in layer order.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Sequence

from darkfuse.errors import WeightsError
from darkfuse.host.files import identity
from darkfuse.host.record import dataclass

FLOAT_BYTES = 4
# Versions seen in the wild are 0.1.0 to 0.2.5; beyond 1000 is Darknet's mark for transposed weights.
MAX_VERSION = 10000


class WeightsWarning(UserWarning):
    """A `.weights` file holds more than its network asks for."""


@dataclass(frozen=True)
class Header:
    """What a `.weights` file says about itself; `bytes` is the header's own length, 16 or 20."""

    major: int
    minor: int
    revision: int
    seen: int
    bytes: int

    @property
    def transposed(self) -> bool:
        """Connected layers are stored [inputs][outputs] (Darknet: major or minor above 1000)."""
        return self.major > 1000 or self.minor > 1000


@dataclass(frozen=True)
class WeightsIndex:
    """Where each layer begins in a `.weights` file.

    Attributes
    ----------
    path : str
    header : Header
    size : int
        Bytes of the whole file.
    offsets : tuple of (int or None)
        Absolute byte offset of each layer's first float; None for a layer with nothing in the file.
    identity : object
        What the file is known by when it is opened again.
    used : int
        Bytes the network accounts for, header included; less than `size` when the file is too long.
    """

    path: str
    header: Header
    size: int
    offsets: tuple[int | None, ...]
    used: int
    identity: object = None

    @property
    def transposed(self) -> bool:
        """As `Header.transposed`."""
        return self.header.transposed


def read_header(path: str) -> tuple[Header, int]:
    """Read a header; returns it with the file's size in bytes. Raises `WeightsError`, as `open_weights`."""
    header, size, _ = open_weights(path)
    return header, size


def open_weights(path: str) -> tuple[Header, int, object]:
    """Read a header; returns it with the file's size in bytes and its identity.

    Raises
    ------
    WeightsError
        The file cannot be read, is shorter than a header, or the header is nonsense.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(20)
            size = os.fstat(file.fileno()).st_size
            known = identity(file.fileno())
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror or error}") from None
    if len(data) < 16:
        raise WeightsError(f"{path}: too short for a weights header: {len(data)} bytes, at least 16 needed")
    major, minor, revision = struct.unpack_from("<iii", data)
    if not (0 <= major <= MAX_VERSION and 0 <= minor <= MAX_VERSION and 0 <= revision <= MAX_VERSION):
        raise WeightsError(f"{path}: not a Darknet weights file: its header claims version "
                           f"{major}.{minor}.{revision}")
    if major * 10 + minor >= 2 and major < 1000 and minor < 1000:
        # Always 8 bytes here: Darknet reads a size_t, which is what broke it on 32-bit boards.
        if len(data) < 20:
            raise WeightsError(f"{path}: too short for a weights header: {len(data)} bytes, 20 needed by "
                               f"version {major}.{minor}")
        return Header(major, minor, revision, struct.unpack_from("<Q", data, 12)[0], 20), size, known
    return Header(major, minor, revision, struct.unpack_from("<I", data, 12)[0], 16), size, known


def load_weights_index(path: str, counts: Sequence[int], labels: Sequence[str] | None = None) -> WeightsIndex:
    """Lay the layers of a network over a `.weights` file.

    Parameters
    ----------
    path : str
        The file.
    counts : sequence of int
        Floats of each layer, in layer order; 0 for a layer with none in the file.
    labels : sequence of str, optional
        What to call each layer in a message; default 'layer 7'.

    Raises
    ------
    WeightsError
        As `read_header`; or the file ends early: the message names the layer and the bytes missing.

    Warns
    -----
    WeightsWarning
        The file goes on after the last layer.
    """
    path = os.fspath(path)
    header, size, known = open_weights(path)
    position = header.bytes
    offsets: list[int | None] = []
    short: int | None = None
    for index, count in enumerate(counts):
        offsets.append(position if count else None)
        position += count * FLOAT_BYTES
        if position > size and short is None:
            short = index
    if short is not None:
        label = labels[short] if labels else f"layer {short}"
        raise WeightsError(f"{path}: too short: the file ends inside {label}; the network needs {position} "
                           f"bytes, the file has {size}, {position - size} bytes are missing")
    if size > position:
        warnings.warn(f"{path}: {size - position} bytes are left over after the last layer: are these the "
                      "weights of this cfg?", WeightsWarning, stacklevel=2)
    return WeightsIndex(path, header, size, tuple(offsets), position, known)
