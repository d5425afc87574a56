"""The body of a request with a picture: into an unnamed file as it comes, never into memory."""

from __future__ import annotations

import os
from typing import Any

from darkfuse.host.extras import need
from darkfuse.host.nameless import folders, nameless
from darkfuse.live.web.http import Refused, Request

MOST_FIELDS, FIELD_BYTES = 16, 1024
PICTURES = ("image", "file", "picture", "photo")  # names of the part that holds the picture


class PictureFile:
    """An unnamed file on disk with what is in a picture file, of at most `most` bytes.

    Attributes
    ----------
    size : int
        Bytes so far.
    """

    def __init__(self, most: int) -> None:
        self.most, self.size, self.file = most, 0, -1

    @property
    def path(self) -> str:
        """A path under which this process and its helpers can open what came; empty when nothing did."""
        return f"/proc/{os.getpid()}/fd/{self.file}" if self.file >= 0 else ""

    def store(self, piece: Any) -> None:
        """Add bytes. Raises `Refused`."""
        self.size += len(piece)
        if self.size > self.most:
            raise Refused(413, message=f"the picture is larger than {self.most} bytes")
        try:
            if self.file < 0:
                self.file = _file()
            left = memoryview(piece)
            while len(left):
                left = left[os.write(self.file, left):]
        except OSError as error:
            raise Refused(503, "Retry-After: 5\r\n",
                          f"there is no room for the picture: {error.strerror}") from None

    def close(self) -> None:
        """Let the file go."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)


class Upload(PictureFile):
    """Where the body of `request` goes; see `live.web.hub.Body`.

    Attributes
    ----------
    fields : dict of str to str
        The form's other fields.
    """

    def __init__(self, request: Request, most: int) -> None:
        super().__init__(most)
        self.fields: dict[str, str] = {}
        self._parser: Any = None
        self._name, self._field = "", bytearray()
        self._limits: tuple[type[Exception], ...] = ()
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() == "multipart/form-data":
            multipart: Any = need("multipart", "forms with a picture")
            _, options = multipart.parse_options_header(kind)
            self._limits = (multipart.ParserLimitReached,)
            try:
                self._parser = multipart.PushMultipartParser(
                    options.get("boundary", ""), content_length=request.length, max_header_size=FIELD_BYTES,
                    max_segment_count=MOST_FIELDS, max_segment_size=most)
            except ValueError as error:
                raise Refused(400, message=f"the form cannot be read: {error}") from None

    def write(self, piece: bytes | bytearray) -> None:
        """Take the next bytes. Raises `Refused`."""
        if self._parser is None:
            self.store(piece)
            return
        try:
            for event in self._parser.parse(bytes(piece)):
                self._part(event)
        except ValueError as error:  # `MultipartError` is one
            status = 413 if isinstance(error, self._limits) else 400
            raise Refused(status, message=f"the form cannot be read: {error}") from None

    def finish(self) -> None:
        """All is there. Raises `Refused` when the form is not whole."""
        if self._parser is not None:
            try:
                self._parser.close()
            except ValueError as error:
                raise Refused(400, message=f"the form cannot be read: {error}") from None

    def _part(self, event: Any) -> None:
        if event is None:
            if self._name not in PICTURES:
                self.fields[self._name] = self._field.decode("utf-8", "replace")
        elif not isinstance(event, (bytes, bytearray)):  # a part begins
            self._name, self._field = event.name, bytearray()
            if self._name in PICTURES and self.file >= 0:
                raise Refused(400, message="one picture a request, please")
        elif self._name in PICTURES:
            self.store(event)
        else:
            self._field += event
            if len(self._field) > FIELD_BYTES:
                raise Refused(413, message=f"the field {self._name!r} is longer than {FIELD_BYTES} bytes")


def _file() -> int:
    last = OSError(2, "no folder for temporary files")
    for folder in folders():
        try:
            return nameless(folder)
        except OSError as error:
            last = error
    raise last
