"""Frigate's ZMQ detector: tensors over a REP socket, boxes back as float32 [20, 6].

A request is either `{"model_request": true, "model_name": ...}`, answered with what is loaded, or two parts:
`{"shape", "dtype", "model_type"}` and the tensor's bytes. A box is class, score, top, left, bottom, right as
parts of the picture's size; rows that are not needed are zeros.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from typing import Any

from darkfuse.errors import DarkfuseError
from darkfuse.host.extras import need
from darkfuse.live.serve.queue import Job, Queue

ROWS = 20
LEAST_SCORE = 0.01  # Frigate has thresholds of its own
WAIT_S = 10.0  # for a picture's turn and its answer
MOST_BYTES = 2 << 20  # of a part of a message: a picture of 836 x 836, or as large as the network's own
MOST_HEAD = 4096  # bytes of what it says before
BESIDE_BYTES = 3 * MOST_BYTES  # a message of libzmq's, the same as Python's, and in the other order
zmq: Any = need("zmq", "--zmq")


class Detector:
    """Answers at `endpoint` in a thread of its own; pictures take their turn in `jobs` like all others.

    Raises
    ------
    DarkfuseError
        The endpoint cannot be used.
    """

    def __init__(self, endpoint: str, net: Any, jobs: Queue, stack: contextlib.ExitStack) -> None:
        self._net, self._jobs, self._stop = net, jobs, False
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, max(MOST_BYTES, 3 * net.graph.input.w * net.graph.input.h))
        self._socket.setsockopt(zmq.RCVHWM, 1)  # a peer waits for its answer before it asks again
        self._socket.setsockopt(zmq.RCVTIMEO, 200)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            self._context.term()
            raise DarkfuseError(f"--zmq {endpoint}: cannot listen there: {error}") from None
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._thread = threading.Thread(target=self._run, name="zmq", daemon=True)
        self._thread.start()
        stack.callback(self.close)

    def close(self) -> None:
        """Answer nothing more."""
        self._stop = True
        self._thread.join()
        self._socket.close()
        self._context.term()

    def _run(self) -> None:
        while not self._stop:
            try:
                parts = [self._socket.recv()]
            except zmq.Again:
                continue
            while self._socket.getsockopt(zmq.RCVMORE):
                part = self._socket.recv()
                if len(parts) < 2:  # what is beyond is not for us
                    parts.append(part)
            self._socket.send(self._answer(parts))

    def _answer(self, parts: list[bytes]) -> bytes:
        picture = asked(parts)
        return picture if isinstance(picture, bytes) else self._look(picture)

    def _look(self, picture: Any) -> bytes:
        done = threading.Event()
        found: list[Any] = []

        def run() -> None:
            try:
                found.extend(self._net.detect(picture, thresh=LEAST_SCORE, letterbox=False))
            except DarkfuseError:  # no picture: nothing is found
                found.clear()
            finally:
                done.set()

        job = Job("zmq", newest=True, run=run)
        if not self._jobs.put(job)[0] or not done.wait(WAIT_S):
            self._jobs.cancel(job)
            return rows([])
        return rows(found)


def asked(parts: list[bytes]) -> Any:
    """The picture that a message asks about, or the bytes of the answer where that needs no looking."""
    try:
        if len(parts[0]) > MOST_HEAD:
            return rows([])
        head = json.loads(parts[0])
        if head.get("model_request"):
            return json.dumps({"model_available": True, "model_loaded": True}).encode()
        if head.get("model_data"):  # it sends the model it has; ours stays
            return json.dumps({"model_saved": True, "model_loaded": True}).encode()
        return as_picture(head, parts[1])
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError):
        return rows([])


def as_picture(head: dict[str, Any], data: bytes) -> Any:
    """A tensor of bytes, [1, height, width, 3] or [1, 3, height, width], as a picture. Raises ValueError."""
    shape = [int(side) for side in head["shape"]]
    if head["dtype"] != "uint8" or len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
        raise ValueError("no picture")
    planar = shape[1] == 3 and shape[3] != 3
    height, width = (shape[2], shape[3]) if planar else (shape[1], shape[2])
    if (not planar and shape[3] != 3) or len(data) != 3 * height * width:
        raise ValueError("no picture")
    if planar:
        pixels, plane = bytearray(len(data)), height * width
        for channel in range(3):
            pixels[channel::3] = data[channel * plane : (channel + 1) * plane]
        return memoryview(pixels).cast("B", (height, width, 3))
    return memoryview(data).cast("B", (height, width, 3))


def rows(found: list[Any]) -> bytes:
    """The best `ROWS` of these detections as Frigate takes them."""
    best = sorted(found, key=lambda d: -d.confidence)[:ROWS]
    values = []
    for d in best:
        left, top = d.box.cx - d.box.w / 2, d.box.cy - d.box.h / 2
        edges = (top, left, top + d.box.h, left + d.box.w)
        values += [d.class_id, d.confidence, *(min(max(edge, 0.0), 1.0) for edge in edges)]
    values += [0.0] * (ROWS * 6 - len(values))
    return struct.pack(f"<{ROWS * 6}f", *values)
