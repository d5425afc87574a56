"""What the live page shows, and what its controls say: shared by the loop that detects and the server."""

from __future__ import annotations

import json
import threading
import time
from array import array
from collections.abc import Mapping
from typing import Any

MINUTES = 5
POINTS = MINUTES * 60  # one a second


class State:
    """The latest frame, its detections, the last minutes' figures, threshold and pause.

    Attributes
    ----------
    thresh : float
        Least score, 0..1, as the page or the caller set it last.
    paused : bool
    """

    def __init__(self, thresh: float) -> None:
        self.thresh, self.paused = thresh, False
        self.changed = 0  # grows with every change of the controls
        self._lock = threading.Lock()
        self._record: Mapping[str, Any] = {}
        self._text, self._text_of = b"{}", (0, 0)
        self._number = 0
        # seconds since 1970, latency in ms, memory now in bytes; and budget in the latest record
        self._history = array("d")

    def update(self, record: Mapping[str, Any]) -> None:
        """Take the figures of a frame; see `live.Live.record` for what is in them."""
        with self._lock:
            self._record = record
            self._number += 1
            now = time.time()
            if not self._history or now - self._history[-3] >= 1:
                self._history.extend((now, record.get("latency_ms", 0), record["memory"].get("now") or 0))
                del self._history[: max(0, len(self._history) - 3 * POINTS)]

    def json(self) -> bytes:
        """The latest detections and figures, with the controls as they are."""
        with self._lock:
            stamp = (self._number, self.changed)
            if stamp != self._text_of:
                told = {**self._record, "thresh": self.thresh, "paused": self.paused}
                self._text, self._text_of = json.dumps(told, separators=(",", ":")).encode(), stamp
            return self._text

    def stamp(self) -> tuple[int, int]:
        """Changes whenever `json` does."""
        return self._number, self.changed

    def history(self) -> bytes:
        """The last minutes as `[[seconds, latency ms, bytes], ...]`, oldest first."""
        with self._lock:
            flat = self._history.tolist()
        rows = [[round(flat[i], 1), round(flat[i + 1], 2), int(flat[i + 2])] for i in range(0, len(flat), 3)]
        return json.dumps(rows, separators=(",", ":")).encode()

    def control(self, body: bytes) -> bool:
        """Do what the page asks: `{"thresh": 0..1}`, `{"paused": bool}`; False when it is neither."""
        try:
            wish = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if not isinstance(wish, dict) or not wish or set(wish) - {"thresh", "paused"}:
            return False
        thresh, paused = wish.get("thresh", self.thresh), wish.get("paused", self.paused)
        if isinstance(thresh, bool) or not isinstance(thresh, (int, float)) or not 0 <= thresh <= 1:
            return False
        if not isinstance(paused, bool):
            return False
        self.thresh, self.paused = float(thresh), paused
        self.changed += 1
        return True
