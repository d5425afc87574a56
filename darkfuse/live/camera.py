"""Detection in video as it comes: frames in, boxes out to a window, a web page, a video file, JSON lines.

Everything that takes memory is opened and used once before the network is planned, so that what is left of
the budget is measured, not guessed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from darkfuse.errors import DarkfuseError
from darkfuse.host import process
from darkfuse.host.files import Lines, WholeFile
from darkfuse.host.units import format_bytes
from darkfuse.live.percentiles import Percentiles
from darkfuse.live.wishes import Wishes, say
from darkfuse.media.palette import class_colour
from darkfuse.model.dialect import DARKNET

if TYPE_CHECKING:
    from darkfuse.detect.types import Result
    from darkfuse.media.capture import Capture, Frame
    from darkfuse.session.network import Network

JPEG_QUALITY = 75
LIVE_FPS = 10.0  # of the video written from a camera, whose own speed detection seldom reaches
TICK_S = 0.05  # how often keys and the page's controls are looked at while there is no frame


def run(wishes: Wishes) -> list[str]:
    """Detect until the video ends, `wishes.frames` are done, or somebody ends it; the summary's lines.

    Messages on the way go to standard error.

    Raises
    ------
    DarkfuseError
        Source, network or budget do not work; an output cannot be written.
    """
    from darkfuse.media.capture import Capture

    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            before = signal.signal(signal.SIGTERM, signal.default_int_handler)
            stack.callback(signal.signal, signal.SIGTERM, before)
        try:
            capture = stack.enter_context(Capture(wishes.source, wishes.realtime, say))
            live = Live(wishes, capture, stack)
        except KeyboardInterrupt:
            return []
        with contextlib.suppress(KeyboardInterrupt):
            live.loop()
        return live.summary()


class Live:
    """One run of the loop, with what it shows and writes to. Everything opened is closed by `stack`."""

    def __init__(self, wishes: Wishes, capture: Capture, stack: contextlib.ExitStack) -> None:
        from darkfuse.media.opencv import opencv

        self.wishes, self.capture, self._cv2 = wishes, capture, opencv()
        self.latency, self.forward = Percentiles(), Percentiles()
        name = capture.name  # of a file the page need not know the folder
        self.source = name if "://" in name else os.path.basename(name)
        self.done, self._began, self._ended = 0, 0.0, 0.0
        self._recent: deque[float] = deque(maxlen=30)
        self._last: dict[str, Any] = {}
        first = None
        while first is None:
            first = capture.take(1.0)
        self._held = first  # shown while nothing newer is there
        self._boxes: tuple[Result, dict[str, Any]] | None = None  # still to be drawn on it
        # Taken to find out its size, and not looked at yet. A camera's will be old by the time we could.
        self._pending: Frame | None = None if capture.live else first
        self._rgb = first.image.copy()
        self.lines = self._open_lines(stack)
        self.state, self.server = self._open_server(stack)
        self.json_port = self._open_json_port(stack)
        self.window = self._open_window(stack, first.image)
        self.writer = self._open_writer(stack)
        if wishes.mqtt is not None:  # before memory is shared out: its code counts too
            from darkfuse.live.mqtt import Publisher, classes_of
        self.net: Network = stack.enter_context(self._load(first.image))
        if wishes.still is not None and not self.net.stand_still(wishes.still):
            say("--still: all maps of this network do not fit in --mem beside its weights; only frames that "
                "did not change at all are passed over")

        self.publisher = Publisher(wishes.mqtt, classes_of(self.net), stack) if wishes.mqtt else None
        if wishes.answers.get("thresh") is None and self.state.thresh == DARKNET.thresh:
            self.state.thresh = self.net.dialect.thresh

    def _open_lines(self, stack: contextlib.ExitStack) -> Lines | None:
        path = self.wishes.json_lines
        return None if path is None else stack.enter_context(Lines(path))

    def _open_server(self, stack: contextlib.ExitStack) -> tuple[Any, Any]:
        from darkfuse.live.web.state import State

        given = self.wishes.answers.get("thresh")
        state = State(DARKNET.thresh if given is None else given)  # until the network says whose it is
        if self.wishes.http is None:
            return state, None
        from darkfuse.live.web.server import Server

        server = Server(*self.wishes.http, state)
        stack.callback(server.close)
        say(f"watch at {server.url}")
        return state, server

    def _open_json_port(self, stack: contextlib.ExitStack) -> Any:
        if self.wishes.json_port is None:
            return None
        from darkfuse.live.web.json_port import JsonPort

        port = JsonPort(*self.wishes.json_port)
        stack.callback(port.close)
        say(f"boxes as JSON at {port.url}")
        return port

    def _open_window(self, stack: contextlib.ExitStack, image: Any) -> Any:
        from darkfuse.media.window import Window, has_screen

        if not self.wishes.window:
            return None
        wishes = self.wishes
        seen = wishes.http or wishes.out or wishes.json_lines or wishes.json_port or wishes.prefix
        if not has_screen():
            if not seen:
                say("there is no screen here; with --http 8080 a browser shows the picture")
            return None
        try:
            window = Window(image)
        except RuntimeError as error:
            say(f"no window: {error}")
            return None
        stack.callback(window.close)
        return window

    def _open_writer(self, stack: contextlib.ExitStack) -> Any:
        if self.wishes.out is None:
            return None
        from darkfuse.media.writer import Writer

        capture = self.capture
        fps = LIVE_FPS if capture.live else capture.fps or 25.0
        return stack.enter_context(
            Writer(self.wishes.out, capture.width, capture.height, fps, capture.live,
                   self.wishes.mem is None))

    def _load(self, image: Any) -> Network:
        """The network, planned into what is left of the budget now."""
        from darkfuse.media.overlay import draw_marks, draw_status
        from darkfuse.session.network import load

        scratch = self._rgb
        draw_marks(scratch, [(0, "warm", 0.1, 0.1, 0.9, 0.9)])
        draw_status(scratch, "warm")
        self._compress(image)
        wishes, later = self.wishes, 0
        if self.server is not None:
            from darkfuse.live.web.server import HELD_BYTES

            later += HELD_BYTES
        if self.writer is not None:
            from darkfuse.media.writer import BYTES, PIXEL_BYTES

            later += BYTES + PIXEL_BYTES * self.capture.width * self.capture.height
        return load(wishes.cfg, wishes.weights, threads=wishes.threads, mem=wishes.mem, exact=wishes.exact,
                    names=wishes.names, video_bytes=later, **wishes.loading)

    def loop(self) -> None:
        """Frame after frame until it ends."""
        wishes, capture, pace = self.wishes, self.capture, 0.0
        if wishes.fps_limit:
            pace = 1 / wishes.fps_limit
        self._began = self._ended = due = time.monotonic()
        while wishes.frames is None or self.done < wishes.frames:
            if self.window is not None and self.window.keys():
                return
            wait = due - time.monotonic()
            if self.state.paused or wait > 0:
                self._show_again()
                time.sleep(min(max(wait, 0), TICK_S) or TICK_S)
                continue
            frame = self._pending or capture.take(TICK_S)
            self._pending = None
            if frame is None:
                if capture.ended:
                    self._end()
                    return
                self._show_again()
                if self.publisher is not None:
                    self.publisher.clear(self.net.budget.total)
                if capture.lost != self._last.get("lost", False):
                    self._tell(lost=capture.lost)
                continue
            due = max(due + pace, time.monotonic() - pace)
            self.look(frame)

    def look(self, frame: Frame) -> None:
        """Detect in one frame, and tell everybody."""
        cv2, net, image = self._cv2, self.net, frame.image
        # A file waits for us, so its frames are new when taken; a camera's are when it gave them
        began = frame.at if self.capture.live else time.monotonic()
        if self._rgb.shape != image.shape:
            self._rgb = image.copy()
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=self._rgb)
        result = net.detect(self._rgb, **{**self.wishes.answers, "thresh": self.state.thresh})
        now = time.monotonic()
        self.done += 1
        self._ended = now
        self._recent.append(now)
        latency = (now - began) * 1000
        self.latency.add(latency)
        self.forward.add(net.stats["latency_ms"])
        record = self.record(frame, result, latency)
        if self.lines is not None:
            self.lines.write(json.dumps(record, separators=(",", ":")))
        if self.wishes.printed:
            from darkfuse.detect.report import film_lines

            rates = self.fps(), self.done / max(now - self._began, 1e-3)
            print(*film_lines(result, self.wishes.printed == "corners", *rates), sep="\n", flush=True)
        self._held, self._boxes = frame, (result, record)
        watched = self.server is not None and self.server.wants_picture()
        announced = self.publisher is not None and self.publisher.wants_image()
        if self.window is not None or self.writer is not None or self.wishes.prefix or watched or announced:
            self._draw()
        if self.publisher is not None:
            self.publisher.see((d.name for d in result), self.fps(), net.budget.total)
            if announced:
                self.publisher.show(self._compress(image))
        if self.json_port is not None:
            self.json_port.add(record)
        if self.server is not None:
            self._last = {**record, "objects": self._coloured(record["objects"]),
                          "source": self.source, "lost": False}
            self.server.update(self._last)
            if watched:
                self.server.show(frame.number, lambda: self._compress(image), self._last)
        if self.window is not None:
            self.window.show(image)
        if self.writer is not None:
            self.writer.add(image, frame.at)
        if self.wishes.prefix:
            with WholeFile(f"{self.wishes.prefix}_{self.done:08d}.jpg", "the picture", DarkfuseError) as file:
                file.write(self._compress(image).tobytes())

    def record(self, frame: Frame, result: Result, latency: float) -> dict[str, Any]:
        """A frame as JSON lines and the page have it; coordinates are parts of the picture's size."""
        from darkfuse.detect.report import objects

        broken = {"not_finite": result.not_finite} if result.not_finite else {}
        return {
            "frame_id": frame.number, "time": round(time.time(), 3), "objects": objects(result),
            "latency_ms": round(latency, 2), "forward_ms": round(self.net.stats["latency_ms"], 2),
            "fps": round(self.fps(), 2), "dropped": self.capture.dropped,
            "memory": {"now": process.rss_bytes(), "peak": self.net.stats["peak_rss_bytes"],
                       "budget": self.net.budget.total}, **broken,
        }

    def fps(self) -> float:
        """Frames looked at a second, over the last 30."""
        recent = self._recent
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])

    def summary(self) -> list[str]:
        """What there is to say at the end."""
        seconds = self._ended - self._began
        rate = self.done / seconds if seconds > 0 else 0.0
        lost = f", {self.capture.dropped} dropped" if self.capture.live else ""
        frames = "1 frame" if self.done == 1 else f"{self.done} frames"
        lines = [f"{frames} in {seconds:.1f} s: {rate:.2f} frames/s{lost}"]
        if self.done:
            lines.append(f"frame to boxes p50 / p95 / p99: {self.latency.words()} ms, "
                         f"of it the network: {self.forward.words()} ms")
        peak, budget = process.peak_rss_bytes(), self.net.budget.total
        if peak is not None:
            lines.append(f"peak memory {format_bytes(peak)}"
                         + (f" of {format_bytes(budget)}" if budget else ""))
        if self.writer is not None and self.writer.frames:
            lines.append(f"written: {self.wishes.out}, {self.writer.frames} frames")
        return lines

    def _tell(self, **news: Any) -> None:
        self._last.update(news)
        if self.server is not None and "frame_id" in self._last:
            self.server.update(self._last)

    def _end(self) -> None:
        """The film is over: who watches sees its last frame, and is told."""
        if self.server is not None and self._last:
            until = time.monotonic() + TICK_S * 10
            while self.server.viewers and self.server.shown != self._held.number and time.monotonic() < until:
                self._show_again()
                time.sleep(TICK_S / 10)
            self._tell(ended=True)
            self.server.finish()

    def _show_again(self) -> None:
        """Nothing new: who has just opened the page gets the picture that is there."""
        server, held = self.server, self._held
        if server is not None and server.shown != held.number and server.wants_picture():
            self._draw()
            server.show(held.number, lambda: self._compress(held.image), self._last)

    def _coloured(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """`objects` with the colours they are drawn in."""
        def colour(class_id: int) -> str:
            return "#{:02x}{:02x}{:02x}".format(*class_colour(class_id))

        return [{**found, "colour": colour(found["class_id"])} for found in objects]

    def _draw(self) -> None:
        """Boxes onto the frame held, unless they are there already; in a window, figures too. Elsewhere they
        look as photos do: the page has figures of its own."""
        if self._boxes is None:
            return
        from darkfuse.media.overlay import draw_marks, draw_status

        (result, record), self._boxes = self._boxes, None
        image = self._held.image
        draw_marks(image, result.marks())
        if self.window is None:
            return
        memory = record["memory"]
        parts = [f"{record['fps']:.1f} fps", f"{record['latency_ms']:.0f} ms"]
        if memory["now"] is not None:
            parts.append(f"memory {format_bytes(memory['now'])} peak {format_bytes(memory['peak'])}"
                         + (f" of {format_bytes(memory['budget'])}" if memory["budget"] else ""))
        draw_status(image, "  ".join(parts))

    def _compress(self, image: Any) -> Any:
        """The picture as a JPEG."""
        cv2 = self._cv2
        good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not good:
            raise DarkfuseError("OpenCV cannot compress a picture")
        return data
