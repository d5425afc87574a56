"""What `Network.detect` gives back: a `Result` that remembers its picture, to draw on it and cut from it."""

from __future__ import annotations

import os
from typing import Any

from darkfuse.detect.types import Result
from darkfuse.errors import ImageError
from darkfuse.host.record import dataclass, field


@dataclass(frozen=True, repr=False)
class Seen(Result):
    """A `Result` with its picture.

    Attributes
    ----------
    source : path or array, or None
        What was looked at; an array is not copied, so a caller that reuses its buffer changes it here too.
    bgr : bool
        The array's channels are blue, green, red.
    """

    source: Any = field(default=None, compare=False)
    bgr: bool = field(default=False, compare=False)

    def plot(self, picture: Any = None) -> Any:
        """The picture with its boxes drawn.

        Parameters
        ----------
        picture : path, array or Pillow image, optional
            Draw on this instead; boxes are fractions, so it may have another size.

        Returns
        -------
        PIL.Image.Image
            RGB, a new one. `numpy.asarray` makes it (height, width, 3) uint8.

        Raises
        ------
        ImageError
            There is no picture, or it cannot be read.
        """
        from darkfuse.media.draw import paint

        image = self._picture(picture)
        paint(image, self.marks())
        return image

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write `plot` to a .jpg or .png (`.jpg` is added to other names); returns the path written."""
        from darkfuse.media.draw import save

        return save(self.plot(), os.fspath(path))

    def show(self) -> None:
        """Open `plot` in the system's viewer of pictures."""
        self.plot().show()

    def crop(self, margin: float = 0.0) -> list[Any]:
        """What is inside each detection's box, as Pillow images in the order of `detections`.

        `margin` widens each side by that part of the box. A box outside the picture gives one pixel.
        """
        image, cut = self._picture(None), []
        wide, high = image.width / self.width, image.height / self.height
        for left, top, right, bottom in self.xyxy:
            x, y = margin * (right - left), margin * (bottom - top)
            box = [max(0, int((left - x) * wide)), max(0, int((top - y) * high)),
                   min(image.width, round((right + x) * wide)), min(image.height, round((bottom + y) * high))]
            box[0], box[1] = min(box[0], image.width - 1), min(box[1], image.height - 1)
            cut.append(image.crop((box[0], box[1], max(box[2], box[0] + 1), max(box[3], box[1] + 1))))
        return cut

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows."""
        import io

        if self.source is None:
            return None
        file = io.BytesIO()
        self.plot().save(file, "PNG")
        return file.getvalue()

    def _picture(self, other: Any) -> Any:
        from darkfuse.media.draw import canvas

        source, bgr = (self.source, self.bgr) if other is None else (other, False)
        if source is None:
            raise ImageError("this result has no picture; name one to draw on")
        return canvas(source, bgr)
