"""A window on the screen, if there is a screen."""

from __future__ import annotations

import os
import sys
from typing import Any

from darkfuse.media.opencv import opencv

TITLE = "darkfuse"
_QUIT = (27, ord("q"), ord("Q"))


def has_screen() -> bool:
    """Whether a window could be opened here."""
    return not sys.platform.startswith("linux") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Window:
    """The picture in a window. Raises `RuntimeError` when this OpenCV comes without windows."""

    def __init__(self, image: Any) -> None:
        self._cv2 = cv2 = opencv()
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(TITLE, image.shape[1], image.shape[0])
            self.show(image)
            self.keys()
        except cv2.error:
            raise RuntimeError("this OpenCV was built without windows") from None

    def show(self, image: Any) -> None:
        """Show a frame, (height, width, 3) uint8 BGR; it is on the screen after the next `keys`."""
        self._cv2.imshow(TITLE, image)

    def keys(self) -> bool:
        """Handle what the person did; True when they want to leave: q, Esc, or the window closed."""
        cv2 = self._cv2
        pressed = cv2.pollKey() if hasattr(cv2, "pollKey") else cv2.waitKey(1)
        if pressed != -1 and pressed & 0xFF in _QUIT:
            return True
        return bool(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1)

    def close(self) -> None:
        """Take the window away."""
        self._cv2.destroyAllWindows()
        self._cv2.waitKey(1)
