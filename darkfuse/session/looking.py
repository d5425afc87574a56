"""How a network is shown what to look at: one picture in any form, many of them, a camera or a film."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, overload

from darkfuse.detect.types import Result
from darkfuse.errors import ImageError
from darkfuse.session.inputs import as_file_or_array
from darkfuse.session.seen import Seen


class Looking:
    """`detect` and `stream` of `Network`, which brings the detecting itself."""

    @overload
    def detect(self, image: str | os.PathLike[str], thresh: float | None = None, nms: float | None = None,
               letterbox: bool | None = None, nms_kind: str | None = None, bgr: bool = False) -> Seen: ...
    @overload
    def detect(self, image: list[Any] | tuple[Any, ...] | Iterator[Any], thresh: float | None = None,
               nms: float | None = None, letterbox: bool | None = None, nms_kind: str | None = None,
               bgr: bool = False) -> Iterator[Seen]: ...
    @overload
    def detect(self, image: Any, thresh: float | None = None, nms: float | None = None,
               letterbox: bool | None = None, nms_kind: str | None = None, bgr: bool = False) -> Seen: ...

    def detect(self, image: Any, thresh: float | None = None, nms: float | None = None,
               letterbox: bool | None = None, nms_kind: str | None = None, bgr: bool = False) -> Any:
        """Find objects in a picture, or in many.

        Parameters
        ----------
        image : path, bytes, binary file, array, Pillow image, or a list or generator of them
            A picture file, or what is in one (a JPEG's pixels are then those the dialect's program sees, at
            most 3 levels of 255 off Pillow's and OpenCV's: docs/pictures.md); a Pillow image; or uint8,
            (height, width, 3) RGB (OpenCV's are BGR: say so with `bgr`), (height, width, 4) RGBA,
            (height, width) or (height, width, 1) grey. A network with one channel gets the luma; one with
            four gets alpha, 255 where the picture has none.
        thresh : float, optional
            Least score. Default: the dialect's, 0.5 in Darknet's.
        nms : float, optional
            Largest overlap of two boxes of a class; 0 keeps all. Default: the dialect's, 0.45 in Darknet's.
        letterbox : bool, optional
            Keep the picture's aspect inside the network, as Darknet's `detect`; False stretches it, as
            AlexeyAB's `test`. Default: as the dialect does.
        nms_kind : str, optional
            What overlap means: 'plain' (IoU), 'greedynms', 'diounms' or 'cornersnms' (see `detect.nms`).
            Default: what the cfg says, in a dialect that follows it.
        bgr : bool
            Arrays have blue first, as OpenCV's have.

        Returns
        -------
        Result, or for a list or generator an iterator of them, each made when it is asked for
            A list is looked at several pictures at a time where that is faster (see `load`). Empty, with a
            warning, for a network without detection layers. It remembers its picture, for
            `plot`, `save`, `show` and `crop`.

        Raises
        ------
        ImageError
            Not a picture.
        """
        if isinstance(image, (list, tuple)):
            return raise_errors(self.detect_each(image, thresh, nms, letterbox, nms_kind, bgr))
        if hasattr(image, "__next__") and not hasattr(image, "read"):  # an open file is an iterator too
            return (self.detect(one, thresh, nms, letterbox, nms_kind, bgr) for one in image)
        with as_file_or_array(image, bgr) as (given, source):
            found = self._detect(given, thresh, nms, letterbox, nms_kind)
        return Seen(**{**vars(found), "path": "" if given is not source else found.path}, source=source,
                    bgr=bgr and source is image)

    def stream(self, source: int | str | os.PathLike[str], realtime: bool = False,
               still: bool = False, noise: int = 0, **answers: Any) -> Iterator[Seen]:
        """Detect in a camera, a stream or a film, frame by frame, until it ends or the loop is left.

        Parameters
        ----------
        source : int, str or path
            Number of a camera, a video file, the address of a stream, `libcamera[:N]`, or a GStreamer
            pipeline (with `!` in it).
        realtime : bool
            Play a film at its own speed, leaving out the frames there is no time for. A camera's newest frame
            is always the one looked at.
        still : bool
            The camera does not move: do not compute again what did not change (see `stand_still`).
        noise : int
            Levels of 255 that count as no change, where it stands still.
        answers
            As `detect`: `thresh`, `nms`, `letterbox`, `nms_kind`.

        Yields
        ------
        Result
            Its `source` is the frame, (height, width, 3) uint8 BGR, until the next one is asked for.

        Raises
        ------
        ImageError
            There is no such source, or it gives no picture.
        BudgetError
            The network fits `mem`, but not beside OpenCV, some 45 MB, and the frames.
        """
        from darkfuse.media.capture import Capture

        self.close()  # OpenCV takes room that the arena had
        with Capture(source if isinstance(source, int) else os.fspath(source), realtime) as video:
            while not (video.ended and video.idle):
                frame = video.take(0.5)
                if frame is not None:
                    self._beside_film(frame.image.nbytes)
                    if still:
                        self.stand_still(noise)
                        still = False
                    yield self.detect(frame.image, bgr=True, **answers)

    def stand_still(self, noise: int = 0) -> bool:
        """See `Batches`."""
        raise NotImplementedError

    def detect_each(self, images: Sequence[Any], thresh: float | None = None, nms: float | None = None,
                    letterbox: bool | None = None, nms_kind: str | None = None,
                    bgr: bool = False) -> Iterator[Seen | ImageError]:
        """See `Batches`."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the arena back."""
        raise NotImplementedError

    def _beside_film(self, frame_bytes: int) -> None:
        """Plan for what a film leaves."""
        raise NotImplementedError

    def _detect(self, image: Any, thresh: float | None, nms: float | None, letterbox: bool | None,
                nms_kind: str | None) -> Result:
        """`detect` in one path or array."""
        raise NotImplementedError


def raise_errors(found: Iterator[Seen | ImageError]) -> Iterator[Seen]:
    """The results; the first error is raised."""
    for one in found:
        if isinstance(one, ImageError):
            raise one
        yield one
