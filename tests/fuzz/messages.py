"""What arrives by MQTT and ZMQ: from a broker that says anything at all, and from a peer as Frigate is."""

from __future__ import annotations

import contextlib
import functools
import json
import socket

import sockets

WAIT_S = 30.0  # for an answer, on a machine that is busy
BETWEEN = b"\n--\n"  # of the parts of a ZMQ message
MQTT_WORDS = (b"\x20\2\0\0", b"\x20\2\0\5", b"\xd0\0", b"\x40\2\0\1", b"\x90\3\0\1\0", b"\x30\6\0\1a",
              b"\x32", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x80", b"\0\0", b"\xc3\x28", b"\xe0\0",
              b"\x62\2\0\1")
ZMQ_WORDS = (BETWEEN, b"1e999", b"NaN", b"-1", b"null", b"[", b"{", b'"shape"', b'"dtype"',
             b'"model_request"', b'"model_data"', b"true", b"0.5", b"9" * 40, b"\xff")


class Broker:
    """A listener to which a `Publisher` connects, again and again; each connection is told something else."""

    def __init__(self) -> None:
        from darkfuse.live import mqtt

        mqtt.RETRY_S = (0.0005, 0.0005)  # type: ignore[assignment]
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.settimeout(WAIT_S)
        self._stack = contextlib.ExitStack()
        port = self._door.getsockname()[1]
        self.publisher = mqtt.Publisher(f"mqtt://127.0.0.1:{port}/fuzz", ["cat", "dog"], self._stack)

    def tell(self, data: bytes) -> None:
        """Wait until it connects, say this and hang up."""
        try:
            connection, _ = self._door.accept()
        except socket.timeout:
            raise AssertionError("it never connected again") from None
        with connection, contextlib.suppress(OSError):
            connection.settimeout(WAIT_S)
            if not connection.recv(4096).startswith(b"\x10"):
                raise AssertionError("it did not begin with CONNECT")
            connection.sendall(data)
            self.publisher.see(["cat"], 1.0, None)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass


@functools.cache
def broker() -> Broker:
    return Broker()


def mqtt_seeds() -> list[bytes]:
    accepted = b"\x20\2\0\0"
    return [accepted, b"\x20\2\0\5", accepted + b"\xd0\0" + b"\x40\2\0\1" * 3,
            accepted + b"\x30\x0a\0\5a/b/chello"[:12], accepted + b"\x32\7\0\1a\0\1hi" + b"\x90\3\0\1\0"]


def asked(data: bytes) -> object:
    """What a message would be answered with, or looked at."""
    from darkfuse.live.serve.zmq import asked

    return asked(data.split(BETWEEN))


class Frigate:
    """A peer of a real `serve` with a small network. An answer is always one of its two forms."""

    def __init__(self) -> None:
        import zmq

        self._zmq, self.detector = zmq, sockets.serving().frigate
        self._peer = zmq.Context.instance().socket(zmq.REQ)
        self._peer.setsockopt(zmq.RCVTIMEO, int(WAIT_S * 1000))
        self._peer.setsockopt(zmq.LINGER, 0)
        self._peer.connect(self.detector.endpoint)

    def ask(self, data: bytes) -> bytes:
        self._peer.send_multipart(data.split(BETWEEN))
        try:
            answer: bytes = self._peer.recv()
        except self._zmq.Again:
            raise AssertionError(f"no answer; its thread lives: {self.detector._thread.is_alive()}") from None
        if len(answer) != 480 and not json.loads(answer).get("model_loaded"):
            raise AssertionError(f"an answer of {answer[:80]!r}")
        return answer


@functools.cache
def frigate() -> Frigate:
    return Frigate()


def zmq_seeds() -> list[bytes]:
    head = b'{"shape": [1, 4, 4, 3], "dtype": "uint8", "model_type": "yolo-generic"}'
    planes = b'{"shape": [1, 3, 4, 4], "dtype": "uint8"}'
    return [head + BETWEEN + bytes(range(48)), planes + BETWEEN + bytes(48),
            b'{"model_request": true, "model_name": "a"}', b'{"model_data": true}' + BETWEEN + b"onnx"]
