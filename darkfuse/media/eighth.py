"""A progressive JPEG at an eighth of its size, in a sixty-fourth of the memory that decoding it takes.

A progressive file (ITU T.81, G) has the means of its 8x8 blocks, the DC coefficients, in scans of their own,
ahead of everything else: they are the picture at an eighth, as libjpeg makes it at scale 1/8 (but for colour
that was stored smaller, of which libjpeg takes more than its means). All other scans are passed over unread.
libjpeg itself would keep every coefficient of the picture meanwhile, at whatever scale it is to come out.
Plain Python, as it is for pictures that are refused otherwise: two or three seconds for 27 megapixels on a
desktop.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import IO, NamedTuple

from darkfuse.errors import ImageError

_SOF2, _DHT, _DQT, _DRI, _SOS, _EOI, _APP14 = 0xC2, 0xC4, 0xDB, 0xDD, 0xDA, 0xD9, 0xEE
_CHUNK = 1 << 16
# Bytes beside the blocks: look-up tables of 65,536 codes for up to four Huffman tables, and the rest.
_BESIDE = 1 << 20


# A unit of a scan: (number of the component, its blocks, the place among them) of each block.
_Unit = list[tuple[int, "array[int]", int]]


class _Component(NamedTuple):
    """One of Y, Cb and Cr: its sampling factors, its quantisation table, and its blocks' means."""

    name: int
    across: int
    down: int
    table: int
    wide: int  # blocks a row that the picture has; rows in `blocks` are `stride` long
    high: int
    stride: int
    blocks: array[int]


class Eighth:
    """Width, height and rows of RGB bytes of a progressive JPEG at an eighth.

    Parameters
    ----------
    path : str
        For messages.
    file : binary file
        At any place; it is moved about in.
    room : int
        Most bytes it may take, by `needed_bytes`.

    Raises
    ------
    ImageError
        The file is damaged, or not a progressive JPEG of 8 bits that is grey or YCbCr.
    """

    def __init__(self, path: str, file: IO[bytes], room: int) -> None:
        self._path, self._file, self._room = path, file, room
        self._quantised: dict[int, int] = {}
        self._codes: dict[int, array[int]] = {}
        self._restart, self._transform, self._components = 0, 1, []  # type: int, int, list[_Component]
        file.seek(2)
        for marker, body in self._segments():
            try:
                self._scan(body) if marker == _SOS else self._read(marker, body)
            except (IndexError, KeyError, OverflowError):
                raise self._fault("it is damaged") from None
        if not self._components:
            raise self._fault("it is not a progressive one")
        self.width, self.height = -(-self._size[0] // 8), -(-self._size[1] // 8)
        self._most = (max(one.across for one in self._components), max(one.down for one in self._components))

    def rows(self) -> Iterator[bytes]:
        """The rows, from the top."""
        planes = [(one, self._quantised.get(one.table, 1)) for one in self._components]
        for y in range(self.height):
            lines = []
            for one, step in planes:
                start = y * one.down // self._most[1] * one.stride
                line = [((value * step + 4) >> 3) + 128 for value in one.blocks[start : start + one.stride]]
                lines.append([line[x * one.across // self._most[0]] for x in range(self.width)])
            yield _rgb(lines, self._transform)

    def _fault(self, what: str) -> ImageError:
        return ImageError(f"{self._path}: cannot reduce the picture: {what}")

    def _segments(self) -> Iterator[tuple[int, bytes]]:
        """Markers and what they carry; scans' data is left to `_scan`, or passed over."""
        while True:
            lead = self._file.read(1)
            while lead and lead != b"\xff":  # data of a scan that nobody read
                piece = self._file.read(_CHUNK)
                at = piece.find(b"\xff")
                if at >= 0:
                    self._file.seek(at - len(piece), os.SEEK_CUR)
                    lead = self._file.read(1)
                elif not piece:
                    lead = b""
            code = self._file.read(1)
            while code == b"\xff":
                code = self._file.read(1)
            if not code or code[0] == _EOI:
                return
            if code[0] == 0 or 0xD0 <= code[0] <= 0xD8:  # a stuffed byte or a restart within data passed over
                continue
            size = int.from_bytes(self._file.read(2), "big")
            body = self._file.read(size - 2)
            if size < 2 or len(body) < size - 2:
                raise self._fault("it ends early")
            yield code[0], body

    def _read(self, marker: int, body: bytes) -> None:
        """Tables and the frame."""
        if marker == _DQT:
            while body:
                wide = body[0] >> 4
                self._quantised[body[0] & 15] = int.from_bytes(body[1 : 2 + wide], "big")
                body = body[1 + 64 * (1 + wide) :]
        elif marker == _DHT:
            while len(body) > 17:
                count = sum(body[1:17])
                if not body[0] >> 4:
                    self._codes[body[0] & 15] = _looked_up(body[1:17], body[17 : 17 + count])
                body = body[17 + count :]
        elif marker == _DRI:
            self._restart = int.from_bytes(body[:2], "big")
        elif marker == _APP14 and body[:5] == b"Adobe" and len(body) > 11:
            self._transform = body[11]
        elif marker == _SOF2 and not self._components:
            self._frame(body)

    def _frame(self, body: bytes) -> None:
        height, width, count = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"), body[5]
        if body[0] != 8 or count not in (1, 3) or not width * height or len(body) < 6 + 3 * count:
            raise self._fault("its kind of progressive JPEG is not known")
        parts = [(body[6 + 3 * n], body[7 + 3 * n] >> 4, body[7 + 3 * n] & 15, body[8 + 3 * n])
                 for n in range(count)]
        if any(not across * down for _, across, down, _ in parts):
            raise self._fault("it is damaged")
        if needed_bytes(width, height) > self._room:
            raise self._fault("there is not room enough for it")
        most = (max(part[1] for part in parts), max(part[2] for part in parts))
        self._size = width, height
        self._units = -(-width // (8 * most[0])), -(-height // (8 * most[1]))
        for name, across, down, table in parts:
            stride, rows = self._units[0] * across, self._units[1] * down
            wide, high = (-(-width * across // most[0]) + 7) // 8, (-(-height * down // most[1]) + 7) // 8
            self._components.append(_Component(name, across, down, table, wide, high, stride,
                                               array("h", bytes(2 * stride * rows))))

    def _scan(self, body: bytes) -> None:
        """One scan: means are read, all else is passed over."""
        count = body[0]
        first, bits = body[1 + 2 * count], body[3 + 2 * count]
        if first:
            return
        named = {one.name: one for one in self._components}
        parts = [(named[body[1 + 2 * n]], self._codes.get(body[2 + 2 * n] >> 4)) for n in range(count)]
        refined, low = bits >> 4, bits & 15
        if not refined and any(codes is None for _, codes in parts):
            raise self._fault("it is damaged")
        places = self._places([one for one, _ in parts])
        for data in self._data():
            some = islice(places, self._restart) if self._restart else places
            if refined:
                _refine(data, some, low)
            else:
                self._means(data, some, [codes for _, codes in parts], low)

    def _places(self, parts: list[_Component]) -> Iterator[_Unit]:
        """Units in the order of the scan, each a list of (number of the component, its blocks, place)."""
        if len(parts) == 1:
            one = parts[0]
            for y in range(one.high):
                for x in range(one.wide):
                    yield [(0, one.blocks, y * one.stride + x)]
            return
        for row in range(self._units[1]):
            for column in range(self._units[0]):
                yield [(number, one.blocks, (row * one.down + v) * one.stride + column * one.across + h)
                       for number, one in enumerate(parts)
                       for v in range(one.down) for h in range(one.across)]

    def _data(self) -> Iterator[bytes]:
        """The scan's data from here on, a piece for each restart, without stuffed bytes."""
        kept = bytearray()
        while True:
            piece = self._file.read(_CHUNK)
            if piece.endswith(b"\xff"):
                piece += self._file.read(1)
            at = piece.find(b"\xff")
            start = 0
            while at >= 0 and at + 1 < len(piece):
                code = piece[at + 1]
                if code == 0:
                    kept += piece[start : at + 1]
                elif 0xD0 <= code <= 0xD7:
                    kept += piece[start:at]
                    yield bytes(kept)
                    kept.clear()
                elif code != 0xFF:
                    kept += piece[start:at]
                    self._file.seek(at - len(piece), os.SEEK_CUR)
                    yield bytes(kept)
                    return
                start = at + 2 if code != 0xFF else at + 1
                at = piece.find(b"\xff", start)
            kept += piece[start:]
            if not piece:
                yield bytes(kept)
                return

    def _means(self, data: bytes, places: Iterator[_Unit],
               codes: list[array[int] | None], low: int) -> None:
        """First scan of means: differences in Huffman codes, without their `low` last bits."""
        data += bytes(8)
        last = [0] * len(codes)
        held = count = at = 0
        try:
            for unit in places:
                for number, blocks, place in unit:
                    while count < 32:
                        held = (held << 8 | data[at]) & 0xFFFFFFFFFF
                        at += 1
                        count += 8
                    code = codes[number][held >> (count - 16) & 0xFFFF]  # type: ignore[index]
                    count -= code >> 8
                    size = code & 255
                    if not code or size > 11:
                        raise self._fault("it is damaged")
                    if size:
                        count -= size
                        value = held >> count & ((1 << size) - 1)
                        last[number] += value if value >> (size - 1) else value - (1 << size) + 1
                    blocks[place] = last[number] << low
        except (IndexError, OverflowError):
            raise self._fault("it ends early") from None


def needed_bytes(width: int, height: int) -> int:
    """What reading a picture of this size takes beside the file's own scans of means: at most, for 4:4:4."""
    return -(-width // 8) * -(-height // 8) * (3 * 2 + 3) + _BESIDE


def _refine(data: bytes, places: Iterator[_Unit], low: int) -> None:
    """A later scan of means: one more bit of each."""
    data += bytes(1)
    at, end = 0, 8 * len(data) - 8
    for unit in places:
        for _, blocks, place in unit:
            if at < end and data[at >> 3] >> (7 - (at & 7)) & 1:
                blocks[place] |= 1 << low
            at += 1


def _looked_up(lengths: bytes, symbols: bytes) -> array[int]:
    """For every sixteen bits the code they begin with: length * 256 + symbol; 0 where there is none."""
    table = array("H", bytes(1 << 17))
    code = at = 0
    for length, count in enumerate(lengths, 1):
        for symbol in symbols[at : at + count]:
            first, many = code << (16 - length), 1 << (16 - length)
            if first + many > 1 << 16:
                break
            table[first : first + many] = array("H", [length << 8 | symbol]) * many
            code += 1
        at += count
        code <<= 1
    return table


def _rgb(lines: list[list[int]], transform: int) -> bytes:
    """A row of pixels from its components' values."""
    out = bytearray(3 * len(lines[0]))
    if len(lines) == 1:
        out[0::3] = out[1::3] = out[2::3] = bytes(min(max(y, 0), 255) for y in lines[0])
        return bytes(out)
    if not transform:
        for channel, line in enumerate(lines):
            out[channel::3] = bytes(min(max(value, 0), 255) for value in line)
        return bytes(out)
    luma, blue, red = lines
    out[0::3] = bytes(min(max(round(y + 1.402 * (r - 128)), 0), 255) for y, r in zip(luma, red))
    out[1::3] = bytes(min(max(round(y - 0.344136 * (b - 128) - 0.714136 * (r - 128)), 0), 255)
                      for y, b, r in zip(luma, blue, red))
    out[2::3] = bytes(min(max(round(y + 1.772 * (b - 128)), 0), 255) for y, b in zip(luma, blue))
    return bytes(out)
